"""Masks: which voxels of the BOLD are read."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music.study.volumes import Grid, on_bold, read_volume

__all__ = ["load_mask"]


def load_mask(
    mask: Any, grid: Grid, *, threshold: float | None = None, same_grid: bool = False
) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Read a mask that lies on the BOLD's own grid.

    Parameters
    ----------
    mask : path or nibabel image
        0 outside and one other value inside (1, 255, -1, ...), as nilearn has it; NaN is outside. It is not resampled:
        where a voxel lies is no question to settle by rounding.
    grid : Grid
    threshold : float, optional
        Voxels strictly above it are inside, whatever values there are: this makes a mask of a probability map.
    same_grid : bool
        Whether the mask lies on the grid voxel by voxel, whatever its header says; the shapes must agree.

    Returns
    -------
    inside : array of shape (x, y, z), bool
    notes : list of str

    Raises
    ------
    ValueError
        If the mask lies on another grid or does not say where it lies, holds more than one value besides 0 and no
        threshold is given, or holds no voxel.
    """
    name = mask if isinstance(mask, str | Path) else "the given image"
    values, source, notes = read_volume(mask, "mask")
    source, told = on_bold(source, grid, "mask", name, same_grid)
    notes += told
    if not source.matches(grid):
        raise ValueError(f"[study.masks] mask must have the grid of the BOLD ({grid}); got {source} in {name}")
    unknown = np.isnan(values)
    if unknown.any():
        notes.append(f"{int(unknown.sum())} voxels of the mask {name} are NaN: outside.")
    if threshold is None:
        inside = np.asarray((values != 0) & ~unknown)
        _check_binary(np.unique(values[inside]), name)
    else:
        inside = np.asarray(values > threshold)
        notes.append(f"{int(inside.sum())} voxels of the mask {name} are above {threshold:g}, as asked.")
    if not inside.any():
        above = "" if threshold is None else f" above {threshold:g}"
        raise ValueError(f"[study.masks] mask must hold a voxel; got none{above} in {name}")
    return inside, notes


def _check_binary(values: npt.NDArray[Any], name: Any) -> None:
    """Refuse more than one value besides 0, and say what such an image probably is."""
    if len(values) < 2:
        return
    if np.array_equal(values, np.rint(values)):
        likely = "labels? give them by rois=, or say mask_threshold=0 for all voxels above 0"
    else:
        likely = "a probability map? say mask_threshold=0.5, or where else a voxel is inside"
    raise ValueError(
        f"[study.masks] mask must hold 0 and one other value; got {len(values)} others from {values[0]:g} to "
        f"{values[-1]:g} in {name} ({likely})"
    )
