"""All that is there of a subject's runs, raw and preprocessed, before anything is chosen or opened."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brain2music.study.listing import Listing, Named
from brain2music.study.names import comparable, natural, run_number
from brain2music.study.sidecars import NIFTI
from brain2music.study.surfaces import GIFTI

__all__ = ["SELECTABLE", "WITHIN_A_RUN", "Exclusions", "Found", "gather"]

#: Entities by which runs, or images of a run, can be selected.
SELECTABLE = ("acq", "ce", "dir", "rec", "echo", "part")

#: Entities that tell images of one run apart, or that derivatives add to a run's name.
WITHIN_A_RUN = ("echo", "part", "space", "res", "den", "cohort", "desc", "hemi", "label")


class Exclusions:
    """Runs to leave out: each entry names entities that must all match, as in ``sub-01_task-Training_run-03``.

    ``select`` names entities and the value that an image must have: images with another are left out.
    """

    def __init__(self, entries: Iterable[str], select: Mapping[str, Any] | None = None) -> None:
        if isinstance(entries, str):
            raise TypeError(f"[study.Study] exclude_runs must be a list of entries; got the text {entries!r}")
        self.select = {} if select is None else _selected(select)
        self.entries: dict[str, Mapping[str, str]] = {}
        for entry in entries:
            pairs = [pair.split("-", 1) for pair in entry.split("_")]
            if not all(len(pair) == 2 and all(pair) for pair in pairs):
                raise ValueError(
                    "[study.Study] an entry of exclude_runs must name entities, such as sub-01_task-Training_run-03; "
                    f"got {entry!r}"
                )
            self.entries[entry] = comparable(dict(pairs))

    def match(self, entities: Mapping[str, str]) -> list[str]:
        """Return the entries that a file or run fits."""
        return [entry for entry, wanted in self.entries.items() if wanted.items() <= entities.items()]

    def leaves_out(self, file: Named) -> bool:
        """Whether a file is left out, by an entry or because it is not what was selected."""
        if self.match(file.entities):
            return True
        for key, value in self.select.items():
            # What a name leaves open applies to all: events of both echoes, fMRIPrep's combination of them.
            lacking_counts = file.suffix == "bold" and key not in WITHIN_A_RUN
            if (key in file.entities or lacking_counts) and file.entities.get(key) != value:
                return True
        return False


def _selected(select: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(select, Mapping) or not select.keys() <= set(SELECTABLE):
        raise ValueError(
            f"[study.Study] select must give a value to entities among {', '.join(SELECTABLE)}; got {select!r}"
        )
    wrong = [value for value in select.values() if isinstance(value, bool) or not isinstance(value, str | int)]
    if wrong:
        raise ValueError(f"[study.Study] a value of select must be text or a whole number; got {wrong[0]!r}")
    return comparable({key: str(value) for key, value in select.items()})


@dataclass(eq=False)
class Found:
    """One run as it was found: every file that bears its name, used or not.

    Parameters
    ----------
    subject : str
    entities : dict
        What the names of its files share: subject, session, task, run and the like.
    stem : Path
        Folder and beginning of the name that its raw image has or would have.
    images, prepared, events, sidecars : list of Named
        Raw BOLD; preprocessed BOLD in every space, volumes and hemispheres; events files of its very name; sidecars
        that are all there is.
    left_out : list of Named
        Those of the above that an entry of ``exclude_runs`` names.
    faults : list of str
        What is wrong with the names.
    """

    subject: str
    entities: dict[str, str]
    stem: Path
    images: list[Named] = field(default_factory=list)
    prepared: list[Named] = field(default_factory=list)
    events: list[Named] = field(default_factory=list)
    sidecars: list[Named] = field(default_factory=list)
    left_out: list[Named] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def session(self) -> str | None:
        """Label of the session."""
        return self.entities.get("ses")

    @property
    def task(self) -> str | None:
        """Label of the task."""
        return self.entities.get("task")

    @property
    def run(self) -> str | None:
        """Number of the run as its names have it, without zeros before it."""
        return self.entities.get("run")

    @property
    def own(self) -> tuple[tuple[str, str], ...]:
        """What tells this run from others: all entities but those of a reconstruction."""
        return tuple(sorted((key, value) for key, value in self.entities.items() if key not in ("rec", "ce")))

    @property
    def excluded(self) -> bool:
        """Whether all of it was left out as asked."""
        return not (self.images or self.prepared or self.events or self.sidecars) and bool(self.left_out)

    @property
    def files(self) -> list[Named]:
        """Every file of its name."""
        return [*self.images, *self.prepared, *self.events, *self.sidecars, *self.left_out]

    @property
    def order(self) -> tuple[object, ...]:
        """Sort key: session, task, run, all in natural order."""
        rest = "_".join(f"{key}-{value}" for key, value in sorted(self.entities.items()))
        return natural(self.session), self.task or "", natural(self.run), rest


def gather(listing: Listing, root: Path, pipelines: Sequence[Path], subject: str, leave_out: Exclusions) -> list[Found]:
    """Find the runs of a subject from images, derivatives, events and sidecars alike.

    Parameters
    ----------
    listing : Listing
    root : Path
    pipelines : sequence of Path
        Folders of derivatives that hold the subject.
    subject : str
    leave_out : Exclusions

    Returns
    -------
    list of Found
        In natural order of session and run.
    """
    runs: dict[frozenset[tuple[str, str]], Found] = {}

    def add(kind: str, file: Named, folder: Path, found: Found | None = None) -> None:
        own = {key: value for key, value in file.entities.items() if key not in WITHIN_A_RUN}
        found = found or runs.setdefault(frozenset(own.items()), Found(subject, own, _stem(file, folder)))
        found.faults += [fault for fault in _faults(file, folder, subject) if fault not in found.faults]
        (found.left_out if leave_out.leaves_out(file) else getattr(found, kind)).append(file)

    raw = listing.subject(root, subject)
    for folder in raw:
        for file in listing[folder].files:
            if file.suffix == "bold" and file.extension in NIFTI and "task" in file.entities:
                add("images", file, folder)
    for pipeline in pipelines:
        for folder in listing.subject(pipeline, subject):
            for file in listing[folder].files:
                if _is_prepared(file):
                    # fMRIPrep keeps the raw image's entities; other software may drop some.
                    add("prepared", file, root / folder.relative_to(pipeline), _only(runs.values(), file))
    with_images = list(runs.values())
    for folder in raw:
        for file in listing[folder].files:
            if file.suffix == "events" and file.extension == ".tsv" and "task" in file.entities:
                exact = [run for run in with_images if run.entities == file.entities]
                # A file that names less than every image it could belong to is inherited by those images.
                if exact or not any(file.entities.items() <= run.entities.items() for run in with_images):
                    add("events", file, folder, exact[0] if exact else None)
    for folder in raw:
        for file in listing[folder].files:
            # A sidecar whose image and events are both gone is all that is left of a run.
            if file.suffix == "bold" and file.extension == ".json" and "task" in file.entities:
                own = {key: value for key, value in file.entities.items() if key not in WITHIN_A_RUN}
                if not any(own.items() <= run.entities.items() for run in runs.values()):
                    add("sidecars", file, folder)
    return sorted(runs.values(), key=lambda run: run.order)


def _is_prepared(file: Named) -> bool:
    """Whether fMRIPrep made a file: a volume, or a hemisphere, whose name says no more."""
    if file.suffix != "bold":
        return False
    if file.extension == GIFTI:
        whole = "hemi" in file.entities and "space" in file.entities
        return whole and file.entities.get("desc", "preproc") == "preproc"
    return file.extension in NIFTI and file.entities.get("desc") == "preproc"


def _only(runs: Iterable[Found], file: Named) -> Found | None:
    """Return the raw run that a derivative belongs to: of the same entities, or else the only one that has more."""
    own = {key: value for key, value in file.entities.items() if key not in WITHIN_A_RUN}
    fitting = [run for run in runs if own.items() <= run.entities.items() and run.run == own.get("run")]
    exact = [run for run in fitting if run.entities == own]
    return exact[0] if exact else fitting[0] if len(fitting) == 1 else None


def _stem(file: Named, folder: Path) -> Path:
    pairs = [pair for pair in file.path.name.split("_")[:-1] if pair.split("-")[0] not in WITHIN_A_RUN]
    return folder / "_".join(pairs)


def _faults(file: Named, folder: Path, subject: str) -> list[str]:
    """Say what is wrong with a name: subject and session must be those of its folders, the run a number."""
    session = next((one.name[4:] for one in (folder, folder.parent) if one.name.startswith("ses-")), None)
    faults = []
    for key, expected in (("sub", subject), ("ses", session)):
        if file.entities.get(key) != expected:
            given = f"{key}-{file.entities[key]}" if key in file.entities else f"no {key}-"
            wanted = f"{key}-{expected}" if expected is not None else f"no {key}-"
            faults.append(f"a name must have {wanted}, as its folder has; got {given} in {file.path}")
    try:
        run_number(file.entities.get("run"))
    except ValueError as error:
        faults.append(f"{error} in {file.path}")
    return faults
