"""What fMRIPrep and FreeSurfer made of a subject: preprocessed runs, what lies beside them, and labels."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from brain2music.study.inventory import Found
from brain2music.study.listing import Listing, Named
from brain2music.study.names import entities
from brain2music.study.sidecars import NIFTI

__all__ = ["beside", "choose_prepared", "destrieux_annotations", "destrieux_file", "one", "pipelines"]


def pipelines(derivatives: Path | None, subject: str, listing: Listing) -> list[Path]:
    """Folders of derivatives that hold the subject: the given one, or those in it."""
    if derivatives is None:
        return []
    folders = [derivatives, *listing[derivatives].folders]
    return [folder for folder in folders if (folder / f"sub-{subject}").is_dir()]


def choose_prepared(found: Found, space: str | None, derivatives: Path | None) -> tuple[Named, ...]:
    """Choose the preprocessed image of a run, or its two hemispheres; empty if there is none and none is asked for.

    Where no space is asked for, volumes come before surfaces.
    """
    spaces: dict[str, list[Named]] = {}
    for file in found.prepared:
        spaces.setdefault(file.entities.get("space", "native"), []).append(file)
    what = f"task {found.task!r}, run {found.run or '(no number)'}"
    if not spaces:
        if space is not None:
            raise FileNotFoundError(
                f"[study.layout] space {space!r} needs preprocessed BOLD; got none of {what}, subject {found.subject} "
                f"in {derivatives}"
            )
        return ()
    volumes = [name for name, files in spaces.items() if any(file.extension in NIFTI for file in files)]
    default = volumes or sorted(spaces)
    if space is None and len(default) > 1:
        raise ValueError(
            f"[study.layout] space must be given where there are several; got {', '.join(sorted(spaces))} beside "
            f"{next(iter(spaces.values()))[0].path}"
        )
    wanted = space or default[0]
    if wanted not in spaces:
        raise FileNotFoundError(
            f"[study.layout] space must be one of {', '.join(sorted(spaces))}; got {wanted!r} for {what}, subject "
            f"{found.subject}"
        )
    rule = f"one preprocessed image must belong to {what}, space {wanted!r}"
    if wanted not in volumes:
        sides = [[file for file in spaces[wanted] if file.entities["hemi"] == side] for side in ("L", "R")]
        for side, files in zip(("L", "R"), sides, strict=True):
            one([file.path for file in files], f"{rule}, hemisphere {side}")
        return sides[0][0], sides[1][0]
    one([file.path for file in spaces[wanted]], rule)
    return (spaces[wanted][0],)


def beside(bold: Named, description: str, suffix: str, extensions: Iterable[str], listing: Listing) -> Path | None:
    """Find a derivative of the same run: same entities, another description; confounds name no space."""
    without = {"desc", "space", "res", "den", "hemi"} if suffix == "timeseries" else {"desc"}
    own = {key: value for key, value in bold.entities.items() if key not in without}
    found = [
        file.path
        for extension in extensions
        for file in listing[bold.path.parent].files
        if file.suffix == suffix
        and file.extension == extension
        and file.entities.get("desc") == description
        and {key: value for key, value in file.entities.items() if key != "desc"} == own
    ]
    return one(found, f"one {description} {suffix} must belong to {bold.path}") if found else None


def destrieux_file(root: Path, derivatives: Path | None, space: str | None, subject: str, listing: Listing) -> Path:
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
        and (space is None or entities(path).get("space") == space)
    ]
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
        if left.exists() and right.exists():
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
