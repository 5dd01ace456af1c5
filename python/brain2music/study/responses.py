"""Responses to clips: a subject's runs, processed one at a time, cut into clips by scans."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt

from brain2music.study import cache
from brain2music.study.bold import first_volume, read_masked, standardize
from brain2music.study.confounds import Nuisance, prepare_nuisance, read_confounds
from brain2music.study.events import Event
from brain2music.study.motion import Realigner
from brain2music.study.regions import RegionLabels
from brain2music.study.subject import RunData, SubjectData, scans_per_clip
from brain2music.study.surfaces import Surface, SurfaceImage, read_surfaces
from brain2music.study.volumes import Grid

__all__ = [
    "Clips",
    "Responses",
    "confounds_of",
    "mask_image",
    "read_run",
    "realigner_of",
    "subject_responses",
]


@dataclass(frozen=True, eq=False)
class Clips:
    """The clips that rows of responses belong to; all arrays of length n.

    Parameters
    ----------
    ids : array of str
        ``blues.00017_6.44`` is the track ``blues.00017`` from second 6.44 on.
    genre, track : arrays of str
    start, end : arrays of float
        Seconds in the track.
    run : array of int
        Number of the run, from 1, in which a clip was (first) heard.
    scans_present : array of shape (n, s), bool
        Which scans were measured, in one repeat or more; the others are NaN.
    """

    ids: npt.NDArray[np.str_]
    genre: npt.NDArray[np.str_]
    track: npt.NDArray[np.str_]
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    run: npt.NDArray[np.int64]
    scans_present: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Responses:
    """What one subject's brain did during each clip: z-scored BOLD, in units of its standard deviation in a run.

    Parameters
    ----------
    train : array of shape (n, s, v), float32
        Clips, scans, voxels; a scan that was not measured is NaN. The mean over hearings, where the rule
        ``train_repeats`` allows several.
    test : array of shape (n_test, s, v), float32
        Mean over the repeats in which a scan was measured.
    repeats : array of shape (n_test, repeats, s, v), float32, or None
        The repeats themselves, in the order heard; None where each test clip was heard once. NaN where a clip was heard
        less often than others.
    train_clips, test_clips : Clips
    rois : RegionLabels or None
    mask : nibabel image, or None
        Voxels in the order of ``image.get_fdata()[mask]``; None where responses are of vertices.
    tr : float
        Seconds from scan to scan.
    notes : tuple of str
        What was dropped, missing or assumed, one sentence each.
    surface : Surface, or None
        Whose vertices stand in place of voxels, left then right; None where responses are of voxels.
    """

    train: npt.NDArray[np.float32]
    test: npt.NDArray[np.float32]
    repeats: npt.NDArray[np.float32] | None
    train_clips: Clips
    test_clips: Clips
    rois: RegionLabels | None
    mask: nib.nifti1.Nifti1Image | None
    tr: float
    notes: tuple[str, ...]
    surface: Surface | None = None


@dataclass(frozen=True)
class _Place:
    """Where a presentation's scans go: a row of ``train``, or a row and repeat of ``repeats``."""

    array: str
    index: tuple[int, ...]


def subject_responses(data: SubjectData, delay_scans: int, folder: Path | None, progress: bool) -> Responses:
    """Read, process and cut all runs of a subject; see :meth:`brain2music.Study.responses`."""
    n_scans = scans_per_clip(data)
    train, test = _order(data.train), _order(data.test)
    reps, voxels = data.repeats, int(data.mask.sum())
    shapes: dict[str, tuple[int, ...]] = {"train": (len(train), n_scans, voxels), "test": (len(test), n_scans, voxels)}
    if reps > 1:
        shapes["repeats"] = (len(test), reps, n_scans, voxels)

    tasks = (("training", data.train, train), ("test", data.test, test))
    present = {task: _present(runs, order, n_scans, delay_scans, data) for task, runs, order in tasks}

    def fill(arrays: cache.Arrays) -> list[str]:
        notes = _fill(data, arrays, _places(data, reps), n_scans, delay_scans, progress)
        for row, hearings in enumerate(present["training"]):
            if len(hearings) > 1:  # they were added up
                arrays["train"][row] /= np.maximum(hearings.sum(axis=0), 1)[:, None]
        if reps > 1:
            _average(arrays["repeats"], arrays["test"])
        return notes

    name = f"responses_sub-{data.subject}"
    arrays, notes = cache.compute(folder, name, data.settings(delay_scans), shapes, fill)
    return Responses(
        arrays["train"],
        arrays["test"],
        arrays.get("repeats"),
        _clips(train, present["training"], n_scans),
        _clips(test, present["test"], n_scans),
        data.rois,
        mask_image(data, data.grid) if isinstance(data.grid, Grid) else None,
        data.tr,
        (*data.notes, *_missing_notes(data, n_scans, delay_scans), *notes),
        data.grid if isinstance(data.grid, Surface) else None,
    )


