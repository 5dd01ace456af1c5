"""What the metrics take: NumPy arrays and torch tensors of real numbers, as rows or as windows of clips."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["Array", "average_windows", "checked", "checked_pair", "group_numbers", "rows"]

Array = TypeVar("Array", npt.NDArray[Any], torch.Tensor)


def checked(array: Any, name: str, where: str) -> Any:
    """Return what is a tensor or becomes an array of real numbers, (n, d) or (n, r, d)."""
    if isinstance(array, torch.Tensor):
        real = not (array.dtype.is_complex or array.dtype == torch.bool)
    else:
        array = np.asarray(array)
        real = array.dtype.kind in "fiu"
    if not real:
        raise ValueError(f"[{where}] {name} must be real numbers; got {array.dtype}")
    if array.ndim not in (2, 3):
        raise ValueError(f"[{where}] {name} must be (n, d) or (n, r, d); got shape {tuple(array.shape)}")
    return array


def checked_pair(predicted: Any, target: Any, where: str) -> tuple[Any, Any]:
    """Check two arrays as ``checked`` does, and that they have one shape."""
    pair = checked(predicted, "predicted", where), checked(target, "target", where)
    if pair[0].shape != pair[1].shape:
        raise ValueError(
            f"[{where}] predicted and target must have one shape; got {tuple(pair[0].shape)} and {tuple(pair[1].shape)}"
        )
    return pair


def average_windows(array: Any) -> Any:
    """Average (n, r, d) over its windows, in float64; (n, d) stays as it is."""
    if array.ndim == 2:
        return array
    if array.shape[1] == 0:
        raise ValueError(f"[metrics] a clip must have a window; got shape {tuple(array.shape)}")
    return array.to(torch.float64).mean(1) if isinstance(array, torch.Tensor) else array.mean(axis=1, dtype=np.float64)


def rows(array: Any) -> Any:
    """Lay the windows of (n, r, d) out as (n * r, d)."""
    return array.reshape(-1, array.shape[-1])


def group_numbers(clips: npt.ArrayLike, n: int, where: str) -> npt.NDArray[np.int64]:
    """Return a number for each id, in the order of first appearance: equal ids, equal numbers."""
    ids = np.asarray(clips)
    if ids.shape != (n,):
        raise ValueError(f"[{where}] clips must hold one id for each of the {n} items; got shape {ids.shape}")
    numbers: dict[Any, int] = {}
    for place, clip in enumerate(ids.tolist()):
        if clip is None or clip != clip:
            raise ValueError(f"[{where}] clips must be ids; got {clip!r} at item {place}")
        numbers.setdefault(clip, len(numbers))
    return np.array([numbers[clip] for clip in ids.tolist()], dtype=np.int64)
