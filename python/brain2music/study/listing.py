"""Folders as they stand on the disk, each read once."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from brain2music.study.names import comparable, entities

__all__ = ["Folder", "Listing", "Named"]


@dataclass(frozen=True, eq=False)
class Named:
    """A file and what its name says: ``entities`` alone, ``suffix`` and ``extension`` beside them."""

    path: Path
    entities: dict[str, str]
    suffix: str
    extension: str

    @classmethod
    def of(cls, path: Path) -> "Named":
        """Take a file name apart."""
        named = entities(path)
        return cls(path, comparable(named), named["suffix"], named["extension"])


@dataclass(frozen=True, eq=False)
class Folder:
    """What a folder holds, sorted; hidden names (``._x``, ``.DS_Store``) lie apart and are never opened."""

    files: list[Named] = field(default_factory=list)  # links to nowhere among them
    folders: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)


class Listing:
    """Folders by path. Each is read once, until it is forgotten."""

    def __init__(self) -> None:
        self._read: dict[Path, Folder] = {}

    def __getitem__(self, path: Path) -> Folder:
        """Return what a folder holds; nothing where there is no folder."""
        if path not in self._read:
            found = Folder()
            try:
                with os.scandir(path) as entries:
                    for entry in sorted(entries, key=lambda entry: entry.name):
                        if entry.name.startswith("."):
                            found.hidden.append(path / entry.name)
                        elif entry.is_dir():
                            found.folders.append(path / entry.name)
                        else:
                            found.files.append(Named.of(path / entry.name))
            except (FileNotFoundError, NotADirectoryError):
                pass
            self._read[path] = found
        return self._read[path]

    def subject(self, root: Path, subject: str) -> list[Path]:
        """Return the folders of a subject below ``root`` that may hold runs: its own, its sessions', and their func."""
        own = root / f"sub-{subject}"
        sessions = [folder for folder in self[own].folders if folder.name.startswith("ses-")]
        func = [folder for parent in (own, *sessions) for folder in self[parent].folders if folder.name == "func"]
        return [own, *sessions, *func]

    def forget(self, roots: Sequence[Path], names: Sequence[str]) -> None:
        """Read ``roots``, and what lies in and below their folders ``names``, anew when they are next asked for."""
        below = [root / name for root in roots for name in names]
        beginnings = tuple(f"{folder}{os.sep}" for folder in below)
        for path in [path for path in self._read if path in roots or path in below or str(path).startswith(beginnings)]:
            del self._read[path]
