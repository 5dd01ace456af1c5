"""Outputs of steps, each named by the hash of what it depends on, so that nothing finished is done again."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Store", "digest_file", "replacing", "write_bytes", "write_json"]


class Store:
    """A folder of outputs: ``<step>/<name>_<hash><ending>``.

    Parameters
    ----------
    root : Path
        Made if it is not there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, step: str, name: str, inputs: dict[str, Any], ending: str) -> Path:
        """Where an output lies, or will lie."""
        text = json.dumps(inputs, sort_keys=True, allow_nan=False)
        return self.root / step / f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:16]}{ending}"

    def once(self, step: str, name: str, inputs: dict[str, Any], ending: str, write: Callable[[Path], None]) -> Path:
        """Return an output's path; what is not there yet is written, under another name until it is whole.

        Parameters
        ----------
        step, name : str
            Folder, and readable beginning of the file's name.
        inputs : dict
            Everything that the output depends on, as JSON.
        ending : str
            Ending of the name; empty for a folder.
        write : callable
            Writes the file, or fills the folder, at the path it is given.

        Returns
        -------
        pathlib.Path
        """
        path = self.path(step, name, inputs, ending)
        if not path.exists():
            with replacing(path) as temporary:
                write(temporary)
        return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write under another name of the same ending; the file, or folder, then appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


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
