"""What fMRIPrep and FreeSurfer made of a subject: preprocessed runs, what lies beside them, and labels."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from brain2music.study.inventory import Found
from brain2music.study.listing import Listing, Named
from brain2music.study.names import entities
from brain2music.study.sidecars import NIFTI

__all__ = ["beside", "choose_prepared", "destrieux_file", "one", "pipelines"]


def pipelines(derivatives: Path | None, subject: str, listing: Listing) -> list[Path]:
    """Folders of derivatives that hold the subject: the given one, or those in it."""
    if derivatives is None:
        return []
    folders = [derivatives, *listing[derivatives].folders]
    return [folder for folder in folders if (folder / f"sub-{subject}").is_dir()]


def choose_prepared(found: Found, space: str | None, derivatives: Path | None) -> Named | None:
    """Choose the preprocessed image of a run; None where there is none and none is asked for."""
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
        return None
    if space is None and len(spaces) > 1:
        raise ValueError(
            f"[study.layout] space must be given where there are several; got {', '.join(sorted(spaces))} beside "
            f"{next(iter(spaces.values()))[0].path}"
        )
    wanted = space or next(iter(spaces))
    if wanted not in spaces:
        raise FileNotFoundError(
            f"[study.layout] space must be one of {', '.join(sorted(spaces))}; got {wanted!r} for {what}, subject "
            f"{found.subject}"
        )
    one([file.path for file in spaces[wanted]], f"one preprocessed image must belong to {what}, space {wanted!r}")
    return spaces[wanted][0]


def beside(bold: Named, description: str, suffix: str, extensions: Iterable[str], listing: Listing) -> Path | None:
    """Find a derivative of the same run: same entities, another description; confounds name no space."""
    without = {"desc", "space", "res"} if suffix == "timeseries" else {"desc"}
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
    base = derivatives
    places = (
        []
        if base is None
        else [base / "sourcedata" / "freesurfer", base / "freesurfer", base, base.parent / "freesurfer"]
    )
    places += [root / "derivatives" / "freesurfer"]
    places += [folder / "sourcedata" / "freesurfer" for folder in folders]
    names = (f"sub-{subject}/mri/aparc.a2009s+aseg{extension}" for extension in (".mgz", *NIFTI))
    tails = list(names)
    candidates = [place / tail for place in places for tail in tails]
    found = sorted({path.resolve() for path in candidates if path.is_file() or path.is_symlink()})
    if not found:
        raise FileNotFoundError(
            "[study.layout] rois='destrieux' needs FreeSurfer's aparc.a2009s+aseg.mgz or *_seg-destrieux_dseg.nii.gz "
            f"of sub-{subject}; got neither in {base or root} (aseg and aparcaseg dseg are other atlases)"
        )
    return one(found, f"one aparc.a2009s+aseg must belong to subject {subject}")


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
