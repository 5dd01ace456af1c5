"""Music as the stages see it: semantic tokens, codes of the codec and embeddings of each excerpt, made once."""

import os
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

__all__ = ["Tokens", "tokenize_excerpts"]

#: Seconds of the windows that are embedded, and from one to the next.
WINDOW, HOP = 10.0, 1.0

_BLOCK = 200


class Tokens(NamedTuple):
    """Excerpts as numbers."""

    #: (n, frames) int16: one a frame.
    semantic: Tensor
    #: (n, levels, frames) int16.
    acoustic: Tensor
    #: (n, windows, 128) float32: windows of 10 s, one each second.
    embeddings: Tensor


@torch.inference_mode()
def tokenize_excerpts(
    excerpts: Excerpts,
    semantic: SemanticEncoder,
    codec: CodecNetwork,
    music: MusicTower,
    folder: str | os.PathLike[str],
    progress: bool = True,
) -> Tokens:
    """Make tokens of all excerpts; what is in the folder already is kept."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in tqdm(range(0, len(excerpts), _BLOCK), desc="tokens", unit="block", disable=not progress):
        path = root / f"tokens.{first:06}.pt"
        if not path.exists():
            rows = range(first, min(first + _BLOCK, len(excerpts)))
            made = [_tokens(torch.from_numpy(excerpts.sound(row)), semantic, codec, music) for row in rows]
            with replacing(path) as temporary:
                torch.save([torch.stack(column) for column in zip(*made, strict=True)], temporary)
        parts.append(torch.load(path, weights_only=True))
    return Tokens(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _tokens(
    sound: Tensor, semantic: SemanticEncoder, codec: CodecNetwork, music: MusicTower
) -> tuple[Tensor, Tensor, Tensor]:
    starts = torch.arange(0.0, SECONDS - WINDOW + 1e-6, HOP).tolist()
    windows = torch.stack([sound[round(start * RATE) : round((start + WINDOW) * RATE)] for start in starts])
    return (
        semantic.tokenize(sound[None])[0].to(torch.int16),
        codec.encode(sound[None, None])[0].to(torch.int16),
        functional.normalize(music(windows), dim=-1),
    )
