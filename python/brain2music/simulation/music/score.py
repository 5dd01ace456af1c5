"""A composed track, and the clock that turns its beats into seconds."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pretty_midi  # type: ignore[import-untyped]

from brain2music.simulation.music.instruments import KITS, PROGRAMS
from brain2music.simulation.music.theory import KEYS, SCALES, Chord

__all__ = ["Clock", "Score", "TimedChord"]


@dataclass(frozen=True)
class Clock:
    """Seconds of a beat: tempo, swing within pairs of ``unit`` beats, rubato as a slow wave of the tempo."""

    tempo: float
    swing: float = 0.5
    unit: float = 0.5
    rubato: float = 0.0
    offset: float = 0.0
    #: Beats of one wave of rubato: a phrase of four bars.
    _WAVE = 16.0

    def seconds(self, beat: float) -> float:
        """Time of a beat (from 0) in seconds."""
        pair, phase = divmod(beat, 2 * self.unit)
        phase /= 2 * self.unit
        late = phase * 2 * self.swing if phase < 0.5 else self.swing + (phase - 0.5) * 2 * (1 - self.swing)
        swung = (pair + late) * 2 * self.unit
        wave = self._WAVE / (2 * math.pi)
        return 60 / self.tempo * (swung + self.rubato * wave * math.sin(swung / wave)) - self.offset


@dataclass(frozen=True)
class TimedChord:
    """A chord and the seconds it reigns."""

    start: float
    end: float
    chord: Chord


@dataclass(frozen=True, eq=False)
class Score:
    """A track of ``seconds`` seconds as its composer knows it.

    ``midi`` holds the notes, each instrument named by its part; ``chords``, ``beats`` and ``downbeats`` are in seconds,
    ``swing`` is the share of the first of two eighths (0.5 is straight). ``loudness``, ``tone``, ``drive`` and
    ``reverb`` are the mix (see ``style.Style``).
    """

    genre: str
    seed: int
    seconds: float
    feel: str
    tempo: float
    key: int
    mode: str
    meter: str
    swing: float
    form: str
    progression: str
    loudness: float
    tone: tuple[float, ...]
    drive: float
    reverb: float
    midi: pretty_midi.PrettyMIDI
    chords: tuple[TimedChord, ...]
    beats: npt.NDArray[np.float64]
    downbeats: npt.NDArray[np.float64]

    @property
    def key_name(self) -> str:
        """Tonic, as in ``"Eb"``."""
        return KEYS[self.key]

    @property
    def minor(self) -> bool:
        """Whether the mode has a minor third."""
        return 3 in SCALES[self.mode]

    @property
    def instruments(self) -> dict[str, str]:
        """Part to instrument, both by name."""
        return {part.name: _instrument_name(part) for part in self.midi.instruments}


def _instrument_name(part: pretty_midi.Instrument) -> str:
    names = KITS if part.is_drum else PROGRAMS
    return next(name for name, program in names.items() if program == part.program)
