"""
From brain activity to embeddings of music.
"""
from __future__ import annotations
import collections.abc
import os
import typing
__all__: list[str] = ['fit_brain_decoder', 'load_decoder', 'predict', 'save_decoder']
def fit_brain_decoder(responses: typing.Any, targets: typing.Any, members: typing.Any, labels: typing.Any, folds: collections.abc.Sequence[typing.Any], n_rois: typing.SupportsInt, alphas: collections.abc.Sequence[typing.SupportsFloat], min_voxels: typing.SupportsInt, device: str = '') -> dict:
    """
    Fit a ridge regression a region and keep the best regions.
    """
def load_decoder(path: os.PathLike | str | bytes) -> dict:
    """
    Read a decoder: voxels, members, rois, and space as (role, hash, window, hop).
    """
def predict(responses: typing.Any, members: typing.Any, voxels: typing.SupportsInt, rois: collections.abc.Sequence[dict], missing_nan: bool = False) -> typing.Any:
    """
    Predict (n, r, d) embeddings from (n, s, v) responses.
    """
def save_decoder(path: os.PathLike | str | bytes, members: typing.Any, voxels: typing.SupportsInt, rois: collections.abc.Sequence[dict], space: tuple[str, str, typing.SupportsFloat, typing.SupportsFloat] | None = None) -> None:
    """
    Write a decoder, whole or not at all.
    """
