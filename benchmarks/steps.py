"""Steps of a language model with Llama's shapes, its weights in several types, beside llama.cpp and LibTorch."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import brain2music as b2m
from benchmarks.case import Case, Contender
from brain2music.bundles import writer
from brain2music.exporters import export_llama
from brain2music.exporters.script import scripted

CODES, RATE = 1024, 50
RIVALS = Path(__file__).parent / "rivals"
#: An interpreter that has llama-cpp-python and gguf (minutes to compile); without one, that rival is left out.
LLAMA_CPP = "B2M_LLAMA_CPP_PYTHON"
CARD = {"name": "Random", "source": "a benchmark", "licence": "CC0-1.0", "replaces": "a trained network"}
#: The least speed that is required of us beside llama.cpp, by our type, the batch and its type.
REQUIRED = {
    ("float32", 1): {"f32": 0.95, "f16": None},
    ("bfloat16", 1): {"bf16": 1.2, "f16": None},
    ("int8", 1): {"q8_0": 1.0, "bf16": 1.8},
    ("float32", 8): {"f32": 1.3},
    ("float32", 32): {"f32": 1.3},
    ("bfloat16", 8): {"bf16": None},
    ("bfloat16", 32): {"bf16": None},
}
#: Of the rate at which the same bytes are read and nothing else is done.
SHARE_OF_READING = {("bfloat16", 1): 0.8, ("float32", 1): None, ("int8", 1): None}


@dataclass(frozen=True)
class Sizes:
    layers: int = 24
    dimension: int = 1024
    heads: int = 16
    feed_forward: int = 2816
    steps: int = 64

    @property
    def weights(self) -> int:
        """How many weights the products of a step have."""
        return self.layers * self.dimension * (4 * self.dimension + 3 * self.feed_forward) + self.dimension * (
            CODES + 1
        )


def cases(device: torch.device, sizes: Sizes) -> dict[str, Callable[[], Case]]:
    return {
        f"{sizes.layers} layers, d {sizes.dimension:,}, {dtype}, batch {batch}": partial(
            _tokens, sizes, dtype, batch, device
        )
        for dtype, batch in REQUIRED
        if dtype != "int8" or device.type == "cpu"
    }


class Spelled(nn.Module):
    """A codec whose sound spells its codes."""

    @torch.jit.export
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return codes.transpose(1, 2).reshape(codes.size(0), 1, -1) / 2048.0


def spelled_codec(frame_rate: int, levels: int, vocabulary: int) -> dict[str, Any]:
    """Return the role of such a codec, in which nothing but the stages takes time."""
    return {
        "module": scripted(Spelled()),
        "methods": ["decode"],
        "sample_rate": frame_rate * levels,
        "frame_rate": frame_rate,
        "levels": levels,
        "vocabulary": vocabulary,
        "channels": 1,
        "card": CARD,
    }


def _llama(sizes: Sizes) -> Any:
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        num_hidden_layers=sizes.layers,
        hidden_size=sizes.dimension,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.heads,
        intermediate_size=sizes.feed_forward,
        vocab_size=CODES + 1,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        initializer_range=0.05,
    )
    return transformers.LlamaForCausalLM(config).eval()


@torch.no_grad()
def round_weights(model: nn.Module, dtype: str) -> None:
    """Round the weights of all products to what the type keeps of them: what ours is compared with."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            weight = module.weight
            if dtype == "int8":
                scale = weight.abs().amax(1, keepdim=True) / 127
                weight.copy_((weight / scale).round() * scale)
            else:
                weight.copy_(weight.to(getattr(torch, dtype)))


def _written(folder: Path, model: Any, dimension: int, dtype: str) -> Path:
    stage = {
        "name": "music",
        "module": export_llama(model),
        "dtypes": [dtype],
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
        roles={"codec": spelled_codec(RATE, 1, CODES)},
        stages=[stage],
        space={"dimension": dimension, "roles": [], "hashes": ["0" * 64]},
    )


class Apart:
    """A rival in a process of its own: it says "ready", then "done" for each line that it is given."""

    def __init__(self, command: list[str]) -> None:
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
            raise RuntimeError(f"a rival must say {word!r}; got {said!r} and status {self.process.poll()}")


