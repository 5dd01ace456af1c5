"""From voxels, or vertices of a finer mesh, to FreeSurfer's average cortex with 10,242 vertices a hemisphere."""

from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music.encoding.maps import image_of, real_numbers
from brain2music.study.surfaces import VERTICES, Surface
from brain2music.study.volumes import in_mni

__all__ = ["on_template", "to_fsaverage5"]

#: Where a vertex's samples are taken, from white matter (0) to the surface of the brain (1).
_DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

#: A mesh of FreeSurfer's average subject begins with the vertices of every coarser one.
_NESTED = ("fsaverage", "fsaverage6", "fsaverage5")


def on_template(where: Any) -> bool:
    """Whether numbers can be shown on the average cortex: their voxels or vertices lie on a template, not one's own.

    Parameters
    ----------
    where : nibabel image, path, or Surface
        ``brain.mask`` or ``brain.surface``.

    Returns
    -------
    bool
        For a volume, whether its header says MNI 152 (``sform_code`` or ``qform_code`` 4).
    """
    if isinstance(where, Surface):
        return where.space in _NESTED and {where.left, where.right} == {VERTICES[where.space]}
    image = image_of(where)
    if not hasattr(image, "header"):
        raise ValueError(
            f"[encoding.on_template] where must be a mask, its path or a Surface; got {type(where).__name__}"
        )
    return in_mni(image)


def to_fsaverage5(values: Any, where: Any, discrete: bool = False) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Bring numbers of voxels or vertices onto fsaverage5.

    Parameters
    ----------
    values : array of shape (v,)
        A number for each voxel of the mask, or each vertex.
    where : nibabel image, path, or Surface
        ``brain.mask``, in MNI space; or ``brain.surface``, on fsaverage5 or a finer mesh, whose first vertices are
        taken.
    discrete : bool, default False
        Whether values are labels, which have no mean: a vertex takes that of the voxel halfway through the cortex.

    Returns
    -------
    (left, right) : arrays of shape (10242,), float32
        The mean over five depths of the nearest voxels. NaN where fewer than three of these are voxels of the mask: no
        voxel outside of the mask, and none without a value, takes part.

    Raises
    ------
    ValueError
        If the numbers lie in no template's space.

    Notes
    -----
    MNI 152 and FreeSurfer's average subject are two templates: places differ by some millimetres, as in all projections
    of this kind. The mean over the depths is that of nilearn's ``vol_to_surf`` with ``kind="depth"``, one depth at a
    time, and ``interpolation="nearest_most_frequent"``: of one sample that is the nearest voxel, where all lie in the
    mask.
    """
    if not on_template(where):
        space = where if isinstance(where, Surface) else "a space that its header does not call MNI 152"
        raise ValueError(
            f"[encoding.to_fsaverage5] values must lie in MNI 152 or on fsaverage, to go to its cortex; got {space}"
        )
    if isinstance(where, Surface):
        return _first_vertices(values, where)
    image = image_of(where)
    inside = np.asanyarray(image.dataobj) > 0
    if inside.ndim != 3:
        raise ValueError(f"[encoding.to_fsaverage5] the mask must be three-dimensional; got shape {inside.shape}")
    array = real_numbers(values, "[encoding.to_fsaverage5] values")
    if array.shape != (int(inside.sum()),):
        raise ValueError(
            f"[encoding.to_fsaverage5] values must be a number for each of {int(inside.sum())} voxels of the mask; got "
            f"shape {array.shape}"
        )
    # NaN stands last: it is what a place outside of the mask is given.
    padded = np.append(array, np.nan)
    voxel = np.full(inside.shape, len(array))
    voxel[inside] = np.arange(len(array))
    left, right = (_on_mesh(padded, voxel, image.affine, side, discrete) for side in ("left", "right"))
    return left, right


def _on_mesh(
    padded: npt.NDArray[Any], voxel: npt.NDArray[np.int64], affine: Any, side: str, discrete: bool
) -> npt.NDArray[np.float32]:
    from nilearn import datasets  # type: ignore[import-untyped]  # takes a second to import

    meshes = datasets.load_fsaverage("fsaverage5")
    inner, outer = (meshes[name].parts[side].coordinates for name in ("white_matter", "pial"))
    to_voxels = np.linalg.inv(affine)
    samples = []
    for depth in (0.5,) if discrete else _DEPTHS:
        places = inner + depth * (outer - inner)
        index = np.rint(places @ to_voxels[:3, :3].T + to_voxels[:3, 3]).astype(np.int64)
        known = ((index >= 0) & (index < voxel.shape)).all(axis=1)
        nearest = np.full(len(index), len(padded) - 1)
        nearest[known] = voxel[tuple(index[known].T)]
        samples.append(padded[nearest])
    stacked = np.stack(samples)
    valid = np.isfinite(stacked).sum(axis=0)
    mean = np.nansum(stacked, axis=0) / np.maximum(valid, 1)
    return np.where(2 * valid > len(stacked), mean, np.nan).astype(np.float32)


def _first_vertices(values: Any, where: Surface) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    array = real_numbers(values, "[encoding.to_fsaverage5] values")
    if array.shape != where.shape:
        raise ValueError(
            f"[encoding.to_fsaverage5] values must be a number for each vertex of {where}; got shape {array.shape}"
        )
    count = VERTICES["fsaverage5"]
    left, right = array[: where.left].astype(np.float32), array[where.left :].astype(np.float32)
    return left[:count], right[:count]
