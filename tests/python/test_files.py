"""Files appear whole or not at all."""

import hashlib
import signal
import subprocess
import sys
import time

import pytest

from brain2music.files import digest_file, replacing, write_bytes, write_json


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "folder" / "a.txt"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError, match="stop"), replacing(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        raise RuntimeError("stop")
    assert path.read_bytes() == b"old"
    assert names(path.parent) == ["a.txt"]


def test_folders_too(tmp_path):
    with replacing(tmp_path / "a") as temporary:
        temporary.mkdir()
        (temporary / "b").touch()
    assert names(tmp_path / "a") == ["b"]


def test_the_same_bytes_are_not_written_again(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    written = path.stat().st_mtime_ns
    write_json(path, {"a": 1})
    assert path.stat().st_mtime_ns == written
    assert digest_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": float("nan")})


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    code = """
import sys, time
from pathlib import Path
from brain2music.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print("there", flush=True)
    time.sleep(60)
"""
    path = tmp_path / "a.bin"
    other = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"there\n"
    write_bytes(path, b"mine")
    assert len(names(tmp_path)) == 2
    other.send_signal(signal.SIGKILL)
    other.wait()
    other.stdout.close()
    time.sleep(0.1)
    write_bytes(path, b"again")
    assert names(tmp_path) == ["a.bin"]
