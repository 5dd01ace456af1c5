"""What a brain could follow in a score: features over time, computed from the notes alone.

Nothing here sees sound, so that a voxel driven by these features owes nothing to any audio embedding.
"""

import numpy as np
import numpy.typing as npt

from brain2music.simulation.music.instruments import DRUMS, FAMILIES
from brain2music.simulation.music.notes import Notes
from brain2music.simulation.music.score import Score
from brain2music.simulation.music.theory import Chord

__all__ = ["dissonance", "features", "off_beat"]

_Floats = npt.NDArray[np.float64]

_MIDDLE_C = 60
#: How rough each interval is, of 0 to 6 semitones up or down: seconds and tritone.
_ROUGHNESS = np.array([0, 1, 0.6, 0.1, 0.05, 0, 0.7])
#: Circles of fifths, minor thirds and major thirds (Harte, Sandler & Gasser, 2006), as semitones' angles.
_CIRCLES = {"fifths": 7, "minor_thirds": 3, "major_thirds": 4}


def features(score: Score, rate_hz: float) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """Symbolic truth over time.

    Parameters
    ----------
    score : Score
        What is played.
    rate_hz : float
        Rows per second. Row i covers the seconds from ``i / rate_hz`` to ``(i + 1) / rate_hz``.

    Returns
    -------
    names : tuple of str
        Names of the features: onsets per second weighted by velocity (``*_onsets``; on and off the beat as well), means
        of what sounds (``loudness``, ``polyphony``, heights in octaves above middle C, ``spread`` in octaves,
        ``dissonance`` from 0 to 1, the tonal centroid on three circles), chord changes per second, the mode of the
        chord (1 major, -1 minor), how far the chord is from the key in fifths, phases of beat and bar, tempo in
        octaves above 120 beats a minute, and how loud each family of instruments sounds (``family_*``).
    values : array of shape (time, features), float32
        ``ceil(score.seconds * rate_hz)`` rows; where nothing with a pitch sounds, heights are 0.

    Raises
    ------
    ValueError
        If the rate is not positive.
    """
    if not rate_hz > 0:
        raise ValueError(f"[simulation.music.features] rate_hz must be positive; got {rate_hz}")
    edges = np.arange(int(np.ceil(score.seconds * rate_hz - 1e-9)) + 1) / rate_hz
    notes = Notes.of(score)
    columns = {
        **_onsets(score, notes, edges),
        **_sounding(notes, edges),
        **_harmony(score, edges),
        **_metre(score, edges),
    }
    return tuple(columns), np.stack(list(columns.values()), axis=1).astype(np.float32)


def off_beat(onsets: _Floats, beats: _Floats) -> npt.NDArray[np.bool_]:
    """Which onsets (seconds) lie more than an eighth of a beat from every beat (seconds)."""
    length = float(np.median(np.diff(beats))) if len(beats) > 1 else 1.0
    # One beat on either side, for what is played before the first and after the last one that is heard.
    grid = np.concatenate([[beats[0] - length], beats, [beats[-1] + length]]) if len(beats) else np.zeros(1)
    distance = np.abs(onsets[:, None] - grid[None, :]).min(axis=1)
    return np.asarray(distance > length / 8, bool)


def dissonance(profile: _Floats) -> _Floats:
    """Roughness from 0 to 1 of pitch-class profiles of shape (..., 12): the mean over pairs that sound together."""
    shift = np.arange(12)
    distance = np.abs(shift[:, None] - shift[None, :])
    rough = _ROUGHNESS[np.minimum(distance, 12 - distance)]
    pairs = np.einsum("...i,ij,...j->...", profile, rough, profile)
    total: _Floats = pairs / np.maximum(profile.sum(-1) ** 2, 1e-12)
    return total


def _onsets(score: Score, notes: Notes, edges: _Floats) -> dict[str, _Floats]:
    """Velocity-weighted onsets per second."""
    seconds = edges[1] - edges[0]
    late = off_beat(notes.start, score.beats)
    kick, snare = DRUMS["kick"], (DRUMS["snare"], DRUMS["clap"], DRUMS["rim"])
    bass, lead = notes.part == "bass", notes.part == "lead"
    chosen = {
        "note": notes.pitched,
        "bass": bass,
        "melody": lead,
        "chord": notes.pitched & ~bass & ~lead,
        "kick": notes.drums & (notes.key == kick),
        "snare": notes.drums & np.isin(notes.key, snare),
        "cymbal": notes.cymbals,
        "drum": notes.drums,
        "on_beat": ~late,
        "off_beat": late,
    }
    return {
        f"{name}_onsets": np.histogram(notes.start[which], edges, weights=notes.velocity[which])[0] / seconds
        for name, which in chosen.items()
    }


