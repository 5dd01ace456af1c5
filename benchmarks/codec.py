"""Sound that SpectroStream, the codec of Magenta RealTime 2, decodes at full size, beside magenta-rt on JAX."""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

import brain2music as b2m
from benchmarks import steps
from benchmarks.case import Case, Contender
from benchmarks.frames import MAGENTA_RT
from benchmarks.magenta_rt2.weights import random_tensors
from brain2music.bundles import writer
from brain2music.exporters.magenta_rt2.checkpoint import PREFIXES, Table, table_of
from brain2music.exporters.magenta_rt2.codec_weights import LEVELS
from brain2music.exporters.magenta_rt2.roles import FRAME_RATE, codec_role

SECONDS = 4
#: Shapes of tensors by part: "soundstream", which is the codec's quantiser and decoder, "encoder", "small".
Tables = dict[str, Table]


def cases(device: torch.device, tables: Tables | None = None) -> dict[str, Callable[[], Case]]:
    """``tables`` are shapes in place of the published ones, for which no rival is made."""
    return {"SpectroStream decoding": partial(_decoding, tables, device)}


def _written(folder: Path, tables: Tables) -> Path:
    parts = []
    for part in ("soundstream", "encoder"):
        made = random_tensors(dict(tables[part]))
        parts.append({name.removeprefix(PREFIXES[part]): torch.from_numpy(array) for name, array in made.items()})
    role = codec_role(*parts)
    return writer.write(folder, name="Benchmark", description="Random weights.", roles={"codec": role})


def _decoding(tables: Tables | None, device: torch.device) -> Case:
    temporary = tempfile.TemporaryDirectory(prefix="b2m-benchmark-codec-")
    folder = Path(temporary.name)
    published = {part: table_of(part) for part in ("soundstream", "encoder")}
    bundle = b2m.Bundle(_written(folder / "bundle", tables or published), device)
    codec = b2m.Codec(bundle)
    frames, second = round(SECONDS * FRAME_RATE), round(FRAME_RATE)
    count = bundle.roles["codec"]["vocabulary"]
    codes = np.random.RandomState(1).randint(0, count, (1, LEVELS, frames)).astype(np.int64)
    on_gpu = device.type == "cuda"

    def whole() -> np.ndarray:
        return codec.decode(codes)

    def by_second() -> np.ndarray:
        """A second a call, as generated music is decoded while it is made."""
        return np.concatenate([codec.decode_block(codes, s, s + second) for s in range(0, frames, second)], 2)

    rivals = {"b2m.Codec.decode_block, a second a call": Contender(by_second, SECONDS, on_gpu)}
    apart: dict[str, steps.Apart] = {}
    if MAGENTA_RT in os.environ and not on_gpu and tables is None:
        np.save(folder / "codes.npy", codes[0].T.astype(np.int32))
        command = [os.environ[MAGENTA_RT], "-m", "benchmarks.rivals.magenta_rt_codec", str(folder)]
        apart["magenta-rt on JAX, float32"] = steps.Apart(command)

    def compare() -> None:
        np.testing.assert_allclose(by_second(), whole(), atol=1e-4)
        if apart:
            theirs = np.load(folder / "sound.npy").T[None]  # it leaves out what depends on the frame to come
            np.testing.assert_allclose(whole()[:, :, : theirs.shape[2]], theirs, atol=1e-4)

    def close() -> None:
        for rival in apart.values():
            rival.close()
        temporary.cleanup()

    return Case(
        unit="seconds of sound",
        ours={"b2m.Codec.decode": Contender(whole, SECONDS, on_gpu)},
        rivals={**rivals, **{name: Contender(rival, SECONDS, on_gpu) for name, rival in apart.items()}},
        required={},
        compare=compare,
        packages=["torch"],
        shape={"seconds": SECONDS, "levels": LEVELS},
        most_rounds=3,
        close=close,
    )
