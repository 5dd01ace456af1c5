"""Ogg and MP3 are read to their end whatever their headers say, and refused where they are cut or damaged."""

import struct

import numpy as np
import pytest
from made_audio import ID3, RATE, encoded, flac, read_by_soundfile, tones, with_length

# ---- Ogg -------------------------------------------------------------------------------------------------------------

KINDS = [("VORBIS", 22050), ("OPUS", 48000), ("VORBIS", 44100), ("FLAC", 44100)]


def ogg(kind, rate, seconds=1.0, seed=0, channels=1):
    container = {"format": "OGG", "subtype": kind}
    return encoded(tones(seconds, rate, channels, seed), rate, **container)


def pages(data):
    at, found = 0, []
    while at < len(data):
        segments = data[at + 26]
        length = 27 + segments + sum(data[at + 27 : at + 27 + segments])
        found.append(bytearray(data[at : at + length]))
        at += length
    return found


def sealed(page):
    """The page with the checksum that it must have."""
    page[22:26] = bytes(4)
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    page[22:26] = struct.pack("<I", crc)
    return bytes(page)


@pytest.mark.parametrize(("kind", "rate"), [each for each in KINDS if each[0] != "FLAC"])
def test_ogg_is_read_in_all_its_links(load, refused, kind, rate):
    parts = [ogg(kind, rate, seconds, seed) for seed, seconds in enumerate((1.0, 0.7, 0.3))]
    wholes = [read_by_soundfile(part) for part in parts]
    assert [len(whole) for whole in wholes] == [rate, round(0.7 * rate), round(0.3 * rate)]
    chain, expected = b"".join(parts), np.concatenate(wholes)
    np.testing.assert_allclose(load(chain), expected, atol=1e-6)
    np.testing.assert_allclose(load(chain, 0.5, 1.8), expected[rate // 2 : round(1.8 * rate)], atol=1e-6)
    np.testing.assert_allclose(load(chain, 1.8), expected[round(1.8 * rate) :], atol=1e-6)
    refused(chain, "long enough; got 2 s", 0.0, 2.1)
    refused(parts[0] + ogg(kind, 16000 if kind == "OPUS" else 8000), "must keep one rate and number of channels")
    refused(parts[0] + ogg(kind, rate, channels=2), "must keep one rate and number of channels")


@pytest.mark.parametrize(("kind", "rate"), [each for each in KINDS if each[0] != "FLAC"])
def test_cut_or_damaged_ogg_is_refused(refused, kind, rate):
    whole = ogg(kind, rate, 8.0)
    parts = pages(whole)
    assert len(parts) > 4
    refused(whole[:-1], "bytes of its last Ogg page")
    refused(b"".join(parts[:-1]), "an Ogg stream without its last page")
    refused(b"".join(parts[:3] + parts[4:]), "must be whole; got Ogg page 4 where page 3 must follow")
    refused(whole[: len(whole) // 2], "must be whole")
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    refused(bytes(damaged), "checksum differs")
    refused(whole + whole[:100], "bytes of its last Ogg page")
    refused(whole + b"garbage", "must be whole; got no Ogg page where one must follow")
    refused(b"".join(parts[:2]) + b"garbage" + b"".join(parts[2:]), "no Ogg page where one must follow")
    refused(whole + whole[len(parts[0]) :], "must be whole; got Ogg page 1 where page")


def test_a_stream_beside_the_sound_is_left_alone(load, refused):
    whole = ogg("VORBIS", 22050)
    parts = pages(whole)
    beside = b"OggS\0\2" + bytes(8) + struct.pack("<III", 7, 0, 0) + b"\1\x40" + b"fishead\0" + bytes(56)
    beside = sealed(bytearray(beside))
    last = bytearray(b"OggS\0\4" + bytes(8) + struct.pack("<III", 7, 1, 0) + b"\1\0")
    both = bytes(parts[0]) + beside + sealed(last) + b"".join(parts[1:])
    np.testing.assert_allclose(load(both), read_by_soundfile(whole), atol=1e-6)
    other = pages(ogg("VORBIS", 22050, seed=1))
    two = bytes(parts[0]) + b"".join(other[:1]) + b"".join(parts[1:]) + b"".join(other[1:])
    refused(two, "one stream of sound at a time; got two")
    refused(beside + sealed(last), "must hold Vorbis, Opus, FLAC or Speex")


def ogg_flac(told, sound, rate=RATE):
    """FLAC in Ogg by its mapping, a page a packet; frames as libFLAC wrote them."""
    data = flac(sound, rate)
    at, blocks = 4, []
    while not blocks or not blocks[-1][0] & 0x80:
        length = int.from_bytes(data[at + 1 : at + 4], "big")
        blocks.append(data[at : at + 4 + length])
        at += 4 + length
    comments = [block for block in blocks[1:] if block[0] & 0x7F == 4] or [b"\4\0\0\x08" + bytes(8)]
    info = with_length(data[:42], told)[8:42]
    packets = [(b"\x7fFLAC\1\0" + struct.pack(">H", 1) + b"fLaC\0\0\0\x22" + info, 0)]
    packets.append((b"\x84" + comments[0][1:], 0))
    starts = [at]  # frames of 4096 samples, found by what begins each
    number = 1
    while (found := data.find(b"\xff\xf8" + data[at + 2 : at + 4] + bytes([number]), starts[-1] + 4)) > 0:
        starts.append(found)
        number += 1
    tail = data.find(b"\xff\xf8", starts[-1] + 4)
    while tail > 0 and not (data[tail + 2] >> 4 in (6, 7) and data[tail + 4] == number):
        tail = data.find(b"\xff\xf8", tail + 1)
    starts += [tail] if tail > 0 else []
    for i, start in enumerate(starts):
        stop = starts[i + 1] if i + 1 < len(starts) else len(data)
        packets.append((data[start:stop], min(4096 * (i + 1), len(sound))))
    out = b""
    for i, (packet, granule) in enumerate(packets):
        lacing = b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255])
        flags = 2 if i == 0 else 4 if i == len(packets) - 1 else 0
        head = b"OggS\0" + bytes([flags]) + struct.pack("<qIIIB", granule, 9, i, 0, len(lacing))
        out += sealed(bytearray(head + lacing + packet))
    return out


@pytest.mark.parametrize("told", [RATE, 0])
def test_ogg_flac_is_read_whatever_its_length_says(load, refused, told):
    data = ogg_flac(told, tones())
    np.testing.assert_array_equal(load(data), tones())
    np.testing.assert_array_equal(load(data, 0.2, 0.75), tones()[round(0.2 * RATE) : round(0.75 * RATE)])
    second = tones(0.5, seed=1)
    chain = data + ogg_flac(told and len(second), second)
    np.testing.assert_array_equal(load(chain), np.concatenate([tones(), second]))
    refused(ogg_flac(RATE + 1, tones()), f"got {RATE} of {RATE + 1} samples that its header promises")


# ---- MP3 -------------------------------------------------------------------------------------------------------------

BIT_RATES = {3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)}
BIT_RATES[2] = BIT_RATES[0] = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def mp3(rate=44100, seconds=1.0, seed=0, channels=2, bit_rate=0.5):
    """(Its frame of information, its other frames) of a file of constant bit rate."""
    options = {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": bit_rate}
    data = encoded(tones(seconds, rate, channels, seed), rate, **options)
    at, frames = 0, []
    while at < len(data):
        version = data[at + 1] >> 3 & 3
        speed, hertz = BIT_RATES[version][data[at + 2] >> 4], MP3_RATES[version][data[at + 2] >> 2 & 3]
        length = (144 if version == 3 else 72) * speed * 1000 // hertz + (data[at + 2] >> 1 & 1)
        frames.append(data[at : at + length])
        at += length
    informed = b"Info" in frames[0] or b"Xing" in frames[0]  # not at the lowest bit rates
    return (frames[0], frames[1:]) if informed else (b"", frames)


def told(frame, count):
    """The frame of information with another count."""
    at = max(frame.find(b"Xing"), frame.find(b"Info")) + 8
    return frame[:at] + struct.pack(">I", count) + frame[at + 4 :]


def plain_info(frame, count):
    """A frame of information that tells a count and nothing else."""
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    return (frame[:at] + b"Xing" + struct.pack(">II", 1, count)).ljust(len(frame), b"\0")


def raw(frame, frames):
    """What a decoder makes of the frames; with a count, libsndfile takes 529 samples off the beginning."""
    return read_by_soundfile(plain_info(frame, len(frames)) + b"".join(frames))


LOUD, QUIET = mp3(bit_rate=0.0), mp3(bit_rate=0.99)


@pytest.mark.parametrize(
    "frames",
    [LOUD[1], QUIET[1], QUIET[1] + LOUD[1], LOUD[1] + QUIET[1], LOUD[1][:5] + 8 * QUIET[1]],
    ids=["constant", "low", "quiet first", "loud first", "hardly any loud first"],
)
@pytest.mark.parametrize("before", [b"", ID3, b"\0" * 1000, b"garbage"])
def test_mp3_without_a_count_is_read_whole(load, frames, before):
    data = before + b"".join(frames)
    got = load(data, name="x.mp3")
    assert len(got) == 1152 * len(frames)
    expected = raw(LOUD[0], frames)
    np.testing.assert_allclose(got[529 : 529 + len(expected)], expected, atol=1e-6)
    np.testing.assert_array_equal(load(data, 0.3, 0.9, name="x.mp3"), got[round(0.3 * 44100) : round(0.9 * 44100)])


@pytest.mark.parametrize(("rate", "samples"), [(48000, 1152), (32000, 1152), (22050, 576), (16000, 576), (8000, 576)])
@pytest.mark.parametrize("channels", [1, 2])
def test_mp3_of_other_rates(load, rate, samples, channels):
    info, frames = mp3(rate, channels=channels)
    assert len(load(b"".join(frames))) == samples * len(frames)
    whole = info + b"".join(frames)
    np.testing.assert_allclose(load(whole), read_by_soundfile(whole), atol=1e-6)
    assert len(load(whole)) == rate


@pytest.mark.parametrize("count", ["right", "too small", "none"])
@pytest.mark.parametrize(
    "after",
    [
        b"",
        b"TAG" + bytes(125),
        b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0xA0000000) + bytes(8),
        bytes(100) + b"APETAGEX" + struct.pack("<IIII", 2000, 132, 1, 0) + bytes(8),
        b"LYRICSBEGIN" + b"la" * 50 + b"000111LYRICS200" + b"TAG" + bytes(125),
        bytes(5000),
        b"\n",
    ],
)
def test_mp3_is_read_whatever_its_count_says(load, count, after):
    info, frames = LOUD
    whole = info + b"".join(frames)
    data = told(info, {"right": len(frames), "too small": 7, "none": 0}[count]) + b"".join(frames) + after
    got = load(data)
    assert len(got) == 44100
    np.testing.assert_allclose(got, read_by_soundfile(whole), atol=1e-6)


def vbri(frame, count):
    return (frame[:4] + bytes(32) + b"VBRI" + struct.pack(">HHHII", 1, 0, 75, 0, count)).ljust(len(frame), b"\0")


def test_joined_mp3(load):
    first, second = mp3(seed=1), mp3(seconds=0.5, seed=2)
    files = [info + b"".join(frames) for info, frames in (first, second)]
    expected = np.concatenate([read_by_soundfile(file) for file in files])
    assert len(expected) == 44100 + 22050
    for between in (b"", ID3, b"TAG" + bytes(125), b"TAG" + bytes(125) + ID3):
        np.testing.assert_allclose(load(ID3 + files[0] + between + files[1]), expected, atol=1e-6)
    np.testing.assert_allclose(load(b"".join(files), 0.9, 1.2), expected[39690:52920], atol=1e-6)


def test_cut_mp3_is_refused(refused, load):
    info, frames = LOUD
    count, all_frames = len(frames), b"".join(frames)
    for head in (info, b"", told(info, 0)):
        refused(head + all_frames[:-50], "bytes of its last MPEG frame")
        refused(head + all_frames[: len(all_frames) // 2 - 100], "must be whole")
        refused(head + all_frames[: len(all_frames) // 2 - 100] + b"TAG" + bytes(125), "must be whole")
        refused(head + b"".join(frames[:10]) + bytes(2000) + b"".join(frames[10:]), "no MPEG frame where one must")
        refused(head + b"".join(frames[:10]) + b"lost" * 30 + b"".join(frames[10:]), "no MPEG frame where one must")
        refused(head + b"".join(frames[:10]) + frames[10][9:] + b"".join(frames[11:]), "no MPEG frame where one must")
    for head in (info, told(info, count + 40), plain_info(info, count + 40), vbri(info, count + 40)):
        refused(head + b"".join(frames[:-1]), "MPEG frames that its header promises")
        refused(head + b"".join(frames[:-1]), "MPEG frames that its header promises", 0.0, 0.5)
    assert len(load(vbri(info, count) + all_frames)) == 1152 * count
    for other in (mp3(channels=1), mp3(48000)):
        refused(all_frames + b"".join(other[1]), "must keep one rate and number of channels; got MPEG frames of 44100")
    refused(ID3, "must be audio that libsndfile reads")
    noise = np.random.default_rng(0).bytes(5000)
    refused(noise + frames[5], "must be audio that libsndfile reads")  # one frame behind anything proves nothing
    free = bytes([*frames[0][:2], frames[0][2] & 0x0F, *frames[0][3:]])
    refused(all_frames + free, "got one of free format")