def _sounding(notes: Notes, edges: _Floats) -> dict[str, _Floats]:
    """Means over what sounds in each bin, each note by its velocity and the share of the bin that it fills."""
    overlap = np.clip(edges[None, 1:], notes.start[:, None], notes.end[:, None])
    overlap -= np.clip(edges[None, :-1], notes.start[:, None], notes.end[:, None])
    share = overlap / (edges[1] - edges[0])
    weight = share * notes.velocity[:, None]

    def mean(values: _Floats, which: npt.NDArray[np.bool_]) -> _Floats:
        total: _Floats = weight[which].sum(axis=0)
        result: _Floats = values[which] @ weight[which] / np.maximum(total, 1e-9)
        return result

    height = (notes.key - _MIDDLE_C) / 12
    middle = mean(height, notes.pitched)
    square = mean(height**2, notes.pitched)
    profile = np.zeros((len(edges) - 1, 12))
    np.add.at(profile.T, notes.key[notes.pitched].astype(int) % 12, weight[notes.pitched])
    columns = {
        "loudness": np.sqrt((notes.velocity**2) @ share),
        "polyphony": share[notes.pitched].sum(axis=0),
        "height": middle,
        "bass_height": mean(height, notes.part == "bass"),
        "melody_height": mean(height, notes.part == "lead"),
        "spread": np.sqrt(np.maximum(square - middle**2, 0)),
        "dissonance": dissonance(profile),
    }
    total = np.maximum(profile.sum(axis=1), 1e-9)
    for circle, semitones in _CIRCLES.items():
        angle = 2 * np.pi * semitones * np.arange(12) / 12
        columns[f"{circle}_cos"] = profile @ np.cos(angle) / total
        columns[f"{circle}_sin"] = profile @ np.sin(angle) / total
    for family in (*FAMILIES, "drums"):
        columns[f"family_{family}"] = np.sqrt(notes.velocity**2 @ (share * (notes.family == family)[:, None]))
    return columns


def _harmony(score: Score, edges: _Floats) -> dict[str, _Floats]:
    seconds = edges[1] - edges[0]
    starts = np.array([timed.start for timed in score.chords])
    ends = np.array([timed.end for timed in score.chords])
    share = (np.clip(edges[1:, None], starts, ends) - np.clip(edges[:-1, None], starts, ends)) / seconds
    mode = np.array([_mode(timed.chord, score.minor) for timed in score.chords])
    fifths = np.array([(timed.chord.root - score.key) * 7 % 12 for timed in score.chords])
    return {
        "chord_changes": np.histogram(starts[1:], edges)[0] / seconds,
        "chord_mode": share @ mode,
        "key_distance": share @ np.minimum(fifths, 12 - fifths).astype(float),
    }


def _mode(chord: Chord, minor: bool) -> float:
    """1 for a major third, -1 for a minor one; a chord without a third takes the song's."""
    third = 3 in chord.tones if {3, 4} & set(chord.tones) else minor
    return -1.0 if third else 1.0


def _metre(score: Score, edges: _Floats) -> dict[str, _Floats]:
    """Phases of beat and bar in the middle of a bin, averaged over it where it is longer than a sixteenth."""
    fine = np.linspace(edges[0], edges[-1], 16 * (len(edges) - 1), endpoint=False) + edges[1] / 32
    columns = {}
    for name, grid in (("beat", score.beats), ("bar", score.downbeats)):
        phase = 2 * np.pi * _phase(fine, grid)
        columns[f"{name}_cos"] = np.cos(phase).reshape(-1, 16).mean(axis=1)
        columns[f"{name}_sin"] = np.sin(phase).reshape(-1, 16).mean(axis=1)
    columns["tempo"] = np.full(len(edges) - 1, np.log2(score.tempo / 120))
    return columns


def _phase(times: _Floats, grid: _Floats) -> _Floats:
    """Position between two ticks of a grid, continued beyond its ends at its mean spacing."""
    if len(grid) < 2:
        return np.zeros_like(times)
    spacing = float(np.mean(np.diff(grid)))
    before = grid[0] - spacing * np.arange(int(np.ceil(grid[0] / spacing)) + 1, 0, -1)
    after = grid[-1] + spacing * np.arange(1, int(np.ceil((times[-1] - grid[-1]) / spacing)) + 2)
    ticks = np.concatenate([before, grid, after])
    return np.interp(times, ticks, np.arange(len(ticks)))
