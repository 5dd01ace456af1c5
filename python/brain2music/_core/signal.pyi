"""
BOLD time series.
"""
from __future__ import annotations
import collections.abc
import typing
__all__: list[str] = ['median_detrend', 'window_scans', 'zscore']
def median_detrend(bold: typing.Any, tr: typing.SupportsFloat = 1.5, window: typing.SupportsFloat = 240.0, run_lengths: collections.abc.Sequence[typing.SupportsInt] = [], sample_mask: typing.Any | None = None) -> typing.Any:
    """
    Each voxel of (scans, voxels) minus its running median, run by run.
    """
def window_scans(tr: typing.SupportsFloat, window: typing.SupportsFloat) -> int:
    """
    Scans in a centred window of so many seconds: always odd.
    """
def zscore(bold: typing.Any, run_lengths: collections.abc.Sequence[typing.SupportsInt] = []) -> typing.Any:
    """
    Each voxel of (scans, voxels) to mean 0 and variance 1, run by run.
    """
