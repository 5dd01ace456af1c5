"""What travels: arrays, and the paths of files that every machine maps itself."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["Tensor", "mapped", "packed", "prepared", "unpacked"]


class Tensor(NamedTuple):
    """A tensor as an array, which Dask sends without a copy and whose size it sees."""

    array: npt.NDArray[Any]


def prepared(x: Any) -> tuple[Any, Path | None]:
    """Return a matrix to check, mapped where ``x`` is the path of a ``.npy`` file, and that path."""
    if isinstance(x, (str, os.PathLike)):
        path = Path(x).absolute()  # workers may run in another folder
        return mapped(path), path
    return x, None


def mapped(path: Path) -> npt.NDArray[Any]:
    """Map a ``.npy`` file."""
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def packed(value: Any) -> Any:
    """Return what travels: of tensors and lists of them, arrays; anything else as it is."""
    if isinstance(value, list):
        return [packed(item) for item in value]
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return Tensor((value.float() if value.dtype == torch.bfloat16 else value).numpy())
    return value


def unpacked(value: Any, device: Any = None) -> Any:
    """Return what was packed: tensors on the device given, files mapped."""
    if isinstance(value, list):
        return [unpacked(item, device) for item in value]
    if isinstance(value, Tensor):
        array = value.array if value.array.flags.writeable else value.array.copy()
        return torch.from_numpy(array).to(device)
    return mapped(value) if isinstance(value, Path) else value
