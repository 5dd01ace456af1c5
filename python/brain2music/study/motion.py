"""Rigid head motion: every volume onto one reference, by least squares.

The method is that of Friston et al. (1995), *Spatial registration and normalization of images*, which SPM uses too: six
parameters and one intensity factor, Gauss-Newton steps with the gradient of the reference, on images smoothed a little.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music.study.volumes import Grid

__all__ = ["Realigner"]

#: Full width at half maximum of the smoothing, and the distance of the points compared, in millimetres.
SMOOTHING = 5.0
DISTANCE = 4.0

#: A step shorter than this, in millimetres at 50 mm from the centre, ends the search.
CONVERGED = 1e-3
STEPS = 64

#: Correlation with the reference below which a volume is none of this head: volumes of one run have 0.99.
LEAST_LIKENESS = 0.5


class Realigner:
    """Aligns volumes to a reference, and reads the voxels of a mask out of them.

    Parameters
    ----------
    reference : array of shape (x, y, z)
        The volume that stays where it is.
    grid : Grid
        Of reference and volumes.
    mask : array of shape (x, y, z), bool
        Voxels to read.
    """

    def __init__(self, reference: npt.NDArray[Any], grid: Grid, mask: npt.NDArray[np.bool_]) -> None:
        if min(grid.shape) < 8:
            raise ValueError(f"[study.Realigner] volumes must have 8 voxels or more along each axis; got {grid.shape}")
        self._affine, self._inverse = grid.affine, np.linalg.inv(grid.affine)
        self._sizes = np.linalg.norm(grid.affine[:3, :3], axis=0)
        self._wanted = self._millimetres(np.argwhere(mask))
        steps = np.maximum(1, np.rint(DISTANCE / self._sizes)).astype(int)
        # The outermost voxels are left to the smoothing and to what moves in from outside.
        inner = tuple(slice(2, size - 2, step) for size, step in zip(grid.shape, steps, strict=True))
        voxels = np.stack(
            np.meshgrid(*(np.arange(n)[cut] for n, cut in zip(grid.shape, inner, strict=True)), indexing="ij")
        )
        self._points = self._millimetres(voxels.reshape(3, -1).T)
        self._centre = self._points.mean(axis=0)
        smooth = self._smooth(reference)
        gradient: list[npt.NDArray[np.float32]] = list(np.gradient(smooth))
        slopes = np.stack([slope[inner].ravel() for slope in gradient], axis=1) @ self._inverse[:3, :3]
        turning = np.cross(self._points - self._centre, slopes)
        self._values = smooth[inner].ravel()
        design = np.column_stack([slopes, turning, self._values])
        if np.linalg.matrix_rank(design) < 7:
            raise ValueError("[study.Realigner] the reference must vary in space; got too little to align to")
        self._solve = np.linalg.pinv(design)
        self.largest = 0.0

    def __call__(self, volume: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Align a volume.

        Parameters
        ----------
        volume : array of shape (x, y, z)
            Finite.

        Returns
        -------
        array of shape (voxels,), float32
            The mask's voxels by cubic splines; beyond the edge of the volume, its edge. ``largest`` keeps the farthest
            that a voxel has moved so far, in millimetres.
        """
        from scipy import ndimage  # type: ignore[import-untyped]

        motion = self.estimate(volume)
        moved = self._wanted @ motion[:3, :3].T + motion[:3, 3]
        self.largest = max(self.largest, float(np.linalg.norm(moved - self._wanted, axis=1).max(initial=0)))
        values = ndimage.map_coordinates(
            np.asarray(volume, dtype=np.float32), self._voxels(moved), output=np.float32, mode="nearest"
        )
        return np.asarray(values, dtype=np.float32)

    def estimate(self, volume: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Find the rigid motion from the reference to a volume: shape (4, 4), millimetres to millimetres."""
        from scipy import ndimage

        coefficients = ndimage.spline_filter(self._smooth(volume), output=np.float32, mode="nearest")
        motion = np.eye(4)
        for _ in range(STEPS):
            where = self._voxels(self._points @ motion[:3, :3].T + motion[:3, 3])
            values = ndimage.map_coordinates(coefficients, where, mode="nearest", prefilter=False)
            *step, gain = self._solve @ values
            # What is left of the motion has been found at the reference, so it is undone there, before the rest.
            shift, turn = np.array(step[:3]) / gain, np.array(step[3:]) / gain
            motion = motion @ np.linalg.inv(_rigid(shift, turn, self._centre))
            if not np.isfinite(motion).all():
                break
            if np.linalg.norm(shift) + 50 * np.linalg.norm(turn) < CONVERGED:
                likeness = float(np.corrcoef(values, self._values)[0, 1])
                if not likeness > LEAST_LIKENESS:
                    raise ValueError(
                        "[study.Realigner] a volume must look like the reference once aligned, "
                        f"r > {LEAST_LIKENESS}; got r = {likeness:.2f}"
                    )
                return motion
        raise ValueError(f"[study.Realigner] head motion must be found within {STEPS} steps; got none that fits")

    def _smooth(self, volume: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        from scipy import ndimage

        sigma = SMOOTHING / math.sqrt(8 * math.log(2)) / self._sizes
        smooth: npt.NDArray[np.float32] = ndimage.gaussian_filter(np.asarray(volume, dtype=np.float32), sigma)
        return smooth

    def _millimetres(self, voxels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return np.asarray(voxels @ self._affine[:3, :3].T + self._affine[:3, 3], dtype=np.float64)

    def _voxels(self, millimetres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray((millimetres @ self._inverse[:3, :3].T + self._inverse[:3, 3]).T)


def _rigid(
    shift: npt.NDArray[np.float64], turn: npt.NDArray[np.float64], centre: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Rotate about the axis ``turn`` through the centre, by its length in radians, then shift (Rodrigues' formula)."""
    angle = float(np.linalg.norm(turn))
    x, y, z = turn / angle if angle > 0 else turn
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)
    result = np.eye(4)
    result[:3, :3] = rotation
    result[:3, 3] = centre - rotation @ centre + shift
    return result