def _llama_cpp(sizes: Sizes, batch: int, kind: str) -> Apart:
    """llama.cpp at the same sizes; its weights are others, which is no matter for speed."""
    numbers = (sizes.layers, sizes.dimension, sizes.heads, sizes.feed_forward, CODES + 1, batch, sizes.steps)
    return Apart([os.environ[LLAMA_CPP], str(RIVALS / "llama_cpp_steps.py"), *map(str, numbers), kind])


def _reading(folder: Path, sizes: Sizes, dtype: str) -> Apart:
    """Vector loads over as many bytes as the weights of all steps have, by as many threads, no arithmetic."""
    program = folder / "read_rate"
    command = [os.environ.get("CXX", "c++"), "-O3", "-march=native", "-fopenmp", "-std=c++20", "-o", str(program)]
    subprocess.run([*command, str(RIVALS / "read_rate.cpp")], check=True)
    size = {"float32": 4, "bfloat16": 2, "int8": 1}[dtype]
    return Apart([str(program), str(sizes.weights * size), str(sizes.steps), str(torch.get_num_threads())])


def _beside_a_busy_process(run: Callable[[], object]) -> None:
    """Run it while another process keeps one core busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            run()
        finally:
            busy.kill()


def _tokens(sizes: Sizes, dtype: str, batch: int, device: torch.device) -> Case:
    temporary = tempfile.TemporaryDirectory(prefix="b2m-benchmark-generation-")
    folder = Path(temporary.name)
    model = _llama(sizes)
    bundle = b2m.Bundle(_written(folder / "bundle", model, sizes.dimension, dtype), device)
    generator = b2m.MusicGenerator(bundle, device)
    embedding = np.ones((1, sizes.dimension), np.float32)
    on_gpu, steps = device.type == "cuda", sizes.steps
    begin = torch.full((batch, 1), CODES, device=device)
    round_weights(model, dtype)
    # int8 has no products in LibTorch beside which ours could stand.
    script = None if dtype == "int8" else export_llama(model).to(device, getattr(torch, dtype))
    model = model.to(device)

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
        """LibTorch's own operations: calls extend, takes the greatest logit, and nothing else."""
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
        """Tokens are those of transformers with the same rounded weights, up to a choice between near logits."""
        found = transformers(return_dict_in_generate=True, output_scores=True)
        theirs = found.sequences[:, 1:].cpu().numpy()
        differ = np.flatnonzero((ours() != theirs).any(0))
        if len(differ):
            best = found.scores[int(differ[0])].topk(2, dim=-1).values
            near = 1e-2 if dtype == "int8" else 1e-3  # int8 weights are multiplied with 16 bits of x
            assert float((best[:, 0] - best[:, 1]).min()) < near, f"tokens differ from step {differ[0]} on"

    apart: dict[str, Apart] = {}
    required: dict[str, float] = {}
    if LLAMA_CPP in os.environ and not on_gpu:
        for kind, least in REQUIRED[dtype, batch].items():
            apart[f"llama.cpp, {kind}"] = _llama_cpp(sizes, batch, kind)
            required |= {} if least is None else {f"llama.cpp, {kind}": least}
    if (dtype, batch) in SHARE_OF_READING and not on_gpu:
        share = SHARE_OF_READING[dtype, batch]
        apart["vector loads of the weights' bytes"] = _reading(folder, sizes, dtype)
        required |= {} if share is None else {"vector loads of the weights' bytes": share}
    within: dict[str, Callable[[], object]] = {}
    if dtype == "float32":
        within["transformers generate"] = transformers
    if script is not None:
        within["LibTorch: a bare loop over extend"] = bare_loop
        if dtype == "bfloat16" and batch == 1 and not on_gpu:
            within["b2m, beside a busy process"] = partial(_beside_a_busy_process, ours)
            within["LibTorch, beside a busy process"] = partial(_beside_a_busy_process, bare_loop)
        if dtype == "bfloat16" and batch > 1:
            required["LibTorch: a bare loop over extend"] = 1.0

    def close() -> None:
        for rival in apart.values():
            rival.close()
        temporary.cleanup()

    return Case(
        unit="tokens",
        ours={f"b2m.MusicGenerator, {dtype}": Contender(ours, steps * batch, on_gpu)},
        rivals={name: Contender(rival, steps * batch, on_gpu) for name, rival in {**within, **apart}.items()},
        required=required,
        compare=compare,
        packages=["transformers"],
        shape={"layers": sizes.layers, "dimension": sizes.dimension, "batch": batch, "steps": steps},
        most_rounds=5,
        close=close,
    )
