"""Mutated audio files are refused, naming the file, or read whole: as soundfile reads them, or as they were made."""

import io
import re
import struct
import time

import numpy as np
import pytest
import soundfile

from brain2music import _core

#: Format, subtype, Hz, channels, and how many bytes of the beginning are mutated most.
KINDS = {
    "wav": [("WAV", "PCM_16", 8000, 2, 60), ("WAV", "FLOAT", 8000, 1, 100), ("WAVEX", "PCM_24", 8000, 1, 90)],
    "aiff": [("AIFF", "PCM_16", 8000, 2, 60), ("AIFF", "FLOAT", 8000, 1, 100), ("AU", "PCM_16", 8000, 1, 32)],
    "flac": [("FLAC", "PCM_16", 8000, 1, 60), ("FLAC", "PCM_24", 8000, 2, 60)],
    "ogg": [("OGG", "VORBIS", 8000, 1, 200), ("OGG", "OPUS", 8000, 2, 200)],
    "mp3": [("MP3", "MPEG_LAYER_III", 8000, 1, 120), ("MP3", "MPEG_LAYER_III", 44100, 2, 240)],
}

#: What programs write, and limits of types.
NUMBERS = (0, 1, 2, 3, 16, 24, 32, 36, 255, 1000, 44100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFF000, 0x7FFFFFFF)
NUMBERS += (0x80000000, 0xFFFFF000, 0xFFFFFFDB, 0xFFFFFFFF)

BYTES = b"\0\1\x7f\x80\xff\xfb\xf8ITRO"


def whole_files(kind):
    time_axis = np.arange(3000) / 8000
    files = []
    for form, subtype, rate, channels, head in KINDS[kind]:
        noise = 0.05 * np.random.default_rng(0).standard_normal((3000, channels))
        file = io.BytesIO()
        soundfile.write(file, 0.5 * np.sin(2770 * time_axis)[:, None] + noise, rate, format=form, subtype=subtype)
        files.append((file.getvalue(), head))
        if kind in ("ogg", "flac", "mp3"):
            files.append((file.getvalue() * 2, head))  # one behind the other
    return files


def place(data, head, rng):
    return int(rng.integers(min(head, len(data)) if rng.random() < 0.7 else len(data)))


def change_byte(data, head, rng):
    value = rng.integers(256) if rng.random() < 0.5 else rng.choice(list(BYTES))
    data[place(data, head, rng)] = value


def change_number(data, head, rng):
    start, width = place(data, head, rng), (2, 4, 8)[rng.integers(3)]
    number = int(NUMBERS[rng.integers(len(NUMBERS))]) & ((1 << 8 * width) - 1)
    data[start : start + width] = number.to_bytes(width, ("little", "big")[rng.integers(2)])


def change_length(data, head, rng):
    if rng.random() < 0.5:
        del data[int(rng.integers(len(data))) :]
    else:
        data += (rng.bytes, bytes)[rng.integers(2)](int(rng.integers(1, 300)))


def shift(data, head, rng):
    start = place(data, head, rng)
    if rng.random() < 0.5:
        del data[start : start + int(rng.integers(1, 9))]
    else:
        data[start:start] = rng.bytes(int(rng.integers(1, 9)))


MUTATIONS = (change_byte, change_byte, change_number, change_number, change_length, shift)


def crc_table():
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(value)
    return table


CRC = crc_table()


def seal(data, original):
    """Give the changed pages of an Ogg file the checksums that they must have: mutations are to be seen behind them."""
    for found in re.finditer(b"OggS", bytes(data)):
        at = found.start()
        segments = data[at + 26] if at + 26 < len(data) else 0
        end = at + 27 + segments + sum(data[at + 27 : at + 27 + segments])
        if end <= len(data) and data[at:end] != original[at:end]:
            data[at + 22 : at + 26] = bytes(4)
            crc = 0
            for byte in data[at:end]:
                crc = (crc << 8 ^ CRC[crc >> 24 ^ byte]) & 0xFFFFFFFF
            data[at + 22 : at + 26] = struct.pack("<I", crc)


#: How a stream begins: the first page of an Ogg stream, and the MPEG frame that counts the others.
BEGINNINGS = {
    "ogg": rb"(?s)OggS\0[\2\3\6\7]",
    "mp3": rb"(?s)\xff[\xe2\xe3\xf2\xf3\xfa\xfb].{2}(?:.{9}|.{17}|.{32})(?:Xing|Info)",
}


def links(data, kind):
    """The streams that follow each other in a file, each as a file: soundfile reads them as one, or the first alone."""
    starts = [found.start() for found in re.finditer(BEGINNINGS[kind], data)]
    starts = [0, *(start for start in starts if start > 0)]
    return [data[start:stop] for start, stop in zip(starts, [*starts[1:], len(data)], strict=True)]


