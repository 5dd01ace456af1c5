"""BOLD on the cortex: fMRIPrep's GIFTI files, one a hemisphere, and the regions of their vertices."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from xml.parsers import expat

import nibabel as nib
import numpy as np
import numpy.typing as npt

__all__ = ["GIFTI", "Surface", "SurfaceImage", "open_surfaces", "read_surfaces", "scans_of", "vertex_labels"]

GIFTI = ".func.gii"

#: Vertices of a hemisphere of FreeSurfer's average subject.
VERTICES = {"fsaverage": 163842, "fsaverage6": 40962, "fsaverage5": 10242, "fsaverage4": 2562, "fsaverage3": 642}

#: Names of labels that are no region, of FreeSurfer's atlases, Yeo's and Schaefer's, and of our own maps.
NOWHERE = {"unknown", "???", "medial_wall", "medialwall", "freesurfer_defined_medial_wall", "in no region"}
NOWHERE |= {"background+freesurfer_defined_medial_wall", "background"}

#: fsaverage at another density is another mesh.
DENSITIES = {"10k": "fsaverage5", "41k": "fsaverage6", "164k": "fsaverage"}

#: What an array of a run holds: numbers of a scan, whose kind may be left open.
SCAN_INTENTS = {"NIFTI_INTENT_TIME_SERIES", "NIFTI_INTENT_NONE", "NIFTI_INTENT_NORMAL", "NIFTI_INTENT_ESTIMATE"}

#: Bytes of a file looked at for what its first array says of itself.
_BEGINNING = 1 << 20


@dataclass(frozen=True)
class Surface:
    """The cortex as a mesh: all vertices of the left hemisphere, then all of the right.

    Parameters
    ----------
    space : str
        As BIDS names it: ``"fsaverage5"``.
    left, right : int
        Vertices of each hemisphere.
    """

    space: str
    left: int
    right: int
    #: As of a :class:`Grid`: a vertex's place is never in doubt.
    oriented: ClassVar[bool] = True

    @property
    def shape(self) -> tuple[int]:
        """How many vertices there are."""
        return (self.left + self.right,)

    def matches(self, other: Any) -> bool:
        """Whether both are the same mesh."""
        return bool(self == other)

    def __str__(self) -> str:
        return f"{self.space} with {self.left} and {self.right} vertices"


@dataclass(frozen=True, eq=False)
class SurfaceImage:
    """What the beginnings of a run's two files say: all that reading them needs."""

    path: Path  # of the left hemisphere
    right: Path
    grid: Surface
    volumes: int
    tr: float | None  # seconds; None where the files do not say
    forms_apart: ClassVar[float] = 0.0


def open_surfaces(left: Path, right: Path, space: str) -> SurfaceImage:
    """Read and check what both files of a run say of themselves.

    Parameters
    ----------
    left, right : Path
        ``*_hemi-L_*_bold.func.gii`` and ``*_hemi-R_*_bold.func.gii``: an array of vertices for each scan.
    space : str
        FreeSurfer's average subjects must have their number of vertices.

    Returns
    -------
    SurfaceImage

    Raises
    ------
    ValueError
        Naming the file, if it is no GIFTI file of scans, or the hemispheres have other scans.
    """
    (arrays, vertices, tr), other = (_beginning(path, side) for path, side in ((left, "Left"), (right, "Right")))
    for path, count in ((left, vertices), (right, other[1])):
        if count != VERTICES.get(space, count):
            raise ValueError(
                f"[study.surfaces] a hemisphere of {space} must have {VERTICES[space]} vertices; got {count} in {path}"
            )
    if (arrays, tr) != (other[0], other[2]):
        raise ValueError(
            f"[study.surfaces] both hemispheres must have the same scans; got {arrays} in {left} and {other[0]} in "
            f"{right} (TimeStep {tr or 'not given'} and {other[2] or 'not given'})"
        )
    return SurfaceImage(left, right, Surface(space, vertices, other[1]), arrays, tr)


def scans_of(path: Path) -> int:
    """Count the scans that a file says it holds."""
    return _beginning(path)[0]


