"""
From brain activity to embeddings of music.
"""
from __future__ import annotations
import collections.abc
import typing
__all__: list[str] = ['fit_brain_decoder', 'predict']
def fit_brain_decoder(responses: typing.Any, targets: typing.Any, members: typing.Any, labels: typing.Any, held_out: collections.abc.Sequence[typing.Any], n_rois: typing.SupportsInt, alphas: collections.abc.Sequence[typing.SupportsFloat], min_voxels: typing.SupportsInt, device: str = '') -> dict:
    """
    Fit a ridge regression a region and keep the best regions.
    """
def predict(responses: typing.Any, members: typing.Any, voxels: typing.SupportsInt, rois: collections.abc.Sequence[dict], missing_nan: bool = False) -> typing.Any:
    """
    Predict (n, r, d) embeddings from (n, s, v) responses.
    """
