"""How well any model could predict a voxel, from the repeats of the test clips."""

from typing import Any

import numpy as np
import torch

from brain2music.encoding.rows import values_of
from brain2music.study.windows import average_windows, members_of

__all__ = ["noise_ceiling", "repeats_in_windows"]


def repeats_in_windows(features: Any, repeats: Any, tr: float, where: str) -> Any:
    """Average the scans of each repeat in the windows of embeddings, as an encoder averages its responses.

    Parameters
    ----------
    features : Embeddings, or array of shape (n, r, p)
        Windows that a clip lacks (NaN) are left out of all clips.
    repeats : array of shape (n, k, s, v), scans, with Embeddings; or (n, k, r, v), windows
    tr : float
        Seconds from scan to scan.
    where : str
        Who asks; signs errors.

    Returns
    -------
    array of shape (n, k, r, v)
    """
    values = np.asarray(torch.as_tensor(values_of(features)).cpu())
    if np.ndim(repeats) != 4 or values.ndim != 3 or len(values) != len(repeats):
        raise ValueError(
            f"[{where}] features must be (clips, windows, ...) and repeats (clips, repeats, scans or windows, voxels), "
            f"of equal clips; got shapes {values.shape} and {tuple(np.shape(repeats))}"
        )
    tensor = isinstance(repeats, torch.Tensor)
    made: Any = repeats if tensor else np.asarray(repeats)
    clips, count, scans, voxels = made.shape
    windows = values.shape[1]
    length: Any = getattr(features, "window", None)
    hop: Any = getattr(features, "hop", None)
    if scans != windows and (length is None or hop is None):
        raise ValueError(
            f"[{where}] repeats must hold the windows of features, or scans beside Embeddings, which know their "
            f"windows; got {scans} for {windows} windows"
        )
    if scans != windows:
        members = members_of(length, hop, windows, scans, tr, "features", where)
        each = made.reshape(clips * count, scans, voxels)
        averaged = average_windows(each.cpu().numpy() if tensor else each, members)
        averaged = averaged.reshape(clips, count, windows, voxels)
        made = torch.from_numpy(averaged).to(repeats.device) if tensor else averaged
    kept = np.flatnonzero(~np.isnan(values).all(axis=2).any(axis=0))
    return made[:, :, kept]


def noise_ceiling(repeats: Any) -> Any:
    """Estimate the largest correlation that a model can have with the mean of the repeats.

    The variance of the mean of k repeats is signal + noise / k. The noise is what differs between repeats; the rest is
    signal. A perfect model correlates with the mean as the square root of signal / (signal + noise / k).

    Parameters
    ----------
    repeats : array of shape (n, k, v) or (n, k, r, v)
        n clips heard k times each: responses, or those of r windows. A repeat that was not measured is NaN in all
        voxels; clips with fewer than two repeats are left out.

    Returns
    -------
    array of shape (v,), float64
        Between 0 and 1; 0 where nothing repeats, NaN where a voxel does not vary. Of the kind of ``repeats``.

    Raises
    ------
    ValueError
        If there are fewer than two repeats, or fewer than two clips with two repeats.

    Notes
    -----
    In ds003720 clips come in the same order in all four repeats of a test run. Responses to the clip before reach into
    a clip's own, and do so alike in all repeats: this part counts as signal here, though no model of the clip alone can
    predict it. The ceiling is then a little too high.

    References
    ----------
    Schoppe et al. (2016), *Measuring the performance of neural models*; Hsu, Borst & Theunissen (2004).
    """
    where = "encoding.noise_ceiling"
    tensor = isinstance(repeats, torch.Tensor)
    values = torch.as_tensor(repeats).double()
    if values.ndim not in (3, 4) or values.shape[1] < 2:
        raise ValueError(
            f"[{where}] repeats must be (clips, repeats, voxels) or (clips, repeats, windows, voxels), two repeats or "
            f"more; got shape {tuple(values.shape)}"
        )
    if values.ndim == 4:  # a window of a clip is one more thing that is heard k times
        values = values.transpose(1, 2).flatten(0, 1)
    there = ~values.isnan().all(dim=2)
    count = there.sum(dim=1)
    values, there, count = values[count >= 2], there[count >= 2], count[count >= 2]
    if len(values) < 2:
        raise ValueError(f"[{where}] two clips or more must have two repeats; got {len(values)}")
    filled = torch.where(there[:, :, None], values, 0.0)
    mean = filled.sum(dim=1) / count[:, None]
    around = torch.where(there[:, :, None], values - mean[:, None], 0.0)
    noise = around.square().sum(dim=(0, 1)) / (count - 1).sum()
    whole = mean.var(dim=0, correction=1)
    signal = (whole - noise * (1 / count).mean()).clamp(min=0)
    ceiling = torch.where(whole > 0, (signal / whole).clamp(0, 1).sqrt(), torch.nan)
    return ceiling if tensor else np.asarray(ceiling)
