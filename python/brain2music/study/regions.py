"""Regions of interest: a label for every voxel, a name for every label.

``destrieux.tsv`` beside this file lists the 150 cortical labels of FreeSurfer's ``aparc.a2009s+aseg`` (Destrieux et
al., 2010), 75 a hemisphere with the medial wall: rows 11101 to 11175 and 12101 to 12175 of FreeSurfer's
FreeSurferColorLUT.txt (revision 1.70).
"""

import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from brain2music.study.bold import Grid
from brain2music.study.names import entities
from brain2music.study.sidecars import inherit
from brain2music.study.tables import read_table

__all__ = ["RegionLabels", "label_names", "load_labels", "load_mask", "on_grid"]

DESTRIEUX = Path(__file__).with_name("destrieux.tsv")

#: Tissue classes are no regions: fMRIPrep's bare dseg has three, an atlas of the cortex many more.
FEWEST_LABELS = 20


@dataclass(frozen=True, eq=False)
class RegionLabels:
    """Regions of the voxels of a mask.

    Parameters
    ----------
    labels : array of shape (voxels,), int32
        In the order of the responses' voxels; 0 = in no region.
    names : dict
        From label to name; also of regions that have no voxel here.
    """

    labels: npt.NDArray[np.int32]
    names: dict[int, str]

    def __len__(self) -> int:
        return len(self.labels)


def label_names(path: Path, names: Path | None = None, root: Path | None = None) -> dict[int, str]:
    """Return the names of an image's labels.

    Parameters
    ----------
    path : Path
        A labelled image. FreeSurfer's ``aparc.a2009s+aseg`` is known by its name.
    names : Path, optional
        Table with columns ``index`` and ``name``; by default the one of the image's own name, or the one that applies
        to it by BIDS inheritance below ``root``.
    root : Path, optional

    Returns
    -------
    dict
        From label to name; background (0) left out.

    Raises
    ------
    ValueError
        If there are no names, or too few for an atlas.
    """
    if names is None:
        names = DESTRIEUX if path.name.startswith("aparc.a2009s+aseg") else _own_names(path, root)
    if names is None:
        raise ValueError(
            f"[study.regions] labels must have names, in a TSV with columns index and name; got none beside {path} "
            "(fMRIPrep's dseg holds tissue classes, no regions)"
        )
    named: dict[int, str] = {}
    for number, row in enumerate(read_table(names, ["index", "name"]), start=1):
        index = row["index"].strip()
        if not re.fullmatch("[0-9]{1,9}", index) or int(index) in named or not row["name"].strip():
            raise ValueError(
                "[study.regions] index must be a whole number of its own and name must not be empty; got "
                f"{row['index']!r}, {row['name']!r} in row {number} of {names}"
            )
        named[int(index)] = row["name"].strip()
    named.pop(0, None)
    if len(named) < FEWEST_LABELS:
        raise ValueError(
            f"[study.regions] an atlas must have at least {FEWEST_LABELS} labels; got {len(named)} "
            f"({', '.join(list(named.values())[:4])} ...) in {names}: tissue classes are no regions"
        )
    return named


