"""What is known of a subject before a volume is read: runs, events, headers, voxels, all checked together."""

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music import _core
from brain2music.study import cache
from brain2music.study.bold import BoldImage, repetition_time
from brain2music.study.events import TOLERANCE, Event, EventRules, RunEvents
from brain2music.study.layout import Run
from brain2music.study.regions import RegionLabels
from brain2music.study.surfaces import Surface, SurfaceImage
from brain2music.study.volumes import Grid, forms_note

__all__ = [
    "RunData",
    "SubjectData",
    "check_alignment",
    "check_length",
    "check_timing",
    "common_grid",
    "common_tr",
    "place_notes",
    "scans_per_clip",
]


@dataclass(frozen=True, eq=False)
class RunData:
    """A run ready to be read: where it lies, what was heard, and its checked header."""

    run: Run
    number: int  # from 1, in its task
    events: RunEvents
    image: BoldImage | SurfaceImage
    lead: float = 0.0  # seconds from a scan's start to what it stands for, where onset_shift took StartTime off
    left_out: npt.NDArray[np.bool_] | None = None  # (scans,); None: none

    def dropped(self, tr: float, rules: EventRules) -> int:
        """Count the scans before the first clip that is kept; all are kept where there are no dummies."""
        return _scan(self.events.kept[0], tr, rules, self.lead) if rules.dummies else 0

    def scans(self, tr: float, n_scans: int, delay: int, rules: EventRules) -> npt.NDArray[np.int64]:
        """Return the scan numbers of each clip, shape (clips, n_scans): past the run's end, too; -1 past the clip's."""
        first = np.array([_scan(event, tr, rules, self.lead) for event in self.events.kept], dtype=np.int64)
        lengths = np.array([round(event.duration / tr) for event in self.events.kept], dtype=np.int64)
        scans = np.arange(n_scans)
        return np.where(scans < lengths[:, None], first[:, None] + delay + scans, -1)

    def measured(self, scans: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Say which of these scans there are."""
        there = (scans >= 0) & (scans < self.image.volumes)
        if self.left_out is not None:
            there &= ~self.left_out[np.where(there, scans, 0)]
        return there

    @property
    def kept(self) -> npt.NDArray[np.bool_] | None:
        """Scans that are not left out, shape (scans,); None where all are kept."""
        return None if self.left_out is None or not self.left_out.any() else ~self.left_out


@dataclass(frozen=True, eq=False)
class SubjectData:
    """All that is known of a subject before a volume is read; everything in it has been checked."""

    subject: str
    train: tuple[RunData, ...]
    test: tuple[RunData, ...]
    rules: EventRules
    tr: float
    grid: Grid | Surface
    mask: npt.NDArray[np.bool_]
    rois: RegionLabels | None
    confounds: tuple[str, ...]
    censor: dict[str, float | bool]
    realign: bool  # every volume to the first one of the first run
    notes: tuple[str, ...]

    @property
    def repeats(self) -> int:
        """How many times test clips are heard; at most, where that differs."""
        if self.rules.repeats is not None and self.test:
            return self.rules.repeats
        heard = Counter(event.clip for item in self.test for event in item.events.kept)
        return max(heard.values(), default=1)

    def settings(self, delay: int) -> dict[str, Any]:
        """Everything the responses depend on."""
        return {
            "brain2music": _core.version(),
            "subject": self.subject,
            "delay_scans": delay,
            "tr": self.tr,
            "rules": dataclasses.asdict(self.rules),
            "mask": cache.key({"shape": self.mask.shape, "voxels": np.packbits(self.mask).tobytes().hex()}),
            "confounds": {"columns": list(self.confounds), "drift": "median and cosines"} if self.confounds else [],
            "censor": self.censor,
            "realign": self.realign,
            "runs": [
                {"name": data.run.name, "lead": data.lead}
                | {file: cache.fingerprint(path) for file, path in self._files(data).items()}
                for data in (*self.train, *self.test)
            ],
        }

    def _files(self, data: RunData) -> dict[str, Path]:
        files = {"bold": data.run.bold, "events": data.run.events}
        if data.run.bold_right is not None:
            files["bold_right"] = data.run.bold_right
        if (self.confounds or self.censor) and data.run.confounds is not None:
            files["confounds"] = data.run.confounds
        return files


def check_timing(item: RunData, tr: float, rules: EventRules) -> tuple[RunData, list[str]]:
    """Place a run's scans by the fields of its sidecars, and say what the user should know of them.

    A volume stands for ``StartTime`` after the start of its scan: fMRIPrep corrects slices to the middle of a scan.
    A clip's first scan is the one that starts at its onset, whether ``onset_shift`` takes ``StartTime`` off or not.
    """
    timing, shift = item.run.timing, rules.onset_shift
    if timing.volumes is not None and timing.volumes != item.image.volumes:
        raise ValueError(
            f"[study.Study] VolumeTiming must have a time for each volume; got {timing.volumes} times and "
            f"{item.image.volumes} volumes for {item.run.bold}"
        )
    facts = [f"{fact} (It is {shift:g} s.)" if shift and "onset_shift" in fact else fact for fact in timing.facts]
    start = timing.start
    if start and abs(start + shift) <= TOLERANCE:
        scans = math.floor(start / tr + 1e-6)
        item = dataclasses.replace(item, lead=start - scans * tr)
        facts.append(
            f"StartTime, {start:g} s, is taken off the onsets by onset_shift: the first scan of a clip is the first "
            "one that stands for a time at or after its onset."
        )
    elif not 0 <= start < tr:
        raise ValueError(
            f"[study.Study] StartTime must lie within the first scan, from 0 to {tr:g} s, or be taken off the onsets "
            f"by the rule onset_shift={-start:g}; got {start:g} s for {item.run.bold}"
        )
    elif start:
        facts.append(
            f"StartTime is {start:g} s: each scan stands for that much after its start (slice times were corrected). "
            "The first scan of a clip is the one that starts at its onset, and stands for that much later."
        )
    return item, facts


def common_tr(runs: list[RunData]) -> float:
    """Return the TR in seconds that all runs have, headers and sidecars alike."""
    trs = [repetition_time(item.image, item.run.tr) for item in runs]
    for item, tr in zip(runs, trs, strict=True):
        if tr != trs[0]:
            raise ValueError(
                f"[study.Study] all runs must have one TR; got {trs[0]:g} s in {runs[0].run.bold} and {tr:g} s in "
                f"{item.run.bold}"
            )
    return trs[0]


def common_grid(runs: Sequence[RunData], same_grid: bool = False) -> Grid | Surface:
    """Return the grid, or the surface, that all runs have.

    Parameters
    ----------
    runs : sequence of RunData
    same_grid : bool
        Whether a run whose header does not say where its voxels lie is on the grid of those that do.

    Returns
    -------
    Grid or Surface

    Raises
    ------
    ValueError
        Naming the run that lies elsewhere, has other voxels, or does not say where it lies.
    """
    first = next((item.image for item in runs if item.image.grid.oriented), runs[0].image)
    for item in runs:
        image, grid = item.image, item.image.grid
        if not grid.oriented and not same_grid:
            raise ValueError(
                "[study.Study] BOLD must say where its voxels lie, beside labels or a mask (a qform_code or sform_code "
                f"above 0); got both 0 in {image.path} (if the voxels are stored in one order in all images, say "
                "assume_same_grid=True)"
            )
        agrees = grid.matches(first.grid)
        if not grid.oriented or not first.grid.oriented:
            agrees = grid.shape == first.grid.shape and np.allclose(_sizes(grid), _sizes(first.grid), atol=1e-3)
        if not agrees:
            raise ValueError(
                f"[study.Study] all runs must have one grid; got {first.grid} in {first.path} and {grid} in "
                f"{image.path}"
            )
    return first.grid


def place_notes(runs: Sequence[RunData]) -> list[str]:
    """Say what headers leave open about where the runs' voxels lie."""
    notes = []
    silent = [item for item in runs if not item.image.grid.oriented]
    if silent:
        notes.append(
            f"BOLD without orientation taken to lie on the grid of labels and mask, as asked: {_listed(silent)}."
        )
    apart = [item for item in runs if item.image.forms_apart]
    if apart:
        notes.append(forms_note(_listed(apart), max(item.image.forms_apart for item in apart)))
    return notes


def _sizes(grid: Grid | Surface) -> npt.NDArray[np.float64]:
    if isinstance(grid, Surface):
        return np.full(3, np.nan)
    return np.asarray(np.linalg.norm(grid.affine[:3, :3], axis=0))


def _listed(runs: list[RunData]) -> str:
    return ", ".join(item.run.name for item in runs[:3]) + (f" and {len(runs) - 3} other runs" if runs[3:] else "")


def check_alignment(
    runs: Sequence[RunData], motion: str | None, assumed: bool, surfaces: Sequence[str] = ()
) -> list[str]:
    """Refuse runs that are not aligned, and say how they are; ``surfaces`` are spaces that could be read instead."""
    spaces = {(item.run.prepared, item.run.space): item for item in reversed(runs)}
    if len(spaces) > 1:
        one, other = list(spaces.values())[:2]
        raise ValueError(
            "[study.Study] all runs must be preprocessed into one space, or none; got "
            f"{one.run.bold} and {other.run.bold}"
        )
    first = runs[0].run
    if motion and first.prepared:
        raise ValueError(f"[study.Study] motion must be None for preprocessed BOLD; got 'rigid' for {first.bold}")
    if first.aligned:
        return [f"fMRIPrep's BOLD in space {first.space}."]
    kind = "fMRIPrep's native space, which each run has of its own" if first.prepared else "raw BOLD"
    if motion:
        return [f"Every volume aligned to the first one of {first.bold.name}."]
    if not assumed:
        raise ValueError(
            "[study.Study] BOLD must be aligned: give derivatives= with preprocessed BOLD in a common space, or "
            f"motion='rigid' for raw BOLD, or say assume_aligned=True; got {kind}, {first.bold}"
            + (f" (fMRIPrep's surfaces are there: space={surfaces[0]!r})" if surfaces else "")
        )
    return [f"Alignment assumed, as asked: {kind}."]


def check_length(item: RunData, tr: float) -> list[str]:
    """Refuse a run that ends before its last clip; note one that goes on after it."""
    needed = round((item.events.end + item.lead) / tr)
    if item.image.volumes < needed:
        raise ValueError(
            f"[study.Study] a run must last until its last clip ends, {item.events.end:g} s ({needed} volumes); got "
            f"{item.image.volumes} volumes in {item.run.bold} for {item.run.events} (where the scanner stopped early, "
            "take the last clip out of the events, or leave the run out by exclude_runs)"
        )
    extra = item.image.volumes - needed
    return [f"{item.run.name} goes on for {extra} volumes after its last clip: used."] if extra else []


def _scan(event: Event, tr: float, rules: EventRules, lead: float) -> int:
    """First scan of an event, which must begin with it."""
    onset = event.onset + lead
    scan = round(onset / tr)
    if scan < 0 or abs(onset - scan * tr) > rules.snap:
        raise ValueError(
            f"[study.subject] {rules.onset} must fall on the start of a scan, to {rules.snap:g} s (rule snap); got "
            f"{event.onset:g} s at a TR of {tr:g} s in {event.where}"
        )
    return scan


def scans_per_clip(data: SubjectData) -> int:
    """Return the number of scans that every clip has; that of the longest, where the rules let clips differ."""
    counts: dict[int, Event] = {}
    for event in (event for item in (*data.train, *data.test) for event in item.events.kept):
        count = round(event.duration / data.tr)
        if count < 1 or abs(event.duration - count * data.tr) > data.rules.snap:
            raise ValueError(
                f"[study.subject] {data.rules.duration} must be a whole number of scans, to {data.rules.snap:g} s "
                f"(rule snap); got {event.duration:g} s at a TR of {data.tr:g} s in {event.where}"
            )
        counts.setdefault(count, event)
    if len(counts) > 1 and data.rules.equal_lengths:
        listed = ", ".join(f"{count} in {event.where}" for count, event in counts.items())
        raise ValueError(
            f"[study.subject] all clips must have the same number of scans; got {listed} (the rule equal_lengths may "
            "be false)"
        )
    return max(counts)
