"""
Files.
"""
from __future__ import annotations
import typing
__all__: list[str] = ['load_npy', 'save_npy']
def load_npy(path: str) -> typing.Any:
    """
    Map a .npy file into memory.
    """
def save_npy(path: str, array: typing.Any) -> None:
    """
    Write an array as a .npy file, whole or not at all.
    """
