"""WAV, AU, AIFF and FLAC are read to their end whatever their headers say, and refused where they are cut."""

import struct

import numpy as np
import pytest
from made_audio import ID3, RATE, encoded, flac, read_by_soundfile, tones, with_length

# ---- WAV, RF64, Wave64, AU, AIFF -------------------------------------------------------------------------------------


def riff(data, size=None, outer=None, after=b"", order="<", block=2, bits=16):
    size = len(data) if size is None else size
    form = struct.pack(order + "HHIIHH", 1, block * 8 // bits, RATE, block * RATE, block, bits)
    body = b"WAVEfmt " + struct.pack(order + "I", 16) + form + b"data" + struct.pack(order + "I", size) + data + after
    magic = b"RIFF" if order == "<" else b"RIFX"
    return magic + struct.pack(order + "I", len(body) if outer is None else outer) + body


PCM = (tones()[:, 0] * 32768).astype("<i2").tobytes()
SIZE = len(PCM)


@pytest.mark.parametrize(
    ("size", "outer"),
    [
        (0x7FFFF000, 0x7FFFF024),  # SoX
        (0x7FFFFFFF, 0x7FFFFFFF),
        (0x7FFFFFFF - 36, 0x7FFFFFFF),  # arecord
        (0x80000000, 0x80000024),
        (0x80000000 - 45, 0x80000000 - 9),
        (0xFFFFFFFF, 0xFFFFFFFF),  # ffmpeg
        (0xFFFFFFFF - 36, 0xFFFFFFFF),
        (0xFFFFF000, 0xFFFFF024),
        (0, 0),  # a recorder that was killed
        (0, None),
        (0, 36),
        (SIZE + 16, None),  # the outer size says that the file ends here
        (SIZE, 0),
        (SIZE, 36),
        (SIZE, SIZE + 10_000),
        (SIZE, 0xFFFFFFFF),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_wav_is_read_whatever_its_sizes_say(load, size, outer, order):
    data = PCM if order == "<" else np.frombuffer(PCM, "<i2").astype(">i2").tobytes()
    np.testing.assert_array_equal(load(riff(data, size, outer, order=order)), tones())
    part = load(riff(data, size, outer, order=order), 0.2, 0.5)
    np.testing.assert_array_equal(part, tones()[round(0.2 * RATE) : round(0.5 * RATE)])


@pytest.mark.parametrize("after", [b"\0", b"abc", b"LIST\x04\0\0\0INFO", bytes(5000), b"TAG" + bytes(125)])
def test_wav_ends_where_its_data_do(load, after):
    np.testing.assert_array_equal(load(riff(PCM, after=after)), tones())


def test_wav_without_samples_is_not_one_with_an_unknown_size(load):
    assert load(riff(b"", 0, after=b"LIST\x04\0\0\0INFO")).shape == (0, 1)
    assert load(riff(b"")).shape == (0, 1)


@pytest.mark.parametrize("size", [SIZE, SIZE - 2, SIZE + 2, 0x70000000, 0xF0000000])
def test_cut_wav_is_refused(refused, size):
    whole = riff(PCM, size, outer=36 + size)
    refused(whole[: len(whole) // 2], rf"must be whole; got {SIZE // 2 - 22} of {size} bytes of samples")
    refused(whole[: len(whole) // 2], "must be whole", 0.0, 0.1)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_wav_that_lost_its_last_byte_is_refused(refused, lost):
    refused(riff(PCM)[:-lost], rf"must be whole; got {SIZE - lost} of {SIZE} bytes of samples")


def test_sound_behind_the_size_is_not_left_out(refused):
    refused(riff(PCM, SIZE - 20_000), "must tell how many samples there are; got 20000 bytes behind them")


def test_a_killed_recorder_may_leave_part_of_a_sample(load):
    stereo = (tones(channels=2) * 32768).astype("<i2").tobytes()
    got = load(riff(stereo[:-1], 0, 0, block=4))
    np.testing.assert_array_equal(got, tones(channels=2)[:-1])


def rf64(data, told, outer, riff_size=0xFFFFFFFF, data_size=0xFFFFFFFF):
    sizes = struct.pack("<QQQI", outer, told, told // 2, 0)
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    body = b"WAVEds64" + struct.pack("<I", 28) + sizes + b"fmt \x10\0\0\0" + form
    return b"RF64" + struct.pack("<I", riff_size) + body + b"data" + struct.pack("<I", data_size) + data


@pytest.mark.parametrize("told", [SIZE, 0, 2**64 - 1, 0xFFFFFFFF])
def test_rf64_is_read_whatever_its_size_says(load, told):
    np.testing.assert_array_equal(load(rf64(PCM, told, SIZE + 72)), tones())
    np.testing.assert_array_equal(load(rf64(PCM, told, 0)), tones())


def test_formats_of_other_chunks(load, refused):
    for kind in ("W64", "RF64", "AIFF", "AU", "CAF", "NIST", "VOC"):
        whole = encoded(tones(), RATE, format=kind, subtype="PCM_16")
        np.testing.assert_array_equal(load(whole), tones(), err_msg=kind)
        np.testing.assert_array_equal(load(whole, 0.5, 1.0), tones()[RATE // 2 :], err_msg=kind)
        if kind not in ("NIST", "VOC"):
            refused(whole[: len(whole) // 2], "must be (whole|audio that libsndfile reads)")
    wave64 = bytearray(encoded(tones(), RATE, format="W64", subtype="PCM_16"))
    at = wave64.index(b"data") + 16
    for size in (0, 24, 2**63 - 1, 2**64 - 1):
        wave64[at : at + 8] = struct.pack("<Q", size)
        np.testing.assert_array_equal(load(bytes(wave64)), tones(), err_msg=str(size))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("size", [0xFFFFFFFF, 0, 0x7FFFFFFF, SIZE])
def test_au_is_read_whatever_its_size_says(load, refused, size, order):
    head = (b".snd" if order == ">" else b"dns.") + struct.pack(order + "IIIII", 32, size, 3, RATE, 1) + bytes(8)
    samples = np.frombuffer(PCM, "<i2").astype(order + "i2").tobytes()
    np.testing.assert_array_equal(load(head + samples), tones())
    if size == SIZE:
        refused(head + samples[:-2], "must be whole")


@pytest.mark.parametrize(
    ("frames", "size"), [(0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0, None), (None, 0), (None, 0x7FFFFFFF)]
)
def test_aiff_is_read_whatever_its_sizes_say(load, refused, frames, size):
    whole = bytearray(encoded(tones(), RATE, format="AIFF", subtype="PCM_16"))
    common, sound = whole.index(b"COMM"), whole.index(b"SSND")
    if frames is not None:
        whole[common + 10 : common + 14] = struct.pack(">I", frames)
    if size is not None:
        whole[sound + 4 : sound + 8] = struct.pack(">I", size)
    np.testing.assert_array_equal(load(bytes(whole)), tones())
    if frames is None:
        refused(bytes(whole[:-2]), "must be whole")


# ---- FLAC ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", ID3, ID3 + ID3])
@pytest.mark.parametrize("samples", [RATE, 0, RATE // 2])
@pytest.mark.parametrize("after", [b"", b"TAG" + bytes(125), bytes(1000)])
def test_flac_is_read_whatever_its_length_says(load, before, samples, after):
    data = before + with_length(flac(), samples) + after
    np.testing.assert_array_equal(load(data), tones())
    np.testing.assert_array_equal(load(data, 0.2, 1.0), tones()[round(0.2 * RATE) :])


def test_flac_streams_one_after_the_other(load, refused):
    for second in (tones(seed=1), tones(0.5, seed=1)):
        both = np.concatenate([tones(), second])
        for samples in (RATE, 0):
            data = with_length(flac(), samples) + flac(second)
            np.testing.assert_array_equal(load(data), both)
            np.testing.assert_array_equal(load(data, 0.5, 1.2), both[RATE // 2 : round(1.2 * RATE)])
    refused(flac() + flac(tones(rate=44100), 44100), "must keep one rate and number of channels; got 22050 Hz")


@pytest.mark.parametrize("samples", [RATE, 0])
def test_cut_flac_is_refused(refused, samples):
    data = with_length(flac(), samples)
    for length in (len(data) - 1, len(data) // 2, 60, 30):
        refused(data[:length], "must be whole")
    refused(data[: len(data) // 2], "must be whole", 0.0, 0.1)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 0xFF
    refused(bytes(damaged), "must be whole; got 8192 of 22050 samples")


def test_flac_with_frames_that_are_missing_is_refused(refused):
    data = flac(tones(3.0))
    info = read_by_soundfile(data)
    assert len(info) == 3 * RATE
    refused(with_length(data, 3 * RATE + 1), rf"got {3 * RATE} of {3 * RATE + 1} samples that its header promises")
