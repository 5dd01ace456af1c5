"""Files that appear whole or not at all, what they hold in one number, their order, and whether they are here."""

import glob
import hashlib
import json
import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["digest_file", "natural", "not_fetched", "replacing", "write_bytes", "write_json"]

#: Beginnings of the small text files that stand for content that was not fetched, and what fetches it.
POINTERS = {
    b"/annex/objects/": "datalad get",
    b"\\annex\\objects\\": "datalad get",
    b"version https://git-lfs": "git lfs pull --include",
}
POINTER_BYTES = 1024


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


def natural(text: str | None) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts 2 before 10, and w2 before w10; None comes first."""
    parts = re.findall("[0-9]+|[^0-9]+", text or "")
    # Equal numbers of other lengths (1 and 01) are told apart by the text itself.
    return tuple((0, int(part), part) if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts)


def not_fetched(path: Path, told: str | None = None) -> str | None:
    """Say why a file's content is not here (a link to nowhere, a pointer of git-annex or git LFS); None if it is.

    ``told`` stands for the file in what is said, instead of ``path``.
    """
    name = told or str(path)
    if path.is_symlink() and not path.exists():
        target = str(path.readlink())
        if "annex" in target:
            return f"not fetched: run datalad get {name}"
        return f"a link to nowhere ({target}): fetch or restore {name}"
    if path.stat().st_size > POINTER_BYTES:
        return None
    with path.open("rb") as file:
        start = file.read(32)
    for beginning, command in POINTERS.items():
        if start.startswith(beginning):
            return f"not fetched: run {command} {name}"
    return None


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
