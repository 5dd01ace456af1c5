"""A small bundle of random networks that makes music: MusicLM's three stages, the last of them in parallel."""

import warnings

import torch
from torch import nn

import brain2music as b2m
from brain2music.bundles import writer
from brain2music.exporters import TransformerStage, script_stage

CODES, STYLE_LEVELS, STYLE_CODES, D = 16, 3, 8, 12
CARD = {"name": "Random", "source": "made by a test", "licence": "CC0-1.0", "replaces": "a trained network"}


def scripted(module):
    """Script a module; torch calls that deprecated, in favour of what C++ cannot load yet."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        return torch.jit.script(module.eval())


class Embedder(nn.Module):
    """Mean and spread of pieces of the waveform."""

    @torch.jit.export
    def embed(self, wave: torch.Tensor) -> torch.Tensor:
        pieces = wave.unfold(1, wave.size(1) // 6, wave.size(1) // 6)[:, :6]
        return torch.cat([pieces.mean(2), pieces.std(2)], 1) + 0.1


class Conditioner(nn.Module):
    """A residual quantiser."""

    def __init__(self):
        super().__init__()
        self.books = nn.Parameter(torch.randn(STYLE_LEVELS, STYLE_CODES, D), requires_grad=False)

    @torch.jit.export
    def quantize(self, embedding: torch.Tensor) -> torch.Tensor:
        rest = embedding
        codes: list[torch.Tensor] = []
        for level in range(self.books.size(0)):
            code = torch.cdist(rest, self.books[level]).argmin(1)
            rest = rest - self.books[level][code]
            codes.append(code)
        return torch.stack(codes, 1)

    @torch.jit.export
    def dequantize(self, codes: torch.Tensor) -> torch.Tensor:
        total = torch.zeros([codes.size(0), self.books.size(2)])
        for level in range(self.books.size(0)):
            total = total + self.books[level][codes[:, level]]
        return total


class Codec(nn.Module):
    """Levels are summed, a convolution over three frames follows, and a linear map to a frame's samples.

    The last of four levels has half as many codes.
    """

    def __init__(self, levels, channels, hop):
        super().__init__()
        self.channels, self.hop, self.levels = channels, hop, levels
        self.books = nn.Parameter(torch.randn(levels, CODES, 8), requires_grad=False)
        self.over_frames = nn.Conv1d(8, 8, 3, padding=1)
        self.to_samples = nn.Linear(8, channels * hop)
        self.to_features = nn.Linear(channels * hop, 8)

    @torch.jit.export
    def encode(self, wave: torch.Tensor) -> torch.Tensor:
        frames = wave.size(2) // self.hop
        pieces = wave[:, :, : frames * self.hop].reshape(wave.size(0), self.channels, frames, self.hop)
        rest = self.to_features(pieces.transpose(1, 2).flatten(2))
        codes: list[torch.Tensor] = []
        for level in range(self.levels):
            book = self.books[level, : 8 if level == 3 else 16]
            code = torch.cdist(rest, book.unsqueeze(0)).argmin(2)
            rest = rest - book[code]
            codes.append(code)
        return torch.stack(codes, 1)

    @torch.jit.export
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        total = torch.zeros([codes.size(0), codes.size(2), 8], device=codes.device)
        for level in range(self.levels):
            total = total + self.books[level][codes[:, level]]
        mixed = torch.tanh(self.over_frames(total.transpose(1, 2)))
        pieces = 0.4 * torch.tanh(self.to_samples(mixed.transpose(1, 2)))
        pieces = pieces.view(codes.size(0), codes.size(2), self.channels, self.hop)
        return pieces.permute(0, 2, 1, 3).reshape(codes.size(0), self.channels, -1)


def stages(window=None):
    """The manifest's entries, without modules: 5 semantic frames a second, 10 of the codec with 2 and 2 levels."""
    style = {"from": "conditioner", "order": "levels", "offsets": [16, 24, 32]}
    semantic = {
        "name": "semantic",
        "family": "tokens",
        "frame_rate": 5,
        "codes": [CODES],
        "vocabulary": 43,
        "max_length": 400,
        "special_tokens": {"begin": 40, "separator": 41, "nothing": 42},
        "layout": {
            "prefix": [{"token": "begin"}, style, {"token": "separator"}],
            "unconditional": [{"token": "begin"}, {"token": "nothing"}, {"token": "separator"}],
            "order": "frames",
            "offsets": [0],
        },
        "sampling": {"temperature": 1.0, "top_k": 12, "guidance": 2.0},
    }
    coarse = {
        "name": "coarse",
        "family": "tokens",
        "frame_rate": 10,
        "codes": [CODES, CODES],
        "vocabulary": 48,
        "max_length": 600,
        "codec_levels": [0, 1],
        "layout": {
            "prefix": [{"from": "semantic", "order": "frames", "offsets": [32]}],
            "order": "frames",
            "offsets": [0, 16],
        },
        "sampling": {"temperature": 0.95},
    }
    fine = {
        "name": "fine",
        "family": "parallel",
        "frame_rate": 10,
        "codes": [CODES, 8],
        "vocabulary": CODES,
        "max_length": 300,
        "codec_levels": [2, 3],
        "condition": {"from": "embedding", "unconditional": 0},
        "layout": {
            "given": [{"from": "coarse"}, {"from": "conditioner", "delay": 1}],
            "delays": [0, 1],
            "pad": CODES,
        },
        "sampling": {"temperature": 0.4, "guidance": 1.5},
    }
    if window:
        for entry in (semantic, coarse, fine):
            entry.update(window=window, overlap=window / 2)
    return [semantic, coarse, fine]


