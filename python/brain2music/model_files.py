"""Fitted models as safetensors files: tensors, and JSON that says what they are. Nothing is ever pickled."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brain2music import _core

__all__ = ["load", "parameters_of", "save_model"]

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
    metadata = {"brain2music": json.dumps({"version": VERSION, "kind": kind, **described}, allow_nan=False)}
    _core.io.save_safetensors(path, tensors, metadata)


def parameters_of(model: Any) -> dict[str, Any]:
    """Return what JSON can hold of an estimator's parameters; of others their text, for people."""
    return {name: _plain(value) for name, value in model.get_params().items()}


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, torch.Tensor, list, tuple)) and np.asarray(value).dtype.kind in "fiu":
        return np.asarray(value).tolist()
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)


def load(path: str | Path) -> Any:
    """Read a fitted model that its ``save`` wrote.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file.

    Returns
    -------
    BrainDecoder or VoxelwiseEncoder
        Whichever class was saved.

    Raises
    ------
    ValueError
        If the file is no model of this library, or of a version to come.
    OSError
        If it cannot be read.
    """
    from brain2music.decoding import BrainDecoder
    from brain2music.encoding import VoxelwiseEncoder

    kinds: dict[str, Any] = {"BrainDecoder": BrainDecoder, "VoxelwiseEncoder": VoxelwiseEncoder}
    with Path(path).open("rb"):  # what the system refuses, it says
        pass
    try:
        _, metadata = _core.io.load_safetensors(path)
        if "brain2music" not in metadata:
            raise ValueError("its metadata have no entry brain2music")
        described = json.loads(metadata["brain2music"])
        kind, version = described["kind"], described["version"]
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error
    if version != VERSION or kind not in kinds:
        raise ValueError(
            f"[brain2music.load] this version reads {', '.join(kinds)} of version {VERSION}; got {kind!r} of version "
            f"{version!r} in {path}"
        )
    try:
        return kinds[kind]._from_file(Path(path), described)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str | Path, error: Exception) -> ValueError:
    return ValueError(f"[brain2music.load] a model that brain2music saved is expected; got {path}: {error}")
