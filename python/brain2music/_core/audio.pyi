"""
Waveforms.
"""
from __future__ import annotations
import typing
__all__: list[str] = ['log_mel', 'resample']
def log_mel(waveform: typing.Any, rate: typing.SupportsInt = 22050, n_fft: typing.SupportsInt = 2048, hop: typing.SupportsInt = 512, n_mels: typing.SupportsInt = 128, f_min: typing.SupportsFloat = 0.0, f_max: typing.SupportsFloat = 0.0, floor: typing.SupportsFloat = 1e-10) -> typing.Any:
    """
    Log-mel spectrogram of (..., samples) in dB.
    """
def resample(waveform: typing.Any, from_rate: typing.SupportsInt, to_rate: typing.SupportsInt, zero_crossings: typing.SupportsInt = 64, rolloff: typing.SupportsFloat = 0.9475937167399596, beta: typing.SupportsFloat = 14.769656459379492) -> typing.Any:
    """
    Resample (..., samples) from one rate in Hz to another.
    """
