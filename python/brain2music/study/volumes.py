"""Volumes in space: which grid an image lies on, and whether its header says so at all.

A header may leave open where its voxels lie: NIfTI with qform_code and sform_code 0, MGH with goodRASFlag 0, Analyze.
Then nibabel makes an affine up, from the voxels' size alone, and left may be right.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

__all__ = ["Grid", "forms_apart", "forms_note", "in_mni", "is_oriented", "on_bold", "read_volume"]

#: NIfTI's code for coordinates of the MNI 152 template.
MNI = 4

#: Millimetres by which qform and sform may differ: the quaternion's rounding moves a far corner by a few hundredths.
APART = 0.1


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels lie: shape (x, y, z) and the affine from voxel indices to millimetres."""

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]
    oriented: bool = True  # False: the header does not say, and the affine is nibabel's guess

    def matches(self, other: Any) -> bool:
        """Whether both put every voxel in the same place, to a thousandth of a millimetre a voxel."""
        if not isinstance(other, Grid):
            return False
        return self.shape == other.shape and np.allclose(self.affine, other.affine, rtol=0, atol=1e-3)

    def __str__(self) -> str:
        where = "" if self.oriented else ", without orientation"
        return f"shape {self.shape}, affine {np.round(self.affine[:3], 3).tolist()}{where}"


def is_oriented(image: Any) -> bool:
    """Whether an image's header says where its voxels lie.

    Parameters
    ----------
    image : nibabel image

    Returns
    -------
    bool
        NIfTI: qform_code or sform_code above 0. MGH: goodRASFlag. Analyze: only where SPM's ``.mat`` file was beside
        it. Other formats always say it.
    """
    header: Any = image.header
    if image.affine is None:
        return False
    if isinstance(header, nib.Nifti1Header):
        return int(header["qform_code"]) > 0 or int(header["sform_code"]) > 0
    if isinstance(header, nib.freesurfer.mghformat.MGHHeader):
        # nibabel sets the flag when it reads a file that has none.
        path = image.get_filename()
        if path is None:
            return bool(header["goodRASFlag"])
        with nib.openers.ImageOpener(str(path)) as file:
            return any(file.read(30)[28:])
    if isinstance(header, nib.AnalyzeHeader):
        return not np.allclose(image.affine, image.header.get_best_affine())
    return True


def in_mni(image: Any) -> bool:
    """Whether an image's header says that its coordinates are those of the MNI 152 template."""
    keys: Any = getattr(image.header, "keys", list)()
    # The form that gives the affine: the sform where there is one.
    codes = [int(image.header[code]) for code in ("sform_code", "qform_code") if code in keys]
    return next((code for code in codes if code > 0), 0) == MNI


def forms_apart(image: Any) -> float:
    """Measure how far apart qform and sform put a voxel.

    Parameters
    ----------
    image : nibabel image

    Returns
    -------
    float
        Millimetres between both places of the corner that differs most; 0 where one form is not given or both agree to
        0.1 mm, and infinity where the qform cannot be read.
    """
    header: Any = image.header
    if not isinstance(header, nib.Nifti1Header):
        return 0.0
    try:
        qform, sform = image.header.get_qform(coded=True)[0], image.header.get_sform(coded=True)[0]
    except (nib.spatialimages.HeaderDataError, ValueError, np.linalg.LinAlgError):
        return np.inf if int(header["sform_code"]) > 0 else 0.0
    if qform is None or sform is None:
        return 0.0
    ends = [(0.0, float(size) - 1) for size in image.shape[:3]]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, len(ends))
    with np.errstate(all="ignore"):
        between = (qform - sform)[:3, : len(ends)] @ corners.T + (qform - sform)[:3, 3:]
        apart = float(np.sqrt((between**2).sum(axis=0)).max())
    if not np.isfinite(apart):
        return np.inf
    return apart if apart > APART else 0.0


