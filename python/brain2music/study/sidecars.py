"""Files that apply to an image by BIDS inheritance, and what the sidecars among them say together."""

import json
from pathlib import Path
from typing import Any

from brain2music.study.listing import Listing, Named
from brain2music.study.names import fetched
from brain2music.study.surfaces import GIFTI

__all__ = ["Sidecar", "inherit", "read_sidecar"]

NIFTI = (".nii", ".nii.gz")


class Sidecar(dict[str, Any]):
    """Fields of an image's sidecars, merged; ``sources`` says which of the ``files`` each one is from."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: dict[str, Path] = {}
        self.files: list[Path] = []

    def add(self, path: Path) -> None:
        """Read a nearer file, whose fields count more than those that are there."""
        values = _read_json(path)
        self.update(values)
        self.sources.update(dict.fromkeys(values, path))
        self.files.append(path)

    def merge(self, nearer: "Sidecar") -> None:
        """Take the fields of a nearer image's sidecars over those that are there."""
        self.update(nearer)
        self.sources.update(nearer.sources)
        self.files += nearer.files


def inherit(
    path: Path, root: Path, extension: str, suffix: str | None = None, listing: Listing | None = None
) -> list[Path]:
    """Find the files that apply to ``path`` by BIDS inheritance.

    Parameters
    ----------
    path : Path
        A data file somewhere below ``root``.
    root : Path
        The data set's folder.
    extension, suffix : str
        Of the files to find; the data file's own suffix by default.
    listing : Listing, optional
        Folders already read.

    Returns
    -------
    list of Path
        From the root down: the last one is the nearest.

    Raises
    ------
    ValueError
        If two files of one folder apply, which BIDS forbids.

    References
    ----------
    BIDS specification, *Common principles*, "The Inheritance Principle", rules 2 to 5.
    """
    listing = listing or Listing()
    own = Named.of(path)
    suffix = suffix or own.suffix
    levels = [folder for folder in reversed(path.parents) if folder == root or root in folder.parents]
    found = []
    for folder in levels:
        applying = [
            file
            for file in listing[folder].files
            if file.suffix == suffix and file.extension == extension and file.entities.items() <= own.entities.items()
        ]
        if len(applying) > 1:
            applying = [file for file in applying if not _is_anothers(file, own, listing)]
        if len(applying) > 1:
            raise ValueError(
                f"[study.layout] one {suffix}{extension} of a folder may apply to {path.name}; got "
                f"{', '.join(str(file.path) for file in applying)}"
            )
        found += [file.path for file in applying]
    return found


def read_sidecar(path: Path, root: Path, listing: Listing | None = None) -> Sidecar:
    """Merge the JSON sidecars that apply to an image; nearer ones win."""
    merged = Sidecar()
    for sidecar in inherit(path, root, ".json", listing=listing):
        merged.add(sidecar)
    return merged


def _read_json(path: Path) -> dict[str, Any]:
    """Read one sidecar."""
    try:
        values = json.loads(fetched(path).read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # also what is not UTF-8, and brackets by the thousand
        raise ValueError(f"[study.layout] a sidecar must be JSON; got '{error}' in {path}") from error
    if not isinstance(values, dict):
        raise ValueError(f"[study.layout] a sidecar must hold one object; got {values!r:.40} in {path}")
    return values


def _is_anothers(file: Named, own: Named, listing: Listing) -> bool:
    """Whether a file beside an image bears the whole name of another image: a run without number beside run 2."""
    return file.entities != own.entities and any(
        image.suffix == own.suffix and image.extension in (*NIFTI, GIFTI) and image.entities == file.entities
        for image in listing[file.path.parent].files
    )
