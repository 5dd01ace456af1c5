"""
The music library to retrieve from.
"""
from __future__ import annotations
import collections.abc
import os
import typing
__all__: list[str] = ['Index']
class Index:
    """
    Unit vectors and their ids, searched by cosine.
    """
    @staticmethod
    def open(folder: os.PathLike | str | bytes, verify: bool = False) -> Index:
        """
        Map an index that save() wrote.
        """
    def __init__(self, embeddings: typing.Any, ids: collections.abc.Sequence[str], bundle_hash: str = '', role: str = '', window: typing.SupportsFloat = 0.0, hop: typing.SupportsFloat = 0.0, seconds: typing.SupportsFloat = 0.0, files: collections.abc.Sequence[str] = [], skipped: collections.abc.Sequence[tuple[str, str]] = [], network_hash: str = '') -> None:
        ...
    def save(self, folder: os.PathLike | str | bytes) -> None:
        """
        Write the index into a new folder.
        """
    def search(self, embedding: typing.Any, k: typing.SupportsInt = 10) -> tuple:
        """
        Most similar items of (q, d) or (q, r, d): (scores (q, k), indices (q, k)).
        """
    @property
    def bundle_hash(self) -> str:
        ...
    @property
    def files(self) -> list[str]:
        ...
    @property
    def hop(self) -> float:
        ...
    @property
    def ids(self) -> list[str]:
        ...
    @property
    def network_hash(self) -> str:
        ...
    @property
    def role(self) -> str:
        ...
    @property
    def seconds(self) -> float:
        ...
    @property
    def skipped(self) -> list[tuple[str, str]]:
        ...
    @property
    def vectors(self) -> typing.Any:
        ...
    @property
    def window(self) -> float:
        ...
