"""What fMRIPrep and FreeSurfer made of a subject: preprocessed runs, what lies beside them, and labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from brain2music.study.inventory import Found
from brain2music.study.listing import Listing, Named
from brain2music.study.sidecars import NIFTI

__all__ = [
    "Space",
    "brain_mask",
    "choose_prepared",
    "confounds",
    "destrieux_annotations",
    "destrieux_file",
    "one",
    "pipelines",
]


#: Entities that say in which space, at which resolution, an image lies; confounds have none of them.
_OF_SPACE = {"desc", "space", "cohort", "res", "den", "hemi"}

#: Entities that tell images of one space apart.
_MODIFIERS = ("cohort", "res", "den")

_MASK = tuple(("brain", "mask", extension) for extension in NIFTI)

#: fMRIPrep called them regressors before 20.2.
_CONFOUNDS = (("confounds", "timeseries", ".tsv"), ("confounds", "regressors", ".tsv"))


def pipelines(derivatives: Path | None, subject: str, listing: Listing) -> list[Path]:
    """Folders of derivatives that hold the subject: the given one, or those in it."""
    if derivatives is None:
        return []
    folders = [derivatives, *listing[derivatives].folders]
    return [folder for folder in folders if (folder / f"sub-{subject}").is_dir()]


@dataclass(frozen=True)
class Space:
    """A space as fMRIPrep's ``--output-spaces`` names it: ``MNI152NLin2009cAsym``, ``MNIPediatricAsym:cohort-5:res-2``.

    ``modifiers`` are those given; ``res-native`` asks for an image whose name has no ``res-``.
    """

    name: str
    modifiers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Space":
        """Read a space."""
        name, *rest = text.split(":")
        pairs = [tuple(part.split("-", 1)) for part in rest]
        if not name or not all(len(pair) == 2 and pair[0] in _MODIFIERS and pair[1] for pair in pairs):
            raise ValueError(
                "[study.Study] space must be a name, and cohort-, res- or den- behind colons, as in "
                f"MNIPediatricAsym:cohort-5:res-2; got {text!r}"
            )
        return cls(name, tuple((pair[0], pair[1]) for pair in pairs))

    @classmethod
    def of(cls, file: Named, among: Iterable[Named] = ()) -> "Space":
        """Return a file's space, with ``res-native`` where others of the name have a resolution."""
        name = _name(file)
        alike = [other for other in among if _name(other) == name]
        pairs = [
            (key, file.entities.get(key, "native"))
            for key in _MODIFIERS
            if key in file.entities or (key == "res" and any(key in other.entities for other in alike))
        ]
        return cls(name, tuple(pairs))

    def fits(self, other: "Space") -> bool:
        """Whether this, as asked for, can mean another, as found."""
        found = dict(other.modifiers)
        return self.name == other.name and all(found.get(key, "native") == value for key, value in self.modifiers)

    def __str__(self) -> str:
        return ":".join([self.name, *(f"{key}-{value}" for key, value in self.modifiers)])


def choose_prepared(found: Found, space: Space | None, derivatives: Path | None) -> tuple[Named, ...]:
    """Choose the preprocessed image of a run, or its two hemispheres; empty if there is none and none is asked for.

    Where no space is asked for, volumes come before surfaces.
    """
    spaces: dict[Space, list[Named]] = {}
    for file in found.prepared:
        spaces.setdefault(Space.of(file, found.prepared), []).append(file)
    what = f"task {found.task!r}, run {found.run or '(no number)'}"
    if not spaces:
        if space is not None:
            raise FileNotFoundError(
                f"[study.layout] space {str(space)!r} needs preprocessed BOLD; got none of {what}, subject "
                f"{found.subject} in {derivatives}"
            )
        return ()
    volumes = [one for one, files in spaces.items() if any(file.extension in NIFTI for file in files)]
    if space is None and not volumes and found.images:
        return ()  # the raw volumes come before surfaces
    fitting = [one for one in spaces if space.fits(one)] if space is not None else volumes or list(spaces)
    listed = ", ".join(sorted(map(str, spaces)))
    if len(fitting) > 1:
        raise ValueError(
            f"[study.layout] space must be given where there are several; got {listed} beside "
            f"{next(iter(spaces.values()))[0].path}"
        )
    if not fitting:
        raise FileNotFoundError(
            f"[study.layout] space must be one of {listed}; got {str(space)!r} for {what}, subject {found.subject}"
        )
    wanted = fitting[0]
    rule = f"one preprocessed image must belong to {what}, space {str(wanted)!r}"
    if wanted not in volumes:
        sides = [[file for file in spaces[wanted] if file.entities["hemi"] == side] for side in ("L", "R")]
        for side, files in zip(("L", "R"), sides, strict=True):
            one([file.path for file in files], f"{rule}, hemisphere {side}")
        return sides[0][0], sides[1][0]
    one([file.path for file in spaces[wanted]], rule)
    return (spaces[wanted][0],)


def _name(file: Named) -> str:
    return file.entities.get("space", "native")