def read_surfaces(image: SurfaceImage) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Read a run.

    Parameters
    ----------
    image : SurfaceImage

    Returns
    -------
    bold : array of shape (scans, vertices), float32
        Left, then right. A vertex that is NaN throughout (fMRIPrep can mark the medial wall so) is 0.
    notes : list of str

    Raises
    ------
    ValueError
        If a file is broken, or a vertex is NaN or Inf in some scans: the first one is named.
    """
    bold = np.empty((image.volumes, *image.grid.shape), np.float32)
    left = image.grid.left
    notes = []
    for path, part in ((image.path, bold[:, :left]), (image.right, bold[:, left:])):
        for scan, array in enumerate(_arrays(path, image.volumes)):
            if array.shape != part.shape[1:]:
                raise ValueError(
                    f"[study.surfaces] every scan must have {part.shape[1]} vertices; got {array.shape} in scan {scan} "
                    f"of {path}"
                )
            part[scan] = array
        unknown = np.isnan(part).all(axis=0)
        part[:, unknown] = 0
        if unknown.any():
            notes.append(f"{int(unknown.sum())} vertices of {path.name} are NaN throughout: 0 there.")
        finite = np.isfinite(part)
        if not finite.all():
            scan, vertex = (int(place[0]) for place in np.nonzero(~finite))
            raise ValueError(
                f"[study.surfaces] vertices must be finite, or NaN throughout; got {part[scan, vertex]} at vertex "
                f"{vertex}, scan {scan} of {path}"
            )
    return bold, notes


def vertex_labels(files: Sequence[Path], surface: Surface) -> tuple[npt.NDArray[np.int32], dict[int, str]]:
    """Read the region of each vertex.

    Parameters
    ----------
    files : (Path, Path)
        Left and right: FreeSurfer's ``lh.*.annot`` and ``rh.*.annot``, or ``.label.gii``.
    surface : Surface

    Returns
    -------
    labels : array of shape (vertices,), int32
        Numbered from 1, those of the right hemisphere after those of the left; 0 in no region.
    names : dict
        From label to name: ``ctx_lh_`` or ``ctx_rh_``, and the file's own, as in FreeSurfer's volumes.

    Raises
    ------
    ValueError
        If a file cannot be read, or has other vertices.
    """
    if len(files) != 2 or any(
        Path(path).name.startswith(wrong) for path, wrong in zip(files, ("rh.", "lh."), strict=True)
    ):
        raise ValueError(
            "[study.surfaces] labels must be two files, of the left hemisphere and of the right; got "
            f"{' and '.join(str(path) for path in files)}"
        )
    labels: list[npt.NDArray[np.int32]] = []
    names: dict[int, str] = {}
    sides = (("lh", surface.left), ("rh", surface.right))
    for path, (side, vertices) in zip(files, sides, strict=True):
        own, table = _annotation(path)
        if own.shape != (vertices,):
            raise ValueError(
                f"[study.surfaces] labels must be of {surface}, hemisphere {side}; got {own.shape} vertices in {path}"
            )
        unnamed = sorted(set(np.unique(own).tolist()) - set(table) - {0, -1})
        if unnamed or not table:
            raise ValueError(f"[study.surfaces] every label must have a name; got none for {unnamed[:5]} of {path}")
        numbered = np.zeros(len(own), np.int32)
        for label, name in table.items():
            if name.lower() in NOWHERE:
                continue
            names[len(names) + 1] = name if name.startswith(f"ctx_{side}_") else f"ctx_{side}_{name}"
            numbered[own == label] = len(names)
        labels.append(numbered)
    return np.concatenate(labels), names


def _annotation(path: Path) -> tuple[npt.NDArray[Any], dict[int, str]]:
    try:
        if path.name.endswith(".gii"):
            image: Any = nib.load(path)
            own, table = np.asarray(image.darrays[0].data), dict(image.labeltable.get_labels_as_dict())
            if not np.array_equal(own, np.rint(own)):
                raise ValueError("labels that are no whole numbers")
            return own.astype(np.int64), table
        freesurfer: Any = nib.freesurfer
        own, _, found = freesurfer.read_annot(path)
    except Exception as error:  # nibabel raises a bare Exception for an annotation without its table of colours
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(
            "[study.surfaces] labels of vertices must be FreeSurfer's .annot or .label.gii; got "
            f"'{' '.join(str(error).split())}' in {path}"
        ) from error
    return own, {number: name.decode(errors="replace") for number, name in enumerate(found)}


def _arrays(path: Path, expected: int) -> list[npt.NDArray[Any]]:
    """Return a file's arrays, one a scan, however many arrays it packs them in."""
    try:
        image: Any = nib.load(path)
        arrays = [np.asarray(one.data) for one in image.darrays]
        kinds = {str(nib.nifti1.intent_codes.niistring[one.intent]) for one in image.darrays}
    except (
        nib.filebasedimages.ImageFileError,
        expat.ExpatError,
        zlib.error,
        OSError,
        ValueError,
        KeyError,
        AttributeError,  # of an array whose data are empty
    ) as error:
        raise ValueError(
            f"[study.surfaces] a run must be a whole GIFTI file; got '{' '.join(str(error).split())}' in {path}"
        ) from error
    if not kinds <= SCAN_INTENTS:
        raise ValueError(
            f"[study.surfaces] every array of a run must be a scan; got {', '.join(sorted(kinds - SCAN_INTENTS))} in "
            f"{path}"
        )
    if len(arrays) == 1 and arrays[0].ndim == 2:
        arrays = list(arrays[0].T)
    if len(arrays) != expected:
        raise ValueError(
            f"[study.surfaces] the file must hold the {expected} scans it names; got {len(arrays)} in {path}"
        )
    return arrays


