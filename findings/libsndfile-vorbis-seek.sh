#!/usr/bin/env bash
# libsndfile 1.2.2 (the wheel of soundfile 0.14.0): a seek into the last page of an Ogg Vorbis file lands too late.
#
# Expected: sf_seek() moves to "the start of the audio data plus offset (multichannel) frames" (libsndfile's documentation of
# its functions), so that soundfile.read(file, start=s) is the end of soundfile.read(file) from sample s on.
# What happens: sound is encoded in blocks, and the last page tells where the sound ends within the last block. After most
# seeks into the last page, what is read begins too late by the part of the last block that lies behind the end: by 236 and
# 920 samples here. What is read to the end has the right length, and its last 236 or 920 samples come from behind the end of
# the sound. sf_seek() returns the position that was asked for. Seeks to the first samples of the last page, and to other
# pages, are exact. The last page may be long: it holds two of five seconds here.
# Why it matters here: music heard in a scanner is cut into windows. Windows near the end, read by a seek, would be 5 ms or
# 21 ms late. brain2music decodes Ogg Vorbis from the beginning. libsndfile's issue 885 tells of seeks that are not exact.
# What a user can do: read the file from the beginning and cut the array.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.2.6
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import numpy as np
import soundfile

RATE = 44100
LENGTH = 200  # samples that are compared


def page_ends(data):
    """The granule positions of an Ogg file's pages: samples up to the end of each."""
    at, ends = 0, []
    while at < len(data):
        ends.append(int.from_bytes(data[at + 6 : at + 14], "little"))
        segments = data[at + 26]
        at += 27 + segments + sum(data[at + 27 : at + 27 + segments])
    return ends


def late(data, whole, start):
    """How many samples later than `start` the sound is that a seek to `start` gives."""
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        told, got = file.seek(start), file.read(LENGTH)
    assert (told, len(got)) == (start, LENGTH)
    lags = range(-1100, min(1100, len(whole) - LENGTH - start))
    return min(lags, key=lambda lag: float(np.abs(got - whole[start + lag : start + lag + LENGTH]).max()))


print("libsndfile", soundfile.__libsndfile_version__)
described = True
for seconds in (5, 10):
    time = np.arange(seconds * RATE) / RATE
    rising = 0.5 * np.sin(2 * np.pi * (200 * time + 1000 / seconds * time**2))  # no two places are alike
    file = io.BytesIO()
    soundfile.write(file, rising, RATE, format="OGG", subtype="VORBIS")
    data = file.getvalue()
    whole = soundfile.read(io.BytesIO(data))[0]
    *_, begin, end = page_ends(data)
    assert len(whole) == end == len(rising)
    before = {late(data, whole, start) for start in range(2000, begin - 2000, 9973)}
    within = {late(data, whole, start) for start in range(begin + 4000, end - 2500, 3001)}
    print(f"{seconds} s, last page from sample {begin} to {end}: seeks before it are late by {sorted(before)} samples,")
    print(f"  seeks into it by {sorted(within)}")
    described &= before == {0} and len(within) == 1 and 0 not in within
print("as described" if described else "changed: see the opening comment")
sys.exit(not described)
PYTHON
