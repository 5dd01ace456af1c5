"""Fitted models as safetensors files: tensors, and JSON that says what they are. Nothing is ever pickled."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

__all__ = ["load", "save_model"]

#: Of the files; raised when a reader of today could not read them.
VERSION = 1


def save_model(path: str | Path, kind: str, tensors: dict[str, npt.NDArray[Any]], described: dict[str, Any]) -> None:
    """Write a model under a temporary name and rename it.

    Parameters
    ----------
    path : path
        Ends in ``.safetensors``.
    kind : str
        Class of the model.
    tensors : dict of arrays
    described : dict
        The rest, as JSON can hold it.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"[model.save] the file's name must end in .safetensors; got {path}")
    metadata = {"brain2music": json.dumps({"version": VERSION, "kind": kind, **described})}
    content = save({name: np.ascontiguousarray(array) for name, array in tensors.items()}, metadata)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: str | Path) -> Any:
    """Read a fitted model that its ``save`` wrote.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file.

    Returns
    -------
    BrainDecoder
        Or whichever class was saved.

    Raises
    ------
    ValueError
        If the file is no model of this library, or of a version to come.
    OSError
        If it cannot be read.
    """
    from brain2music.decoding import BrainDecoder

    kinds = {"BrainDecoder": BrainDecoder}
    try:
        with safe_open(str(path), "numpy") as file:
            metadata = file.metadata() or {}
        tensors = load_file(str(path))
        described = json.loads(metadata["brain2music"])
        kind, version = described["kind"], described["version"]
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"[brain2music.load] a model that brain2music saved is expected; got {path}: {error}"
        ) from error
    if version != VERSION or kind not in kinds:
        raise ValueError(
            f"[brain2music.load] this version reads {', '.join(kinds)} of version {VERSION}; got {kind!r} of version "
            f"{version!r} in {path}"
        )
    return kinds[kind]._from_file(tensors, described)
