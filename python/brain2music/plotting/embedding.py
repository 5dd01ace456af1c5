"""Predicted and true embeddings in the plane."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from brain2music.evaluation.items import to_double
from brain2music.plotting.style import TWO_COLUMNS, genre_styles, house_style, new_figure

__all__ = ["plot_embedding"]


@house_style
def plot_embedding(predicted: Any, target: Any, genres: npt.ArrayLike) -> Figure:
    """Draw true and predicted embeddings side by side, in the two principal components of the true ones.

    Each genre's mean is a large mark in both panels. Ridge regression shrinks what it is unsure of towards the mean of
    the embeddings, so predictions span less: their panel has a scale of its own, drawn as a frame into the other.

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

    figure = new_figure(TWO_COLUMNS, 3.0)
    panels = figure.subplots(1, 2)
    styles = genre_styles(names.tolist())
    for axes, array, title in zip(panels, (truth, guess), ("true", "predicted from brain activity"), strict=True):
        places = (array - mean) @ plane.T
        for genre, style in styles.items():
            own = places[names == genre]
            axes.scatter(*own.T, s=12, alpha=0.55, linewidths=0, **style)
            axes.scatter(*own.mean(axis=0), s=55, edgecolors="black", linewidths=0.8, zorder=3, **style)
        axes.set_title(title, loc="left")
        axes.set_xlabel(f"component 1 of the true ({share[0]:.0%} of variance)")
        _square(axes, places)
    panels[0].set_ylabel(f"component 2 ({share[1]:.0%})")
    left, right = panels[1].get_xlim()
    bottom, top = panels[1].get_ylim()
    panels[0].add_patch(
        Rectangle((left, bottom), right - left, top - bottom, fill=False, linewidth=0.8, linestyle=(0, (2.5, 1.5)))
    )
    handles = [Line2D([], [], linestyle="none", markersize=4, label=genre, **style) for genre, style in styles.items()]
    handles.append(
        Line2D([], [], linestyle="none", marker="o", markersize=6, mfc="white", mec="black", label="mean of a genre")
    )
    handles.append(Line2D([], [], color="black", linewidth=0.8, linestyle=(0, (2.5, 1.5)), label="right panel's frame"))
    figure.legend(handles=handles, loc="outside right center", handletextpad=0.4, handlelength=1.4)
    return figure


def _square(axes: Axes, places: npt.NDArray[np.float64]) -> None:
    """Equal scales, equal spans, around all points: predictions span less than what they predict."""
    low, high = places.min(axis=0), places.max(axis=0)
    half = 0.54 * float((high - low).max()) or 1.0
    middle = (low + high) / 2
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    axes.set_aspect("equal")
