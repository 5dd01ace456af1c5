"""Regions of interest: a label for every voxel, a name for every label.

``destrieux.tsv`` beside this file lists the 150 cortical labels of FreeSurfer's ``aparc.a2009s+aseg`` (Destrieux et
al., 2010), 75 a hemisphere with the medial wall: rows 11101 to 11175 and 12101 to 12175 of FreeSurfer's
FreeSurferColorLUT.txt (revision 1.70).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brain2music.study.names import entities
from brain2music.study.sidecars import inherit
from brain2music.study.tables import read_table
from brain2music.study.volumes import Grid, on_bold, read_volume

__all__ = ["RegionLabels", "label_names", "load_labels", "on_grid"]

DESTRIEUX = Path(__file__).with_name("destrieux.tsv")

#: Tissue classes are no regions: fMRIPrep's bare dseg has three, an atlas of the cortex many more.
FEWEST_LABELS = 20

#: What a label may be off a whole number: nibabel's own scaling of int16 is off by a few ten-thousandths.
HAIR = 1e-3

PROBABILISTIC = " (of a probabilistic atlas, make one image of labels first, such as each voxel's most probable region)"


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


def label_names(
    path: Path, names: Path | None = None, root: Path | None = None, fewest: int = FEWEST_LABELS
) -> dict[int, str]:
    """Return the names of an image's labels.

    Parameters
    ----------
    path : Path
        A labelled image. FreeSurfer's ``aparc.a2009s+aseg`` is known by its name.
    names : Path, optional
        Table with columns ``index`` and ``name``; by default the one of the image's own name, or the one that applies
        to it by BIDS inheritance below ``root``.
    root : Path, optional
    fewest : int
        Fewer labels are no atlas.

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
        index = re.sub(r"\.0+$", "", index)  # pandas writes whole numbers beside missing ones so
        if not re.fullmatch("[0-9]{1,9}", index) or int(index) in named or not row["name"].strip():
            raise ValueError(
                "[study.regions] index must be a whole number of its own and name must not be empty; got "
                f"{row['index']!r}, {row['name']!r} in row {number} of {names}"
            )
        named[int(index)] = row["name"].strip()
    named.pop(0, None)
    if len(named) < fewest:
        raise ValueError(
            f"[study.regions] an atlas must have at least {fewest} labels; got {len(named)} "
            f"({', '.join(list(named.values())[:4])} ...) in {names}: tissue classes are no regions (if "
            f"these are regions, say min_regions={len(named)})"
        )
    return named


def load_labels(
    path: Path, names: dict[int, str], grid: Grid, *, same_grid: bool = False
) -> tuple[npt.NDArray[np.int32], list[str]]:
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
    same_grid : bool
        Whether the image lies on the grid voxel by voxel, whatever its header says; the shapes must agree.

    Returns
    -------
    labels : array of shape (x, y, z), int32
        NaN became 0.
    notes : list of str

    Raises
    ------
    ValueError
        If the image is not one of labels, does not say where its voxels lie, or none of its labels lies on the grid.
    """
    values, source, notes = read_volume(path, "labels", PROBABILISTIC)
    source, told = on_bold(source, grid, "labels", path, same_grid)
    notes += told
    unknown = np.isnan(values)
    if unknown.any():
        notes.append(f"{int(unknown.sum())} voxels of the labels {path} are NaN: in no region.")
        values = np.where(unknown, 0, values)
    if values.dtype.kind == "f":
        # A header's scaling puts whole numbers a hair aside.
        off = np.abs(values - np.rint(values))
        near = (off > 0) & (off <= HAIR)
        if near.any():
            notes.append(
                f"{int(near.sum())} labels of {path} lie up to {off[near].max():.2g} off whole numbers: rounded."
            )
            values = np.where(near, np.rint(values), values)
    broken = np.zeros(1, bool) if values.dtype.kind in "biu" else values != np.rint(values)
    if broken.any():
        raise ValueError(
            f"[study.regions] labels must be whole numbers from 0; got {values.flat[int(np.argmax(broken))]:g} and "
            f"{int(broken.sum()) - 1} others of {values.dtype} in {path} (labels are resampled by nearest neighbour, "
            f"never linearly; a probability map is no label image)"
        )
    if values.min() < 0 or values.max() > np.iinfo(np.int32).max:
        raise ValueError(
            f"[study.regions] labels must be whole numbers from 0; got {values.min():g} to {values.max():g} in {path}"
        )
    labels = values.astype(np.int32)
    present = [int(label) for label in np.unique(labels) if label != 0]
    unnamed = [label for label in present if label not in names]
    if path.name.startswith("aparc.a2009s+aseg"):
        labels[np.isin(labels, unnamed)] = 0
    elif unnamed:
        shifted = unnamed == [max(names) + 1]
        raise ValueError(
            f"[study.regions] every label must have a name; got none for {unnamed[:5]} of {path}"
            + (
                " (an index must be the value in the image: is a name missing, or does the table count from 0?)"
                if shifted
                else ""
            )
        )
    result = on_grid(labels, source, grid)
    if not np.isin(result, list(names)).any():
        raise ValueError(
            f"[study.regions] labels must lie where the BOLD is; got none of {len(names)} regions of {path} ({source}) "
            f"on its grid ({grid})"
        )
    return result, notes


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