def forms_note(which: str, apart: float) -> str:
    """Say which of qform and sform is used, where they differ by so many millimetres."""
    if np.isinf(apart):
        return f"The qform of {which} cannot be read: the sform is used."
    return f"qform and sform of {which} place voxels up to {apart:.1f} mm apart: the sform is used, as nibabel does."


def read_volume(image: Any, what: str, hint: str = "") -> tuple[npt.NDArray[Any], Grid, list[str]]:
    """Read a three-dimensional image, or a single volume.

    Parameters
    ----------
    image : path or nibabel image
    what : str
        What it is, for messages.
    hint : str
        What to do with an image of more dimensions.

    Returns
    -------
    values : array of shape (x, y, z)
        Real numbers; NaN may be among them.
    grid : Grid
    notes : list of str

    Raises
    ------
    ValueError
        Naming the file, if nibabel does not read it, or it is of other dimensions or type, or holds Inf.
    """
    path = image if isinstance(image, str | Path) else "the given image"
    try:
        loaded: Any = nib.load(image) if isinstance(image, str | Path) else image
        oriented, apart = is_oriented(loaded), forms_apart(loaded)
        values = np.asanyarray(loaded.dataobj)
        affine = np.asarray(
            loaded.header.get_best_affine() if loaded.affine is None else loaded.affine, dtype=np.float64
        )
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
            f"[study.volumes] {what} must be an image that nibabel reads; got '{problem}' in {path}"
        ) from error
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3 or values.size == 0:
        raise ValueError(f"[study.volumes] {what} must be three-dimensional; got {values.shape} in {path}{hint}")
    if values.dtype.kind not in "biuf":
        raise ValueError(f"[study.volumes] {what} must hold real numbers; got {values.dtype} in {path}")
    if np.isinf(values).any() or not np.isfinite(affine).all():
        raise ValueError(f"[study.volumes] {what} and its affine must be finite; got Inf or NaN in {path}")
    notes = [forms_note(f"{what} {path}", apart)] if apart else []
    return values, Grid(values.shape, affine, oriented), notes


def on_bold(source: Grid, bold: Grid, what: str, path: Any, same_grid: bool) -> tuple[Grid, list[str]]:
    """Settle which grid an image beside the BOLD lies on.

    Parameters
    ----------
    source, bold : Grid
        As the headers have them.
    what : str
        What the image is.
    path : path or str
        Its file, for messages.
    same_grid : bool
        Whether the user says that the image lies on the BOLD's grid, voxel by voxel, whatever the headers say.

    Returns
    -------
    grid : Grid
    notes : list of str

    Raises
    ------
    ValueError
        If neither a header nor the user says where voxels lie; if the shapes must agree and do not.
    """
    if same_grid:
        if source.shape != bold.shape:
            raise ValueError(
                f"[study.volumes] {what} must have the BOLD's shape {bold.shape} under assume_same_grid; got "
                f"{source.shape} in {path}"
            )
        if source.oriented and bold.oriented and source.matches(bold):
            return bold, []
        why = "its header places it elsewhere" if bold.oriented else "the BOLD has no orientation"
        why = why if source.oriented else "it has no orientation"
        return bold, [f"The {what} {path} lies voxel by voxel on the BOLD's grid, as asked: {why}."]
    if not source.oriented or not bold.oriented:
        which = f"the BOLD, {bold}, beside {path}" if source.oriented else path
        raise ValueError(
            f"[study.volumes] {what} and BOLD must say where their voxels lie (NIfTI: a qform_code or sform_code above "
            f"0; MGH: goodRASFlag; Analyze cannot); got no orientation in {which} (if its voxels are stored in the "
            "order of the BOLD's, say assume_same_grid=True)"
        )
    if not abs(np.linalg.det(source.affine[:3, :3])) >= 1e-9:
        raise ValueError(f"[study.volumes] the affine of {what} must be invertible; got {source} in {path}")
    return source, []
