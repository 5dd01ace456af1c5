"""Figures; each returns a :class:`matplotlib.figure.Figure`, to be saved or shown."""

from brain2music.plotting.brain import plot_roi_map
from brain2music.plotting.scores import plot_embedding, plot_identification, plot_scores
from brain2music.plotting.spectrograms import plot_spectrograms, spectrogram_png

__all__ = [
    "plot_embedding",
    "plot_identification",
    "plot_roi_map",
    "plot_scores",
    "plot_spectrograms",
    "spectrogram_png",
]
