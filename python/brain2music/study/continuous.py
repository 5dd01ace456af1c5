"""Music that goes on: whole runs, scan by scan, with the piece that was heard and how far it had come."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from brain2music.study import cache
from brain2music.study.bold import standardize
from brain2music.study.regions import RegionLabels
from brain2music.study.responses import confounds_of, mask_image, read_run, realigner_of
from brain2music.study.subject import RunData, SubjectData
from brain2music.study.surfaces import Surface
from brain2music.study.volumes import Grid

__all__ = ["Continuous", "continuous_responses"]


@dataclass(frozen=True, eq=False)
class Continuous:
    """One subject's runs, scan by scan: z-scored BOLD, in units of its standard deviation in a run.

    Parameters
    ----------
    responses : array of shape (m, v), float32
        Scans of all runs, one run after the other; voxels, or vertices. Scans that are left out are NaN.
    run : array of shape (m,), int
        Number of the run of each scan, from 1: ``groups`` of :class:`brain2music.VoxelwiseEncoder`.
    piece : array of shape (m,), str
        What was heard when the scan began; empty where nothing was.
    second : array of shape (m,), float
        Seconds of the piece that had passed; NaN where nothing was heard.
    rois : RegionLabels or None
    mask : nibabel image, or None
        Voxels in the order of ``image.get_fdata()[mask]``; None for vertices.
    tr : float
        Seconds from scan to scan.
    notes : tuple of str
        What was dropped, missing or assumed, one sentence each.
    surface : Surface, or None
    """

    responses: npt.NDArray[np.float32]
    run: npt.NDArray[np.int64]
    piece: npt.NDArray[np.str_]
    second: npt.NDArray[np.float64]
    rois: RegionLabels | None
    mask: nib.nifti1.Nifti1Image | None
    tr: float
    notes: tuple[str, ...]
    surface: Surface | None = None

    def features(self, windows: Mapping[str, Any], window: float, hop: float) -> npt.NDArray[np.float32]:
        """Give every scan the features of what was heard.

        Parameters
        ----------
        windows : mapping from str to array of shape (r, d)
            For each piece the embeddings of its windows, from its beginning on.
        window, hop : float
            Seconds that a window lasts, and from one to the next.

        Returns
        -------
        array of shape (m, d), float32
            Of the window whose middle is nearest to the middle of the scan; the first half window of a piece has those
            of the first window, its end those of the last. 0 where nothing was heard.

        Raises
        ------
        ValueError
            If a piece that was heard has no windows, or windows differ in their dimensions.
        """
        heard = sorted(set(self.piece.tolist()) - {""})
        missing = [piece for piece in heard if piece not in windows]
        arrays = {piece: np.asarray(windows[piece], np.float32) for piece in heard if piece in windows}
        shapes = {array.shape[1:] for array in arrays.values()}
        if missing or len(shapes) != 1 or any(array.ndim != 2 or not len(array) for array in arrays.values()):
            what = f"none for {', '.join(missing[:3])}" if missing else f"shapes {sorted(shapes)}"
            raise ValueError(f"[study.Continuous.features] every piece must have windows, (r, d); got {what}")
        if not (window > 0 and hop > 0):
            raise ValueError(f"[study.Continuous.features] window and hop must be positive; got {window} and {hop}")
        made = np.zeros((len(self.piece), *shapes.pop()), np.float32)
        for piece, array in arrays.items():
            here = self.piece == piece
            nearest = np.rint((self.second[here] + self.tr / 2 - window / 2) / hop).astype(np.int64)
            made[here] = array[nearest.clip(0, len(array) - 1)]
        return made


def continuous_responses(data: SubjectData, folder: Path | None, progress: bool) -> Continuous:
    """Read and process all runs of a subject; see :meth:`brain2music.Study.continuous`."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    runs = [*data.train, *data.test]
    dropped = [_dropped(item, data) for item in runs]
    lengths = [item.image.volumes - first for item, first in zip(runs, dropped, strict=True)]
    shapes: dict[str, tuple[int, ...]] = {"responses": (sum(lengths), int(data.mask.sum()))}

    def fill(arrays: cache.Arrays) -> list[str]:
        notes: list[str] = []
        realigner = realigner_of(data)
        row = 0
        for item, first in zip(
            tqdm(runs, desc=f"sub-{data.subject}", unit="run", disable=not progress), dropped, strict=True
        ):
            nuisance, told = confounds_of(item, data, first)
            notes += [f"{note[0].upper()}{note[1:]}: {item.run.name}." for note in told]
            bold, told = read_run(item, data, realigner)
            notes += told
            run = standardize(bold, data.tr, first, nuisance, kept=item.kept)
            arrays["responses"][row : row + len(run)] = run
            row += len(run)
            del bold, run
        return notes

    settings = {**data.settings(0), "continuous": True}
    arrays, notes = cache.compute(folder, f"continuous_sub-{data.subject}", settings, shapes, fill)
    heard = [_heard(item, data.tr, first) for item, first in zip(runs, dropped, strict=True)]
    return Continuous(
        arrays["responses"],
        np.repeat(np.arange(1, len(runs) + 1), lengths),
        np.concatenate([piece for piece, _ in heard]),
        np.concatenate([second for _, second in heard]),
        data.rois,
        mask_image(data, data.grid) if isinstance(data.grid, Grid) else None,
        data.tr,
        (*data.notes, *notes),
        data.grid if isinstance(data.grid, Surface) else None,
    )


def _dropped(item: RunData, data: SubjectData) -> int:
    """Count the scans before the first piece that is kept, where dummies are dropped."""
    if not data.rules.dummies:
        return 0
    return int((item.events.kept[0].onset + item.lead) / data.tr + 1e-6)


def _heard(item: RunData, tr: float, dropped: int) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float64]]:
    """Return piece and second of each scan of a run, by when the scan begins."""
    times = np.arange(dropped, item.image.volumes) * tr - item.lead
    piece = np.full(len(times), "", dtype=f"<U{max(len(event.track) for event in item.events.kept)}")
    second = np.full(len(times), np.nan)
    for event in item.events.kept:
        during = (times >= event.onset - 1e-6) & (times < event.onset + event.duration - 1e-6)
        piece[during] = event.track
        second[during] = event.start + (times[during] - event.onset).clip(0)
    return piece, second
