"""The matrix behind the identification accuracy."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from brain2music.evaluation.items import ClipTable, check_clips, to_double
from brain2music.evaluation.rows import Row
from brain2music.plotting.style import ONE_COLUMN, house_style, new_figure

__all__ = ["plot_identification"]


@house_style
def plot_identification(correlations: Any, clips: ClipTable, row: Row) -> Figure:
    """Draw the correlation of every prediction with every clip's own embedding, sorted by genre.

    A good decoder has a bright diagonal; bright blocks along it are genres that are told apart.

    Parameters
    ----------
    correlations : array of shape (n, n)
        ``identification_accuracy(..., correlations=True).correlations``: predictions are rows.
    clips : Clips
        Ids and genres of the n clips.
    row : Row
        The headline that goes with it, with its chance and oracle.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide.

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    where = "plotting.plot_identification"
    n = len(np.asarray(clips.ids))
    matrix = to_double(correlations, "correlations", (n, n), where)
    check_clips(clips, n, where)
    order = np.argsort(np.asarray(clips.genre), kind="stable")
    names, starts, counts = np.unique(np.asarray(clips.genre)[order], return_index=True, return_counts=True)

    figure = new_figure(ONE_COLUMN, 3.1)
    axes = figure.add_subplot()
    limit = float(np.abs(matrix).max()) or 1.0
    image = axes.imshow(matrix[np.ix_(order, order)], cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    for edge in starts[1:] - 0.5:
        axes.axhline(edge, color="white", linewidth=0.6)
        axes.axvline(edge, color="white", linewidth=0.6)
    middle = starts + (counts - 1) / 2
    axes.set_xticks(middle, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(middle, names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="embedding of the clip", ylabel="predicted from brain activity")
    axes.set_title(
        f"identification accuracy {row.value:.2f}\n(chance {row.chance:.2f}, oracle {row.oracle:.2f}, {row.n} clips)",
        loc="left",
    )
    bar = figure.colorbar(image, ax=axes, shrink=0.7, aspect=25, label="Pearson correlation")
    bar.outline.set_visible(False)
    return figure
