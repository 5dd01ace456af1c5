"""Sound as pictures."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.image import imsave

from brain2music import _core
from brain2music.plotting.style import new_figure, style

__all__ = ["plot_spectrograms", "spectrogram_png"]

_MELS, _HOP_S, _RANGE_DB = 96, 0.02, 70.0


def plot_spectrograms(waveforms: Sequence[npt.NDArray[np.float32]], rate: int, labels: Sequence[str]) -> Figure:
    """Draw log-mel spectrograms under each other, on one scale of level.

    Parameters
    ----------
    waveforms : sequence of arrays of shape (samples,)
    rate : int
        Hz.
    labels : sequence of str
        One for each waveform.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there is not a label for each waveform.
    """
    if not waveforms or len(waveforms) != len(labels):
        raise ValueError(
            f"[plotting.plot_spectrograms] there must be a label for each waveform; got {len(labels)} for "
            f"{len(waveforms)}"
        )
    levels = [_log_mel(waveform, rate) for waveform in waveforms]
    top = max(float(level.max()) for level in levels)
    with style():
        figure = new_figure(6.0, 0.5 + 1.3 * len(levels))
        grid = figure.subplots(len(levels), 1, squeeze=False, sharex=True)
        for axes, level, waveform, label in zip(grid[:, 0], levels, waveforms, labels, strict=True):
            image = axes.imshow(
                level,
                origin="lower",
                aspect="auto",
                cmap="magma",
                vmin=top - _RANGE_DB,
                vmax=top,
                extent=(0, len(waveform) / rate, 0, len(level)),
            )
            axes.set_title(label)
            axes.set_yticks([])
            axes.set_ylabel("mel bands")
        grid[-1, 0].set_xlabel("seconds")
        figure.colorbar(image, ax=grid[:, 0].tolist(), label="dB")
    return figure


def spectrogram_png(waveform: npt.NDArray[np.float32], rate: int) -> bytes:
    """Draw a log-mel spectrogram as a PNG without axes or margin: from edge to edge it spans the waveform."""
    level = _log_mel(waveform, rate)
    top = float(level.max())
    file = io.BytesIO()
    imsave(file, level[::-1], cmap="magma", vmin=top - _RANGE_DB, vmax=top, format="png", metadata={"Software": None})
    return file.getvalue()


def _log_mel(waveform: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
    """Level in dB of mel bands, (bands, frames)."""
    power = _core.audio.log_mel(
        np.ascontiguousarray(waveform, np.float32), rate, n_fft=2048, hop=round(_HOP_S * rate), n_mels=_MELS
    )
    return np.asarray(power, np.float32)
