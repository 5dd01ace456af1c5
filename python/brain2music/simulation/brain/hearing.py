"""What there is to hear in a clip, over time: symbolic truth, an ear's loudness, and its modulations."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile  # type: ignore[import-untyped]

from brain2music.simulation.brain.cochlea import CHANNELS_HZ, cochleagram, modulation_features
from brain2music.simulation.music import Score, features, truth
from brain2music.study.stimuli import prepare_clip

__all__ = ["RATE_HZ", "SPACES", "FeatureTable", "clip_features"]

#: Rows of features a second: a TR of 1.5 s holds fifteen.
RATE_HZ = 10

#: Kinds of features.
SPACES = ("symbolic", "cochlear", "modulation")


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of one clip or of many: ``values`` (time, features) float32, with name and space of each column."""

    names: tuple[str, ...]
    spaces: tuple[str, ...]
    values: npt.NDArray[np.float32]


def clip_features(score: Score, track: Path, start: float, end: float) -> FeatureTable:
    """Everything a voxel may follow in a clip as the subject hears it: cut, faded and set to one level.

    Parameters
    ----------
    score : Score
        Of the whole track.
    track : path
        The track's audio.
    start, end : float
        Seconds of the clip in the track.

    Returns
    -------
    FeatureTable
        ``round((end - start) * 10)`` rows: 150 for 15 s, and for 14.99 s.
    """
    rows = round((end - start) * RATE_HZ)
    sound, rate = soundfile.read(track, dtype="float32")
    loudness = cochleagram(prepare_clip(sound, rate, start, end), rate)
    modulated, modulations = modulation_features(loudness)
    played, symbols = features(score, RATE_HZ)
    first = round(start * RATE_HZ)
    facts = truth(score, start, end)
    mood = np.tile([facts.valence, facts.arousal], (rows, 1))
    columns = {
        "symbolic": ((*played, "valence", "arousal"), np.hstack([_padded(symbols[first:], rows), mood])),
        "cochlear": (tuple(f"cochlea_{hertz:.0f}_hz" for hertz in CHANNELS_HZ), _mean_rows(loudness, rows)),
        "modulation": (modulated, _mean_rows(modulations, rows)),
    }
    return FeatureTable(
        names=tuple(name for space in SPACES for name in columns[space][0]),
        spaces=tuple(space for space in SPACES for _ in columns[space][0]),
        values=np.hstack([columns[space][1] for space in SPACES]).astype(np.float32),
    )


def _padded(values: npt.NDArray[np.float32], rows: int) -> npt.NDArray[np.float32]:
    """Take the first rows; the last one again where the track ends within it."""
    return values[np.minimum(np.arange(rows), len(values) - 1)]


def _mean_rows(values: npt.NDArray[np.float64], rows: int) -> npt.NDArray[np.float64]:
    """Means over ``rows`` stretches of equal length."""
    edges = np.linspace(0, len(values), rows, endpoint=False).astype(int)
    return np.asarray(np.add.reduceat(values, edges) / np.diff([*edges, len(values)])[:, None])
