"""A head in MNI space: what is brain, what is cortex, and which of 150 regions each voxel belongs to.

Tissue comes from the ICBM 152 template that nilearn brings. The regions bear the names of the Destrieux atlas and lie
about where it has them: each voxel of cortex goes to the nearest of the centres in ``centres.tsv``. They are no copy of
the atlas, whose volumes exist for single subjects only.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree  # type: ignore[import-untyped]

from brain2music.study.regions import DESTRIEUX
from brain2music.study.tables import read_table

__all__ = ["SPACE", "Anatomy", "anatomy", "region_names", "smooth_fields"]

_Floats = npt.NDArray[np.float64]

#: BIDS name of the template that nilearn brings.
SPACE = "MNI152NLin2009aSym"

#: Extent of the images in mm, as in ds003720 (96 x 96 x 68 voxels of 2 mm), and the lower corner of the first voxel.
_EXTENT_MM = (192.0, 192.0, 136.0)
_CORNER_MM = (-96.0, -112.0, -56.0)
#: Voxels of cortex a subject, at 2 mm (Denk, Takagi et al., 2023).
_CORTEX_VOXELS = (53_421, 64_700)
#: Standard deviation by which a subject's regions lie elsewhere, in mm.
_SHIFT_MM = 2.0


@dataclass(frozen=True, eq=False)
class Anatomy:
    """One subject's head on the grid of its BOLD.

    ``brain`` (x, y, z) is what the BOLD shows, ``labels`` (x, y, z) numbers the cortex's regions as FreeSurfer does (0
    elsewhere), ``intensity`` (x, y, z) is the mean BOLD, ``t1`` (x, y, z) the anatomical image.
    """

    affine: _Floats
    brain: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int32]
    intensity: npt.NDArray[np.float32]
    t1: npt.NDArray[np.int16]

    def positions(self, mask: npt.NDArray[np.bool_]) -> _Floats:
        """Centres of a mask's voxels in mm, (voxels, 3), in the mask's order."""
        return np.argwhere(mask) @ self.affine[:3, :3].T + self.affine[:3, 3]


def region_names() -> dict[int, str]:
    """Label to name, as in FreeSurfer's ``aparc.a2009s+aseg``: 150 regions."""
    return {int(row["index"]): row["name"] for row in read_table(DESTRIEUX, ["index", "name"])}


def anatomy(voxel_mm: float, seed: int, subject: int) -> Anatomy:
    """Build one subject's head.

    Parameters
    ----------
    voxel_mm : float
        Edge of a voxel: 2 as in ds003720, more for a small study.
    seed, subject : int
        The same ones give the same head.

    Returns
    -------
    Anatomy
    """
    rng = np.random.default_rng([seed, subject, 1])
    shape, affine = _grid(voxel_mm)
    grey, white, t1 = (_template(name, voxel_mm) for name in ("gm", "wm", "t1"))
    brain = (t1 > 0.1) & (grey + white > 0.05)
    position = np.indices(shape, np.float64).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    hull = _cortical(position).reshape(shape) & brain
    low, high = _CORTEX_VOXELS
    wanted = round(rng.uniform(low, high) * (2 / voxel_mm) ** 3)
    # Broken ties: the template is saturated in places.
    rank = np.where(hull, grey + 0.02 * rng.random(shape), -1)
    cortex = rank >= np.partition(rank.ravel(), -wanted)[-wanted]
    labels = np.zeros(shape, np.int32)
    labels[cortex] = _nearest_region(position[cortex.ravel()], rng)
    field = 1 + 0.15 * smooth_fields(rng, 1, 80.0, position[brain.ravel()])[:, 0]
    intensity = np.zeros(shape, np.float32)
    intensity[brain] = ((1150 - 300 * white + 50 * grey)[brain] * np.clip(field, 0.6, 1.4)).astype(np.float32)
    return Anatomy(affine, brain, labels, intensity, np.rint(1000 * np.where(brain, t1, 0)).astype(np.int16))


def smooth_fields(rng: np.random.Generator, fields: int, length_mm: float, positions: _Floats) -> _Floats:
    """Gaussian random fields of mean 0 and variance 1 that vary over ``length_mm``, at positions (n, 3) in mm.

    Each is a sum of 24 plane waves: at any place, no grid and no filter needed.
    """
    waves = 24
    direction = rng.normal(0, 1 / length_mm, (3, fields * waves))
    phase = rng.uniform(0, 2 * np.pi, fields * waves)
    result = np.empty((len(positions), fields))
    for start in range(0, len(positions), 8192):
        part = np.cos(positions[start : start + 8192] @ direction + phase)
        result[start : start + 8192] = part.reshape(-1, fields, waves).sum(axis=2) * np.sqrt(2 / waves)
    return result


def _grid(voxel_mm: float) -> tuple[tuple[int, ...], _Floats]:
    shape = tuple(round(extent / voxel_mm) for extent in _EXTENT_MM)
    # x runs from right to left, as in the files of ds003720.
    affine = np.diag([-voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = np.array(_CORNER_MM) + voxel_mm / 2
    affine[0, 3] = -affine[0, 3]
    return shape, affine


@lru_cache(maxsize=3)
def _template(name: str, voxel_mm: float) -> npt.NDArray[np.float64]:
    """Tissue on the grid of a voxel size, from 0 to 1; not to be written to."""
    shape, affine = _grid(voxel_mm)
    try:
        from nilearn import datasets, image  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(
            f"[simulation.anatomy] nilearn must be installed: 'pip install brain2music[simulate]'; got '{error}'"
        ) from error
    load: dict[str, Any] = {
        "gm": datasets.load_mni152_gm_template,
        "wm": datasets.load_mni152_wm_template,
        "t1": datasets.load_mni152_template,
    }
    source = load[name](resolution=2)
    nifti: Any = nib.Nifti1Image
    values = image.resample_img(
        nifti(np.asarray(source.dataobj, np.float64), source.affine),
        target_affine=affine,
        target_shape=shape,
        interpolation="linear",
        copy_header=True,
        force_resample=True,
    ).get_fdata()
    return np.asarray(np.clip(values / np.percentile(source.get_fdata(), 99.8), 0, 1))


def _cortical(position: _Floats) -> npt.NDArray[np.bool_]:
    """Leave out cerebellum, brain stem and deep nuclei, roughly: by planes and boxes, in mm."""
    x, y, z = np.abs(position[:, 0]), position[:, 1], position[:, 2]
    cerebellum = (y < -36) & (z < np.where(x > 34, -24, -14 - 0.12 * (y + 40)))
    stem = (x < 16) & (y > -48) & (y < -8) & (z < -4)
    nuclei = (x < 31) & (y > -34) & (y < 22) & (z > -10) & (z < 20)
    return ~(cerebellum | stem | nuclei)


def _nearest_region(position: _Floats, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    """Labels of positions in mm: the nearest centre of the same hemisphere, each a little elsewhere in each subject."""
    with Path(__file__).with_name("centres.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    centres = np.array([[float(row[axis]) for axis in "xyz"] for row in rows])
    numbers = {name: label for label, name in region_names().items()}
    labels = np.empty(len(position), np.int32)
    for side, mirror, here in (("lh", 1, position[:, 0] < 0), ("rh", -1, position[:, 0] >= 0)):
        moved = centres * [mirror, 1, 1] + rng.normal(0, _SHIFT_MM, centres.shape)
        own = np.array([numbers[f"ctx_{side}_{row['region']}"] for row in rows])
        labels[here] = own[cKDTree(moved).query(position[here])[1]]
    return labels
