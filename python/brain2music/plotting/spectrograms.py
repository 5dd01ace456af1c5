"""Sound as pictures."""

import io
from collections.abc import Sequence
"""What was heard beside what was retrieved or generated."""

from collections.abc import Sequence
from typing import Any

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

from brain2music import _core
from brain2music.evaluation.items import to_double
from brain2music.plotting.style import TWO_COLUMNS, house_style, new_figure

__all__ = ["plot_spectrograms"]

#: Bands and the frequencies that ticks stand at.
MELS, TICKS = 96, (125, 500, 2000, 8000)

#: dB below the loudest moment at which the picture is dark.
RANGE = 70.0


@house_style
def plot_spectrograms(waveforms: Sequence[Any], rate: int, titles: Sequence[str]) -> Figure:
    """Draw log-mel spectrograms one below the other, e.g. of an original and of the tracks retrieved for it.

    Parameters
    ----------
    waveforms : sequence of arrays of shape (samples,) or (channels, samples)
        Channels are averaged. They may differ in length: all share one axis of seconds.
    rate : int
        Samples a second of all of them.
    titles : sequence of str
        One for each.

    Returns
    -------
    matplotlib.figure.Figure
        Two columns wide. Each waveform is drawn down to 70 dB below its own loudest moment.

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
        If there are none, or not as many titles; if a waveform holds NaN or Inf, or no sample.
    """
    where = "plotting.plot_spectrograms"
    if len(waveforms) < 1 or len(titles) != len(waveforms):
        raise ValueError(
            f"[{where}] there must be a waveform, and a title for each; got {len(waveforms)} and {len(titles)}"
        )
    mono = [_mono(waveform, i, where) for i, waveform in enumerate(waveforms)]
    figure = new_figure(TWO_COLUMNS, 0.5 + 1.15 * len(mono))
    panels = figure.subplots(len(mono), 1, sharex=True, squeeze=False)[:, 0]
    hop = max(1, rate // 100)
    n_fft = 1 << int(np.ceil(np.log2(0.09 * rate)))  # long enough for the lowest bands to hold a frequency
    edges = _mel_edges(rate)
    for axes, waveform, title in zip(panels, mono, titles, strict=True):
        decibels = _core.audio.log_mel(waveform, rate=rate, n_fft=n_fft, hop=hop, n_mels=MELS)
        decibels = decibels - decibels.max()
        seconds = len(waveform) / rate
        image = axes.imshow(
            decibels,
            origin="lower",
            aspect="auto",
            extent=(0, decibels.shape[1] * hop / rate, 0, MELS),
            cmap="magma",
            vmin=-RANGE,
            vmax=0,
            interpolation="nearest",
        )
        axes.set_title(title, loc="left", fontsize=7)
        ticks = [hz for hz in TICKS if hz < rate / 2]
        axes.set_yticks(np.interp(ticks, edges, np.arange(MELS + 2) - 0.5), [_hertz(hz) for hz in ticks])
        axes.set_xlim(0, max(len(other) for other in mono) / rate if len(mono) > 1 else seconds)
    panels[-1].set_xlabel("time (s)")
    figure.supylabel("frequency (Hz)", fontsize=7)
    bar = figure.colorbar(image, ax=list(panels), label="level (dB re loudest)", aspect=12 * len(mono), pad=0.01)
    bar.outline.set_visible(False)
    return figure


def _mono(waveform: Any, number: int, where: str) -> npt.NDArray[np.float32]:
    values = to_double(waveform, f"waveform {number}", None, where)
    if values.ndim not in (1, 2) or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"[{where}] a waveform must be (samples,) or (channels, samples) and finite; got shape {values.shape} for "
            f"waveform {number}"
        )
    return (values if values.ndim == 1 else values.mean(axis=0)).astype(np.float32)


def _mel_edges(rate: int) -> npt.NDArray[np.float64]:
    """Edges of the bands in Hz, on Slaney's scale: linear to 1 kHz, logarithmic above."""
    step = np.log(6.4) / 27
    highest = 15 + np.log(rate / 2000) / step if rate > 2000 else 3 * rate / 400
    mel = np.linspace(0, highest, MELS + 2)
    result: npt.NDArray[np.float64] = np.where(
        mel < 15, mel * 200 / 3, 1000 * np.exp(step * (np.maximum(mel, 15) - 15))
    )
    return result


def _hertz(hz: int) -> str:
    return f"{hz // 1000}k" if hz >= 1000 else str(hz)
