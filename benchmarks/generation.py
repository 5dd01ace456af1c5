"""Steps of language models, frames of Magenta RealTime 2, embeddings of 1,000 clips."""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

import brain2music as b2m
from benchmarks import frames, steps
from benchmarks.case import Case, Contender
from brain2music import _core
from brain2music.exporters import TransformerStage
from brain2music.exporters.magenta_rt2.checkpoint import Table


def cases(
    device: torch.device, sizes: steps.Sizes | None = None, table: Table | None = None, clips: int = 1000
) -> dict[str, Callable[[], Case]]:
    """``table`` are shapes of the frames' network in place of the published ones, for a few frames."""
    count = frames.FRAMES if table is None else 3
    made = {**steps.cases(device, sizes or steps.Sizes()), **frames.cases(device, table, count)}
    return {**made, f"embedding {clips:,} clips": partial(_embedding, clips, device)}


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
