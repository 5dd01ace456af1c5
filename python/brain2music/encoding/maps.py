"""Numbers of voxels and vertices as images that others read: NIfTI volumes and GIFTI surfaces."""

import os
from typing import Any, cast

import nibabel
import numpy as np
import numpy.typing as npt
import torch

__all__ = ["image_of", "in_space_of", "real_numbers", "to_gifti", "to_nifti"]

nib: Any = nibabel  # parts of it have no types


def to_nifti(values: Any, mask: Any) -> nibabel.nifti1.Nifti1Image:
    """Lay numbers of voxels out as a volume.

    Parameters
    ----------
    values : array of shape (v,), or (maps, v)
        Scores, P, rates: a number for each voxel of the mask. Logical values become 0 and 1.
    mask : nibabel image or path
        The voxels, in the order of ``image.get_fdata()[mask]``, such as ``brain.mask`` of
        :meth:`Study.responses <brain2music.Study.responses>`.

    Returns
    -------
    nibabel.Nifti1Image
        float32, of the mask's shape and affine, with a fourth axis for several maps. NaN outside the mask, so that no
        voxel there passes for one that was tested.

    Raises
    ------
    ValueError
        If there are not as many numbers as voxels.
    """
    image = image_of(mask)
    inside = np.asanyarray(image.dataobj) > 0
    maps = _maps(values, int(inside.sum()), "to_nifti", "voxels of the mask")
    volume = np.full((*inside.shape, len(maps)), np.nan, np.float32)
    volume[inside] = maps.T
    return in_space_of(image, volume if np.ndim(values) == 2 else volume[..., 0])


def image_of(mask: Any) -> Any:
    """Return an image that may be given by its path."""
    return nib.load(mask) if isinstance(mask, (str, os.PathLike)) else mask


def in_space_of(image: Any, volume: npt.NDArray[Any]) -> nibabel.nifti1.Nifti1Image:
    """Make an image of a volume on another image's grid, and in its space: nilearn and others look at these codes."""
    made = nib.nifti1.Nifti1Image(volume, image.affine)
    for code, form in (("qform_code", made.set_qform), ("sform_code", made.set_sform)):
        form(image.affine, int(image.header[code]))
    return cast("nibabel.nifti1.Nifti1Image", made)


def to_gifti(values: Any, vertices: int | None = None) -> tuple[Any, Any]:
    """Lay numbers of vertices out as two surfaces.

    Parameters
    ----------
    values : array of shape (v,), or (maps, v)
        A number for each vertex: all of the left hemisphere, then all of the right.
    vertices : int, optional
        Of the left hemisphere; half of all by default, as on fsaverage5 (10,242 a hemisphere) and fsaverage6 (40,962).

    Returns
    -------
    tuple of nibabel.gifti.GiftiImage
        The left and the right hemisphere, one float32 array a map. Save them as ``*_hemi-L.func.gii`` and
        ``*_hemi-R.func.gii``.

    Raises
    ------
    ValueError
        If the vertices cannot be dealt out to two hemispheres.
    """
    total = np.shape(values)[-1] if np.ndim(values) else 0
    left = total // 2 if vertices is None else vertices
    if not 0 < left < total or (vertices is None and total % 2):
        raise ValueError(
            f"[encoding.to_gifti] vertices must be of two hemispheres, left then right; got {total} with "
            f"{vertices if vertices is not None else 'half'} of them on the left"
        )
    maps = _maps(values, total, "to_gifti", "vertices")
    images = []
    for name, part in (("CortexLeft", maps[:, :left]), ("CortexRight", maps[:, left:])):
        arrays = [
            nib.gifti.GiftiDataArray(
                np.ascontiguousarray(one), intent="NIFTI_INTENT_NONE", datatype="NIFTI_TYPE_FLOAT32"
            )
            for one in part
        ]
        meta = nib.gifti.GiftiMetaData(AnatomicalStructurePrimary=name)
        images.append(nib.gifti.GiftiImage(darrays=arrays, meta=meta))
    return images[0], images[1]


def real_numbers(values: Any, what: str) -> npt.NDArray[np.float64]:
    """Return an array or tensor of any real type as float64."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        array = np.asarray(values if values.is_complex() else values.double())
    else:
        array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what} must hold real numbers; got {array.dtype}")
    return array.astype(np.float64)


def _maps(values: Any, expected: int, where: str, what: str) -> npt.NDArray[np.float32]:
    """Return (maps, v) float32."""
    array = real_numbers(values, f"[encoding.{where}] values")
    if array.ndim not in (1, 2) or array.shape[-1] != expected:
        raise ValueError(
            f"[encoding.{where}] values must be a number for each of {expected} {what}, or several maps of them; got "
            f"shape {array.shape}"
        )
    return np.atleast_2d(array).astype(np.float32)
