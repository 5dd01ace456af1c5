"""One feature space against another, voxel by voxel."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.colors import BoundaryNorm, LogNorm
from matplotlib.figure import Figure

from brain2music.plotting.style import CHANCE, INK, ONE_COLUMN, house_style, new_figure

__all__ = ["plot_density"]


@house_style
def plot_density(
    x: Any, y: Any, significant: Any = None, labels: tuple[str, str] = ("first", "second"), bins: int | None = None
) -> Figure:
    """Draw how many voxels have which pair of scores.

    Parameters
    ----------
    x, y : array of shape (v,)
        Scores of the same voxels by two feature spaces. Voxels where either is NaN are left out, and counted below.
    significant : array of shape (v,), bool, optional
        Which are drawn, such as those that either space predicts significantly; all by default.
    labels : (str, str)
        Names of both spaces.
    bins : int, optional
        Along each side; by default 20 to 60, more for more voxels.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide; both axes have one range, the diagonal is drawn, and the title says how many voxels lie above
        it.

    Raises
    ------
    ValueError
        If shapes differ, or no voxel is left.
    """
    name = "plotting.plot_density"
    first, second = (_numbers(values) for values in (x, y))
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"[{name}] x and y must be of one shape (v,); got {first.shape} and {second.shape}")
    chosen = np.ones(first.shape, bool) if significant is None else np.asarray(significant)
    if chosen.shape != first.shape or chosen.dtype != bool:
        raise ValueError(
            f"[{name}] significant must be of shape {first.shape}, bool; got {chosen.dtype} of shape {chosen.shape}"
        )
    kept = chosen & np.isfinite(first) & np.isfinite(second)
    if not kept.any():
        raise ValueError(f"[{name}] a voxel must have both scores; got none of {len(first)}")
    first, second = first[kept], second[kept]
    both = np.concatenate([first, second])
    least, most = float(both.min()), float(both.max())
    margin = max(0.04 * (most - least), 1e-3)
    limits = (least - margin, most + margin)
    figure = new_figure(ONE_COLUMN, 3.1)
    axes = figure.add_subplot()
    cells = int(np.clip(np.sqrt(len(first)), 20, 60)) if bins is None else bins
    counts, _, _ = np.histogram2d(first, second, bins=cells, range=(limits, limits))
    # Few voxels are counted one by one; many differ by orders of magnitude.
    few = counts.max() <= 10
    norm = BoundaryNorm(np.arange(0.5, max(counts.max(), 2) + 1), 256) if few else LogNorm(1, counts.max())
    image = axes.imshow(
        np.ma.masked_equal(counts.T, 0),
        origin="lower",
        extent=(*limits, *limits),
        cmap="viridis",
        norm=norm,
        interpolation="nearest",
    )
    axes.axline((0, 0), slope=1, color=INK, linewidth=0.6)
    for line in (axes.axhline, axes.axvline):
        line(0, color=CHANCE, linestyle=(0, (2.5, 1.5)), linewidth=0.6)
    above = float(np.mean(second > first))
    axes.set(xlim=limits, ylim=limits, xlabel=f"r, {labels[0]}", ylabel=f"r, {labels[1]}")
    left_out = int((chosen & ~kept).sum())
    axes.set_title(
        f"{above:.0%} of {len(first):,} voxels above the diagonal"
        + (f"\n{left_out:,} without both scores left out" if left_out else ""),
        fontsize=7,
    )
    ticks = np.arange(1, max(counts.max(), 2) + 1) if few else None
    figure.colorbar(image, ax=axes, label="voxels", shrink=0.8, ticks=ticks)
    return figure


def _numbers(values: Any) -> npt.NDArray[np.float64]:
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values, np.float64)
