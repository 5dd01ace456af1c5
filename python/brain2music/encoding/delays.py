"""Features at several delays: the response to music that goes on is spread over the scans that follow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["delayed"]


def delayed(features: Any, delays: Sequence[int], groups: npt.ArrayLike | None = None) -> Any:
    """Put copies of the features side by side, each some scans later: a finite impulse response.

    Parameters
    ----------
    features : array of shape (m, p)
        One row a scan.
    delays : sequence of int
        Scans, 0 or more.
    groups : array-like of shape (m,), optional
        The run of each row, one run after the other. Nothing passes from one run to the next: the first rows of a run
        hold zeros where the feature would lie before the run. Without groups all rows are one run.

    Returns
    -------
    array of shape (m, p * delays)
        All features at the first delay, then at the second, as ``voxelwise_tutorials.delayer.Delayer`` orders them.

    Raises
    ------
    ValueError
        If a delay is negative or no whole number, or if rows of a run do not follow each other.
    """
    where = "encoding.delayed"
    scans = np.asarray(delays)
    whole = scans.ndim == 1 and len(scans) > 0 and scans.dtype.kind in "iuf"
    if not whole or not ((scans >= 0) & (scans == np.floor(scans)) & np.isfinite(scans)).all():
        raise ValueError(f"[{where}] delays must be whole numbers of scans, 0 or more; got {delays!r}")
    if features.ndim != 2:
        raise ValueError(f"[{where}] features must be (scans, features); got shape {tuple(features.shape)}")
    spans = runs_of(groups, len(features), where)
    zeros = torch.zeros_like if isinstance(features, torch.Tensor) else np.zeros_like
    copies = []
    for delay in scans.astype(int).tolist():
        copy = zeros(features)
        for first, last in spans:
            if delay < last - first:
                copy[first + delay : last] = features[first : last - delay]
        copies.append(copy)
    return torch.cat(copies, dim=1) if isinstance(features, torch.Tensor) else np.concatenate(copies, axis=1)


def runs_of(groups: npt.ArrayLike | None, rows: int, where: str) -> list[tuple[int, int]]:
    """Return first row and end of each run.

    Raises
    ------
    ValueError
        If a run begins again after another.
    """
    if groups is None:
        return [(0, rows)]
    names = np.asarray(groups)
    if names.shape != (rows,):
        raise ValueError(f"[{where}] groups must name the run of each row; got shape {names.shape} for {rows} rows")
    starts = np.flatnonzero(np.concatenate([[True], names[1:] != names[:-1]]))
    if len(np.unique(names)) != len(starts):
        raise ValueError(f"[{where}] rows of a run must follow each other; got a run in several parts")
    return [(int(first), int(last)) for first, last in zip(starts, [*starts[1:], rows], strict=True)]
