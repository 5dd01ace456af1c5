"""BOLD time series: drift out, unit variance, run by run."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from brain2music import _core
from brain2music.plain_arrays import guard

Array = TypeVar("Array", npt.NDArray[Any], torch.Tensor)

__all__ = ["median_detrend", "zscore"]


def median_detrend(
    bold: Array,
    tr: float = 1.5,
    window: float = 240.0,
    runs: npt.ArrayLike | None = None,
    sample_mask: npt.ArrayLike | None = None,
) -> Array:
    """Subtract from each voxel its running median.

    The result equals ``bold - scipy.ndimage.median_filter(bold, size=(k, 1), mode="reflect")`` to the last bit (but for
    the sign of a zero), run by run, with ``k`` the number of scans within ``window / 2`` seconds of the middle one: 161
    for the defaults. In a run of few scans, about an eighth of the window, SciPy's edges depart from its definition of
    "reflect"; there the definition is followed.

    Parameters
    ----------
    bold : array of shape (scans, voxels)
        NumPy array or torch tensor of any real type and strides; a tensor may lie on a CUDA device.
    tr : float, default 1.5
        Seconds from scan to scan.
    window : float, default 240.0
        Length of the window in seconds. A run may be shorter: its edges are then reflected again and again.
    runs : array-like of shape (scans,), optional
        Run of each scan, any labels; the scans of a run are contiguous. No window reaches across a run.
    sample_mask : array-like of shape (scans,), bool, optional
        Scans to keep. The others are left out of every median, which is then that of ``numpy.nanmedian``, and are NaN
        in the result.

    Returns
    -------
    array of shape (scans, voxels)
        Of the kind of ``bold``, on its device. float32; float64 for float64 and for integers wider than 16 bits.
        A constant voxel becomes 0.

    Raises
    ------
    ValueError
        If ``bold`` holds NaN or Inf (the first one's scan and voxel are named) or masked values, is not real, is not
        two-dimensional or has no scan;
        if ``tr`` is not positive or the window spans fewer than three scans; if ``runs`` or ``sample_mask`` does not
        fit.
    TypeError
        If ``bold`` is no array of numbers.

    References
    ----------
    Denk, Takagi et al. (2023), *Brain2Music*, section 3.1: a median filter of 240 s.

    Examples
    --------
    >>> import brain2music as b2m, numpy as np
    >>> bold = np.random.default_rng(0).standard_normal((400, 5), dtype=np.float32)
    >>> b2m.signal.median_detrend(bold, tr=1.5).shape
    (400, 5)
    """
    lengths = _run_lengths(runs, bold, "signal.median_detrend")
    kept = None if sample_mask is None else np.asarray(sample_mask)
    if kept is not None and (kept.dtype != bool or kept.shape != tuple(np.shape(bold))[:1]):
        raise ValueError(
            "[signal.median_detrend] sample_mask must hold true or false for each scan; got "
            f"{kept.dtype} of shape {kept.shape} for bold of shape {tuple(np.shape(bold))}"
        )
    result: Array = _core.signal.median_detrend(bold, tr, window, lengths, kept)
    return result


def zscore(bold: Array, runs: npt.ArrayLike | None = None) -> Array:
    """Scale each voxel to mean 0 and variance 1 (``ddof=0``) within each run.

    The result is that of ``scipy.stats.zscore(bold, axis=0)``, run by run, with mean and variance taken in float64;
    a voxel that is constant in a run becomes 0 there.

    Parameters
    ----------
    bold : array of shape (scans, voxels)
        NumPy array or torch tensor of any real type and strides; a tensor may lie on a CUDA device.
    runs : array-like of shape (scans,), optional
        Run of each scan, any labels; the scans of a run are contiguous.

    Returns
    -------
    array of shape (scans, voxels)
        Of the kind of ``bold``, on its device. float32; float64 for float64 and for integers wider than 16 bits.

    Raises
    ------
    ValueError
        If ``bold`` holds NaN or Inf (the first one's scan and voxel are named) or masked values, is not real, is not
        two-dimensional or has no scan;
        if ``runs`` does not fit.
    TypeError
        If ``bold`` is no array of numbers.

    References
    ----------
    Denk, Takagi et al. (2023), *Brain2Music*, section 3.1.
    """
    result: Array = _core.signal.zscore(bold, _run_lengths(runs, bold, "signal.zscore"))
    return result


def _run_lengths(runs: npt.ArrayLike | None, bold: Any, where: str) -> list[int]:
    """Turn run labels into the lengths of contiguous runs; none for one run."""
    if runs is None:
        return []
    labels = np.asarray(runs)
    shape = tuple(np.shape(bold))
    if labels.shape != shape[:1]:
        raise ValueError(
            f"[{where}] runs must hold one label per scan; got shape {labels.shape} for bold of shape {shape}"
        )
    scans = len(labels)
    if scans == 0:
        return []
    starts = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))
    seen: dict[Any, int] = {}
    for start, label in zip(starts.tolist(), labels[starts].tolist(), strict=True):
        if label in seen or label != label:
            problem = f"run {label!r} at scan {seen[label]} and again at scan {start}" if label in seen else "NaN"
            raise ValueError(f"[{where}] the scans of a run must be contiguous; got {problem}")
        seen[label] = start
    lengths: list[int] = np.diff(np.append(starts, scans)).tolist()
    return lengths


guard(__name__)
