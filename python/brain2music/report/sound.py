"""Sound in a page: compressed, the same bytes for the same samples."""

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile  # type: ignore[import-untyped]

__all__ = ["compress"]

#: What MPEG layer III can be; any rate goes into Vorbis.
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def compress(waveform: npt.NDArray[Any], rate: int) -> tuple[str, bytes]:
    """Compress sound for a browser: MP3, or Ogg Vorbis where libsndfile (before 1.1) or the rate allows no MP3.

    Parameters
    ----------
    waveform : array of shape (samples,), real
        Mono, within -1 and 1. Its level is left as it is.
    rate : int
        Samples a second.

    Returns
    -------
    media_type : str
        ``"audio/mpeg"`` or ``"audio/ogg"``.
    data : bytes
        Decoded, as long as ``waveform``. The same for the same samples.

    Raises
    ------
    ValueError
        If ``waveform`` is empty, not mono, not finite, or would clip.
    """
    _check(waveform, rate)
    samples = np.ascontiguousarray(waveform, dtype=np.float32)
    if rate in _MP3_RATES and "MP3" in soundfile.available_formats():
        return "audio/mpeg", _encode(samples, rate, "MP3", "MPEG_LAYER_III")
    return "audio/ogg", _fix_serial(_encode(samples, rate, "OGG", "VORBIS"))


def _check(waveform: Any, rate: Any) -> None:
    if not isinstance(waveform, np.ndarray) or waveform.dtype.kind != "f":
        kind = waveform.dtype if isinstance(waveform, np.ndarray) else type(waveform).__name__
        raise ValueError(f"[report.compress] waveform must be an array of floating-point numbers; got {kind}")
    if waveform.ndim != 1 or waveform.size == 0:
        raise ValueError(f"[report.compress] waveform must be of shape (samples,), not empty; got {waveform.shape}")
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or rate <= 0:
        raise ValueError(f"[report.compress] rate must be a positive whole number; got {rate!r}")
    if not np.isfinite(waveform).all():
        place = int(np.flatnonzero(~np.isfinite(waveform))[0])
        raise ValueError(f"[report.compress] waveform must be finite; got {waveform[place]} at sample {place}")
    peak = float(np.abs(waveform).max())
    if peak > 1:
        raise ValueError(
            f"[report.compress] waveform must lie within -1 and 1, else it would clip; got a peak of {peak:.4g}"
        )


def _encode(samples: npt.NDArray[np.float32], rate: int, container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", int(rate), 1, format=container, subtype=codec) as file:
        for start in range(0, len(samples), 65536):  # Vorbis in libsndfile overflows the stack on long writes
            file.write(samples[start : start + 65536])
    return buffer.getvalue()


def _fix_serial(ogg: bytes) -> bytes:
    """Give an Ogg stream, whose serial number is drawn at random, the number 1, and its pages their checksums anew."""
    fixed = bytearray(ogg)
    start = 0
    while start < len(fixed):  # a page: RFC 3533, section 6
        segments = fixed[start + 26]
        end = start + 27 + segments + sum(fixed[start + 27 : start + 27 + segments])
        fixed[start + 14 : start + 18] = struct.pack("<I", 1)
        fixed[start + 22 : start + 26] = bytes(4)
        fixed[start + 22 : start + 26] = struct.pack("<I", _checksum(fixed[start:end]))
        start = end
    return bytes(fixed)


def _checksum(page: bytearray) -> int:
    """CRC-32 as Ogg has it: polynomial 0x04c11db7, not reflected, zero before and after."""
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _TABLE[value >> 24 ^ byte]
    return value


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x104C11DB7 if value & 0x80000000 else 0)
        table.append(value)
    return table


_TABLE = _table()
