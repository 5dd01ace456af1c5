"""Figures of the evaluation by genre, subject, embedding or stage, beside chance and oracle."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from brain2music.evaluation.published import PUBLISHED
from brain2music.evaluation.rows import Row, summarise
from brain2music.plotting.style import CHANCE, INK, ONE_COLUMN, ORACLE, TWO_COLUMNS, house_style, new_figure

__all__ = ["plot_scores"]

_LABELS = {
    "identification": "identification accuracy",
    "identification_windows": "identification accuracy (windows)",
    "correlation": "correlation over clips",
    "correlation_windows": "correlation over windows",
    "correlation_item": "correlation of a clip's embedding",
    "correlation_item_windows": "correlation of a window's embedding",
    "genre_first": "best track of the right genre",
    "genre_share": "tracks of the right genre",
}

_BLUE = "#22577a"
_DASHED = (0, (2.5, 1.5))


@house_style
def plot_scores(rows: Iterable[Row], by: str = "genre", published: bool = False) -> Figure:
    """Draw one metric by genre, subject, embedding or stage.

    Each subject is a dot, their mean a bar with its standard deviation (``ddof=1``); a dashed line is chance, a solid
    one the oracle, each group's own.

    Parameters
    ----------
    rows : iterable of Row
        Of one metric, and alike in all that is not drawn: e.g. of one stage and embedding for ``by="genre"``, and for
        another ``by`` of genre ``all``.
    by : {"genre", "subject", "embedding", "stage"}
        What lies along the axis, in order of first appearance; ``all`` genres come first.
    published : bool, default False
        Add the published mean and standard deviation (``brain2music.evaluation.PUBLISHED``) where there is one.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide, two for more than eight groups.

    Raises
    ------
    ValueError
        If there are no rows, or they differ in more than subject and ``by``.
    """
    where = "plotting.plot_scores"
    chosen = list(rows)
    if by not in ("genre", "subject", "embedding", "stage"):
        raise ValueError(f"[{where}] by must be genre, subject, embedding or stage; got {by!r}")
    _check_alike(chosen, by, where)
    groups = sorted(dict.fromkeys(getattr(row, by) for row in chosen), key=lambda name: by == "genre" and name != "all")

    figure = new_figure(TWO_COLUMNS if len(groups) > 8 else ONE_COLUMN, 2.4)
    axes = figure.add_subplot()
    drawn = False
    for place, group in enumerate(groups):
        own = [row for row in chosen if getattr(row, by) == group]
        chance, oracle = (float(np.mean([getattr(row, name) for row in own])) for name in ("chance", "oracle"))
        axes.hlines(chance, place - 0.4, place + 0.4, color=CHANCE, linestyle=_DASHED, linewidth=1.0)
        axes.hlines(oracle, place - 0.4, place + 0.4, color=ORACLE, linewidth=1.0)
        values = np.array([row.value for row in own])
        spread = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
        axes.plot(place + spread, values, "o", markersize=3, color=_BLUE, alpha=0.65, markeredgewidth=0, zorder=3)
        if len(values) > 1:
            _mean_and_sd(axes, place, values)
        if published:
            drawn |= _published(axes, place + 0.33, own[0])
    crowded = len(groups) > 5 or max(map(len, groups)) > 9
    slanted: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    axes.set_xticks(range(len(groups)), groups, **slanted)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_ylabel(_LABELS.get(chosen[0].metric, chosen[0].metric))
    if by == "subject":
        axes.set_xlabel("subject")
    _legend(figure, chosen, by, drawn)
    return figure


def _check_alike(rows: Sequence[Row], by: str, where: str) -> None:
    if not rows:
        raise ValueError(f"[{where}] there must be rows; got none")
    for name in ("stage", "embedding", "genre", "metric"):
        found = dict.fromkeys(getattr(row, name) for row in rows)
        if name != by and len(found) > 1:
            raise ValueError(f"[{where}] rows must be of one {name}; got {', '.join(found)}")
    summarise(rows)  # refuses a subject with two rows of a kind


def _mean_and_sd(axes: Axes, place: float, values: npt.NDArray[np.float64]) -> None:
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    axes.hlines(mean, place - 0.24, place + 0.24, color=INK, linewidth=1.6, zorder=4)
    axes.vlines(place, mean - sd, mean + sd, color=INK, linewidth=0.8, zorder=4)


def _published(axes: Axes, place: float, row: Row) -> bool:
    """Draw the published figure, if there is one."""
    for figure in PUBLISHED:
        theirs = (figure.stage, figure.embedding, figure.metric)
        if row.genre == "all" and theirs == (row.stage, row.embedding, row.metric):
            axes.errorbar(
                place, figure.mean, yerr=figure.sd, fmt="D", markersize=3.5, color=INK, mfc="white", mew=0.8,
                elinewidth=0.8,
            )  # fmt: skip
            return True
    return False


def _legend(figure: Figure, rows: Sequence[Row], by: str, published: bool) -> None:
    handles = [
        Line2D([], [], linestyle="none", marker="o", markersize=3, color=_BLUE, alpha=0.65, mew=0, label="subject")
    ]
    if by != "subject" and len({row.subject for row in rows}) > 1:
        handles.append(Line2D([], [], color=INK, linewidth=1.6, label="mean ± s.d."))
    if published:
        diamond = Line2D([], [], linestyle="none", marker="D", markersize=3.5, color=INK, mfc="white", mew=0.8)
        diamond.set_label("published")
        handles.append(diamond)
    handles.append(Line2D([], [], color=CHANCE, linestyle=_DASHED, label="chance"))
    handles.append(Line2D([], [], color=ORACLE, label="oracle"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handlelength=1.4, columnspacing=1.2)
