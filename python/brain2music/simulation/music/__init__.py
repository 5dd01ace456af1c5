"""A composer with known truth: music of the ten GTZAN genres, as scores and as sound.

>>> from brain2music.simulation import music
>>> score = music.compose("reggae", seed=1)
>>> sound = music.render(score)  # mono, 22,050 Hz
>>> names, values = music.features(score, rate_hz=2.0)
"""

from brain2music.simulation.music.annotation import Truth, truth
from brain2music.simulation.music.captioning import captions
from brain2music.simulation.music.composer import compose
from brain2music.simulation.music.genres import GENRES
from brain2music.simulation.music.library import track_seed, write_tracks
from brain2music.simulation.music.score import Score
from brain2music.simulation.music.synthesis import RATE, render
from brain2music.simulation.music.timecourse import features

__all__ = [
    "GENRES",
    "RATE",
    "Score",
    "Truth",
    "captions",
    "compose",
    "features",
    "render",
    "track_seed",
    "truth",
    "write_tracks",
]
