"""Weights of a stage's products in narrower types: the same music as with rounded weights, alone and in a batch."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import brain2music as b2m
from benchmarks import steps
from brain2music.bundles import writer
from brain2music.exporters import TransformerStage, script_stage

TYPES = ["float32", "bfloat16", "float16", "int8"]
CODES, RATE = 50, 25


def write(folder, stage, dtypes):
    """A bundle of one stage of tokens, whose sound spells its codes."""
    codec = steps.spelled_codec(RATE, 1, CODES)
    entry = {
        "name": "music",
        "module": script_stage(stage),
        "dtypes": dtypes,
        "family": "tokens",
        "frame_rate": RATE,
        "codes": [CODES],
        "codec_levels": [0],
        "vocabulary": CODES + 1,
        "max_length": 200,
        "special_tokens": {"begin": CODES},
        "layout": {"prefix": [{"token": "begin"}], "order": "frames", "offsets": [0]},
        "sampling": {"temperature": 1.0},
        "card": steps.CARD,
    }
    space = {"dimension": 4, "roles": [], "hashes": ["0" * 64]}
    written = writer.write(folder, name="Types", description="-", roles={"codec": codec}, stages=[entry], space=space)
    return b2m.Bundle(written, device="cpu")


def made_stage(dimension=48, layers=2, hidden=80):
    torch.manual_seed(0)
    stage = TransformerStage(
        dimension=dimension, layers=layers, heads=2, feed_forward=hidden, vocabulary=CODES + 1, window=9
    )
    for weight in stage.parameters():
        if weight.dim() == 2:
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5 * 1.5)
    return stage.eval()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write(tmp_path_factory.mktemp("types") / "bundle", made_stage(), TYPES)


def codes(generator, **options):
    audio = generator.generate(np.ones((1, 4), np.float32), seconds=40 / RATE, **options)
    return np.rint(audio.waveform[0, :, 0] * 2048).astype(np.int64)


@pytest.mark.parametrize("dtype", TYPES)
def test_music_is_that_of_rounded_weights(bundle, dtype):
    stage = made_stage()
    steps.round_weights(stage, dtype)
    script = script_stage(stage)
    found = codes(b2m.MusicGenerator(bundle, device="cpu", dtype=dtype), temperature=0)[0]
    state = script.init_state(1, 41, None)
    token, expected, gap = CODES, [], np.inf
    with torch.inference_mode():
        for position in range(40):
            logits = script.extend(torch.tensor([[token]]), torch.tensor(position), state)[0, -1, :CODES]
            first, second = logits.topk(2).values
            gap = min(gap, float(first - second))
            token = int(logits.argmax())
            expected.append(token)
    assert gap > 1e-3, "choose other weights: two codes are as good as each other"
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", TYPES)
def test_a_sample_is_the_same_alone_and_in_a_batch(bundle, dtype):
    generator = b2m.MusicGenerator(bundle, device="cpu", dtype=dtype)
    many = codes(generator, samples=13)
    np.testing.assert_array_equal(codes(generator, samples=5), many[:5])
    np.testing.assert_array_equal(codes(generator, samples=1), many[:1])


def test_int8_is_for_stages_on_a_cpu(bundle):
    assert b2m.MusicGenerator(bundle, device="cpu", dtype="int8").generate(np.ones((1, 4)), seconds=1).settings[
        "dtype"
    ] == "int8"  # fmt: skip
    assert bundle.load("music", "int8") == []
    with pytest.raises(ValueError, match="role 'codec' runs in float32; got int8"):
        bundle.load("codec", "int8")


def test_every_product_of_the_shipped_stages_is_packed():
    shipped = b2m.Bundle.default(device="cpu")
    assert {name: shipped.load(name) for name in shipped.stages} == {"semantic": [], "acoustic": []}


MEMORY = """
import sys
import brain2music as b2m

def held():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))

bundle = b2m.Bundle(sys.argv[1], device="cpu")
before = held()
bundle.load("music", sys.argv[2])
print(held() - before)
"""


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2), ("int8", 1)])
def test_weights_lie_in_memory_once(tmp_path, dtype, size):
    stage = made_stage(dimension=1024, layers=4, hidden=3072)
    folder = write(tmp_path / "bundle", stage, [dtype])
    weights = sum(module.weight.numel() for module in stage.modules() if isinstance(module, nn.Linear))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(folder.path), dtype], capture_output=True, text=True, check=True
    )
    assert weights * size * 0.9 < int(done.stdout) < weights * size * 1.1 + 30e6
