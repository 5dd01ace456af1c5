"""An ear: loudness per frequency channel over time, and the modulations in it.

Written from the formulas of hearing research alone. It shares no code with the log-mel of the library nor with any
embedding, so that a voxel driven by it owes nothing to what decodes it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft  # type: ignore[import-untyped]

__all__ = ["CHANNELS_HZ", "cochleagram", "modulation_features"]

_Floats = npt.NDArray[np.float64]

_LOWEST_HZ, _HIGHEST_HZ, _CHANNELS = 60.0, 8000.0, 32
#: Rate of a cochleagram: fast enough for modulations up to 20 Hz.
_RATE_HZ = 100
#: Exponent of loudness over amplitude (Stevens: 0.6 on pressure; the basilar membrane compresses further).
_COMPRESSION = 0.3
#: Temporal modulation, in Hz, and spectral modulation, in cycles per octave (Chi, Ru & Shamma, 2005).
_RATES_HZ = (1.0, 2.0, 4.0, 8.0, 16.0)
_SCALES = (0.25, 0.5, 1.0, 2.0)
_BANDS = 4


def _erb_number(hertz: _Floats | float) -> _Floats:
    """Place along the basilar membrane, in equivalent rectangular bandwidths (Glasberg & Moore, 1990)."""
    return np.asarray(21.4 * np.log10(1 + 0.00437 * np.asarray(hertz, np.float64)))


#: Centres of the channels, evenly spaced along the basilar membrane.
CHANNELS_HZ: _Floats = (
    10 ** (np.linspace(_erb_number(_LOWEST_HZ), _erb_number(_HIGHEST_HZ), _CHANNELS) / 21.4) - 1
) / (0.00437)


def cochleagram(sound: npt.NDArray[np.float32], rate: int) -> _Floats:
    """Envelope of each channel of a gammatone filter bank, compressed.

    Parameters
    ----------
    sound : array of shape (samples,)
    rate : int
        Hz, above twice the highest channel.

    Returns
    -------
    array of shape (time, 32)
        100 rows a second.
    """
    if rate < 2 * _HIGHEST_HZ:
        raise ValueError(f"[simulation.cochleagram] rate must be at least {2 * _HIGHEST_HZ:g} Hz; got {rate}")
    # A length that transforms quickly: silence is added, and its rows are taken off again.
    padded = fft.next_fast_len(len(sound), real=True)
    seconds = padded / rate
    rows, wanted = int(seconds * _RATE_HZ) + 1, round(len(sound) / rate * _RATE_HZ)
    spectrum = fft.rfft(np.asarray(sound, np.float64), padded)
    result = np.empty((wanted, _CHANNELS))
    for channel, centre in enumerate(CHANNELS_HZ):
        bandwidth = 1.019 * 24.7 * (0.00437 * centre + 1)  # of a gammatone filter of fourth order
        # Beyond eight bandwidths less than 1e-7 of the power passes. What is left is one-sided: its inverse
        # transform, shifted down, is the channel's complex envelope, at a rate just above its width.
        reach = min(8 * bandwidth, centre)
        low, high = (round(edge * seconds) for edge in (centre - reach, min(centre + reach, rate / 2 - 1)))
        hertz = np.arange(low, high) / seconds
        gain = (1 + ((hertz - centre) / bandwidth) ** 2) ** -2
        samples = fft.next_fast_len(high - low)
        envelope = np.abs(fft.ifft(gain * spectrum[low:high], samples)) * 2 * samples / padded
        # Means over hundredths of a second: even the narrowest channel's envelope has more samples than that.
        bins = (np.arange(samples) * seconds / samples * _RATE_HZ).astype(int)
        result[:, channel] = (np.bincount(bins, envelope, rows) / np.maximum(np.bincount(bins, minlength=rows), 1))[
            :wanted
        ]
    return np.asarray(result**_COMPRESSION)


def modulation_features(loudness: _Floats) -> tuple[tuple[str, ...], _Floats]:
    """Energy of spectro-temporal modulations over time.

    Parameters
    ----------
    loudness : array of shape (time, 32)
        A cochleagram.

    Returns
    -------
    names : tuple of str
        ``rate_<Hz>_band_<n>`` (fluctuations of a quarter of the channels, low to high), ``rate_<Hz>_scale_<cycles per
        octave>`` (ripples that move through the spectrum).
    values : array of shape (time, features)
        Square roots of energies, at the cochleagram's rate.
    """
    columns = {}
    octaves = np.log2(CHANNELS_HZ[-1] / CHANNELS_HZ[0])
    ripples = np.abs(np.fft.fftfreq(_CHANNELS, octaves / _CHANNELS))
    spectra = np.fft.fft(loudness - loudness.mean(axis=0), axis=0)
    frequencies = np.fft.fftfreq(len(loudness), 1 / _RATE_HZ)
    smooth = np.exp(-0.5 * (frequencies * 0.15 * 2 * np.pi) ** 2)[:, None]  # energies over some 0.15 s
    for rate in _RATES_HZ:
        # Only positive frequencies: the magnitude of the result is the envelope of the fluctuation.
        gate = 2 * _bump(frequencies, rate)[:, None]
        moving = np.fft.ifft(spectra * gate, axis=0)
        for band, part in enumerate(np.split(np.abs(moving) ** 2, _BANDS, axis=1)):
            columns[f"rate_{rate:g}_band_{band + 1}"] = part.mean(axis=1)
        across = np.fft.fft(moving, axis=1)
        for scale in _SCALES:
            columns[f"rate_{rate:g}_scale_{scale:g}"] = (np.abs(across * _bump(ripples, scale)) ** 2).mean(axis=1)
    energies = np.fft.ifft(np.fft.fft(np.stack([*columns.values()], axis=1), axis=0) * smooth, axis=0).real
    return tuple(columns), np.sqrt(np.maximum(energies, 0))


def _bump(frequencies: npt.NDArray[np.floating[Any]], centre: float) -> _Floats:
    """Weigh frequencies by an octave-wide band-pass around a centre, nothing at zero and below."""
    positive = np.maximum(frequencies, 1e-9)
    return np.where(frequencies > 0, np.exp(-0.5 * (np.log2(positive / centre) / 0.5) ** 2), 0.0)
