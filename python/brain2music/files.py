"""Files that appear whole or not at all, and what they hold in one number."""

import glob
import hashlib
import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["digest_file", "replacing", "write_bytes", "write_json"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write under another name of the same ending; the file, or folder, then appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = f".part-{socket.gethostname()}-"
    for stale in path.parent.glob(f"{glob.escape(mark)}*-{glob.escape(path.name)}"):
        _remove_if_orphaned(stale, int(stale.name.removeprefix(mark).partition("-")[0]))
    temporary = path.with_name(f"{mark}{os.getpid()}-{threading.get_ident()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        _remove(temporary)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, unless the very bytes are there."""
    if path.is_file() and path.read_bytes() == content:
        return
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, values: Any) -> None:
    """Write JSON, indented, with a line end at its end."""
    write_bytes(path, (json.dumps(values, indent=2, allow_nan=False) + "\n").encode())


def digest_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        if hasattr(hashlib, "file_digest"):
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_if_orphaned(path: Path, process: int) -> None:
    """Remove what a process of this machine left behind when it was killed."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        _remove(path)
    except PermissionError:
        pass  # another user's process, alive
