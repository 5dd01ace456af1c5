"""What was heard beside what was retrieved or generated."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

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
