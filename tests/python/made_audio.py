"""Sounds made for tests, and files of them."""

import io
import struct

import numpy as np
import soundfile

RATE = 22050
ID3 = b"ID3\3\0\0\0\0\2\0" + bytes(256)


def tones(seconds=1.0, rate=RATE, channels=1, seed=0):
    """Two tones and noise; 16 bits, so that lossless files give it back."""
    time = np.arange(round(seconds * rate)) / rate
    sound = 0.3 * np.sin(2 * np.pi * 440 * time)[:, None] + 0.1 * np.sin(2 * np.pi * (550 + 7 * seed) * time)[:, None]
    noise = 0.02 * np.random.default_rng(seed).standard_normal((len(time), channels))
    return (np.round((sound + noise) * 32767) / 32768).astype(np.float32)


def encoded(sound, rate, **options):
    file = io.BytesIO()
    soundfile.write(file, sound, rate, **options)
    return file.getvalue()


def read_by_soundfile(data):
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]


def flac(sound=None, rate=RATE):
    return encoded(tones() if sound is None else sound, rate, format="FLAC", subtype="PCM_16")


def with_length(data, samples):
    changed = bytearray(data)
    changed[21] = changed[21] & 0xF0 | samples >> 32
    changed[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    return bytes(changed)
