#!/usr/bin/env bash
# libsndfile 1.2.2 (the wheel of soundfile 0.13.1): an MP3 is as long as its first frames make libsndfile guess.
#
# Expected: sf_read_*() "will read until the end of the file" (libsndfile's documentation of its functions), and the same
# frames of MPEG audio sound alike. A "Xing" frame at the beginning, which counts the frames, is optional: streams that
# were recorded, cut or joined by frames have none.
# What happens, with frames that LAME wrote:
#   1. Without that frame the length is guessed from the size of the first frames, and reading stops at the guess: where a
#      loud beginning (320 kbit/s) is followed by quieter frames (64 kbit/s), most of the sound is not given, without an
#      error or a warning. The length that soundfile.info reports is then wrong either way.
#   2. With a plain Xing frame (a count and nothing else), the first 529 samples are taken off; without it they are not. The
#      same frames then lie 529 samples apart: 12 ms at 44.1 kHz.
# Why it matters here: music heard in a scanner is cut by seconds, and a third of a track, or one that is 12 ms late, is
# used as if it were right. brain2music counts the frames itself.
# What a user can do: compare the length with another decoder's; or rewrite the header frame, which copies the sound as it
# is: ffmpeg -i old.mp3 -c:a copy new.mp3.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.13.1 numpy==2.2.6
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import sys

import numpy as np
import soundfile

RATE = 44100
BIT_RATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)


def frames(level):
    """A tone and noise of 4 s as frames of one bit rate, without the first frame, which holds no sound."""
    time = np.arange(4 * RATE) / RATE
    sound = 0.3 * np.sin(2 * np.pi * 440 * time) + 0.02 * np.random.default_rng(0).standard_normal(len(time))
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format="MP3", bitrate_mode="CONSTANT", compression_level=level)
    data, at, found = file.getvalue(), 0, []
    while at < len(data):
        length = 144000 * BIT_RATES[data[at + 2] >> 4] // RATE + (data[at + 2] >> 1 & 1)
        found.append(data[at : at + length])
        at += length
    return found[1:] if b"Info" in found[0] or b"Xing" in found[0] else found


def read(data):
    return soundfile.read(io.BytesIO(data), dtype="float32")[0]


def counted(stream):
    """The frames behind a Xing frame of mono sound that tells their count."""
    head = b"\xff\xfb\x90\xc4" + bytes(17) + b"Xing" + struct.pack(">II", 1, len(stream))
    return head.ljust(417, b"\0") + b"".join(stream)


print("libsndfile", soundfile.__libsndfile_version__)
loud, quiet = frames(0.0), frames(0.8)
changed = False
for name, stream in (("loud first", loud[:20] + 3 * quiet), ("quiet first", quiet[:20] + loud)):
    right, got, told = 1152 * len(stream), len(read(b"".join(stream))), len(read(counted(stream)))
    print(f"{name}: {right} samples in {len(stream)} frames; without a count {got} are given, with a count {told}")
    changed |= told != right - 529 or (name == "loud first" and got > right // 2)
plain, told = read(b"".join(loud)), read(counted(loud))
shift = min(range(1200), key=lambda lag: float(np.abs(plain[lag : lag + 20000] - told[:20000]).max()))
print(f"the same frames with a count begin {shift} samples later in the sound: {1000 * shift / RATE:.0f} ms")
changed |= shift != 529
print("changed: see the opening comment" if changed else "as described")
sys.exit(int(changed))
PYTHON
