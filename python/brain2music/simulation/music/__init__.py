"""A composer with known truth: music of the ten GTZAN genres, as scores and as sound.

>>> from brain2music.simulation import music
>>> score = music.compose("reggae", seed=1)
>>> sound = music.render(score)  # mono, 22,050 Hz
"""

from brain2music.simulation.music.composer import compose
from brain2music.simulation.music.genres import GENRES
from brain2music.simulation.music.render import RATE, render
from brain2music.simulation.music.score import Score

__all__ = ["GENRES", "RATE", "Score", "compose", "render"]
