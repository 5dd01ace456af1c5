"""
Embeddings of music and of texts.
"""
from __future__ import annotations
import brain2music._core.models
import collections.abc
import torch
import typing
__all__: list[str] = ['Embedder', 'Tagger', 'clip_windows', 'window_count']
class Embedder:
    """
    A role that turns music, or texts, into embeddings.
    """
    def __init__(self, bundle: brain2music._core.models.Bundle, role: str, device: torch.device, dtype: torch.dtype | None = None) -> None:
        ...
    def embed(self, clips: collections.abc.Sequence[tuple[str, typing.Any, typing.SupportsInt]], hop: typing.SupportsFloat = 1.5, batch: typing.SupportsInt = 32, window: typing.SupportsFloat | None = None) -> typing.Any:
        """
        Embed clips (name, waveform, rate): (n, r, d).
        """
    def embed_ids(self, ids: typing.Any, mask: typing.Any) -> typing.Any:
        """
        Embed the tokens of texts, (n, T) with a mask: (n, d).
        """
    def embed_texts(self, texts: collections.abc.Sequence[str], batch: typing.SupportsInt = 32) -> typing.Any:
        """
        Embed texts: (n, d).
        """
class Tagger:
    """
    The role that gives the probabilities of classes.
    """
    def __init__(self, bundle: brain2music._core.models.Bundle, device: torch.device, dtype: torch.dtype | None = None) -> None:
        ...
    def tag(self, clips: collections.abc.Sequence[tuple[str, typing.Any, typing.SupportsInt]], hop: typing.SupportsFloat = 1.5, batch: typing.SupportsInt = 32, window: typing.SupportsFloat | None = None) -> typing.Any:
        """
        Tag clips (name, waveform, rate): (n, classes).
        """
def clip_windows(waveform: typing.Any, from_rate: typing.SupportsInt, rate: typing.SupportsInt, window: typing.SupportsFloat, hop: typing.SupportsFloat) -> list[torch.Tensor]:
    """
    Cut a waveform into windows (samples,).
    """
def window_count(seconds: typing.SupportsFloat, window: typing.SupportsFloat, hop: typing.SupportsFloat) -> int:
    """
    How many windows fit into a clip.
    """