def load_labels(path: Path, names: dict[int, str], grid: Grid) -> npt.NDArray[np.int32]:
    """Read a labelled image onto a grid, each voxel taking the label nearest to its centre.

    Parameters
    ----------
    path : Path
        ``.nii``, ``.nii.gz`` or ``.mgz``.
    names : dict
        Labels that count. Of FreeSurfer's ``aparc.a2009s+aseg`` all others (white matter, ventricles, nuclei) become 0;
        in any other image a label without a name is an error.
    grid : Grid
        Of the BOLD.

    Returns
    -------
    array of shape (x, y, z), int32

    Raises
    ------
    ValueError
        If the image is not one of labels, or none of its labels lies on the grid.
    """
    values, source = _volume(path, "labels")
    whole = values.dtype.kind in "biu" or np.array_equal(values, np.rint(values))
    if not whole or values.min() < 0 or values.max() > np.iinfo(np.int32).max:
        raise ValueError(f"[study.regions] labels must be whole numbers from 0; got {values.dtype} values in {path}")
    labels = values.astype(np.int32)
    present = [int(label) for label in np.unique(labels) if label != 0]
    unnamed = [label for label in present if label not in names]
    if path.name.startswith("aparc.a2009s+aseg"):
        labels[np.isin(labels, unnamed)] = 0
    elif unnamed:
        raise ValueError(f"[study.regions] every label must have a name; got none for {unnamed[:5]} of {path}")
    result = on_grid(labels, source, grid)
    if not np.isin(result, list(names)).any():
        raise ValueError(
            f"[study.regions] labels must lie where the BOLD is; got none of {len(names)} regions of {path} ({source}) "
            f"on its grid ({grid})"
        )
    return result


def load_mask(mask: Any, grid: Grid) -> npt.NDArray[np.bool_]:
    """Read a mask that lies on the BOLD's own grid.

    Parameters
    ----------
    mask : path or nibabel image
        Non-zero inside. It is not resampled: where a voxel lies is no question to settle by rounding.
    grid : Grid

    Returns
    -------
    array of shape (x, y, z), bool
    """
    values, source = _volume(mask, "mask")
    name = mask if isinstance(mask, str | Path) else "the given image"
    if not source.matches(grid):
        raise ValueError(f"[study.regions] mask must have the grid of the BOLD ({grid}); got {source} in {name}")
    inside: npt.NDArray[np.bool_] = values != 0
    if not inside.any():
        raise ValueError(f"[study.regions] mask must hold a voxel; got none in {name}")
    return inside


def on_grid(labels: npt.NDArray[np.int32], source: Grid, target: Grid) -> npt.NDArray[np.int32]:
    """Resample labels by nearest neighbour; 0 outside the source. Slice by slice: no array of coordinates is held."""
    if source.matches(target):
        return labels
    to_source = np.linalg.inv(source.affine) @ target.affine
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in target.shape[:2]), indexing="ij")
    result = np.zeros(target.shape, dtype=np.int32)
    for z in range(target.shape[2]):
        voxels = np.stack([x, y, np.full_like(x, z), np.ones_like(x)], axis=-1) @ to_source[:3].T
        nearest = np.floor(voxels + 0.5).astype(np.int64)
        inside = np.all((nearest >= 0) & (nearest < source.shape), axis=-1)
        result[..., z][inside] = labels[tuple(nearest[inside].T)]
    return result


def _own_names(path: Path, root: Path | None) -> Path | None:
    own = path.with_name(path.name.removesuffix(".gz").rsplit(".", 1)[0] + ".tsv")
    if own.is_file():
        return own
    if root is None or root not in path.parents or entities(path)["suffix"] != "dseg":
        return None
    return next(iter(reversed(inherit(path, root, ".tsv"))), None)


def _volume(image: Any, what: str) -> tuple[npt.NDArray[Any], Grid]:
    """Read a three-dimensional image (or a single volume) of finite numbers."""
    path = image if isinstance(image, str | Path) else "the given image"
    try:
        loaded: Any = nib.load(image) if isinstance(image, str | Path) else image
        values, affine = np.asanyarray(loaded.dataobj), np.asarray(loaded.affine, dtype=np.float64)
    except (
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
    ) as error:
        problem = " ".join(str(error).split())
        raise ValueError(
            f"[study.regions] {what} must be an image that nibabel reads; got '{problem}' in {path}"
        ) from error
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3 or values.size == 0 or values.dtype.kind not in "biuf":
        raise ValueError(f"[study.regions] {what} must be three-dimensional; got {values.shape} in {path}")
    if not np.isfinite(values).all() or not np.isfinite(affine).all():
        raise ValueError(f"[study.regions] {what} and its affine must be finite; got NaN or Inf in {path}")
    return values, Grid(values.shape, affine)
