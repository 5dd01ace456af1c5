"""Outputs of steps, each named by the hash of what it depends on, so that nothing finished is done again."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brain2music.files import replacing

__all__ = ["Store"]


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