def _beginning(path: Path, side: str | None = None) -> tuple[int, int, float | None]:
    """Return scans, vertices and TR in seconds, from what stands before the first array: a run takes long to parse."""
    parser = expat.ParserCreate()
    root: dict[str, str] = {}
    first: dict[str, str] = {}
    words: list[list[str]] = []
    pairs: dict[str, str] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "GIFTI":
            root.update(attributes)
        elif name == "DataArray" and not first:
            first.update(attributes)
        elif name in ("Name", "Value") and not seen_data:
            words.append([name, ""])
        elif name == "Data":
            seen_data.append(True)

    def text(data: str) -> None:
        if words and not seen_data:
            words[-1][1] += data

    def end(name: str) -> None:
        if name == "MD" and len(words) >= 2:
            pairs.setdefault(words[-2][1].strip(), words[-1][1].strip())

    seen_data: list[bool] = []
    parser.StartElementHandler, parser.CharacterDataHandler, parser.EndElementHandler = start, text, end
    try:
        with path.open("rb") as file:
            read = 0
            while not seen_data and read < _BEGINNING and (chunk := file.read(1 << 14)):
                parser.Parse(chunk)
                read += len(chunk)
    except expat.ExpatError as error:
        raise ValueError(f"[study.surfaces] a run must be a GIFTI file; got '{error}' in {path}") from error
    structure = pairs.get("AnatomicalStructurePrimary", "")
    if side is not None and structure in ("CortexLeft", "CortexRight") and structure != f"Cortex{side}":
        raise ValueError(
            f"[study.surfaces] a file must be of the hemisphere that its name says, {side.lower()}; got {structure} in "
            f"{path}"
        )
    try:
        arrays, dimensions = int(root["NumberOfDataArrays"]), int(first["Dimensionality"])
        sizes = [int(first[f"Dim{axis}"]) for axis in range(dimensions)]
        step = float(pairs["TimeStep"]) if "TimeStep" in pairs else None
    except (KeyError, ValueError) as error:
        problem = f"no {error.args[0]}" if isinstance(error, KeyError) else error
        raise ValueError(
            "[study.surfaces] a run must be a GIFTI file that says NumberOfDataArrays, Dimensionality and Dim0; got "
            f"{problem} in {path}"
        ) from error
    if (len(sizes) == 2 and arrays == 1) or (len(sizes) == 1 and arrays >= 1):
        scans = sizes[1] if len(sizes) == 2 else arrays
        # GIFTI gives TimeStep in milliseconds; 0 stands for "not given" in files of FreeSurfer.
        if step is not None and step != 0 and not 50 <= step <= 60_000:
            raise ValueError(
                f"[study.surfaces] TimeStep must be milliseconds from scan to scan, from 50 to 60,000; got {step:g} in "
                f"{path}"
            )
        return scans, sizes[0], round(step / 1000, 6) if step else None
    raise ValueError(
        f"[study.surfaces] a run must hold an array of vertices for each scan; got {arrays} arrays, the first of "
        f"shape {tuple(sizes)}, in {path}"
    )
