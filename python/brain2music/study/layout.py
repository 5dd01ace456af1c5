"""Where the files of a BIDS study lie: runs, sidecars, derivatives of fMRIPrep and FreeSurfer.

Only what this library reads, found by name; a file that could be two things is an error, never a guess.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Layout", "Run", "destrieux_file", "entities", "inherit", "read_sidecar"]

NIFTI = (".nii", ".nii.gz")


@dataclass(frozen=True)
class Run:
    """One run of one subject: its image, how it was made, and its events."""

    subject: str
    task: str
    session: str | None
    index: int
    bold: Path
    events: Path
    tr: float | None  # seconds, from the sidecar
    space: str | None  # of derivatives: None for raw BOLD and fMRIPrep's native space of each run
    prepared: bool  # whether fMRIPrep made the image
    mask: Path | None
    confounds: Path | None

    @property
    def aligned(self) -> bool:
        """Whether the image is aligned to the subject's other runs: fMRIPrep's native space is each run's own."""
        return self.prepared and self.space is not None

    @property
    def name(self) -> str:
        """Short name for messages and progress bars."""
        session = f"ses-{self.session} " if self.session else ""
        return f"sub-{self.subject} {session}{self.task} run {self.index}"


def entities(path: Path) -> dict[str, str]:
    """Return the entities of a BIDS file name, with ``suffix`` and ``extension``."""
    stem, dot, extension = path.name.partition(".")
    *pairs, suffix = stem.split("_")
    named = dict(pair.split("-", 1) for pair in pairs if "-" in pair)
    return {**named, "suffix": suffix, "extension": dot + extension}


def inherit(path: Path, root: Path, extension: str, suffix: str | None = None) -> list[Path]:
    """Find the files that apply to ``path`` by BIDS inheritance.

    Parameters
    ----------
    path : Path
        A data file somewhere below ``root``.
    root : Path
        The data set's folder.
    extension, suffix : str
        Of the files to find; the data file's own suffix by default.

    Returns
    -------
    list of Path
        From the root down: the last one is the nearest.
    """
    own = entities(path)
    suffix = suffix or own["suffix"]
    levels = [folder for folder in reversed(path.parents) if folder == root or root in folder.parents]
    found = []
    for folder in levels:
        applying = []
        for candidate in sorted(folder.glob(f"*{suffix}{extension}")):
            named = entities(candidate)
            rest = {key: value for key, value in named.items() if key not in {"suffix", "extension"}}
            if named["suffix"] == suffix and rest.items() <= own.items():
                applying.append(candidate)
        if len(applying) > 1:
            raise ValueError(
                f"[study.layout] one {suffix}{extension} of a folder may apply to {path.name}; got "
                f"{', '.join(map(str, applying))}"
            )
        found += applying
    return found


