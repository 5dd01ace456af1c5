"""Melodies: motifs of rhythm and contour, repeated and answered over the chords."""

from dataclasses import dataclass

import numpy as np

from brain2music.simulation.music.style import Lead
from brain2music.simulation.music.tabs import Note
from brain2music.simulation.music.theory import Chord, nearest

__all__ = ["melody", "rhythm"]

#: Which motif each pair of bars takes: statement, answer, statement, close.
_PLANS = ("abac", "aaba", "abab", "aabc")
_STEPS = np.array([-3, -2, -1, 0, 1, 2, 3])
_STEP_WEIGHTS = np.array([0.05, 0.13, 0.26, 0.12, 0.26, 0.13, 0.05])


@dataclass(frozen=True)
class _Motif:
    onsets: list[float]
    steps: list[int]


def melody(
    rng: np.random.Generator, lead: Lead, chords: list[list[Chord]], scale: tuple[int, ...], beats: int, grid: float
) -> list[Note]:
    """Sing over bars of chords.

    Parameters
    ----------
    rng : numpy.random.Generator
        The same state sings the same melody.
    lead : Lead
        Register, density, syncopation, share of silence.
    chords : list of list of Chord
        Chords of each bar.
    scale : tuple of int
        Pitch classes to sing.
    beats, grid : int, float
        Beats a bar; shortest step in beats.

    Returns
    -------
    list of Note
        In beats from the first bar.
    """
    density = rng.uniform(*lead.density)
    span = 2 * beats
    motifs = {}
    for name in "abc":
        onsets = rhythm(rng, span, grid, density, lead.syncopation)
        motifs[name] = _Motif(onsets, rng.choice(_STEPS, len(onsets), p=_STEP_WEIGHTS).tolist())
    plan = _PLANS[rng.integers(len(_PLANS))]
    ladder = [key for key in range(lead.register - lead.span, lead.register + lead.span + 1) if key % 12 in scale]
    position = len(ladder) // 2
    notes = []
    for unit in range(0, len(chords), 2):
        motif = motifs[plan[unit // 2 % 4]]
        # Call and response: now and then the second bar of a pair is left to the band.
        stop = beats if rng.random() < lead.space else span
        stop = min(stop, (len(chords) - unit) * beats)
        onsets = [onset for onset in motif.onsets if onset < stop]
        arc = np.sin(np.pi * (unit % 8) / 8) * len(ladder) / 6
        for onset, end, step in zip(onsets, [*onsets[1:], stop], motif.steps, strict=False):
            pull = round((len(ladder) / 2 + arc - position) / len(ladder) * 2)
            position = int(np.clip(position + step + pull, 0, len(ladder) - 1))
            bar = unit + int(onset // beats)
            key = ladder[position]
            strong = onset % 1 == 0 or end - onset >= 1.5
            if strong:
                key = _onto(chords[bar], onset % beats / beats, key)
            length = min(end - onset, 2.5) * 0.94
            start = unit * beats + onset
            notes.append(Note(start, start + length, key, lead.level + (6 if onset % beats == 0 else 0)))
    return notes


def rhythm(rng: np.random.Generator, beats: int, grid: float, density: float, syncopation: float) -> list[float]:
    """Draw onsets (beats) out of a grid: strong positions first, weak ones the more the higher ``syncopation``."""
    positions = np.arange(round(beats / grid)) * grid
    on_beat = np.isclose(positions % 1, 0)
    on_half = np.isclose(positions % 1, 0.5)
    weights = np.where(on_beat, 1.0, np.where(on_half, 0.25 + 0.9 * syncopation, 0.06 + 0.5 * syncopation))
    if density > 1.8:  # runs of sixteenths rather than holes
        weights = np.sqrt(weights)
    count = int(np.clip(round(density * beats), 1, len(positions)))
    ranked = np.argsort(-(np.log(weights) + rng.gumbel(size=len(positions))))  # weighted, without replacement
    onsets: list[float] = np.sort(positions[ranked[:count]]).tolist()
    return onsets


def _onto(bar: list[Chord], fraction: float, key: int) -> int:
    """Tone of the reigning chord closest to ``key``."""
    chord = bar[min(int(fraction * len(bar)), len(bar) - 1)]
    return min((nearest(pitch_class, key) for pitch_class in chord.pitch_classes), key=lambda tone: abs(tone - key))