def read_by_soundfile(data):
    """Samples and rate; None where it refuses."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            blocks = [np.empty((0, file.channels), np.float32)]
            while len(block := file.read(4096, dtype="float32", always_2d=True)):
                blocks.append(block)
            return np.concatenate(blocks), file.samplerate
    except (soundfile.LibsndfileError, RuntimeError, ValueError):
        return None


def lengths_of_samples(data):
    """Samples by what there is, where a header's sizes say nothing."""
    if data[:4] in (b".snd", b"dns."):
        order = ">" if data[:1] == b"." else "<"
        start, _, encoding, _, channels = struct.unpack(order + "5I", data[4:24])
        widths = {1: 1, 27: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8}
        return {(len(data) - start) // max(1, widths.get(encoding, 1) * channels)}
    if data[:4] == b"FORM":
        common, sound = data.find(b"COMM"), data.find(b"SSND")
        channels, frames, bits = struct.unpack(">HIH", data[common + 8 : common + 16])
        start = sound + 16 + struct.unpack(">I", data[sound + 8 : sound + 12])[0]
        return {(len(data) - start) // max(1, channels * ((bits + 7) // 8)), frames}
    order = ">" if data[:4] == b"RIFX" else "<"
    form = data.find(b"fmt ")
    block = struct.unpack(order + "H", data[form + 20 : form + 22])[0]
    size, start = struct.unpack(order + "I", data[data.find(b"data") + 4 :][:4])[0], data.find(b"data") + 8
    return {(len(data) - start) // max(1, block), size // max(1, block)}


def lengths_of_frames(data):
    """Samples of MP3 by its frames, however many are taken off for the delay of coding: up to 4095 at either end."""
    frames = len(re.findall(rb"(?s)\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", data))
    return range(0, 1152 * frames + 1)


@pytest.mark.parametrize("kind", list(KINDS))
def test_mutated_audio_is_refused_or_read_whole(mutations, tmp_path, kind):
    originals = whole_files(kind)
    path = tmp_path / f"a.{kind}"
    truths = []
    for data, _ in originals:
        path.write_bytes(data)
        truths.append(_core.io.load_audio(path)[0].T)

    def check(rng):
        number = int(rng.integers(len(originals)))
        data, head = bytearray(originals[number][0]), originals[number][1]
        for _ in range(rng.integers(1, 3)):
            if data:
                MUTATIONS[rng.integers(len(MUTATIONS))](data, head, rng)
        if kind == "ogg" and rng.random() < 0.7:
            seal(data, originals[number][0])
        path.write_bytes(data)
        started = time.monotonic()
        try:
            waveform, rate = _core.io.load_audio(path)
        except RuntimeError as error:
            assert str(path) in str(error)  # noqa: PT017
            return False
        finally:
            assert time.monotonic() - started < 10
        got, truth = waveform.T, truths[number]
        readings = [read_by_soundfile(bytes(data))]
        if kind in BEGINNINGS:
            parts = [part for part in map(read_by_soundfile, links(bytes(data), kind)) if part is not None]
            if len({(rate, samples.shape[1]) for samples, rate in parts}) == 1:
                readings.insert(0, (np.concatenate([samples for samples, _ in parts]), parts[0][1]))
        if got.shape == truth.shape and np.allclose(got, truth, atol=1e-6, equal_nan=True):
            return True  # as it was made
        alike = [each for each in readings if each is not None and each[0].shape == got.shape]
        if any(
            rate == their_rate and np.allclose(got, samples, atol=1e-6, equal_nan=True) for samples, their_rate in alike
        ):
            return True
        if kind == "mp3" and len(parts) > 1 and np.array_equal(got[-len(parts[-1][0]) :], parts[-1][0]):
            # soundfile guesses the length of a stream that lost the frame which counts the others
            assert len(got) - len(parts[-1][0]) in lengths_of_frames(bytes(data))
            return True
        assert not alike, f"{len(got)} samples as soundfile, but others"
        theirs = readings[0]
        if kind in ("wav", "aiff"):
            assert len(got) in lengths_of_samples(bytes(data)), (len(got), theirs and theirs[0].shape)
        elif kind == "mp3":
            assert len(got) in lengths_of_frames(bytes(data))
        else:
            assert len(got) == len(truth), (got.shape, truth.shape, theirs and theirs[0].shape)
        if theirs is not None and kind not in ("mp3", "ogg") and theirs[0].shape[1] == got.shape[1]:
            both = min(len(got), len(theirs[0]))
            np.testing.assert_allclose(got[:both], theirs[0][:both], atol=1e-6)
        return True

    mutations(check, f"{kind} files")
