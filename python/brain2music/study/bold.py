"""BOLD from NIfTI: one run at a time, volume by volume, straight into (scans, voxels)."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from brain2music import signal
from brain2music.study.confounds import Detrend, Nuisance, prepare_nuisance
from brain2music.study.surfaces import SurfaceImage
from brain2music.study.volumes import Grid, forms_apart, is_oriented

__all__ = [
    "BoldImage",
    "first_volume",
    "open_bold",
    "read_masked",
    "repetition_time",
    "standardize",
]

#: Voxels detrended at once: a few megabytes beside the run, and enough to keep the cores busy.
SLAB = 4096

#: Seconds in the units that a NIfTI header can give; NIfTI's habit for "unknown" is seconds.
SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}

#: Bytes that a byte of gzip can stand for at most (258 in two bits): no more is allocated because a header says so.
DEFLATED = 1032

Align = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class BoldImage:
    """A checked header: all that reading the volumes needs."""

    path: Path
    grid: Grid
    volumes: int
    tr: float | None  # seconds; None where the header does not say
    dtype: np.dtype[Any]
    offset: int  # bytes before the first volume
    slope: float
    inter: float
    forms_apart: float = 0.0  # millimetres between the places that qform and sform give a voxel


def open_bold(path: Path) -> BoldImage:
    """Read and check the header of a four-dimensional NIfTI file.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``; NIfTI-1 or -2, either byte order, any real type, scaled or not.

    Returns
    -------
    BoldImage

    Raises
    ------
    ValueError
        Naming file and field, if the header is not that of a BOLD run, the file is longer or shorter than it says, or
        the name and the compression disagree.
    """
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"[study.bold] a BOLD image must be .nii or .nii.gz; got {path}")
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    if gzipped != (path.suffix == ".gz"):
        kind = "gzip" if gzipped else "no gzip"
        raise ValueError(f"[study.bold] .nii.gz must be gzip and .nii must not; got {kind} in {path}")
    try:
        with np.errstate(all="ignore"):
            image: Any = nib.load(path)
            data, header = image.dataobj, image.header
            shape, affine, dtype = tuple(data.shape), np.asarray(image.affine, dtype=np.float64), np.dtype(data.dtype)
            offset, slope, inter = int(data.offset), float(data.slope), float(data.inter)
            with nib.openers.ImageOpener(str(path)) as file:
                # nibabel takes an infinite slope for none, and -4 dimensions, big-endian, for 4.
                stored = type(header).from_fileobj(file)
                stored_slope, dimensions = float(stored["scl_slope"]), int(stored["dim"][0])
            unit, zooms = header.get_xyzt_units()[1], header.get_zooms()
            volume = abs(np.linalg.det(affine[:3, :3]))  # of a voxel
            oriented, apart = is_oriented(image), forms_apart(image)
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, EOFError, zlib.error) as error:
        raise ValueError(f"[study.bold] the header must be NIfTI's; got '{error}' in {path}") from error
    except (OSError, ValueError, KeyError, OverflowError, np.linalg.LinAlgError) as error:
        raise ValueError(f"[study.bold] the header must be NIfTI's; got '{error!r}' in {path}") from error
    while dimensions == len(shape) > 4 and shape[-1] == 1:
        shape, dimensions = shape[:-1], dimensions - 1
    if dimensions != 4 or len(shape) != 4 or min(shape) < 1:
        raise ValueError(
            f"[study.bold] dim must be four-dimensional, (x, y, z, volumes); got {shape} in {path}"
            + (f" (dim[0] is {dimensions})" if dimensions != len(shape) else "")
        )
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ValueError(f"[study.bold] datatype must be integer or real of at most 64 bits; got {dtype} in {path}")
    if not np.isfinite(affine).all() or not 1e-9 <= volume < np.inf:
        raise ValueError(f"[study.bold] the affine must be finite and invertible; got {affine.tolist()} in {path}")
    if np.isinf(stored_slope) or not np.isfinite([slope, inter]).all():
        raise ValueError(f"[study.bold] scl_slope and scl_inter must be finite; got {stored_slope}, {inter} in {path}")
    expected = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
    size = path.stat().st_size
    if (size * DEFLATED < expected) if gzipped else (size != expected):
        kind = "bytes of gzip, too few for that," if gzipped else "bytes"
        raise ValueError(
            f"[study.bold] a file of dim {shape} and datatype {dtype} must have {expected} bytes; got {size} {kind} in "
            f"{path}"
        )
    if unit not in SECONDS or not 0 <= zooms[3] < np.inf:
        raise ValueError(f"[study.bold] pixdim[4] must be a time; got {zooms[3]} {unit} in {path}")
    tr = round(float(zooms[3]) * SECONDS[unit], 6) or None
    grid = Grid(shape[:3], affine, oriented)
    return BoldImage(path, grid, shape[3], tr, dtype, offset, slope, inter, apart)


def repetition_time(image: BoldImage | SurfaceImage, sidecar: float | None) -> float:
    """Return the TR in seconds on which header and sidecar agree; one of them may be silent."""
    field = "TimeStep" if isinstance(image, SurfaceImage) else "pixdim[4]"
    if image.tr is not None and sidecar is not None and abs(image.tr - sidecar) > 1e-3:
        raise ValueError(
            f"[study.bold] {field} of the header must be RepetitionTime of the sidecar; got {image.tr:g} s and "
            f"{sidecar:g} s for {image.path}"
        )
    tr = sidecar if sidecar is not None else image.tr
    if tr is None:
        raise ValueError(
            f"[study.bold] the TR must be in {field} or in RepetitionTime of a sidecar; got neither for {image.path}"
        )
    return tr


def read_masked(image: BoldImage, mask: npt.NDArray[np.bool_], align: Align | None = None) -> npt.NDArray[np.float32]:
    """Read a run's voxels inside a mask.

    Parameters
    ----------
    image : BoldImage
    mask : array of shape (x, y, z), bool
    align : callable, optional
        Takes each volume, of shape (x, y, z), and returns the mask's voxels where they should be.

    Returns
    -------
    array of shape (scans, voxels), float32
        Scaled as the header says. Voxels in the order of ``data[mask]``, which is nilearn's.

    Raises
    ------
    ValueError
        If the file ends early or late, or a voxel that is read is NaN or Inf: the first one is named.
    """
    # A volume lies in the file with x fastest.
    where = np.ravel_multi_index(np.nonzero(mask), image.grid.shape, order="F")
    bold = np.empty((image.volumes, where.size), dtype=np.float32)
    for scan, volume in enumerate(_volumes(image)):
        if align is None:
            bold[scan] = _scaled(volume[where], image)
            _check_finite(bold[scan], where, f"scan {scan} of {image.path}", image.grid)
        else:
            whole = _scaled(volume, image)
            _check_finite(whole, np.arange(whole.size), f"scan {scan} of {image.path}", image.grid)
            try:
                bold[scan] = align(whole.reshape(image.grid.shape, order="F"))
            except ValueError as error:
                raise ValueError(f"{error} at scan {scan} of {image.path}") from error
    return bold


def first_volume(image: BoldImage) -> npt.NDArray[np.float32]:
    """Read the first volume of a run, shape (x, y, z)."""
    whole = _scaled(next(_volumes(image)), image)
    _check_finite(whole, np.arange(whole.size), f"scan 0 of {image.path}", image.grid)
    return whole.reshape(image.grid.shape, order="F")


def standardize(
    bold: npt.NDArray[np.float32],
    tr: float,
    dropped: int,
    confounds: npt.NDArray[Any] | Nuisance | None = None,
    detrend: Detrend | None = None,
    kept: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.float32]:
    """Detrend a run, drop its first scans and z-score the rest, in place.

    Parameters
    ----------
    bold : array of shape (scans, voxels), float32
        Overwritten: a second array of a run's size is never made.
    tr : float
        Seconds from scan to scan.
    dropped : int
        Scans to drop from the beginning, after the median filter of 240 s has seen them.
    confounds : array of shape (scans, k) or Nuisance, optional
        Regressed out, with the mean and slow drift, before the z-scoring. An array loses its drift first, as
        :func:`brain2music.study.confounds.prepare_nuisance` has it.
    detrend : callable, optional
        Filter to use in place of the running median: from (scans, columns) to the same shape.
    kept : array of shape (scans,), bool, optional
        Scans that count in the running median, the regression and the z-scoring; the others become NaN. By default all
        count. A :class:`Nuisance` must have been prepared for the same scans.

    Returns
    -------
    array of shape (scans - dropped, voxels), float32
        A view of ``bold``. Voxels that are constant, or hold nothing but confounds, become 0; scans that are not kept
        are NaN.

    Raises
    ------
    ValueError
        If the confounds have another number of scans, or leave no scan free; if both ``detrend`` and ``kept`` are
        given.
    """
    if detrend is not None and kept is not None:
        raise ValueError("[study.bold] scans can be left out of the running median alone; got detrend besides kept")
    if confounds is not None and not isinstance(confounds, Nuisance):
        if len(confounds) != len(bold):
            raise ValueError(
                f"[study.bold] confounds must have a row for every scan, dropped ones too; got {len(confounds)} for "
                f"{len(bold)}"
            )
        confounds = prepare_nuisance(confounds, dropped, tr, detrend, kept=kept)
    for begin in range(0, bold.shape[1], SLAB):
        raw = np.ascontiguousarray(bold[:, begin : begin + SLAB])
        slab = signal.median_detrend(raw, tr=tr, sample_mask=kept) if detrend is None else detrend(raw)
        slab = slab[dropped:]
        if kept is not None:
            slab, raw = slab[kept[dropped:]], raw[kept]
        if confounds is not None:
            slab = confounds.remove_from(slab, raw)
        here = bold[dropped:, begin : begin + SLAB]
        if kept is None:
            here[:] = signal.zscore(slab)
        else:
            here[~kept[dropped:]] = np.nan
            here[kept[dropped:]] = signal.zscore(slab)
    return bold[dropped:]


def _scaled(values: npt.NDArray[Any], image: BoldImage) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found by the check that follows
        if (image.slope, image.inter) == (1.0, 0.0):
            return values.astype(np.float32)
        return np.asarray(values.astype(np.float64) * image.slope + image.inter, dtype=np.float32)


def _check_finite(values: npt.NDArray[np.float32], where: npt.NDArray[np.int64], scan: str, grid: Grid) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        first = int(np.argmin(finite))
        voxel = tuple(int(i) for i in np.unravel_index(where[first], grid.shape, order="F"))
        raise ValueError(
            f"[study.bold] the voxels that are read must be finite; got {values[first]} at voxel {voxel}, {scan}"
        )


def _volumes(image: BoldImage) -> Iterator[npt.NDArray[Any]]:
    """Yield each volume, flat and as stored; one buffer is used over and over."""
    buffer = np.empty(int(np.prod(image.grid.shape)) * image.dtype.itemsize, dtype=np.uint8)
    view, volume = memoryview(buffer), buffer.view(image.dtype)  # type: ignore[arg-type]
    with gzip.open(image.path) if image.path.suffix == ".gz" else image.path.open("rb") as file:
        try:
            file.seek(image.offset)
            for scan in range(image.volumes):
                filled = 0
                while filled < len(view):
                    count = file.readinto(view[filled:])
                    if not count:
                        raise EOFError(f"the data end in volume {scan} of {image.volumes}")
                    filled += count
                yield volume
            if file.read(1):
                raise EOFError(f"there are data after volume {image.volumes - 1}, the last that dim names")
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"[study.bold] the data must be whole; got '{error}' in {image.path}") from error
