"""MusicLM's three stages, tiny: trained by the recipe's loop, written to a bundle, and run by the generator."""

import numpy as np
import pytest
import torch
from torch.nn import functional

import brain2music as b2m
from brain2music import _core
from brain2music.exporters import TransformerStage, script_stage
from brain2music.recipes.conditioner import Conditioner
from brain2music.recipes.training import train

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")

#: Codes of each of the conditioner's 2 levels, of the semantic encoder, and of each of the codec's 4 levels.
STYLE, SEMANTIC, LEVEL = 4, 6, 5
CARD = {"name": "tiny", "source": "test", "licence": "Apache-2.0", "replaces": "MusicLM"}


def stage(name, frame_rate, codes, prefix, **fields):
    """The manifest's entry: own codes first, then those of each part of the prefix, each level with ids of its own."""
    free, parts = sum(codes), []
    for source, each in prefix:
        offsets = [free + sum(each[:level]) for level in range(len(each))]
        parts.append({"from": source, "order": "levels" if source == "conditioner" else "frames", "offsets": offsets})
        free += sum(each)
    return {
        **{"name": name, "family": "tokens", "frame_rate": frame_rate, "codes": codes, "vocabulary": free},
        **{"max_length": 200, "window": 2.0, "overlap": 1.0, "sampling": {"temperature": 1.0}, "card": CARD},
        "layout": {"prefix": parts, "order": "frames", "offsets": [sum(codes[:i]) for i in range(len(codes))]},
        **fields,
    }


STYLES = ("conditioner", [STYLE] * 2)
STAGES = [
    stage("semantic", 5, [SEMANTIC], [STYLES]),
    stage("coarse", 10, [LEVEL] * 2, [STYLES, ("semantic", [SEMANTIC])], codec_levels=[0, 1]),
    stage("fine", 10, [LEVEL] * 2, [("coarse", [LEVEL] * 2)], codec_levels=[2, 3]),
]


def of_pieces(seconds, count, seed=0):
    """Codes (count, levels, frames) of each kind."""
    generator = torch.Generator().manual_seed(seed)
    codes = {"conditioner": torch.randint(STYLE, (count, 2, 1), generator=generator)}
    for entry in STAGES:
        shape = (count, len(entry["codes"]), seconds * entry["frame_rate"])
        codes[entry["name"]] = torch.randint(entry["codes"][0], shape, generator=generator)
    return codes


def sequence(entry, codes, first, last):
    """What a stage learns from a span of seconds: tokens (B, positions), and how many of them are given."""

    def flat(kind, offsets):
        part = codes[kind]
        if kind != "conditioner":
            rate = next(each["frame_rate"] for each in STAGES if each["name"] == kind)
            part = part[..., first * rate : last * rate]
        return (part + torch.tensor(offsets)[:, None]).transpose(1, 2).flatten(1)  # levels interleaved by frame

    prefix = [flat(part["from"], part["offsets"]) for part in entry["layout"]["prefix"]]
    own = flat(entry["name"], entry["layout"]["offsets"])
    return torch.cat([*prefix, own], 1), sum(part.size(1) for part in prefix)


class Snippets(torch.nn.Module):
    """A codec that decodes only: a sum of short waveforms, 64 samples a frame."""

    def __init__(self):
        super().__init__()
        self.books = torch.nn.Parameter(0.1 * torch.randn(4, LEVEL, 64), requires_grad=False)

    @torch.jit.export
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        frames = torch.zeros([codes.size(0), codes.size(2), 64])
        for level in range(4):
            frames = frames + self.books[level][codes[:, level]]
        return frames.flatten(1).unsqueeze(1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    codes = of_pieces(4, 6)
    torch.manual_seed(0)
    stages = []
    for entry in STAGES:
        network = TransformerStage(dimension=16, layers=1, heads=2, feed_forward=32, vocabulary=entry["vocabulary"])

        def loss(step, generator, network=network, entry=entry):
            first = int(torch.randint(3, (), generator=generator))
            tokens, given = sequence(entry, codes, first, first + 2)
            logits = network(tokens[:, :-1])[:, given - 1 :]
            return {"loss": functional.cross_entropy(logits.flatten(0, 1), tokens[:, given:].flatten())}

        before = network.head.weight.detach().clone()
        assert train(network, loss, folder / entry["name"], steps=2, progress=False)
        assert not torch.equal(before, network.head.weight)
        stages.append({**entry, "module": script_stage(network)})
    conditioner = Conditioner(levels=2, codes=STYLE)
    conditioner.quantizer.codebooks.normal_()
    network = {"card": CARD, "dtypes": ["float32"]}
    b2m.bundles.write(
        folder / "bundle",
        name="three",
        description="MusicLM's stages, tiny.",
        roles={
            "conditioner": {
                **{"module": torch.jit.script(conditioner), "methods": ["quantize"], **network},
                **{"dimension": 128, "levels": 2, "vocabulary": STYLE},
            },
            "codec": {
                **{"module": torch.jit.script(Snippets()), "methods": ["decode"], **network},
                **{"sample_rate": 640, "frame_rate": 10, "levels": 4, "vocabulary": LEVEL, "channels": 1},
                "context": {"past": 0, "future": 0},
            },
        },
        stages=stages,
        space={"dimension": 128, "roles": [], "hashes": ["0" * 64]},
    )
    return folder / "bundle"


@pytest.mark.parametrize("window", [0, 1, 2])
@pytest.mark.parametrize("entry", STAGES, ids=lambda entry: entry["name"])
def test_the_generator_lays_out_what_training_saw(bundle, entry, window):
    """Of a piece of 4 s: sequences of 2 s, the first second of all but the first sequence being there already."""
    codes, rate = of_pieces(4, 3, seed=1), entry["frame_rate"]
    seen, given = sequence(entry, codes, window, window + 2)
    before = codes[entry["name"]][..., window * rate : (window + 1) * rate if window else 0]
    others = {kind: each for kind, each in codes.items() if kind != entry["name"]}
    plan = _core.generation.lay_out(bundle / "bundle.json", entry["name"], 4.0, window, others, before)
    grid, known = plan["grid"][:, 0], plan["known"][0]
    assert grid.shape == seen.shape
    assert int(known.sum()) == plan["lead"] == given + before.size(1) * before.size(2)
    assert torch.equal(grid[:, known], seen[:, known])
    low, high = plan["ranges"].unbind(-1)
    for position in (~known).nonzero()[:, 0].tolist():  # what is drawn can be what was learnt there, and nothing else
        level = (position - given) % len(entry["codes"])
        offset = entry["layout"]["offsets"][level]
        assert (int(low.flatten()[position]), int(high.flatten()[position])) == (offset, offset + entry["codes"][level])
        assert ((seen[:, position] >= offset) & (seen[:, position] < offset + entry["codes"][level])).all()


def test_the_three_stages_make_music(bundle):
    embedding = np.random.default_rng(0).standard_normal((2, 128)).astype(np.float32)
    generator = b2m.MusicGenerator(b2m.Bundle(bundle))
    audio = generator.generate(embedding, seconds=4, samples=2, seed=1)
    assert audio.waveform.shape == (2, 2, 1, 4 * 640)
    assert np.isfinite(audio.waveform).all()
    assert np.abs(audio.waveform).max() > 0
    again = generator.generate(embedding[:1], seconds=4, samples=2, seed=1)
    np.testing.assert_array_equal(again.waveform[0], audio.waveform[0])
