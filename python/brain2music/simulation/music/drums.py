"""Drumming: tabs for each piece, fills before a new section, a crash on it."""

from collections.abc import Iterator, Mapping

import numpy as np

from brain2music.simulation.music.instruments import DRUMS
from brain2music.simulation.music.tabs import Note, strokes

__all__ = ["drum"]

#: Sixteenths before a new section, instead of what snare, hat and cymbals play there.
_FILLS = (
    ("snare", "snare", "high tom", "low tom"),
    ("high tom", "high tom", "mid tom", "mid tom", "low tom", "low tom", "low tom", "low tom"),
    ("snare", "snare", "snare", "snare"),
    ("snare", "", "snare", "snare", "high tom", "mid tom", "low tom", "kick"),
    ("open", "", "snare", "snare"),
)
_LEVELS = {"kick": 106, "snare": 102, "clap": 96, "crash": 84, "rim": 92}
_OTHERS = 74
_ACCENTS = {"X": 14, "o": -28, "?": -26}


def drum(
    rng: np.random.Generator, tabs: Mapping[str, str], bars: int, beats: int, fills: float, crash: bool
) -> Iterator[Note]:
    """Play the kit for a section.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws fills and the strokes that come sometimes.
    tabs : mapping of str to str
        Tab of each piece; without any there are no drums.
    bars, beats : int
        Bars, and beats a bar.
    fills : float
        Chance of a fill in the last bar.
    crash : bool
        Whether a crash cymbal opens the section.

    Yields
    ------
    Note
        In beats from the first bar.
    """
    if not tabs:
        return
    fill = _FILLS[rng.integers(len(_FILLS))] if rng.random() < fills else ()
    stop = bars * beats - len(fill) / 4
    for piece, tab in tabs.items():
        level = _LEVELS.get(piece, _OTHERS)
        for bar in range(bars):
            for stroke in strokes(rng, tab, bar, beats):
                start = bar * beats + stroke.start
                if start < stop or piece == "kick":
                    yield _hit(piece, start, level + _ACCENTS.get(stroke.symbol, 0))
    for index, piece in enumerate(fill):
        if piece:
            yield _hit(piece, stop + index / 4, 84 + 4 * index)
    if crash:
        yield _hit("crash", 0, _LEVELS["crash"])


def _hit(piece: str, start: float, velocity: float) -> Note:
    return Note(start, start + 0.2, DRUMS[piece], velocity)
