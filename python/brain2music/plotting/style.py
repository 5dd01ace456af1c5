"""The house style, and writing figures to disk."""

import io
import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from brain2music.files import write_bytes

__all__ = ["CHANCE", "INK", "ONE_COLUMN", "ORACLE", "TWO_COLUMNS", "genre_styles", "house_style", "new_figure", "save"]

#: Widths of a journal's columns, in inches: 89 and 183 mm.
ONE_COLUMN, TWO_COLUMNS = 3.5, 7.2

INK = "#1a1a1a"
CHANCE = "#7f7f7f"
ORACLE = "#bf5b17"

#: Paul Tol's "muted" scheme, safe for all common kinds of colour blindness; its pale grey is darkened to be seen.
_COLOURS = (
    "#332288",
    "#88ccee",
    "#44aa99",
    "#117733",
    "#999933",
    "#ddcc77",
    "#cc6677",
    "#882255",
    "#aa4499",
    "#777777",
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so a figure looks alike everywhere
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "savefig.dpi": 300,
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and edited
    "svg.hashsalt": "brain2music",  # the same figure, the same bytes
}

P = ParamSpec("P")
T = TypeVar("T")


def house_style(function: Callable[P, T]) -> Callable[P, T]:
    """Apply the house style while a function runs, and no longer."""

    @wraps(function)
    def styled(*args: P.args, **kwargs: P.kwargs) -> T:
        with mpl.rc_context():  # undoes what follows
            mpl.rcdefaults()
            for name, value in _SETTINGS.items():
                mpl.rcParams[name] = value
            return function(*args, **kwargs)

    return styled


class _Shown(Figure):
    """A figure that a notebook shows, with pyplot or without."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=150)
        return buffer.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of so many inches that belongs to nobody."""
    figure = _Shown(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def genre_styles(genres: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour and marker of each genre, in alphabetical order: alike in all figures of the same genres."""
    return {
        genre: {"color": _COLOURS[i % len(_COLOURS)], "marker": _MARKERS[i % len(_MARKERS)]}
        for i, genre in enumerate(sorted(set(genres)))
    }


@house_style
def save(figure: Figure, path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write a figure as PNG (300 dots an inch) and SVG, whole or not at all; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path
        Ends in ``.png`` or ``.svg``, or in neither, which are then added: both files are written.

    Returns
    -------
    (Path, Path)
    """
    path = Path(path)
    stem = path.name.removesuffix(".png").removesuffix(".svg")
    written = []
    endings: tuple[tuple[str, dict[str, Any]], ...] = (
        ("png", {"Software": None}),
        ("svg", {"Date": None, "Creator": None}),
    )
    for ending, metadata in endings:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=ending, metadata=metadata)
        to = path.with_name(f"{stem}.{ending}")
        write_bytes(to, buffer.getvalue())
        written.append(to)
    return written[0], written[1]
