"""Music as the stages see it: semantic tokens, codes of the codec and embeddings of each excerpt, made once."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from brain2music.files import replacing
from brain2music.recipes.codec import CodecNetwork
from brain2music.recipes.excerpts import RATE, SECONDS, Excerpts
from brain2music.recipes.semantic import SemanticEncoder
from brain2music.recipes.towers import MusicTower

__all__ = ["HOP", "WINDOW", "Tokens", "acoustic_tokens", "embeddings", "semantic_tokens"]

#: Seconds of the windows that are embedded, and from one to the next.
WINDOW, HOP = 10.0, 1.0

_BLOCK = 200


class Tokens(NamedTuple):
    """Excerpts as numbers."""

    #: (n, frames) int16: one a frame.
    semantic: Tensor
    #: (n, levels, frames) int16; (n, 0, frames) where they are not needed.
    acoustic: Tensor
    #: (n, windows, 128) float32: windows of 10 s, one each second.
    embeddings: Tensor


def semantic_tokens(
    excerpts: Excerpts, encoder: SemanticEncoder, folder: str | os.PathLike[str], progress: bool = True
) -> Tensor:
    """Make semantic tokens of all excerpts, (n, frames) int16; what is in the folder already is kept."""

    def tokenize(sound: Tensor) -> Tensor:
        return encoder.tokenize(sound[None].to(encoder.mean.device))[0].to(torch.int16)

    return _of_all(excerpts, tokenize, Path(folder), "semantic", progress)


def acoustic_tokens(
    excerpts: Excerpts, codec: CodecNetwork, folder: str | os.PathLike[str], progress: bool = True
) -> Tensor:
    """Make codes of all excerpts, (n, levels, frames) int16; what is in the folder already is kept."""

    def encode(sound: Tensor) -> Tensor:
        return codec.encode(sound[None, None].to(codec.enter.weight.device))[0].to(torch.int16)

    return _of_all(excerpts, encode, Path(folder), "acoustic", progress)


def embeddings(excerpts: Excerpts, music: MusicTower, folder: str | os.PathLike[str], progress: bool = True) -> Tensor:
    """Embed windows of all excerpts, (n, windows, 128) float32; what is in the folder already is kept."""
    starts = torch.arange(0.0, SECONDS - WINDOW + 1e-6, HOP).tolist()

    def embed(sound: Tensor) -> Tensor:
        windows = torch.stack([sound[round(start * RATE) : round((start + WINDOW) * RATE)] for start in starts])
        return functional.normalize(music(windows.to(music.enter.weight.device)), dim=-1)

    return _of_all(excerpts, embed, Path(folder), "embeddings", progress)


@torch.inference_mode()
def _of_all(excerpts: Excerpts, make: Callable[[Tensor], Tensor], folder: Path, name: str, progress: bool) -> Tensor:
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in tqdm(range(0, len(excerpts), _BLOCK), desc=name, unit="block", disable=not progress):
        path = folder / f"{name}.{first:06}.pt"
        if not path.exists():
            rows = range(first, min(first + _BLOCK, len(excerpts)))
            made = torch.stack([make(torch.from_numpy(excerpts.sound(row))).cpu() for row in rows])
            with replacing(path) as temporary:
                torch.save(made, temporary)
        parts.append(torch.load(path, weights_only=True))
    return torch.cat(parts)
