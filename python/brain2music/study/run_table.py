"""Which runs of a study are used and which are not, and why; and every other file beside them."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain2music.study.acquisition import acquisition_notes
from brain2music.study.bold import open_bold, repetition_time
from brain2music.study.events import EventRules, read_events
from brain2music.study.inventory import Found
from brain2music.study.layout import Layout, Run
from brain2music.study.listing import Named
from brain2music.study.names import natural
from brain2music.study.subject import RunData, check_length, check_timing, common_grid, common_tr
from brain2music.study.surfaces import DENSITIES, GIFTI, SurfaceImage, open_surfaces, scans_of

__all__ = ["RunTable", "check_exclusions", "open_run", "run_notes"]

LEFT_OUT = "left out, as asked"


@dataclass(frozen=True)
class Missing:
    """A run that another subject has."""

    entities: dict[str, str]
    other: str

    @property
    def name(self) -> str:
        """Short name."""
        parts = [f"{key}-{self.entities[key]}" for key in ("ses", "task", "run") if key in self.entities]
        return "_".join(parts)


def open_run(layout: Layout, found: Found, number: int, rules: EventRules) -> tuple[RunData, list[str]]:
    """Read all of a run but its volumes, and check it by itself.

    Returns
    -------
    RunData, list of str
        And what the user should know of its timing.

    Raises
    ------
    ValueError, FileNotFoundError, OSError
        Naming file and field.
    """
    run = layout.run(found)
    events = read_events(run.events, rules)
    image = _open_surfaces(run) if run.bold.name.endswith(GIFTI) else open_bold(run.bold)
    item = RunData(run, number, events, image)
    tr = repetition_time(item.image, run.tr)
    return check_timing(item, tr, rules)


def _open_surfaces(run: Run) -> SurfaceImage:
    if run.bold_right is None or run.space is None:
        raise ValueError(f"[study.surfaces] a name must have space-, hemi-L and hemi-R; got {run.bold}")
    density = Named.of(run.bold).entities.get("den", "")
    space = DENSITIES.get(density, run.space) if run.space == "fsaverage" else run.space
    return open_surfaces(run.bold, run.bold_right, space)


def check_exclusions(layout: Layout, tasks: Sequence[str | None]) -> None:
    """Refuse an entry of ``exclude_runs`` that matches no run: it may be a slip of the pen."""
    entries = layout.exclusions.entries
    if not entries:
        return
    matched: set[str] = set()
    for subject in layout.subjects:
        for found in layout.found(subject):
            matched.update(entry for file in found.left_out for entry in layout.exclusions.match(file.entities))
        for one in _missing(layout, subject, tasks):
            matched.update(layout.exclusions.match(one.entities))
    unmatched = [entry for entry in entries if entry not in matched]
    if unmatched:
        examples = [found.stem.name for subject in layout.subjects for found in layout.found(subject)]
        raise ValueError(
            f"[study.Study] an entry of exclude_runs must match a run, such as {examples[0] if examples else 'none'}; "
            f"got {', '.join(unmatched)}"
        )


def run_notes(
    layout: Layout,
    subject: str,
    tasks: Sequence[str | None],
    runs: Sequence[RunData],
    facts: Sequence[tuple[RunData, str]],
) -> list[str]:
    """Say what the user should know of a subject's runs: left out, lacking, shared events, timing."""
    notes = _left_out(layout, subject)
    for task in tasks:
        notes += _gaps([found for found in layout.found(subject) if found.task == task], subject, task or "")
    lacking: dict[str, list[str]] = {}
    for one in _missing(layout, subject, tasks):
        if not layout.exclusions.match(one.entities):
            lacking.setdefault(one.other, []).append(one.name)
    notes += [f"sub-{subject} lacks runs that sub-{other} has: {', '.join(names)}." for other, names in lacking.items()]
    shared: dict[Path, list[str]] = {}
    for item in runs:
        shared.setdefault(item.run.events, []).append(item.run.name)
    notes += [
        f"One events file, {path.name}, applies to {len(names)} runs: {', '.join(names)}."
        for path, names in shared.items()
        if len(names) > 1
    ]
    for task in tasks:
        notes += acquisition_notes(layout, subject, [item.run for item in runs if item.run.task == task])
    told: dict[str, list[str]] = {}
    for item, fact in facts:
        told.setdefault(fact, []).append(item.run.name)
    notes += [
        fact if len(names) == len(runs) else f"{fact} (In {len(names)} of {len(runs)} runs: {', '.join(names)}.)"
        for fact, names in told.items()
    ]
    return notes


