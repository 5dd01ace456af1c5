"""Figures of how well something was decoded."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from brain2music.plotting.style import ACCENT, CHANCE, GENRE_COLOURS, ORACLE, new_figure, style

__all__ = ["plot_embedding", "plot_identification", "plot_scores"]


class ScoreRow(Protocol):
    """One figure of an evaluation, as :class:`brain2music.evaluation.Row`."""

    @property
    def subject(self) -> str: ...
    @property
    def genre(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def chance(self) -> float: ...
    @property
    def oracle(self) -> float: ...


def plot_identification(matrix: npt.ArrayLike, genres: Sequence[str]) -> Figure:
    """Draw the identification matrix: correlation of every prediction with every true embedding, genre by genre.

    Parameters
    ----------
    matrix : array of shape (n, n)
        Row i, column j: Pearson r of prediction i with target j.
    genres : sequence of str
        Genre of each clip; clips are sorted by it.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the matrix is not square, or has not one clip a genre named.
    """
    values, names = np.asarray(matrix, np.float64), np.asarray(genres)
    if values.ndim != 2 or values.shape != (len(names), len(names)):
        raise ValueError(
            f"[plotting.plot_identification] matrix must be (n, n) for n genres; got {values.shape} and {len(names)}"
        )
    order = np.argsort(names, kind="stable")
    values, names = values[np.ix_(order, order)], names[order]
    with style():
        figure = new_figure(5.0, 4.4)
        axes = figure.add_subplot()
        limit = float(np.quantile(np.abs(values), 0.995)) or 1.0
        image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        present, first = np.unique(names, return_index=True)
        edges = np.append(first, len(names)) - 0.5
        for edge in edges[1:-1]:
            axes.axhline(edge, color="black", linewidth=0.4, alpha=0.5)
            axes.axvline(edge, color="black", linewidth=0.4, alpha=0.5)
        middle = (edges[1:] + edges[:-1]) / 2
        axes.set_yticks(middle, present)
        axes.set_xticks(middle, present, rotation=45, ha="right", rotation_mode="anchor")
        axes.tick_params(length=0)
        axes.set_xlabel("true embedding of clip")
        axes.set_ylabel("prediction for clip")
        figure.colorbar(image, ax=axes, label="Pearson r", shrink=0.85, extend="both")
    return figure


def plot_scores(rows: Sequence[ScoreRow], label: str = "identification accuracy") -> Figure:
    """Draw a score by subject and by genre, chance and oracle beside every one.

    Parameters
    ----------
    rows : sequence of Row
        Of one metric: those of genre ``all`` stand for the subjects, the others for the genres.
    label : str
        Of the metric.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there is none of genre ``all``.
    """
    whole = [row for row in rows if row.genre == "all"]
    if not whole:
        raise ValueError(f"[plotting.plot_scores] rows must hold some of genre 'all'; got {len(rows)} others")
    genres = sorted({row.genre for row in rows} - {"all"})
    groups = [(f"sub-{row.subject}", [row]) for row in whole]
    groups += [(genre, [row for row in rows if row.genre == genre]) for genre in genres]
    with style():
        figure = new_figure(5.0, 0.9 + 0.24 * len(groups))
        axes = figure.add_subplot()
        for place, (_, members) in enumerate(groups):
            values, chances, oracles = (
                [getattr(row, name) for row in members] for name in ("value", "chance", "oracle")
            )
            height = place + (0.6 if place >= len(whole) else 0)
            axes.plot([np.mean(chances), np.mean(oracles)], [height] * 2, color="#dddddd", linewidth=1.5, zorder=1)
            axes.plot(np.mean(chances), height, "|", color=CHANCE, markersize=9, markeredgewidth=2, zorder=2)
            axes.plot(np.mean(oracles), height, "|", color=ORACLE, markersize=9, markeredgewidth=2, zorder=2)
            if len(values) > 1:
                axes.plot(values, [height] * len(values), "o", color=ACCENT, markersize=3, alpha=0.45, zorder=3)
            axes.plot(np.mean(values), height, "o", color=ACCENT, markersize=6.5, zorder=4)
        heights = [place + (0.6 if place >= len(whole) else 0) for place in range(len(groups))]
        axes.set_yticks(heights, [name for name, _ in groups])
        axes.set_ylim(heights[-1] + 0.7, -0.7)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(label)
        handles = [
            axes.plot([], [], marker, color=colour, markersize=size, markeredgewidth=width, label=name)[0]
            for marker, colour, size, width, name in (
                ("o", ACCENT, 6, 0, "decoded"),
                ("|", CHANCE, 9, 2, "chance"),
                ("|", ORACLE, 9, 2, "oracle"),
            )
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def plot_embedding(predicted: npt.ArrayLike, true: npt.ArrayLike, genres: Sequence[str]) -> Figure:
    """Draw predicted and true embeddings in the plane in which the true ones vary most.

    Parameters
    ----------
    predicted, true : arrays of shape (n, d) or (n, r, d)
        Windows are averaged.
    genres : sequence of str
        Genre of each of the n clips.

    Returns
    -------
    matplotlib.figure.Figure
        True and predicted embeddings side by side: the axes are the first two principal components of the true ones.
        Predictions of a ridge regression are shrunk towards the mean, so each side has its own scale.

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    points = [np.asarray(array, np.float64) for array in (true, predicted)]
    points = [array.mean(axis=1) if array.ndim == 3 else array for array in points]
    names = np.asarray(genres)
    if points[0].ndim != 2 or points[0].shape != points[1].shape or len(names) != len(points[0]):
        raise ValueError(
            "[plotting.plot_embedding] predicted and true must be (n, d) or (n, r, d) for n genres; got "
            f"{np.shape(predicted)}, {np.shape(true)} and {len(names)}"
        )
    centre = points[0].mean(axis=0)
    components = np.linalg.svd(points[0] - centre, full_matrices=False)[2][:2]
    with style():
        figure = new_figure(10.0, 4.6)
        pair: Any = figure.subplots(1, 2)
        for axes, array, title in zip(pair, points, ("True embeddings", "Predicted from the brain"), strict=True):
            plane = (array - centre) @ components.T
            for number, genre in enumerate(sorted(set(names.tolist()))):
                here = names == genre
                colour = GENRE_COLOURS[number % len(GENRE_COLOURS)]
                axes.scatter(*plane[here].T, s=16, color=colour, alpha=0.55, linewidths=0)
                axes.scatter(
                    *plane[here].mean(axis=0), s=70, color=colour, edgecolor="black", linewidth=0.7, label=genre
                )
            axes.set_title(title)
            axes.set_xlabel("first principal component of the true embeddings")
            axes.axhline(0, color="#dddddd", linewidth=0.7, zorder=0)
            axes.axvline(0, color="#dddddd", linewidth=0.7, zorder=0)
        pair[0].set_ylabel("second principal component")
        handles, labels = pair[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", title="mean of genre")
    return figure
