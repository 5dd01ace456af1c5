"""False discovery rates over voxels."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["benjamini_hochberg"]


def benjamini_hochberg(p: Any) -> Any:
    """Adjust P-values so that a limit on them is a limit on the share of false discoveries.

    Parameters
    ----------
    p : array of any shape
        P-values; NaN where there is no test. These are left out: they count as no test.

    Returns
    -------
    array of the shape of ``p``, float64
        Adjusted P-values (q), NaN where ``p`` is. Of the kind of ``p``.

    Raises
    ------
    ValueError
        If a value lies below 0 or above 1.

    References
    ----------
    Benjamini & Hochberg (1995). Equal to ``scipy.stats.false_discovery_control(p, method="bh")`` over what is not NaN.

    Examples
    --------
    >>> from brain2music.encoding import benjamini_hochberg
    >>> benjamini_hochberg([0.01, 0.04, float("nan"), 0.03]).round(3).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    tensor = isinstance(p, torch.Tensor)
    values = np.asarray(p.detach().cpu() if tensor else p, np.float64)
    tested = ~np.isnan(values)
    finite = values[tested]
    if not ((finite >= 0) & (finite <= 1)).all():
        wrong = finite[~((finite >= 0) & (finite <= 1))][0]
        raise ValueError(f"[encoding.benjamini_hochberg] P-values must lie between 0 and 1, or be NaN; got {wrong}")
    order = np.argsort(finite, kind="stable")
    scaled = finite[order] * len(finite) / np.arange(1, len(finite) + 1)
    adjusted: npt.NDArray[np.float64] = np.full(values.shape, np.nan)
    ranked = np.empty(len(finite))
    ranked[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1)
    adjusted[tested] = ranked
    return torch.from_numpy(adjusted).to(p.device) if tensor else adjusted