def _missing(layout: Layout, subject: str, tasks: Sequence[str | None]) -> list[Missing]:
    """List the runs of these tasks that another subject has and this one lacks."""
    own = {(found.task, found.session, found.run) for found in layout.found(subject)}
    lacking: dict[tuple[str | None, str | None, str | None], Missing] = {}
    for other in layout.subjects:
        for found in layout.found(other) if other != subject else ():
            key = (found.task, found.session, found.run)
            if found.task in tasks and not found.excluded and key not in own and key not in lacking:
                entities = {"sub": subject, "ses": found.session, "task": found.task, "run": found.run}
                lacking[key] = Missing({name: text for name, text in entities.items() if text is not None}, other)
    return sorted(lacking.values(), key=lambda one: (natural(one.entities.get("ses")), natural(one.name)))


def _gaps(runs: Sequence[Found], subject: str, task: str) -> list[str]:
    """Say which numbers are missing among a task's runs; numbers may go on from session to session or begin anew."""
    numbers: dict[str | None, list[int]] = {}
    for found in runs:
        if found.run is not None and found.run.isdecimal():
            numbers.setdefault(found.session, []).append(int(found.run))
    everything = sorted(number for listed in numbers.values() for number in listed)
    if len(set(everything)) == len(everything):
        numbers = {None: everything}
    notes = []
    for session, listed in numbers.items():
        lacking = sorted(set(range(1, max(listed, default=0) + 1)) - set(listed))
        if lacking:
            where = f" in session {session}" if session else ""
            notes.append(
                f"Runs of task {task} are numbered with a gap: sub-{subject} has no run "
                f"{', '.join(map(str, lacking))}{where}; runs {', '.join(map(str, sorted(listed)))} are there."
            )
    return notes


def _left_out(layout: Layout, subject: str) -> list[str]:
    """Say which runs and files were left out by ``exclude_runs``."""
    names: list[str] = []
    for found in layout.found(subject):
        names += [found.stem.name] if found.excluded else [file.path.name for file in found.left_out]
    return [f"Left out, as asked: {', '.join(names)}."] if names else []