def _fill(
    data: SubjectData,
    arrays: cache.Arrays,
    places: dict[tuple[str, int], list[_Place]],
    n_scans: int,
    delay: int,
    progress: bool,
) -> list[str]:
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    notes: list[str] = []
    cleaned: dict[str, list[str]] = {}
    realigner = realigner_of(data)
    voxels = "vertices" if isinstance(data.grid, Surface) else "voxels of the mask"
    bar = tqdm([*data.train, *data.test], desc=f"sub-{data.subject}", unit="run", disable=not progress)
    for item in bar:
        dropped = item.dropped(data.tr, data.rules)
        kept = item.kept
        nuisance, told = confounds_of(item, data, dropped)
        for note in told:
            cleaned.setdefault(note, []).append(item.run.name)
        bold, told = read_run(item, data, realigner)
        notes += told
        run = standardize(bold, data.tr, dropped, nuisance, kept=kept)
        del bold
        if realigner is not None:
            notes.append(f"{item.run.name} moved by at most {realigner.largest:.2f} mm: undone.")
            realigner.largest = 0.0
        constant = run.shape[1] - int(np.count_nonzero(run.any(axis=0) if kept is None else _vary(run)))
        if constant:
            kind = "constant" if nuisance is None else "constant, or nothing but confounds,"
            notes.append(f"{constant} {voxels} are {kind} in {item.run.name}: 0 there.")
        for place, scans in zip(
            places[item.run.task, item.number], item.scans(data.tr, n_scans, delay, data.rules), strict=True
        ):
            there = item.measured(scans)
            to, heard = arrays[place.array][place.index], run[scans[there] - dropped]
            if data.rules.train_repeats:  # what was heard before is added to
                to[there] = np.where(np.isnan(to[there]), heard, to[there] + heard)
            else:
                to[there] = heard
        del run  # before the next one is read
    return notes + [f"{note[0].upper()}{note[1:]}: {', '.join(runs)}." for note, runs in cleaned.items()]


def read_run(
    item: RunData, data: SubjectData, realigner: Realigner | None
) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Read a run, (scans, voxels or vertices), and say what was found in it."""
    if isinstance(item.image, SurfaceImage):
        return read_surfaces(item.image)
    return read_masked(item.image, data.mask, realigner), []


def realigner_of(data: SubjectData) -> Realigner | None:
    """Return what aligns volumes to the first one, where that is asked for."""
    first = data.train[0].image
    if not data.realign or isinstance(first, SurfaceImage) or isinstance(data.grid, Surface):
        return None
    return Realigner(first_volume(first), data.grid, data.mask)


def confounds_of(item: RunData, data: SubjectData, dropped: int) -> tuple[Nuisance | None, list[str]]:
    """Read a run's confounds and put them through the voxels' filter."""
    path, names = item.run.confounds, data.confounds
    if not names or path is None:
        return None, []
    values, notes = read_confounds(path, names, item.image.volumes, dropped, item.left_out)
    nuisance = prepare_nuisance(values, dropped, data.tr, None, names, str(path), item.kept)
    rank = nuisance.basis.shape[1]
    return nuisance, [*notes, *nuisance.notes, f"{rank} columns of confounds and slow drift were regressed out"]


def confound_problems(data: SubjectData) -> list[str]:
    """Say what is wrong with the confounds of a subject's runs."""
    problems = []
    for item in (*data.train, *data.test):
        try:
            confounds_of(item, data, item.dropped(data.tr, data.rules))
        except (ValueError, OSError) as error:
            problems.append(str(error))
    return problems


def mask_image(data: SubjectData, grid: Grid) -> nib.nifti1.Nifti1Image:
    """Return the mask as an image."""
    image: Any = nib.nifti1.Nifti1Image(data.mask.astype(np.uint8), grid.affine)  # type: ignore[no-untyped-call]
    space = data.train[0].run.space
    if not grid.oriented:  # then the affine is a guess, and the mask must not pass for more
        image.header["sform_code"] = 0
    elif space is not None and space.startswith("MNI152"):
        image.set_sform(grid.affine, code="mni")  # maps are drawn on a template's cortex by this code alone
    return cast("nib.nifti1.Nifti1Image", image)


def _order(runs: Sequence[RunData]) -> dict[str, tuple[Event, int]]:
    """Each clip's first presentation and its run, in the order first heard."""
    first: dict[str, tuple[Event, int]] = {}
    for item in runs:
        for event in item.events.kept:
            first.setdefault(event.clip, (event, item.number))
    return first


