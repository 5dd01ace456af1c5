"""One look for all figures: sober, legible at column width, safe for colour-blind readers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.figure import Figure

__all__ = ["ACCENT", "CHANCE", "GENRE_COLOURS", "ORACLE", "new_figure", "style"]

ACCENT, CHANCE, ORACLE = "#0b5c8a", "#8a8a8a", "#b3541e"

#: Ten hues that deuteranopes tell apart by lightness too (after Tol's muted scheme), by place in the alphabet.
GENRE_COLOURS = (
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

_SETTINGS: dict[str, Any] = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "path",
    # The same figure gives the same bytes.
    "svg.hashsalt": "brain2music",
    "savefig.dpi": 200,
}


@contextmanager
def style() -> Iterator[None]:
    """Set matplotlib for as long as a figure is drawn; nothing is changed for good."""
    with matplotlib.rc_context(_SETTINGS):  # type: ignore[arg-type]
        yield


def new_figure(width: float, height: float) -> Figure:
    """Make a figure of a size in inches that no window shows: outside of pyplot."""
    return Figure(figsize=(width, height), layout="constrained")
