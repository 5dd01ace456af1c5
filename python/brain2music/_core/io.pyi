"""
Files.
"""
from __future__ import annotations
import collections.abc
import os
import typing
__all__: list[str] = ['load_audio', 'load_audio_step', 'load_npy', 'load_safetensors', 'save_audio', 'save_npy', 'save_safetensors', 'sndfile_version']
def load_audio(path: os.PathLike | str | bytes, start: typing.SupportsFloat = 0.0, stop: typing.SupportsFloat | None = None) -> tuple:
    """
    Read an audio file, or a span of it in seconds: (waveform (channels, samples), rate).
    """
def load_audio_step(path: os.PathLike | str | bytes, start: typing.SupportsFloat = 0.0, stop: typing.SupportsFloat | None = None) -> tuple:
    """
    Read as load_audio does: (waveform (channels, samples), rate, smallest step between values of the file).
    """
def load_npy(path: os.PathLike | str | bytes) -> typing.Any:
    """
    Map a .npy file into memory.
    """
def load_safetensors(path: os.PathLike | str | bytes) -> tuple:
    """
    Map a .safetensors file into memory: (torch tensors by name, metadata).
    """
def save_audio(path: os.PathLike | str | bytes, waveform: typing.Any, rate: typing.SupportsInt) -> None:
    """
    Write (channels, samples) as 16-bit WAV or FLAC, by the ending.
    """
def save_npy(path: os.PathLike | str | bytes, array: typing.Any) -> None:
    """
    Write an array as a .npy file, whole or not at all.
    """
def save_safetensors(path: os.PathLike | str | bytes, arrays: collections.abc.Mapping[str, typing.Any], metadata: collections.abc.Mapping[str, str] = {}) -> None:
    """
    Write arrays by name as a .safetensors file, whole or not at all.
    """
def sndfile_version() -> str:
    """
    Version of libsndfile.
    """
