"""Figures, as a journal would print them: one or two columns wide, readable there, and safe for colour-blind readers.

Every function returns a :class:`matplotlib.figure.Figure` that pyplot knows nothing of: nothing is left open, and no
setting is changed. :func:`save` writes it as PNG and SVG.
"""

from brain2music.plain_arrays import guard
from brain2music.plotting.cortex import plot_cortex
from brain2music.plotting.density import plot_density
from brain2music.plotting.embedding import plot_embedding
from brain2music.plotting.identification import plot_identification
from brain2music.plotting.regions import RegionScore, plot_regions
from brain2music.plotting.roi_map import plot_roi_map
from brain2music.plotting.scores import plot_scores
from brain2music.plotting.spectrograms import plot_spectrograms
from brain2music.plotting.style import save

__all__ = [
    "RegionScore",
    "plot_cortex",
    "plot_density",
    "plot_embedding",
    "plot_identification",
    "plot_regions",
    "plot_roi_map",
    "plot_scores",
    "plot_spectrograms",
    "save",
]

guard(__name__)
