"""A head that moves in the scanner."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform  # type: ignore[import-untyped]

__all__ = ["PARAMETERS", "draw_motion", "move"]

_Floats = npt.NDArray[np.float64]

#: Columns of motion: shifts in mm, rotations in radians, as fMRIPrep names them.
PARAMETERS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
_SHIFT_MM, _ROTATION = 0.3, 0.004
_JERK_CHANCE, _JERK = 0.01, 2.0


def draw_motion(rng: np.random.Generator, scans: int) -> _Floats:
    """Draw a head's motion, (scans, 6): it creeps, breathes and now and then jerks; it starts at rest."""
    creep = np.cumsum(rng.standard_normal((scans, 6)), axis=0) / np.sqrt(scans)
    breath = 0.1 * np.sin(2 * np.pi * 0.27 * 1.5 * np.arange(scans) + rng.uniform(0, 6))[:, None] * rng.random(6)
    jerks = np.cumsum((rng.random((scans, 1)) < _JERK_CHANCE) * rng.normal(0, _JERK / 6, (scans, 6)), axis=0)
    motion = (creep + breath + jerks) * ([_SHIFT_MM] * 3 + [_ROTATION] * 3)
    return np.asarray(motion - motion[0])


def move(volumes: npt.NDArray[np.int16], motion: _Floats, affine: _Floats) -> None:
    """Move each volume of (scans, z, y, x), in place, by its row of ``motion``, about the middle of the image."""
    matrix = affine[:3, :3]
    middle = (np.array(volumes.shape[:0:-1]) - 1) / 2

    def one(scan: int) -> None:
        # The voxel that a place is taken from: rotate back in mm, shift back, in voxels.
        turn = np.linalg.inv(matrix) @ _rotation(motion[scan, 3:]).T @ matrix
        shift = middle - turn @ (middle + np.linalg.inv(matrix) @ motion[scan, :3])
        moved = affine_transform(volumes[scan].T.astype(np.float32), turn, shift, order=1, mode="nearest")
        volumes[scan] = np.rint(moved).astype(np.int16).T

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, range(len(volumes))))


def _rotation(angles: _Floats) -> _Floats:
    """Rotation about x, then y, then z, in radians."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        first, second = [other for other in range(3) if other != axis]
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second] = -np.sin(angle) if axis != 1 else np.sin(angle)
        turn[second, first] = -turn[first, second]
        result = turn @ result
    return result