def networks():
    """Random networks of the stages, large in scale so that choices differ."""
    torch.manual_seed(0)
    sizes = {"dimension": 32, "layers": 2, "heads": 2, "feed_forward": 48}
    made = {
        "semantic": TransformerStage(**sizes, vocabulary=43),
        "coarse": TransformerStage(**sizes, vocabulary=48),
        "fine": TransformerStage(
            **sizes,
            vocabulary=[CODES, 8],
            family="parallel",
            given=[CODES, CODES, STYLE_CODES, STYLE_CODES, STYLE_CODES],
            condition="embedding",
            condition_dimension=D,
        ),
    }
    for module in made.values():
        for parameter in module.parameters():
            parameter.data.mul_(8)
    return made


def write(folder, *, window=None, channels=1, context=True, entries=None, modules=None, **more):
    """Write the bundle; ``entries`` and ``modules`` replace stages and their networks."""
    torch.manual_seed(1)
    modules = networks() if modules is None else modules
    codec = {
        "module": scripted(Codec(4, channels, 40).eval()),
        "methods": ["encode", "decode"],
        "sample_rate": 400,
        "frame_rate": 10,
        "levels": 4,
        "vocabulary": [CODES, CODES, CODES, 8],
        "channels": channels,
        "card": CARD,
    }
    if context:
        codec["context"] = {"past": 1, "future": 1}
    embedder = {
        "module": scripted(Embedder()),
        "methods": ["embed"],
        "sample_rate": 400,
        "window": 1.0,
        "dimension": D,
        "card": CARD,
    }
    conditioner = {
        "module": scripted(Conditioner()),
        "methods": ["quantize", "dequantize"],
        "dimension": D,
        "levels": STYLE_LEVELS,
        "vocabulary": STYLE_CODES,
        "card": CARD,
    }
    given = [
        {"module": script_stage(modules[entry["name"]].eval()), "card": CARD, **entry}
        for entry in (stages(window) if entries is None else entries)
    ]
    writer.write(
        folder,
        name="Random",
        description="Random networks.",
        roles={"music_embedder": embedder, "conditioner": conditioner, "codec": codec},
        stages=given,
        space={"dimension": D, "roles": ["music_embedder"]},
        **more,
    )
    return b2m.Bundle(folder, device="cpu")
