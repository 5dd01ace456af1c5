"""
Trained networks.
"""
from __future__ import annotations
import collections.abc
import os
import pathlib
import torch
import typing
__all__: list[str] = ['Bundle', 'Embedder', 'check_manifest', 'clip_windows', 'window_count']
class Bundle:
    """
    Trained networks in a folder; loaded role by role.
    """
    def __init__(self, folder: os.PathLike | str | bytes, sha256: str | None = None) -> None:
        ...
    def load(self, role: str, device: torch.device, dtype: torch.dtype | None = None) -> None:
        """
        Load the network of a role or a stage and try it on a tiny input.
        """
    def tokenizer(self, role: str) -> bytes:
        """
        The tokenizer.json of a role, as it is.
        """
    @property
    def hash(self) -> str:
        ...
    @property
    def manifest(self) -> str:
        """
        bundle.json, as it is.
        """
    @property
    def path(self) -> pathlib.Path:
        ...
class Embedder:
    """
    A role that turns music, or texts, into embeddings.
    """
    def __init__(self, bundle: Bundle, role: str, device: torch.device, dtype: torch.dtype | None = None) -> None:
        ...
    def embed(self, clips: collections.abc.Sequence[tuple[str, typing.Any, typing.SupportsInt]], hop: typing.SupportsFloat = 1.5, batch: typing.SupportsInt = 32) -> typing.Any:
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
def check_manifest(file: os.PathLike | str | bytes) -> None:
    """
    Check that a bundle.json keeps to the schema; files that it names are not looked at.
    """
def clip_windows(waveform: typing.Any, from_rate: typing.SupportsInt, rate: typing.SupportsInt, window: typing.SupportsFloat, hop: typing.SupportsFloat) -> list[torch.Tensor]:
    """
    Cut a waveform into windows (samples,).
    """
def window_count(seconds: typing.SupportsFloat, window: typing.SupportsFloat, hop: typing.SupportsFloat) -> int:
    """
    How many windows fit into a clip.
    """
