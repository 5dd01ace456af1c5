"""Reading tabs (the language is told in ``style``): bars of characters to notes in beats."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from brain2music.simulation.music.style import Part
from brain2music.simulation.music.theory import Chord, nearest

__all__ = ["Note", "Stroke", "accompany", "strokes"]

_ACCENTS = {"X": 16, "o": -26, "?": -24}
_SOMETIMES = 0.4


@dataclass(frozen=True)
class Stroke:
    """A character of a tab that sounds: where in the bar and how long (beats), and what."""

    start: float
    length: float
    symbol: str


@dataclass(frozen=True)
class Note:
    """A note in beats; ``spread`` is its delay in a strum, in seconds."""

    start: float
    end: float
    key: int
    velocity: float
    spread: float = 0.0


def strokes(rng: np.random.Generator, tab: str, bar: int, beats: int) -> Iterator[Stroke]:
    """Strokes of one bar; a ``?`` falls silent more often than not."""
    bars = tab.split("|")
    text = bars[bar % len(bars)]
    step = beats / len(text)
    for index, symbol in enumerate(text):
        if symbol in ".-" or (symbol == "?" and rng.random() > _SOMETIMES):
            continue
        held = len(text[index + 1 :]) - len(text[index + 1 :].lstrip("-"))
        yield Stroke(index * step, (held + 1) * step, symbol)


def accompany(
    rng: np.random.Generator, part: Part, tab: str, bars: list[list[Chord]], scale: tuple[int, ...], beats: int
) -> Iterator[Note]:
    """Play a tab over bars of chords.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws walks and the strokes that come sometimes.
    part : Part
        Register, level and strum.
    tab : str
        Bars that take turns.
    bars : list of list of Chord
        Chords of each bar; the one after the last bar is taken to be the first again.
    scale : tuple of int
        Pitch classes of the mode, for degrees that a chord lacks.
    beats : int
        Beats a bar.

    Yields
    ------
    Note
        In beats from the first bar.
    """
    last = part.register
    for bar, chords in enumerate(bars):
        following = bars[(bar + 1) % len(bars)][0]
        for stroke in strokes(rng, tab, bar, beats):
            chord = chords[min(int(stroke.start / beats * len(chords)), len(chords) - 1)]
            keys = _keys(rng, stroke.symbol, chord, following, scale, part.register, last)
            last = keys[0]
            start = bar * beats + stroke.start
            velocity = part.level + _ACCENTS.get(stroke.symbol, 0) + (5 if stroke.start == 0 else 0)
            # A chord of one step is a stab; what is held, is held nearly to the next stroke.
            end = start + stroke.length * (0.95 if stroke.length > 0.5 else 0.8)
            for string, key in enumerate(keys):
                yield Note(start, end, key, velocity, string * part.strum)


def _keys(
    rng: np.random.Generator,
    symbol: str,
    chord: Chord,
    following: Chord,
    scale: tuple[int, ...],
    register: int,
    last: int,
) -> list[int]:
    root = chord.bass(register)
    if symbol.isdigit():
        return [root + chord.degree(int(symbol), scale)]
    if symbol == "p":
        return [root, root + 7, root + 12]
    if symbol in "de":
        return [root, root + (7 if symbol == "d" else 9)]
    if symbol == "a":
        return [nearest(following.root, register) + int(rng.choice([-1, 1]))]
    if symbol == "w":
        tones = {nearest(tone, last) for tone in (*chord.pitch_classes, *scale)} - {last}
        low, high = register - 7, register + 10
        near = sorted(tone for tone in tones if low <= tone <= high and abs(tone - last) <= 4)
        return [int(rng.choice(near))] if near else [root]
    return chord.voicing(register)
