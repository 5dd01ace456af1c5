"""Maps of one subject, as files: NIfTI where there are voxels, two GIFTI files where there are vertices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from brain2music.encoding import to_gifti, to_nifti
from brain2music.encoding.maps import in_space_of
from brain2music.study import Responses, Surface

__all__ = ["labels_in", "save_labels", "save_map", "surface_in"]

nibabel: Any = nib  # parts of it have no types


def save_map(values: Any, brain: Responses, folder: Path, name: str) -> None:
    """Write a number for each voxel into ``<name>.nii.gz``, or for each vertex into ``<name>_hemi-[LR].func.gii``."""
    if brain.surface is None:
        nibabel.save(to_nifti(values, brain.mask), folder / f"{name}.nii.gz")
        return
    for side, image in zip("LR", to_gifti(values, brain.surface.left), strict=True):
        nibabel.save(image, folder / f"{name}_hemi-{side}.func.gii")


def surface_in(about: Mapping[str, Any]) -> Surface | None:
    """Return the surface that an ``about.json`` names; none where maps are of voxels."""
    surface = about.get("surface")
    return None if surface is None else Surface(**surface)


def labels_in(folder: Path) -> Any:
    """Return the labels that :func:`save_labels` wrote: a path, or the label of each vertex."""
    volume = folder / "labels.nii.gz"
    if volume.exists():
        return volume
    return np.concatenate([nibabel.load(folder / f"labels_hemi-{side}.label.gii").darrays[0].data for side in "LR"])


def save_labels(labels: npt.NDArray[np.int32], names: Mapping[int, str], brain: Responses, folder: Path) -> None:
    """Write the region of each voxel into ``labels.nii.gz``, or of each vertex into ``labels_hemi-[LR].label.gii``."""
    if brain.surface is None:
        mask: Any = brain.mask
        volume = np.zeros(mask.shape, np.int32)
        volume[np.asarray(mask.dataobj) > 0] = labels
        nibabel.save(in_space_of(mask, volume), folder / "labels.nii.gz")
        return
    table = nibabel.gifti.GiftiLabelTable()
    for key, text in ((0, "in no region"), *names.items()):
        entry = nibabel.gifti.GiftiLabel(key, *np.random.default_rng(key).random(3).round(3), 1.0)
        entry.label = text
        table.labels.append(entry)
    left = brain.surface.left
    for side, part in zip("LR", (labels[:left], labels[left:]), strict=True):
        array = nibabel.gifti.GiftiDataArray(part.astype(np.int32), intent="NIFTI_INTENT_LABEL")
        nibabel.save(nibabel.GiftiImage(darrays=[array], labeltable=table), folder / f"labels_hemi-{side}.label.gii")