def read_sidecar(path: Path, root: Path) -> dict[str, Any]:
    """Merge the JSON sidecars that apply to an image; nearer ones win."""
    merged: dict[str, Any] = {}
    for sidecar in inherit(path, root, ".json"):
        try:
            values = json.loads(sidecar.read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise ValueError(f"[study.layout] a sidecar must be JSON; got '{error}' in {sidecar}") from error
        if not isinstance(values, dict):
            raise ValueError(f"[study.layout] a sidecar must hold one object; got {values!r:.40} in {sidecar}")
        merged.update(values)
    return merged


class Layout:
    """Finds the files of a study.

    Parameters
    ----------
    root : Path
        BIDS folder.
    derivatives : Path, optional
        fMRIPrep's folder, or a folder of pipelines' folders.
    space : str, optional
        Space of the preprocessed BOLD to take, where there are several.
    """

    def __init__(self, root: Path, derivatives: Path | None, space: str | None) -> None:
        self.root, self.derivatives, self.space = root, derivatives, space
        self.subjects = sorted(folder.name[4:] for folder in root.glob("sub-*") if folder.is_dir())
        if not self.subjects:
            raise FileNotFoundError(f"[study.layout] a BIDS folder must hold folders sub-*; got none in {root}")

    def events(self, subject: str, task: str) -> dict[tuple[str | None, int], Path]:
        """Find the events files of a task by session and run, in this order; the runs are numbered without a gap."""
        if subject not in self.subjects:
            raise ValueError(f"[study.layout] subject must be one of {', '.join(self.subjects)}; got {subject!r}")
        folder = self.root / f"sub-{subject}"
        found: dict[tuple[str | None, int], Path] = {}
        for events in _files(folder, f"*_task-{task}_*events.tsv"):
            key = _run_key(events)
            if key in found:
                raise ValueError(f"[study.layout] a run must have one events file; got {found[key]} and {events}")
            found[key] = events
        if not found:
            raise FileNotFoundError(
                f"[study.layout] task {task!r} must have events; got no sub-{subject}_task-{task}_*events.tsv in "
                f"{folder}"
            )
        keys = sorted(found, key=lambda key: (key[0] or "", key[1]))
        for session in dict.fromkeys(session for session, _ in keys):
            indices = [index for other, index in keys if other == session]
            missing = sorted(set(range(1, max(indices) + 1)) - set(indices))
            if missing:
                raise FileNotFoundError(
                    f"[study.layout] runs must be numbered without a gap; got no events of run {missing[0]} of task "
                    f"{task!r} in {found[session, indices[0]].parent}"
                )
        return {key: found[key] for key in keys}

    def runs(self, subject: str, task: str) -> list[Run]:
        """Find the runs of a task, with their images and sidecars, in order of session and run."""
        return [self._run(subject, task, *key, events) for key, events in self.events(subject, task).items()]

    def anatomy(self, subject: str) -> Path | None:
        """Find the T1-weighted image, if there is one."""
        found = _files(self.root / f"sub-{subject}", "*_T1w.nii*")
        return found[0] if found else None

    def pipelines(self, subject: str) -> list[Path]:
        """Folders of derivatives that hold the subject: the given one, or those in it."""
        if self.derivatives is None:
            return []
        folders = [self.derivatives, *sorted(path for path in self.derivatives.iterdir() if path.is_dir())]
        return [folder for folder in folders if (folder / f"sub-{subject}").is_dir()]

    def _run(self, subject: str, task: str, session: str | None, index: int, events: Path) -> Run:
        raw = [
            path for path in _files(events.parent, f"*_task-{task}_*bold.nii*") if _run_key(path) == (session, index)
        ]
        prepared = self._prepared(subject, task, session, index)
        if prepared is None:
            bold = _one(raw, f"one BOLD image must belong to {events}")
            space, root = None, self.root
        else:
            bold, root = prepared
            space = entities(bold).get("space")
        # The raw image's sidecar counts where the derivative has none of its own, and where the raw image is not here.
        original = events.with_name(events.name.replace("_events.tsv", "_bold.nii"))
        sidecar = {**read_sidecar(original, self.root), **read_sidecar(bold, root)}
        return Run(
            subject,
            task,
            session,
            index,
            bold,
            events,
            tr=_tr(sidecar, bold),
            space=space,
            prepared=prepared is not None,
            mask=_beside(bold, "brain", "mask", NIFTI) if prepared else None,
            confounds=_beside(bold, "confounds", "timeseries", (".tsv",)) if prepared else None,
        )

    def _prepared(self, subject: str, task: str, session: str | None, index: int) -> tuple[Path, Path] | None:
        """Find the preprocessed image of a run, and the pipeline's folder."""
        found: dict[str, list[tuple[Path, Path]]] = {}
        for folder in self.pipelines(subject):
            for path in _files(folder / f"sub-{subject}", f"*_task-{task}_*desc-preproc_bold.nii*"):
                if _run_key(path) == (session, index):
                    found.setdefault(entities(path).get("space", "native"), []).append((path, folder))
        if not found:
            if self.space is not None:
                raise FileNotFoundError(
                    f"[study.layout] space {self.space!r} needs preprocessed BOLD; got none of task {task!r}, run "
                    f"{index}, subject {subject} in {self.derivatives}"
                )
            return None
        if self.space is None and len(found) > 1:
            raise ValueError(
                f"[study.layout] space must be given where there are several; got {', '.join(sorted(found))} beside "
                f"{next(iter(found.values()))[0][0]}"
            )
        wanted = self.space or next(iter(found))
        if wanted not in found:
            raise FileNotFoundError(
                f"[study.layout] space must be one of {', '.join(sorted(found))}; got {wanted!r} for task {task!r}, "
                f"run {index}, subject {subject}"
            )
        images = [path for path, _ in found[wanted]]
        _one(images, f"one preprocessed image must belong to task {task!r}, run {index}, space {wanted!r}")
        return found[wanted][0]


def destrieux_file(layout: Layout, subject: str) -> Path:
    """Find a subject's Destrieux labels: ``*_seg-destrieux_dseg`` of derivatives, else FreeSurfer's own volume."""
    pipelines = layout.pipelines(subject)
    named = [
        path
        for folder in pipelines
        for path in _files(folder / f"sub-{subject}", "*_seg-destrieux*_dseg.nii*")
        if layout.space is None or entities(path).get("space") == layout.space
    ]
    if named:
        return _one(named, f"one image of Destrieux labels must belong to subject {subject}")
    base = layout.derivatives
    folders = (
        []
        if base is None
        else [base / "sourcedata" / "freesurfer", base / "freesurfer", base, base.parent / "freesurfer"]
    )
    folders += [layout.root / "derivatives" / "freesurfer"]
    folders += [folder / "sourcedata" / "freesurfer" for folder in pipelines]
    names = (f"sub-{subject}/mri/aparc.a2009s+aseg{extension}" for extension in (".mgz", *NIFTI))
    tails = list(names)
    found = sorted({(folder / tail).resolve() for folder in folders for tail in tails if (folder / tail).is_file()})
    if not found:
        raise FileNotFoundError(
            "[study.layout] rois='destrieux' needs FreeSurfer's aparc.a2009s+aseg.mgz or *_seg-destrieux_dseg.nii.gz "
            f"of sub-{subject}; got neither in {base or layout.root} (aseg and aparcaseg dseg are other atlases)"
        )
    return _one(found, f"one aparc.a2009s+aseg must belong to subject {subject}")


def _files(folder: Path, pattern: str) -> list[Path]:
    """Files of a subject's folder, at most two folders down (ses-*/func)."""
    return sorted({path for depth in ("", "*/", "*/*/") for path in folder.glob(depth + pattern) if path.is_file()})


def _run_key(path: Path) -> tuple[str | None, int]:
    named = entities(path)
    index = named.get("run", "1")
    if not re.fullmatch("[0-9]{1,6}", index) or int(index) == 0:
        raise ValueError(f"[study.layout] run must be a whole number from 1; got {index!r} in {path}")
    return named.get("ses"), int(index)


def _one(found: Sequence[Path], rule: str) -> Path:
    if len(found) != 1:
        problem = FileNotFoundError if not found else ValueError
        raise problem(f"[study.layout] {rule}; got {' and '.join(map(str, found)) or 'none'}")
    return found[0]


def _tr(sidecar: dict[str, Any], bold: Path) -> float | None:
    tr = sidecar.get("RepetitionTime")
    if tr is None:
        return None
    if isinstance(tr, bool) or not isinstance(tr, int | float) or not 0 < tr < 100:
        raise ValueError(
            f"[study.layout] RepetitionTime must be a positive number of seconds; got {tr!r} in the sidecar of {bold}"
        )
    return float(tr)


def _beside(bold: Path, description: str, suffix: str, extensions: Iterable[str]) -> Path | None:
    """Find a derivative of the same run: same entities, another description; confounds name no space."""
    own = {key: value for key, value in entities(bold).items() if key not in {"desc", "suffix", "extension"}}
    if suffix == "timeseries":
        own = {key: value for key, value in own.items() if key not in {"space", "res"}}
    found = []
    for extension in extensions:
        for path in sorted(bold.parent.glob(f"*_desc-{description}_{suffix}{extension}")):
            named = entities(path)
            if {key: value for key, value in named.items() if key not in {"desc", "suffix", "extension"}} == own:
                found.append(path)
    return _one(found, f"one {description} {suffix} must belong to {bold}") if found else None
