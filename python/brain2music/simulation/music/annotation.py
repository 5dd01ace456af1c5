"""What is true of a track, or of a clip of it, in figures and words: one row of a table."""

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from brain2music.simulation.music.notes import Notes
from brain2music.simulation.music.score import Score
from brain2music.simulation.music.theory import SCALES
from brain2music.simulation.music.timecourse import dissonance, off_beat

__all__ = ["COLUMNS", "Truth", "truth"]

#: Every column of the table, with its unit.
COLUMNS = {
    "genre": "One of the ten genres of GTZAN",
    "seed": "Seed that composes the track again",
    "feel": "Way of playing the genre",
    "tempo_bpm": "Beats per minute",
    "key": "Tonic",
    "mode": "Scale of the song",
    "meter": "Beats a bar",
    "swing": "Share of a pair of eighths (hip hop, reggae: sixteenths) that the first one takes; 0.5 is straight",
    "form": "Sections heard, one letter each; a track may begin anywhere in the form",
    "progression": "Chords of section A, one bar after the other, in Roman numerals of the major scale",
    "instruments": "Part and instrument, most prominent first",
    "note_density": "Pitched onsets per second",
    "melody_density": "Onsets of the melody per second",
    "drum_density": "Onsets of drums per second",
    "chord_rate": "Chord changes per second",
    "polyphony": "Pitched notes that sound at once, mean over time",
    "register": "MIDI key, mean over pitched notes by velocity and duration",
    "pitch_range": "Semitones from the 5th to the 95th percentile of pitched onsets",
    "velocity": "Mean MIDI velocity of onsets",
    "brightness": "Velocity-weighted share of onsets that are cymbals or pitched from C5 up",
    "syncopation": "Velocity-weighted share of onsets more than an eighth of a beat off every beat",
    "dissonance": "Roughness of the pitch classes that sound, from 0 to 1, mean over seconds",
    "loudness_db": "RMS of the rendered track in dB of full scale",
    "valence": "Mood from sad (-1) to happy (1), by mode, tempo, register, dissonance and distortion",
    "arousal": "Mood from calm (-1) to excited (1), by tempo, density, loudness and distortion",
}

_C5 = 72
#: The register of a moment of drums alone.
_MIDDLE_C = 60.0


@dataclass(frozen=True)
class Truth:
    """A row of the table; ``COLUMNS`` tells what each field means."""

    genre: str
    seed: int
    feel: str
    tempo_bpm: float
    key: str
    mode: str
    meter: str
    swing: float
    form: str
    progression: str
    instruments: tuple[tuple[str, str], ...]
    note_density: float
    melody_density: float
    drum_density: float
    chord_rate: float
    polyphony: float
    register: float
    pitch_range: float
    velocity: float
    brightness: float
    syncopation: float
    dissonance: float
    loudness_db: float
    valence: float
    arousal: float

    @property
    def minor(self) -> bool:
        """Whether the mode has a minor third."""
        return 3 in SCALES[self.mode]

    def cells(self) -> dict[str, str]:
        """Fields as the cells of a TSV file."""
        return {field.name: _cell(getattr(self, field.name)) for field in fields(self)}


def truth(score: Score, start: float = 0.0, stop: float | None = None) -> Truth:
    """Describe a score, or the span of it from ``start`` to ``stop`` seconds.

    Parameters
    ----------
    score : Score
        What is played.
    start, stop : float
        Seconds; the end of the track by default.

    Returns
    -------
    Truth
        Counted over the span; tempo, key, form and loudness are those of the track.

    Raises
    ------
    ValueError
        If the span is empty or outside the track.
    """
    stop = score.seconds if stop is None else stop
    if not 0 <= start < stop <= score.seconds:
        raise ValueError(
            f"[simulation.music.truth] a span must lie within the {score.seconds:g} s of the track; "
            f"got {start:g} to {stop:g}"
        )
    notes = Notes.of(score).within(start, stop)
    fresh = notes[notes.start > start] if start > 0 else notes
    seconds = stop - start
    loud = notes.velocity * (notes.end - notes.start)
    heard, pitched = loud[notes.pitched], fresh.pitched
    register = float(np.average(notes.key[notes.pitched], weights=heard)) if heard.any() else _MIDDLE_C
    low, high = np.percentile(fresh.key[pitched], [5, 95]) if pitched.any() else (0.0, 0.0)
    bright = fresh.cymbals | (pitched & (fresh.key >= _C5))
    rough = _roughness(notes, start, stop)
    figures = {
        "note_density": pitched.sum() / seconds,
        "melody_density": (fresh.part == "lead").sum() / seconds,
        "drum_density": fresh.drums.sum() / seconds,
        "chord_rate": sum(start < timed.start < stop for timed in score.chords) / seconds,
        "polyphony": float((notes.end - notes.start)[notes.pitched].sum()) / seconds,
        "register": register,
        "pitch_range": float(high - low),
        "velocity": 127 * float(fresh.velocity.mean()),
        "brightness": _share(fresh.velocity, bright),
        "syncopation": _share(fresh.velocity, off_beat(fresh.start, score.beats)),
        "dissonance": rough,
    }
    tempo = np.log2(score.tempo / 108)
    distortion = _share(loud, notes.family == "distortion")
    mode = -0.4 if score.minor else 0.4
    valence = np.tanh(mode + 0.5 * tempo + (register - 58) / 24 - 0.8 * (rough - 0.15) - 0.7 * distortion)
    onsets = max(figures["note_density"] + figures["drum_density"], 0.5)
    arousal = np.tanh(0.4 * tempo + 0.4 * np.log2(onsets / 16) + (score.loudness + 19) / 12 + 0.5 * distortion)
    return Truth(
        genre=score.genre,
        seed=score.seed,
        feel=score.feel,
        tempo_bpm=score.tempo,
        key=score.key_name,
        mode=score.mode,
        meter=score.meter,
        swing=score.swing,
        form=score.form,
        progression=score.progression,
        instruments=_instruments(score, notes, loud),
        **{name: float(value) for name, value in figures.items()},
        loudness_db=score.loudness,
        valence=float(valence),
        arousal=float(arousal),
    )


def _instruments(score: Score, notes: Notes, loud: npt.NDArray[np.float64]) -> tuple[tuple[str, str], ...]:
    """Parts that play, by how much; the lead first, drums last."""
    amount = {part: float(loud[notes.part == part].sum()) for part in score.instruments}
    amount |= {"lead": np.inf, "drums": 0.0}
    playing = [part for part in score.instruments if (notes.part == part).any()]
    return tuple((part, score.instruments[part]) for part in sorted(playing, key=lambda part: -amount[part]))


def _roughness(notes: Notes, start: float, stop: float) -> float:
    edges = np.linspace(start, stop, int(np.ceil(stop - start)) + 1)
    pitched = notes[notes.pitched]
    profile = np.zeros((len(edges) - 1, 12))
    for row, (low, high) in enumerate(pairwise(edges)):
        share = np.clip(pitched.end, low, high) - np.clip(pitched.start, low, high)
        profile[row] = np.bincount(pitched.key.astype(int) % 12, weights=share * pitched.velocity, minlength=12)
    return float(dissonance(profile).mean())


def _share(weights: npt.NDArray[np.float64], chosen: npt.NDArray[np.bool_]) -> float:
    return float(weights[chosen].sum() / weights.sum()) if len(weights) else 0.0


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple):
        return ", ".join(f"{part}: {instrument}" for part, instrument in value)
    return str(value)
