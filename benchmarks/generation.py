"""Tokens of a language model of 24 layers, d 1,024, with Llama's shapes; embeddings of 1,000 clips."""

import os
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import brain2music as b2m
from benchmarks.case import Case, Contender
from brain2music import _core
from brain2music.bundles import writer
from brain2music.exporters import TransformerStage, export_llama

LAYERS, DIMENSION, HEADS, FEED_FORWARD, CODES = 24, 1024, 16, 2816, 1024
STEPS, RATE = 64, 50
#: An interpreter that has llama-cpp-python and gguf (minutes to compile); without one, that rival is left out.
LLAMA_CPP = "B2M_LLAMA_CPP_PYTHON"
BATCHES = (1, 8, 32)
CARD = {"name": "Random", "source": "a benchmark", "licence": "CC0-1.0", "replaces": "a trained network"}


def cases(
    device: torch.device, layers: int = LAYERS, dimension: int = DIMENSION, steps: int = STEPS, clips: int = 1000
) -> dict[str, Callable[[], Case]]:
    made = {
        f"{layers} layers, d {dimension:,}, batch {batch}": partial(_tokens, layers, dimension, steps, batch, device)
        for batch in BATCHES
    }
    return {**made, f"embedding {clips:,} clips": partial(_embedding, clips, device)}


def dry_run(device: torch.device) -> None:
    """A step of a stage on `device`, on whatever tensors are in force: fake ones need no GPU."""
    with device:
        stage = TransformerStage(dimension=32, layers=2, heads=2, feed_forward=48, vocabulary=CODES + 1)
    position = torch.zeros((), dtype=torch.int64, device=device)
    state = stage.init_state(2, 8, None)
    tokens = torch.zeros(2, 1, dtype=torch.int64, device=device)
    ranges = torch.tensor([[0, CODES]] * 2).to(device)
    streams = torch.arange(2).to(device)
    for _ in range(3):
        logits = stage.extend(tokens, position, state)[:, -1]
        tokens = _core.kernels.sample_tokens(logits, ranges, streams, position, 0, 1.0, 250, 0.9)[:, None]
        position += 1
    for tensor in (tokens, logits, position, *state):
        if tensor.device.type != device.type:
            raise AssertionError(f"expected a tensor on {device}; got {tensor.device}")


class Spelled(nn.Module):
    """A codec whose sound spells its codes."""

    @torch.jit.export
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return codes.transpose(1, 2).reshape(codes.size(0), 1, -1) / 2048.0


def _scripted(module: nn.Module) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        return torch.jit.script(module.eval())


