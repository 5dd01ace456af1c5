"""Predicted and true embeddings in the plane."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from brain2music.evaluation.items import to_double
from brain2music.plotting.style import TWO_COLUMNS, genre_styles, house_style, new_figure

__all__ = ["plot_embedding"]


@house_style
def plot_embedding(predicted: Any, target: Any, genres: npt.ArrayLike) -> Figure:
    """Draw true and predicted embeddings side by side, in the two principal components of the true ones.

    Each genre's mean is a large mark in both panels. A decoder that knows little predicts all clips alike, near the
    mean of the embeddings: its panel is a cloud in the middle.

    Parameters
    ----------
    predicted, target : arrays of shape (n, d) or (n, r, d)
        Windows are averaged.
    genres : array-like of shape (n,), str

    Returns
    -------
    matplotlib.figure.Figure
        Two columns wide.

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than three items or two dimensions, or a value is NaN or Inf.
    """
    where = "plotting.plot_embedding"
    truth = to_double(target, "target", None, where)
    guess = to_double(predicted, "predicted", truth.shape, where)
    truth, guess = (array.mean(axis=1) if array.ndim == 3 else array for array in (truth, guess))
    names = np.asarray(genres)
    if truth.ndim != 2 or len(truth) < 3 or truth.shape[1] < 2 or names.shape != (len(truth),):
        raise ValueError(
            f"[{where}] target must be (items, dimensions), three items or more, and genres one for each; got shapes "
            f"{truth.shape} and {names.shape}"
        )
    if not (np.isfinite(truth).all() and np.isfinite(guess).all()):
        raise ValueError(f"[{where}] embeddings must be finite; got NaN or Inf")
    mean = truth.mean(axis=0)
    _, strength, directions = np.linalg.svd(truth - mean, full_matrices=False)
    plane = directions[:2] * np.sign(directions[:2][[0, 1], np.abs(directions[:2]).argmax(axis=1)])[:, None]
    share = strength[:2] ** 2 / np.sum(strength**2)

    figure = new_figure(TWO_COLUMNS, 3.1)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    styles = genre_styles(names.tolist())
    for axes, array, title in zip(panels, (truth, guess), ("true", "predicted from brain activity"), strict=True):
        places = (array - mean) @ plane.T
        for genre, style in styles.items():
            own = places[names == genre]
            axes.scatter(*own.T, s=12, alpha=0.55, linewidths=0, **style)
            axes.scatter(*own.mean(axis=0), s=55, edgecolors="black", linewidths=0.8, zorder=3, **style)
        axes.set_title(title, loc="left")
        axes.set_xlabel(f"component 1 of the true ({share[0]:.0%} of variance)")
        axes.set_aspect("equal", adjustable="box")
    panels[0].set_ylabel(f"component 2 ({share[1]:.0%})")
    handles = [Line2D([], [], linestyle="none", markersize=4, label=genre, **style) for genre, style in styles.items()]
    handles.append(
        Line2D([], [], linestyle="none", marker="o", markersize=6, mfc="white", mec="black", label="mean of a genre")
    )
    figure.legend(handles=handles, loc="outside right center", handletextpad=0.2)
    return figure
