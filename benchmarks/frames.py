"""Frames of Magenta RealTime 2's small language model, random weights, beside magenta-rt on JAX."""

import os
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import brain2music as b2m
from benchmarks import steps
from benchmarks.case import Case, Contender
from benchmarks.magenta_rt2.weights import random_tensors
from brain2music.bundles import writer
from brain2music.exporters.magenta_rt2 import roles
from brain2music.exporters.magenta_rt2.checkpoint import PREFIXES, Table, table_of
from brain2music.exporters.magenta_rt2.conditioner import style_quantizer
from brain2music.exporters.magenta_rt2.language_model import LEVELS, WINDOWS, language_model

FRAME_RATE, FRAMES, SAMPLES = 25, 50, 8
#: An interpreter that has magenta-rt[jax] 2.0.3; without one, that rival is left out.
MAGENTA_RT = "B2M_MAGENTA_RT_PYTHON"
TYPES = ("float32", "bfloat16", "int8")


def cases(device: torch.device, table: Table | None = None, frames: int = FRAMES) -> dict[str, Callable[[], Case]]:
    """``table`` are shapes in place of the published small model's."""
    types = [dtype for dtype in TYPES if dtype != "int8" or device.type == "cpu"]
    return {f"mrt2_small, {dtype}": partial(_frames, dtype, table, frames, device) for dtype in types}


@cache
def _tensors(table: tuple[tuple[str, tuple[int, ...]], ...]) -> dict[str, torch.Tensor]:
    made = random_tensors(dict(table))
    return {name.removeprefix(PREFIXES["small"]): torch.from_numpy(array) for name, array in made.items()}


def _written(folder: Path, tensors: dict[str, torch.Tensor], dtype: str) -> Path:
    checkpoint: Any = SimpleNamespace(size="small", model=tensors)
    stage = {**roles.stage(checkpoint), "dtypes": [dtype]}
    codec = steps.spelled_codec(FRAME_RATE, LEVELS, stage["vocabulary"])
    conditioner = roles.conditioner_role(tensors, "small")
    return writer.write(
        folder,
        name="Benchmark",
        description="Random weights.",
        roles={"codec": codec, "conditioner": conditioner},
        stages=[stage],
        space={"dimension": conditioner["dimension"], "roles": [], "hashes": ["0" * 64]},
    )


def _channels(stage: dict[str, Any], style: torch.Tensor) -> list[int]:
    """Lay out what the stage's source is told, as its manifest says."""
    channels: list[int] = []
    for each in stage["layout"]["channels"]:
        if "from" in each:
            channels += style.tolist()
        elif "guidance" in each:
            scale = each["guidance"]
            channels.append(round((stage["sampling"]["guidance"] - scale["lowest"]) / scale["step"]))
        else:
            channels += [each["code"]] * each.get("count", 1)
    return channels


def _frames(dtype: str, table: Table | None, frames: int, device: torch.device) -> Case:
    temporary = tempfile.TemporaryDirectory(prefix="b2m-benchmark-frames-")
    folder = Path(temporary.name)
    tensors = _tensors(tuple((table or table_of("small")).items()))
    bundle = b2m.Bundle(_written(folder / "bundle", tensors, dtype), device)
    generator = b2m.MusicGenerator(bundle, device)
    embedding = np.random.default_rng(0).standard_normal((1, generator.dimension)).astype(np.float32)
    channels = _channels(bundle.stages["music"], style_quantizer(tensors).quantize(torch.from_numpy(embedding))[0])
    network = language_model(tensors, WINDOWS["small"]).eval()
    steps.round_weights(network, dtype)
    network = network.to(device)
    on_gpu = device.type == "cuda"

    def ours(samples: int, count: int = frames, **sampling: Any) -> np.ndarray:
        made = generator.generate(embedding, seconds=count / FRAME_RATE, samples=samples, **sampling)
        codes = np.rint(made.waveform[0, :, 0] * 2048).astype(np.int64)
        return codes.reshape(samples, count, LEVELS)

    @torch.inference_mode()
    def by_libtorch(count: int = frames, seen: Callable[[torch.Tensor], object] = lambda logits: None) -> np.ndarray:
        """The most probable codes of one sample, by LibTorch's own operations; ``seen`` is given all logits."""
        state = network.init_state(1, count, None)
        previous = torch.full((1, LEVELS), bundle.stages["music"]["layout"]["start"], device=device)
        found = []
        for frame in range(count):
            position = torch.tensor(frame, device=device)
            if frame == 0:
                network.source(torch.tensor([channels], device=device), position, state)
            logits = network.depth_first(network.temporal(previous, position, state), state)
            row = []
            for level in range(LEVELS):
                seen(logits)
                row.append(logits.argmax(-1))
                if level + 1 < LEVELS:
                    logits = network.depth_next(row[-1], level + 1, state)
            previous = torch.stack(row, 1)
            found.append(previous[0].cpu().numpy())
        return np.stack(found)

    def compare() -> None:
        few = min(frames, 5)
        gaps: list[float] = []
        theirs = by_libtorch(few, lambda logits: gaps.append(-float(logits.topk(2).values[0].diff())))
        assert min(gaps) < 1e-3 or np.array_equal(ours(1, few, temperature=0)[0], theirs), "codes differ"

    rivals = {
        "LibTorch: a bare loop over the methods": Contender(by_libtorch, frames, on_gpu),
        f"b2m, {SAMPLES} samples at once": Contender(partial(ours, SAMPLES), frames * SAMPLES, on_gpu),
    }
    apart = None
    if MAGENTA_RT in os.environ and not on_gpu and table is None:
        script = str(steps.RIVALS / "magenta_rt_frames.py")
        apart = steps.Apart([os.environ[MAGENTA_RT], script, str(frames), "float32"])  # on a CPU its fastest type
        rivals["magenta-rt on JAX, float32"] = Contender(apart, frames, on_gpu)

    def close() -> None:
        if apart:
            apart.close()
        temporary.cleanup()

    return Case(
        unit="frames",
        ours={f"b2m.MusicGenerator, {dtype}, one sample": Contender(partial(ours, 1), frames, on_gpu)},
        rivals=rivals,
        required={},
        compare=compare,
        packages=["torch"],
        shape={"frames": frames, "samples": 1},
        most_rounds=3,
        close=close,
    )