def _llama(layers: int, dimension: int) -> Any:
    import transformers

    torch.manual_seed(0)
    heads = max(1, dimension * HEADS // DIMENSION)
    config = transformers.LlamaConfig(
        num_hidden_layers=layers,
        hidden_size=dimension,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        intermediate_size=dimension * FEED_FORWARD // DIMENSION,
        vocab_size=CODES + 1,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        initializer_range=0.05,
    )
    return transformers.LlamaForCausalLM(config).eval()


def _written(folder: Path, model: Any, dimension: int) -> Path:
    codec = {
        "module": _scripted(Spelled()),
        "methods": ["decode"],
        "sample_rate": RATE,
        "frame_rate": RATE,
        "levels": 1,
        "vocabulary": CODES,
        "channels": 1,
        "card": CARD,
    }
    stage = {
        "name": "music",
        "module": export_llama(model),
        "family": "tokens",
        "frame_rate": RATE,
        "codes": [CODES],
        "codec_levels": [0],
        "vocabulary": CODES + 1,
        "max_length": 2048,
        "special_tokens": {"begin": CODES},
        "layout": {"prefix": [{"token": "begin"}], "order": "frames", "offsets": [0]},
        "sampling": {"temperature": 0},
        "card": CARD,
    }
    return writer.write(
        folder,
        name="Benchmark",
        description="Random weights.",
        roles={"codec": codec},
        stages=[stage],
        space={"dimension": dimension, "roles": [], "hashes": ["0" * 64]},
    )


class _LlamaCpp:
    """llama.cpp in a process of its own, at the same sizes; its weights are others, which is no matter for speed."""

    def __init__(self, layers: int, dimension: int, batch: int, steps: int, kind: str) -> None:
        heads, hidden = max(1, dimension * HEADS // DIMENSION), dimension * FEED_FORWARD // DIMENSION
        sizes = (layers, dimension, heads, hidden, CODES + 1, batch, steps)
        script = Path(__file__).parent / "rivals" / "llama_cpp_steps.py"
        command = [os.environ[LLAMA_CPP], str(script), *map(str, sizes), kind]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._expect("ready")

    def __call__(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self._expect("done")

    def close(self) -> None:
        self.process.communicate()

    def _expect(self, word: str) -> None:
        assert self.process.stdout is not None
        said = self.process.stdout.readline().strip()
        if said != word:
            raise RuntimeError(f"llama.cpp must say {word!r}; got {said!r} and status {self.process.poll()}")


def _tokens(layers: int, dimension: int, steps: int, batch: int, device: torch.device) -> Case:
    temporary = tempfile.TemporaryDirectory(prefix="b2m-benchmark-generation-")
    model = _llama(layers, dimension)
    bundle = b2m.Bundle(_written(Path(temporary.name) / "bundle", model, dimension), device)
    generator = b2m.MusicGenerator(bundle, device)
    model = model.to(device)
    embedding = np.ones((1, dimension), np.float32)
    begin = torch.full((batch, 1), CODES, device=device)
    script = export_llama(model)

    def ours() -> np.ndarray:
        waveform = generator.generate(embedding, seconds=steps / RATE, samples=batch).waveform
        return np.rint(waveform[0, :, 0] * 2048).astype(np.int64)

    def transformers(**more: Any) -> Any:
        with torch.inference_mode():
            return model.generate(
                begin,
                attention_mask=torch.ones_like(begin),
                do_sample=False,
                max_new_tokens=steps,
                suppress_tokens=[CODES],
                **more,
            )

    def bare_loop() -> torch.Tensor:
        """Calls extend, takes the greatest logit, and nothing else."""
        with torch.inference_mode():
            state = script.init_state(batch, steps + 1, None)
            position = torch.zeros((), dtype=torch.int64, device=device)
            column, columns = begin, []
            for _ in range(steps):
                column = script.extend(column, position, state)[..., :CODES].argmax(-1)
                position += 1
                columns.append(column)
            return torch.cat(columns, 1)

    def compare() -> None:
        """Tokens are equal up to the first choice between two logits that lie closer than 1e-3."""
        found = transformers(return_dict_in_generate=True, output_scores=True)
        theirs = found.sequences[:, 1:].cpu().numpy()
        for tokens in (ours(), bare_loop().cpu().numpy()):
            differ = np.flatnonzero((tokens != theirs).any(0))
            if len(differ):
                best = found.scores[int(differ[0])].topk(2, dim=-1).values
                assert float((best[:, 0] - best[:, 1]).min()) < 1e-3, f"tokens differ from step {differ[0]} on"

    on_gpu = device.type == "cuda"
    kinds = ("f32", "f16") if LLAMA_CPP in os.environ and not on_gpu else ()
    llama = {f"llama.cpp, {kind}": _LlamaCpp(layers, dimension, batch, steps, kind) for kind in kinds}

    def close() -> None:
        for rival in llama.values():
            rival.close()
        temporary.cleanup()

    return Case(
        unit="tokens",
        ours={"b2m.MusicGenerator": Contender(ours, steps * batch, on_gpu)},
        rivals={
            "transformers generate": Contender(transformers, steps * batch, on_gpu),
            "a bare loop over extend": Contender(bare_loop, steps * batch, on_gpu),
            **{name: Contender(rival, steps * batch, on_gpu) for name, rival in llama.items()},
        },
        required={},
        compare=compare,
        packages=["transformers"],
        shape={"layers": layers, "dimension": dimension, "batch": batch, "steps": steps},
        most_rounds=3,
        close=close,
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
