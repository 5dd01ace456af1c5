"""One feature space against another, voxel by voxel."""

from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from brain2music.encoding.maps import real_numbers
from brain2music.plotting.cortex import flags_of
from brain2music.plotting.style import CHANCE, INK, ONE_COLUMN, house_style, new_figure

__all__ = ["plot_density"]

#: Fewer voxels are dots: their density is no picture.
_FEW = 500

_BLUE = "#22577a"


@house_style
def plot_density(
    x: Any, y: Any, significant: Any = None, labels: tuple[str, str] = ("first", "second"), bins: int = 60
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
    bins : int, default 60
        Along each side. Fewer than 500 voxels are drawn as dots.

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
    first, second = (real_numbers(values, f"[{name}] {axis}") for values, axis in ((x, "x"), (y, "y")))
    if len(labels) != 2 or bins < 1:
        raise ValueError(f"[{name}] there must be two labels, and a bin or more; got {labels} and {bins}")
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"[{name}] x and y must be of one shape (v,); got {first.shape} and {second.shape}")
    chosen = flags_of(significant, first.shape, name)
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
    if len(first) < _FEW:
        axes.scatter(first, second, s=6, color=_BLUE, alpha=0.6, linewidth=0)
        axes.set_aspect("equal")
    else:
        counts, _, _ = np.histogram2d(first, second, bins=bins, range=(limits, limits))
        image = axes.imshow(
            np.ma.masked_equal(counts.T, 0),
            origin="lower",
            extent=(*limits, *limits),
            cmap="viridis",
            norm=LogNorm(1, max(counts.max(), 2)),
            interpolation="nearest",
        )
        figure.colorbar(image, ax=axes, label="voxels", shrink=0.8)
    axes.axline((0, 0), slope=1, color=INK, linewidth=0.6)
    for line in (axes.axhline, axes.axvline):
        line(0, color=CHANCE, linestyle=(0, (2.5, 1.5)), linewidth=0.6)
    above = float(np.mean(second > first))
    ticks = MaxNLocator(5).tick_values(*limits)  # the same on both sides
    axes.set(xticks=ticks, yticks=ticks)
    axes.set(xlim=limits, ylim=limits, xlabel=f"r, {labels[0]}", ylabel=f"r, {labels[1]}")
    left_out = int((chosen & ~kept).sum())
    axes.set_title(
        f"{above:.0%} of {len(first):,} voxels above the diagonal"
        + (f"\n{left_out:,} without both scores left out" if left_out else ""),
        fontsize=7,
    )
    return figure
