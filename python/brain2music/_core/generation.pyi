"""
Music from embeddings.
"""
from __future__ import annotations
import brain2music._core.models
import collections.abc
import os
import torch
import typing
__all__: list[str] = ['Blocks', 'Codec', 'MusicGenerator', 'lay_out']
class Codec:
    """
    A bundle's codec: sound to codes, and codes to sound.
    """
    def __init__(self, bundle: brain2music._core.models.Bundle, device: torch.device, dtype: torch.dtype | None = None) -> None:
        ...
    def decode(self, codes: typing.Any) -> typing.Any:
        """
        Sound (B, channels, samples) of codes (B, levels, frames).
        """
    def decode_block(self, codes: typing.Any, start: typing.SupportsInt, stop: typing.SupportsInt) -> typing.Any:
        """
        Sound of the frames from start to stop.
        """
    def encode(self, waveforms: typing.Any, rate: typing.SupportsInt) -> typing.Any:
        """
        Codes (B, levels, frames) of sound (B, channels, samples).
        """
    @property
    def samples_a_frame(self) -> int:
        ...
class Blocks:
    """
    Music that is made block by block.
    """
    def next(self) -> typing.Any:
        ...
class MusicGenerator:
    """
    Stages and codec of a bundle.
    """
    def __init__(self, bundle: brain2music._core.models.Bundle, device: torch.device, dtype: torch.dtype | None = None) -> None:
        ...
    def check_space(self, hash: str) -> None:
        ...
    def generate(self, embedding: typing.Any, options: dict) -> tuple:
        """
        Music (q, samples, channels, time) of embeddings, and its rate.
        """
    def stream(self, embedding: typing.Any, block: typing.SupportsFloat, options: dict) -> Blocks:
        """
        The music of generate(), block by block.
        """
    @property
    def dimension(self) -> int:
        ...
    @property
    def rate(self) -> int:
        ...
def lay_out(manifest: os.PathLike | str | bytes, stage: str, seconds: typing.SupportsFloat, window: typing.SupportsInt, codes: collections.abc.Mapping[str, torch.Tensor], before: torch.Tensor, unconditional: bool = False, guidance: typing.SupportsFloat = 1.0) -> dict:
    """
    One sequence of a stage as the manifest lays it out: ids, what is known, what may be drawn; of the family frames the codes of its channels (changes, B, channels), and the frames at which they change.
    """
