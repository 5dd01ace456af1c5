"""Figures of the brain, slice by slice."""

from typing import Any

import nibabel as nib
import numpy as np
from matplotlib.figure import Figure

from brain2music.plotting.style import new_figure, style

__all__ = ["plot_roi_map"]

_SLICES = 6


def plot_roi_map(scores: Any, label: str = "mean cross-validated r", slices: int = _SLICES) -> Figure:
    """Draw a map of regions on axial slices, the left hemisphere on the left.

    Parameters
    ----------
    scores : nibabel image or path
        A score in every voxel of a region, NaN outside.
    label : str
        Of the score.
    slices : int, default 6
        How many, evenly through what has a score.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If no voxel has a score.
    """
    loaded: Any = nib.load(scores) if not hasattr(scores, "affine") else scores
    image: Any = nib.as_closest_canonical(loaded)  # type: ignore[attr-defined]
    values = np.asarray(image.dataobj, np.float32)
    inside = np.isfinite(values)
    if not inside.any():
        raise ValueError("[plotting.plot_roi_map] a voxel or more must have a score; got NaN everywhere")
    heights = np.flatnonzero(inside.any(axis=(0, 1)))
    shown = heights[(np.linspace(0.12, 0.82, slices) * (len(heights) - 1)).round().astype(int)]
    x, y = (np.flatnonzero(inside.any(axis=axes)) for axes in ((1, 2), (0, 2)))
    crop = slice(max(x[0] - 1, 0), x[-1] + 2), slice(max(y[0] - 1, 0), y[-1] + 2)
    outline = inside.any(axis=2)
    size = np.sqrt((image.affine[:3, :3] ** 2).sum(axis=0))
    top = float(np.quantile(values[inside], 0.995))
    limit = max(top, 1e-3)
    with style():
        figure = new_figure(10.0, 2.6)
        row: Any = figure.subplots(1, slices)
        for axes, z in zip(row, shown.tolist(), strict=True):
            plane = np.ma.masked_invalid(values[crop][..., z].T)
            axes.imshow(
                np.where(outline[crop].T, 0.93, 1.0),
                cmap="gray",
                vmin=0,
                vmax=1,
                origin="lower",
                aspect=size[1] / size[0],
            )
            drawn = axes.imshow(
                plane,
                cmap="magma_r",
                vmin=0,
                vmax=limit,
                origin="lower",
                aspect=size[1] / size[0],
                interpolation="nearest",
            )
            height = float((image.affine @ [0, 0, z, 1])[2])
            axes.set_title(f"z = {height:.0f} mm", fontsize=8, fontweight="normal", loc="center")
            axes.set_axis_off()
        row[0].text(0.0, -0.06, "left", transform=row[0].transAxes, fontsize=8)
        row[-1].text(1.0, -0.06, "right", transform=row[-1].transAxes, fontsize=8, ha="right")
        figure.colorbar(drawn, ax=row.tolist(), label=label, shrink=0.8)
    return figure
