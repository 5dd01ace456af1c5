"""Processed responses on disk: an entry is a folder, written under another name and renamed, so whole or not there."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Arrays", "compute", "default_folder", "fingerprint", "key"]

#: Beginning of a large file that goes into its fingerprint: the NIfTI header, and some of the first volume.
HEAD = 1 << 16

Arrays = dict[str, npt.NDArray[np.float32]]


def default_folder() -> Path:
    """Return the user's cache folder, as the XDG base directory specification has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brain2music"


def fingerprint(path: Path) -> dict[str, Any]:
    """Describe a file's content: SHA-256 of a small one; of a large one size, time of change and SHA-256 of its head.

    A subject's 18 runs are 9 GB: to read them all for a hash takes about as long as to process them. An edit that
    changes only later bytes and then resets the time of change goes unseen. The file's place does not count, so that a
    study may be moved.
    """
    stat = path.stat()
    with path.open("rb") as file:
        head = hashlib.sha256(file.read(HEAD)).hexdigest()
    if stat.st_size <= HEAD:
        return {"sha256": head}
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "head_sha256": head}


def key(settings: dict[str, Any]) -> str:
    """Hash everything that a result depends on, as canonical JSON."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def compute(
    folder: Path | None,
    name: str,
    settings: dict[str, Any],
    shapes: dict[str, tuple[int, ...]],
    fill: Callable[[Arrays], list[str]],
) -> tuple[Arrays, list[str]]:
    """Return arrays from the cache, or fill and keep them.

    Parameters
    ----------
    folder : Path, optional
        The cache; None keeps the arrays in memory only.
    name : str
        Readable beginning of the entry's name.
    settings : dict
        Everything the arrays depend on; its hash ends the entry's name.
    shapes : dict
        Shape of each array, float32.
    fill : callable
        Fills the arrays, which hold NaN, and returns notes.

    Returns
    -------
    arrays : dict
        Mapped from disk, pages read when touched; writing into them changes no file.
    notes : list of str
    """
    if folder is None:
        held = {array: np.full(shape, np.nan, dtype=np.float32) for array, shape in shapes.items()}
        return held, fill(held)
    entry = folder / f"{name}_{key(settings)[:32]}"
    if not (entry / "entry.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{name}_", dir=folder))
        try:
            _build(building, settings, shapes, fill)
            _publish(building, entry)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    sidecar = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
    arrays = {array: np.asarray(np.load(entry / f"{array}.npy", mmap_mode="c")) for array in shapes}
    for array, shape in shapes.items():
        if arrays[array].shape != shape:
            raise ValueError(f"[study.cache] {array}.npy must have shape {shape}; got {arrays[array].shape} in {entry}")
    return arrays, sidecar["notes"]


def _build(
    building: Path, settings: dict[str, Any], shapes: dict[str, tuple[int, ...]], fill: Callable[[Arrays], list[str]]
) -> None:
    mapped: Arrays = {}
    for array, shape in shapes.items():
        if 0 in shape:  # an empty file cannot be mapped for writing
            np.save(building / f"{array}.npy", np.empty(shape, dtype=np.float32), allow_pickle=False)
            mapped[array] = np.empty(shape, dtype=np.float32)
        else:
            mapped[array] = np.lib.format.open_memmap(
                building / f"{array}.npy", mode="w+", dtype=np.float32, shape=shape
            )
            mapped[array].fill(np.nan)
    notes = fill(mapped)
    for values in mapped.values():
        if isinstance(values, np.memmap):
            values.flush()
    text = json.dumps({"settings": settings, "notes": notes}, indent=1)
    (building / "entry.json").write_text(text, encoding="utf-8")


def _publish(building: Path, entry: Path) -> None:
    try:
        building.rename(entry)
    except OSError:
        # Another process was faster, or left a folder without its sidecar: what is whole stays.
        if not (entry / "entry.json").is_file():
            shutil.rmtree(entry)
            building.rename(entry)
