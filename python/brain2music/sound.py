"""Audio files as the library hears them: decoded whole, mixed to mono, and judged for whether there is any sound."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brain2music import _core

__all__ = ["STEP_16_BITS", "Sound", "mix", "read_sound", "silence"]

#: The step between two values of 16 bits, full scale being 1.
STEP_16_BITS = 2.0**-15

#: Channels cancel each other where mixing leaves a hundredth of the loudest or less.
CANCELLED = 0.01


@dataclass(frozen=True)
class Sound:
    """An audio file, or a span of it.

    Attributes
    ----------
    channels : array of shape (channels, samples), float32
        Full scale is 1.
    rate : int
        Samples a second.
    step : float
        The smallest step between two values of the file: 2^-15 for 16 bits and for lossy files, 2^-23 for 24 bits, for
        floating point 2^-23 of the largest value but at least 2^-24.
    """

    channels: npt.NDArray[np.float32]
    rate: int
    step: float


def read_sound(path: str | Path, start: float = 0.0, stop: float | None = None) -> Sound:
    """Decode an audio file, or the span from ``start`` to ``stop`` seconds.

    Raises
    ------
    RuntimeError
        If the file is no audio, is cut short, or ends before ``stop``.
    """
    channels, rate, step = _core.io.load_audio_step(path, start, stop)
    return Sound(channels, rate, step)


def mix(channels: npt.NDArray[np.floating], channel: int | None = None) -> npt.NDArray[np.floating]:
    """Mean of the channels, or one of them; (channels, samples) becomes (samples,), of the same type.

    Raises
    ------
    ValueError
        If there is no such channel.
    """
    if channel is None:
        mean: npt.NDArray[np.floating] = channels.mean(axis=0, dtype=channels.dtype)
        return mean
    if not 0 <= channel < len(channels):
        raise ValueError(f"[sound.mix] channel must be from 0 to {len(channels) - 1}; got {channel}")
    one: npt.NDArray[np.floating] = channels[channel]
    return one


def silence(
    channels: npt.NDArray[np.floating],
    step: float,
    channel: int | None = None,
    envelope: npt.NDArray[np.floating] | None = None,
) -> str | None:
    """Say whether there is no sound after mixing to mono; the one judgement for stimuli and libraries.

    The root mean square around the mean is compared with the file's own resolution: at ``step`` or below, what is there
    is rounding or dither.

    - Digital silence and a constant offset are silence.
    - Dither of one least significant bit is silence.
    - Sound on one side only is sound.
    - Channels of opposite phase, or nearly so, are silent after mixing: mixing leaves a hundredth of the loudest
      channel or less, or no more than ``step``. One of them is sound.

    Parameters
    ----------
    channels : array of shape (channels, samples)
        Full scale is 1.
    step : float
        The smallest step between two values of the file.
    channel : int, optional
        Judge this channel instead of the mean of all.
    envelope : array of shape (samples,), optional
        A fade that the sound goes through after its mean was taken off.

    Returns
    -------
    str or None
        What there is instead of sound, to follow "got"; None for sound.
    """
    if channel is not None:
        channels = mix(channels, channel)[np.newaxis]
    if channels.size == 0:
        return "no samples"
    centred = channels - channels.mean(axis=1, keepdims=True, dtype=np.float64)
    if envelope is not None:
        centred *= envelope
    loudest = float(np.sqrt(np.mean(centred**2, axis=1)).max())
    mixed = float(np.sqrt(np.mean(centred.mean(axis=0) ** 2)))
    if loudest <= step or (mixed <= step and loudest <= len(channels) * step):
        return "silence"
    if mixed <= max(step, CANCELLED * loudest):
        return (
            f"{len(channels)} channels that cancel each other and are silent after mixing (take one of them with "
            "channel=0)"
        )
    return None
