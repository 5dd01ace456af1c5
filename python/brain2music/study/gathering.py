"""All that is known of a subject before a volume is read, gathered and checked."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from brain2music.study.censoring import check_left, left_out_notes, scans_left_out
from brain2music.study.events import EventRules, RunEvents, check_split, read_events
from brain2music.study.layout import Layout
from brain2music.study.names import fetched
from brain2music.study.regions import RegionLabels
from brain2music.study.run_table import open_run, run_notes
from brain2music.study.subject import (
    RunData,
    SubjectData,
    check_alignment,
    check_lengths,
    common_grid,
    common_tr,
    place_notes,
)
from brain2music.study.surfaces import Surface
from brain2music.study.voxel_choice import VoxelChoice

__all__ = ["Gatherer"]


@dataclass(frozen=True, eq=False)
class Gatherer:
    """Gathers and checks everything of a subject but the volumes.

    Parameters
    ----------
    layout : Layout
    rules : EventRules
    voxels : VoxelChoice
    confounds : tuple of str
        Columns to regress out.
    censor : dict
        By what scans are left out, as :func:`brain2music.study.censoring.check_censor` has it.
    motion : str or None
    assume_aligned : bool
    """

    layout: Layout
    rules: EventRules
    voxels: VoxelChoice
    confounds: tuple[str, ...]
    censor: dict[str, float | bool]
    motion: str | None
    assume_aligned: bool

    @property
    def tasks(self) -> tuple[str | None, str | None]:
        """Tasks to train and to test on."""
        return self.rules.train_task, self.rules.test_task

    def events(self, subject: str, task: str | None) -> list[RunEvents]:
        """Read the events of a subject's runs of a task."""
        paths = self.layout.events(subject, task) if task else ()
        return [read_events(path, self.rules) for path in paths]

    def first_tr(self, subject: str) -> float:
        """Return the TR of a subject's first run."""
        item, _ = open_run(self.layout, self.layout.some(subject, self.rules.train_task)[0], 1, self.rules)
        return common_tr([item])

    def subject(self, subject: str, whole: bool = False) -> SubjectData:
        """Gather a subject; of whole runs, clips need not be those of one study design."""
        self.layout.refresh(subject)
        heard, tested = (self.events(subject, task) for task in self.tasks)
        notes = [] if whole else check_split(heard, tested, self.rules)
        (train, facts), (test, more) = (self._runs(subject, task) for task in self.tasks)
        notes.append(f"{len(train)} training runs and {len(test)} test runs.")
        notes += run_notes(self.layout, subject, self.tasks, train + test, facts + more)
        every = train + test
        tr = common_tr(every)
        grid = common_grid(every, self.voxels.same_grid)
        notes += place_notes(every)
        notes += [] if whole else check_lengths(every, tr)
        notes += check_alignment(every, self.motion, self.assume_aligned, self.layout.surfaces(subject))
        if isinstance(grid, Surface):
            labels, names = self.voxels.vertices(subject, grid)
            mask = np.ones(grid.shape, bool)
        else:
            labels, names, told = self.voxels.labels(subject, every[0].run, grid)
            mask, told_of_mask = self.voxels.mask(subject, every, grid, labels)
            notes += told + told_of_mask
        rois = None
        if labels is not None:
            rois = RegionLabels(labels[mask], names)
            empty = [name for label, name in names.items() if not (rois.labels == label).any()]
            if empty:
                what = "vertex" if isinstance(grid, Surface) else "voxel of the mask"
                notes.append(f"{len(empty)} of {len(names)} regions hold no {what}: {', '.join(empty)}.")
        reasons: dict[str, dict[str, int]] = {}
        train, test = ([self._censored(item, reasons) for item in runs] for runs in (train, test))
        for item in (*train, *test):
            if item.left_out is not None and item.run.confounds is not None:
                check_left(item.left_out, 0 if whole else item.dropped(tr, self.rules), item.run.confounds)
        lost = {item.run.name: item.left_out for item in (*train, *test) if item.left_out is not None}
        notes += left_out_notes(lost, reasons)
        return SubjectData(
            subject,
            tuple(train),
            tuple(test),
            self.rules,
            tr,
            grid,
            mask,
            rois,
            self.confounds,
            self.censor,
            self.motion == "rigid",
            tuple(notes),
        )

    def _runs(self, subject: str, task: str | None) -> tuple[list[RunData], list[tuple[RunData, str]]]:
        """Open the runs of a task; and what the user should know of the timing of each."""
        runs, facts = [], []
        for number, found in enumerate(self.layout.some(subject, task) if task else (), start=1):
            item, told = open_run(self.layout, found, number, self.rules)
            runs.append(item)
            facts += [(item, fact) for fact in told]
        return runs, facts

    def _censored(self, item: RunData, reasons: dict[str, dict[str, int]]) -> RunData:
        """Return the run with the scans that are left out of it; how many are by which rule joins the reasons."""
        if not self.confounds and not self.censor:
            return item
        path = item.run.confounds
        if path is None:
            asked = "confounds" if self.confounds else "censor"
            raise FileNotFoundError(
                f"[study.Study] {asked} need *_desc-confounds_timeseries.tsv; got none beside {item.run.bold}"
            )
        fetched(path)
        if not self.censor:
            return item
        left_out, reasons[item.run.name] = scans_left_out(path, self.censor, self.confounds, item.image.volumes)
        return dataclasses.replace(item, left_out=left_out)