class RunTable:
    """What became of each run and file.

    Parameters
    ----------
    layout : Layout
    rules : EventRules
    reads_mask, reads_confounds : bool
        Whether the brain masks and confounds beside preprocessed BOLD are read.
    same_grid : bool
        Whether images that do not say where their voxels lie are taken to lie on one grid.
    """

    def __init__(
        self, layout: Layout, rules: EventRules, reads_mask: bool, reads_confounds: bool, same_grid: bool
    ) -> None:
        self.layout, self.rules = layout, rules
        self.reads_mask, self.reads_confounds, self.same_grid = reads_mask, reads_confounds, same_grid
        self.tasks = [task for task in (rules.train_task, rules.test_task) if task]

    def runs(self) -> list[dict[str, Any]]:
        """Return a row for each run of each subject; see :attr:`brain2music.Study.runs`."""
        rows = [row for subject in self.layout.subjects for row in self._subject(subject)]
        for subject, runs in self.layout.prepared_alone().items():
            rows += [self._row(found, None, self._unknown(subject)) for found in runs]
        return rows

    def problems(self, subject: str) -> list[str]:
        """Return why runs of a subject that should be used are not."""
        wanted = [LEFT_OUT, *(self._other_task(found.task) for found in self.layout.found(subject))]
        return [why for _, _, why in self._judged(subject) if why and why not in wanted]

    def unused(self) -> list[dict[str, str]]:
        """Return a row for each file that is not read; see :attr:`brain2music.Study.unused_files`."""
        rows = [row for subject in self.layout.subjects for row in self._files(subject)]
        for subject, runs in self.layout.prepared_alone().items():
            rows += [{"path": str(file.path), "why": self._unknown(subject)} for found in runs for file in found.files]
        return rows

    def _unknown(self, subject: str) -> str:
        return f"subject {subject} is preprocessed, but there is no sub-{subject} in {self.layout.root}"

    def _subject(self, subject: str) -> Iterator[dict[str, Any]]:
        reference: RunData | None = None
        for found, item, why in self._judged(subject):
            if item is not None:
                try:
                    reference = reference or item
                    common_tr([reference, item])
                    common_grid([reference, item], self.same_grid)
                except ValueError as error:
                    why = str(error)
            yield self._row(found, item, why)
        for one in _missing(self.layout, subject, self.tasks):
            left_out = self.layout.exclusions.match(one.entities)
            yield {
                "subject": subject,
                "session": one.entities.get("ses", ""),
                "task": one.entities["task"],
                "run": int(one.entities["run"]) if one.entities.get("run", "").isdecimal() else None,
                "scans": None,
                "events": "",
                "used": False,
                "why": f"not there (sub-{one.other} has it)" + (f"; {LEFT_OUT}" if left_out else ""),
            }

    def _row(self, found: Found, item: RunData | None, why: str) -> dict[str, Any]:
        return {
            "subject": found.subject,
            "session": found.session or "",
            "task": found.task or "",
            "run": int(found.run) if found.run is not None and found.run.isdecimal() else None,
            "scans": item.image.volumes if item is not None else self._scans(found),
            "events": str(item.run.events if item is not None else self._events(found)),
            "used": not why,
            "why": why,
        }

    def _judged(self, subject: str) -> Iterator[tuple[Found, RunData | None, str]]:
        """Each run with all that is known of it, or the reason why it is not used."""
        for number, found in enumerate(self.layout.found(subject), start=1):
            if found.excluded:
                yield found, None, LEFT_OUT
            elif found.task not in self.tasks:
                yield found, None, self._other_task(found.task)
            else:
                try:
                    item, _ = open_run(self.layout, found, number, self.rules)
                    tr = repetition_time(item.image, item.run.tr)
                    check_length(item, tr)
                    item.scans(tr, 1, 0, self.rules)  # every onset falls on a scan
                    yield found, item, ""
                except (ValueError, OSError) as error:
                    yield found, None, str(error)

    def _other_task(self, task: str | None) -> str:
        return f"task {task} is not among those read: {', '.join(self.tasks)}"

    def _scans(self, found: Found) -> int | None:
        """Count the volumes of a run that is not used, where its header can be read."""
        candidates = [file.path for file in (*found.prepared, *found.images, *found.left_out) if file.suffix == "bold"]
        for path in candidates:
            with contextlib.suppress(ValueError, OSError):
                return scans_of(path) if path.name.endswith(GIFTI) else open_bold(path).volumes
        return None

    def _events(self, found: Found) -> Path | str:
        with contextlib.suppress(ValueError, OSError):
            return self.layout.events_file(found)
        return next((file.path for file in (*found.events, *found.left_out) if file.suffix == "events"), "")

    def _files(self, subject: str) -> Iterator[dict[str, str]]:
        layout = self.layout
        used: set[Path] = set()
        reasons: dict[Path, str] = {}
        for found, item, why in self._judged(subject):
            reasons |= dict.fromkeys((file.path for file in found.files), why or "another image of the run is read")
            reasons |= dict.fromkeys((file.path for file in found.left_out), LEFT_OUT)
            if item is not None:
                run = item.run
                used |= {run.bold, run.events, *run.sidecars}
                used |= {run.bold_right} if run.bold_right else set()
                used |= {run.mask} if self.reads_mask and run.mask else set()
                used |= {run.confounds} if self.reads_confounds and run.confounds else set()
        roots = [layout.root, *layout.pipelines(subject)]
        for folder in [folder for root in roots for folder in layout.listing.subject(root, subject)]:
            for path, hidden in _below(folder, layout) if folder.name == "func" else _strays(folder, layout):
                if path not in used:
                    why = "hidden: not looked into" if hidden else reasons.get(path) or self._reason(path, folder)
                    yield {"path": str(path), "why": why}

    def _reason(self, path: Path, folder: Path) -> str:
        """Say why a file that belongs to no run is not read."""
        if path.parent != folder:
            return f"in folder {path.parent.name}: runs are looked for in func"
        file = next(file for file in self.layout.listing[folder].files if file.path == path)
        task = file.entities.get("task")
        if task is not None and task not in self.tasks:
            return self._other_task(task)
        if file.suffix == "events" and file.extension == ".tsv":
            return "no run takes it: each that it could apply to has events of its own, or its name has no task"
        if file.extension == ".json" and file.suffix == "bold":
            return "describes no image that is read, or its fields are given nearer by"
        if file.suffix == "mask":
            return "the brain mask is not read: voxels are chosen by mask= or rois=, or the run is not used"
        if file.suffix in ("timeseries", "regressors"):
            return "confounds are not asked for, or the run is not used"
        return f"{file.suffix}{file.extension}: not read"


def _strays(folder: Path, layout: Layout) -> Iterator[tuple[Path, bool]]:
    """BOLD and events of a subject's or session's folder that lie outside of func; none is hidden."""
    inner = [one for one in layout.listing[folder].folders if one.name != "func" and not one.name.startswith("ses-")]
    for one in (folder, *inner):
        for file in layout.listing[one].files:
            if file.suffix == "bold" or (file.suffix == "events" and file.extension == ".tsv"):
                yield file.path, False


def _below(folder: Path, layout: Layout) -> Iterator[tuple[Path, bool]]:
    """Every file in and below a folder, and whether it is hidden."""
    here = layout.listing[folder]
    for path in here.hidden:
        yield path, True
    for file in here.files:
        yield file.path, False
    for inner in here.folders:
        yield from _below(inner, layout)