def brain_mask(bold: Named, listing: Listing) -> Path | None:
    """Find the brain mask of a preprocessed image: same entities, another description."""
    return _beside(bold, {key: value for key, value in bold.entities.items() if key != "desc"}, _MASK, listing)


def confounds(bold: Named, listing: Listing) -> Path | None:
    """Find the confounds of a run: they name no space, and some names leave ``part-mag`` out."""
    own = {key: value for key, value in bold.entities.items() if key not in _OF_SPACE}
    found = _beside(bold, own, _CONFOUNDS, listing)
    if found is None and own.get("part") == "mag":
        found = _beside(bold, {key: value for key, value in own.items() if key != "part"}, _CONFOUNDS, listing)
    return found


def _beside(bold: Named, own: dict[str, str], kinds: Iterable[tuple[str, str, str]], listing: Listing) -> Path | None:
    found = [
        file.path
        for description, suffix, extension in kinds
        for file in listing[bold.path.parent].files
        if (file.suffix, file.extension, file.entities.get("desc")) == (suffix, extension, description)
        and {key: value for key, value in file.entities.items() if key != "desc"} == own
    ]
    what = next(iter(kinds))
    return one(found, f"one {what[0]} {what[1]} must belong to {bold.path}") if found else None


def destrieux_file(root: Path, derivatives: Path | None, space: Space | None, subject: str, listing: Listing) -> Path:
    """Find a subject's Destrieux labels: ``*_seg-destrieux_dseg`` of derivatives, else FreeSurfer's own volume."""
    folders = pipelines(derivatives, subject, listing)
    places = _freesurfer(root, derivatives, folders)
    named = [
        path
        for folder in folders
        for path in _files(folder / f"sub-{subject}", listing)
        if "_seg-destrieux" in path.name
        and path.name.partition(".")[0].endswith("_dseg")
        and path.name.endswith(NIFTI)
        and (space is None or _name(Named.of(path)) == space.name)
    ]
    if len(named) > 1 and space is not None:
        named = [path for path in named if space.fits(Space.of(Named.of(path)))] or named
    if named:
        return one(named, f"one image of Destrieux labels must belong to subject {subject}")
    names = (f"sub-{subject}/mri/aparc.a2009s+aseg{extension}" for extension in (".mgz", *NIFTI))
    tails = list(names)
    candidates = [place / tail for place in places for tail in tails]
    found = sorted({path.resolve() for path in candidates if path.is_file() or path.is_symlink()})
    if not found:
        raise FileNotFoundError(
            "[study.layout] rois='destrieux' needs FreeSurfer's aparc.a2009s+aseg.mgz or *_seg-destrieux_dseg.nii.gz "
            f"of sub-{subject}; got neither in {derivatives or root} (aseg and aparcaseg dseg are other atlases)"
        )
    return one(found, f"one aparc.a2009s+aseg must belong to subject {subject}")


def destrieux_annotations(
    root: Path, derivatives: Path | None, space: str, subject: str, listing: Listing
) -> tuple[Path, Path]:
    """Find the Destrieux labels of a surface's vertices, which FreeSurfer keeps beside its average subjects."""
    own = f"sub-{subject}" if space == "fsnative" else space
    places = _freesurfer(root, derivatives, pipelines(derivatives, subject, listing))
    for place in places:
        left, right = (place / own / "label" / f"{side}.aparc.a2009s.annot" for side in ("lh", "rh"))
        there = [path for path in (left, right) if path.exists() or path.is_symlink()]
        if len(there) == 1:
            raise FileNotFoundError(f"[study.layout] labels of both hemispheres must be there; got {there[0]} alone")
        if there:
            return left, right
    raise FileNotFoundError(
        f"[study.layout] rois='destrieux' on {space} needs FreeSurfer's {own}/label/lh.aparc.a2009s.annot and rh.; got "
        f"neither in {' or '.join(map(str, places))} (or give both files as rois)"
    )


def _freesurfer(root: Path, base: Path | None, folders: Iterable[Path]) -> list[Path]:
    """Where FreeSurfer's folders may lie."""
    places = (
        []
        if base is None
        else [base / "sourcedata" / "freesurfer", base / "freesurfer", base, base.parent / "freesurfer"]
    )
    return [
        *places,
        root / "derivatives" / "freesurfer",
        *(folder / "sourcedata" / "freesurfer" for folder in folders),
    ]


def one(found: Sequence[Path], rule: str) -> Path:
    """Return the only file there is, or say which ones there are."""
    if len(found) != 1:
        problem = FileNotFoundError if not found else ValueError
        raise problem(f"[study.layout] {rule}; got {' and '.join(map(str, found)) or 'none'}")
    return found[0]


def _files(folder: Path, listing: Listing) -> list[Path]:
    """Files of a subject's folder, at most two folders down (ses-*/anat)."""
    levels = [folder]
    for _ in range(2):
        levels += [inner for level in levels for inner in listing[level].folders if inner not in levels]
    return [file.path for level in levels for file in listing[level].files]
