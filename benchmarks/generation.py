"""Steps of language models, frames and sound of Magenta RealTime 2, embeddings of 1,000 clips."""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

import brain2music as b2m
from benchmarks import codec, frames, steps
from benchmarks.case import Case, Contender
from brain2music import _core
from brain2music.exporters import TransformerStage


def cases(
    device: torch.device, sizes: steps.Sizes | None = None, tables: codec.Tables | None = None, clips: int = 1000
) -> dict[str, Callable[[], Case]]:
    """``tables`` are shapes of Magenta RealTime 2 by part in place of the published ones, for a few frames."""
    table, count = (tables["small"], 3) if tables else (None, frames.FRAMES)
    made = {**steps.cases(device, sizes or steps.Sizes()), **frames.cases(device, table, count)}
    made["shipped bundle, 15 s of music"] = partial(_shipped, device)
    return {**made, **codec.cases(device, tables), f"embedding {clips:,} clips": partial(_embedding, clips, device)}


def dry_run(device: torch.device) -> None:
    """A step of a stage on `device`, on whatever tensors are in force: fake ones need no GPU."""
    with device:
        stage = TransformerStage(dimension=32, layers=2, heads=2, feed_forward=48, vocabulary=steps.CODES + 1)
    position = torch.zeros((), dtype=torch.int64, device=device)
    state = stage.init_state(2, 8, None)
    tokens = torch.zeros(2, 1, dtype=torch.int64, device=device)
    ranges = torch.tensor([[0, steps.CODES]] * 2).to(device)
    streams = torch.arange(2).to(device)
    for _ in range(3):
        logits = stage.extend(tokens, position, state)[:, -1]
        tokens = _core.kernels.sample_tokens(logits, ranges, streams, position, 0, 1.0, 250, 0.9)[:, None]
        position += 1
    for tensor in (tokens, logits, position, *state):
        if tensor.device.type != device.type:
            raise AssertionError(f"expected a tensor on {device}; got {tensor.device}")


def _shipped(device: torch.device, seconds: float = 15.0) -> Case:
    """One embedding to one piece, from the conditioner to sound; ten times as fast as it is heard."""
    bundle = b2m.Bundle.shipped("composer", device)
    generator = b2m.MusicGenerator(bundle, device)
    embedding = np.random.default_rng(0).standard_normal((1, generator.dimension)).astype(np.float32)

    def ours() -> np.ndarray:
        return generator.generate(embedding, seconds=seconds, seed=0).waveform

    def compare() -> None:
        sound = ours()
        assert sound.shape[-1] == round(seconds * generator.rate), "the piece is not as long as asked for"
        np.testing.assert_array_equal(ours(), sound)

    return Case(
        unit="seconds of music",
        ours={"b2m.MusicGenerator, one piece": Contender(ours, round(seconds), device.type == "cuda")},
        rivals={},
        required={},
        compare=compare,
        packages=["torch"],
        shape={"seconds": round(seconds)},
        least_rate=10.0 if device.type == "cpu" else None,
        most_rounds=5,
    )


def _embedding(clips: int, device: torch.device) -> Case:
    """Fifteen seconds each, the music embedder of the bundle "acoustic"; torch reads them through a DataLoader."""
    from torch.utils.data import DataLoader, TensorDataset

    bundle = b2m.Bundle.shipped("acoustic", device)
    entry = bundle.roles["music_embedder"]
    rate, window, hop = int(entry["sample_rate"]), float(entry["window"]), 1.5
    rng = np.random.default_rng(0)
    one = rng.uniform(-0.1, 0.1, (min(clips, 50), 15 * rate)).astype(np.float32)
    waveforms = np.concatenate([one] * -(-clips // len(one)))[:clips]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        script = torch.jit.load(str(bundle.path / entry["file"]), map_location=device).eval()
    size, step = round(window * rate), round(hop * rate)

    def ours() -> np.ndarray:
        return bundle.embed("music_embedder", (waveforms, rate), hop=hop).values

    def by_torch(workers: int) -> np.ndarray:
        loader = DataLoader(TensorDataset(torch.from_numpy(waveforms)), batch_size=8, num_workers=workers)
        parts = []
        with torch.inference_mode():
            for (batch,) in loader:
                windows = batch.to(device).unfold(1, size, step)
                embedded = script.embed(windows.flatten(0, 1))
                parts.append(embedded.view(len(batch), -1, embedded.shape[-1]).cpu().numpy())
        return np.concatenate(parts)

    def compare() -> None:
        np.testing.assert_allclose(ours(), by_torch(0), atol=1e-4)

    on_gpu = device.type == "cuda"
    rivals = {f"torch with a DataLoader, {n} workers": Contender(partial(by_torch, n), clips, on_gpu) for n in (0, 2)}
    return Case(
        unit="clips",
        ours={"b2m.Bundle.embed": Contender(ours, clips, on_gpu)},
        rivals=rivals,
        required=dict.fromkeys(rivals, 1.0),
        compare=compare,
        packages=["torch"],
        shape={"clips": clips},
        most_rounds=3,
    )