def _places(data: SubjectData, reps: int) -> dict[tuple[str, int], list[_Place]]:
    """Where the presentations of each run, by task and number, go."""
    train, test = (list(_order(runs)) for runs in (data.train, data.test))
    rows = {clip: row for order in (train, test) for row, clip in enumerate(order)}
    heard: dict[str, int] = {}
    places: dict[tuple[str, int], list[_Place]] = {}
    for item in data.train:
        places[item.run.task, item.number] = [_Place("train", (rows[event.clip],)) for event in item.events.kept]
    for item in data.test:
        listed = places[item.run.task, item.number] = []
        for event in item.events.kept:
            repeat = heard[event.clip] = heard.get(event.clip, -1) + 1
            row = rows[event.clip]
            listed.append(_Place("repeats", (row, repeat)) if reps > 1 else _Place("test", (row,)))
    return places


def _present(
    runs: Sequence[RunData], order: dict[str, tuple[Event, int]], n_scans: int, delay: int, data: SubjectData
) -> list[npt.NDArray[np.bool_]]:
    """Which scans of which presentation were measured: for each clip an array (presentations, n_scans)."""
    measured: dict[str, list[npt.NDArray[np.bool_]]] = {clip: [] for clip in order}
    for item in runs:
        there = item.measured(item.scans(data.tr, n_scans, delay, data.rules))
        for event, present in zip(item.events.kept, there, strict=True):
            measured[event.clip].append(present)
    return [np.array(presentations, dtype=bool).reshape(-1, n_scans) for presentations in measured.values()]


def _average(repeats: npt.NDArray[np.float32], mean: npt.NDArray[np.float32]) -> None:
    """Average over repeats, clip by clip, scan by scan over the repeats in which it was measured."""
    for clip, result in zip(repeats, mean, strict=True):
        for scan in range(clip.shape[1]):
            measured = clip[~np.isnan(clip[:, scan]).all(axis=1), scan]
            result[scan] = measured.mean(axis=0, dtype=np.float64) if len(measured) else np.nan


def _vary(run: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Say which voxels are not 0 in all scans but those that are NaN; scan by scan, to make no second run."""
    vary = np.zeros(run.shape[1], bool)
    for scan in run:
        vary |= (scan != 0) & ~np.isnan(scan)
    return vary


def _missing_notes(data: SubjectData, n_scans: int, delay: int) -> list[str]:
    """Say which presentations lack scans, and why."""
    notes = []
    for task, runs in (("training", data.train), ("test", data.test)):
        late, lacking, fewest, left = 0, 0, n_scans, n_scans
        for item in runs:
            scans = item.scans(data.tr, n_scans, delay, data.rules)
            there = item.measured(scans)
            ends = (scans >= item.image.volumes).any(axis=1)
            lost = ((scans >= 0) & (scans < item.image.volumes) & ~there).any(axis=1)
            late, lacking = late + int(ends.sum()), lacking + int(lost.sum())
            fewest = min(fewest, int(there[ends].sum(axis=1).min(initial=n_scans)))
            left = min(left, int(there[lost].sum(axis=1).min(initial=n_scans)))
        averaged = ", and the mean over repeats is of those measured" if task == "test" and data.repeats > 1 else ""
        if late:
            notes.append(
                f"{late} presentations of {task} clips end after their run under a delay of {delay} scans and have "
                f"{fewest} or more of {n_scans} scans; the others are NaN{averaged}."
            )
        if lacking:
            notes.append(
                f"{lacking} presentations of {task} clips lose scans that are left out and have {left} or more of "
                f"{n_scans}; the others are NaN{averaged}."
            )
    lengths = sorted({round(event.duration, 6) for item in (*data.train, *data.test) for event in item.events.kept})
    if len({round(length / data.tr) for length in lengths}) > 1:
        notes.append(
            f"Clips last {lengths[0]:g} to {lengths[-1]:g} s: the arrays have the scans of the longest, and scans "
            "after a shorter clip's end are NaN."
        )
    return notes


def _clips(order: dict[str, tuple[Event, int]], present: list[npt.NDArray[np.bool_]], n_scans: int) -> Clips:
    events = [event for event, _ in order.values()]
    return Clips(
        ids=np.array(list(order), dtype=np.str_),
        genre=np.array([event.genre for event in events], dtype=np.str_),
        track=np.array([event.track for event in events], dtype=np.str_),
        start=np.array([event.start for event in events], dtype=np.float64),
        end=np.array([event.end for event in events], dtype=np.float64),
        run=np.array([run for _, run in order.values()], dtype=np.int64),
        scans_present=np.array([one.any(axis=0) for one in present], bool).reshape(len(order), n_scans),
    )
