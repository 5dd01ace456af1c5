"""Confounds: columns of fMRIPrep's table, without their drift, regressed out of voxels that lost theirs.

Voxels that lost their drift get it back when a confound that still drifts is regressed out (Lindquist et al., 2019,
*Modular preprocessing pipelines can reintroduce artifacts into fMRI data*). Where the filter is linear, confounds go
through it too, and the result is that of one joint regression on drift and confounds.

A running median is not linear: the median of a sum is no sum of medians, and at both ends of a run it follows a slope
badly. Confounds put through it alone put a voxel's drift back with r = -0.5, and keep up to half of their part in it.
So confounds lose their drift by regression on the columns that span what the median takes out (:func:`slow_drift`), and
the voxels, after the median, lose these few columns together with the confounds.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music.study.tables import read_table

__all__ = ["Detrend", "Nuisance", "number_in", "prepare_nuisance", "read_confounds", "slow_drift"]

#: Takes (scans, columns) of float32 or float64, and returns them without their drift.
Detrend = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

#: What is left of a confound, as a part of its largest value, below which it is constant: float64 rounds at 1e-16.
CONSTANT = 1e-12

#: Part of a confound's length that the confounds before it must leave unexplained.
INDEPENDENT = 1e-8

#: What the confounds leave of a voxel, as a part of its largest value, below which it is rounding: BOLD is float32.
ROUNDING = 4 * float(np.finfo(np.float32).eps)

#: BIDS has n/a; pandas reads and writes the others.
MISSING = ("n/a", "N/A", "nan", "NaN", "-nan", "-NaN")

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, eq=False)
class Nuisance:
    """What is regressed out of a run.

    Parameters
    ----------
    basis : array of shape (scans kept, rank), float64
        Orthonormal columns of mean 0: slow drift first, then confounds.
    notes : tuple of str
        Confounds that were constant or not independent, a part of a sentence each.
    """

    basis: npt.NDArray[np.float64]
    notes: tuple[str, ...] = ()

    def remove_from(self, detrended: npt.NDArray[Any], raw: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return what the confounds and the mean do not explain.

        Parameters
        ----------
        detrended : array of shape (scans kept, voxels)
        raw : array of shape (scans, voxels)
            The voxels as they were read: how finely they were stored decides what is rounding.

        Returns
        -------
        array of shape (scans kept, voxels), float64
            A voxel that holds no more than rounding besides confounds and slow drift becomes 0.
        """
        voxels = detrended.astype(np.float64)
        voxels -= voxels.mean(axis=0)
        before = _size(voxels)
        voxels -= self.basis @ (self.basis.T @ voxels)
        left = _size(voxels)
        largest = np.maximum(raw.max(axis=0), -raw.min(axis=0)).astype(np.float64)
        empty = left <= ROUNDING * largest
        # The median of a confound is no sum of confounds: in a voxel of nothing else, it would be z-scored.
        suspects = np.flatnonzero((left < before / 2) & ~empty)
        stored = raw[len(raw) - len(voxels) :, suspects].astype(np.float64)
        stored -= stored.mean(axis=0)
        stored -= self.basis @ (self.basis.T @ stored)
        empty[suspects] = _size(stored) <= ROUNDING * largest[suspects]
        voxels[:, empty] = 0
        return voxels


def read_confounds(
    path: Path,
    columns: Sequence[str],
    scans: int,
    dropped: int,
    left_out: npt.NDArray[np.bool_] | None = None,
) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Read columns of fMRIPrep's confounds.

    Parameters
    ----------
    path : Path
    columns : sequence of str
    scans : int
        Rows that the table must have.
    dropped : int
        Scans that are dropped from the beginning of the run.
    left_out : array of shape (scans,), bool, optional
        Scans of which nothing counts: what is not a number there is 0.

    Returns
    -------
    values : array of shape (scans, columns), float64
        ``n/a`` in the first row, where derivatives have it, or among the dropped scans is filled with the next row's
        value, as nilearn's ``load_confounds`` fills the first row: the filter sees all scans.
    notes : list of str
        What was filled, a part of a sentence each.

    Raises
    ------
    ValueError
        Naming file, row and column, if a value is missing elsewhere, infinite or no number; if a column is not there;
        if rows are too few or too many.
    """
    table = read_table(path, columns)
    if len(table) != scans:
        raise ValueError(f"[study.confounds] confounds must have a row a volume ({scans}); got {len(table)} in {path}")
    values = np.empty((scans, len(columns)))
    for number, row in enumerate(table):
        for column, name in enumerate(columns):
            value = number_in(row[name])
            missing = row[name] in MISSING
            if left_out is not None and left_out[number]:
                values[number, column] = value if math.isfinite(value) else 0
                continue
            if not math.isfinite(value) and not (missing and number < max(dropped, 1)):
                rule = "must be known (n/a is filled in row 1 and in dropped scans)" if missing else "must be finite"
                raise ValueError(
                    f"[study.confounds] confound {name} {rule}; got {row[name]!r} in row {number + 1} of {path}"
                )
            values[number, column] = value
    notes = []
    for column, name in enumerate(columns):
        gaps = np.flatnonzero(np.isnan(values[:, column]))
        for scan in gaps[::-1]:
            if scan + 1 == scans:
                raise ValueError(f"[study.confounds] confound {name} must be known in a scan; got none in {path}")
            values[scan, column] = values[scan + 1, column]
        if gaps.size:
            rows = ", ".join(str(scan + 1) for scan in gaps)
            notes.append(f"n/a of confound {name} in row {rows} took the value of the next row")
    return values, notes


def prepare_nuisance(
    confounds: npt.NDArray[Any],
    dropped: int,
    tr: float,
    detrend: Detrend | None = None,
    names: Sequence[str] | None = None,
    where: str = "the confounds given",
    kept: npt.NDArray[np.bool_] | None = None,
) -> Nuisance:
    """Take the drift from confounds over all scans, drop the first scans, and find an orthonormal basis of the rest.

    Parameters
    ----------
    confounds : array of shape (scans, k)
        In any units: each column is scaled to one length before any two are compared.
    dropped : int
        Scans to drop after the filter has seen them.
    tr : float
        Seconds from scan to scan.
    detrend : callable, optional
        Linear filter that voxels and confounds go through. By default voxels go through the running median of 240 s,
        and the columns of :func:`slow_drift` are in the basis, before the confounds.
    names : sequence of str, optional
        Of the columns.
    where : str
        File, for messages.
    kept : array of shape (scans,), bool, optional
        Scans that count; the basis has rows for those of them that are not dropped. By default all.

    Returns
    -------
    Nuisance
        A confound that is constant, or a sum of those before it, adds nothing and is named in the notes.

    Raises
    ------
    ValueError
        If the confounds leave no scan free.
    """
    columns = np.asarray(confounds, dtype=np.float64)
    scans = len(columns)
    names = [f"{number}" for number in range(1, columns.shape[1] + 1)] if names is None else list(names)
    drift = slow_drift(scans, tr) if detrend is None else np.empty((scans, 0))
    if kept is not None:
        columns, dropped = columns[kept], int(kept[:dropped].sum())
        drift = np.linalg.qr(np.column_stack([np.ones(len(columns)), drift[kept]]))[0][:, 1:]
    largest = np.abs(columns).max(axis=0, initial=0)
    # The scale goes first: what a filter computes is then as precise for a rotation as for a global signal.
    columns = columns / np.where(largest > 0, largest, 1)
    # A sum of confounds is found before the filter, which need not leave it one.
    varying = [column for column in range(len(names)) if not _constant(columns[:, column])]
    chosen, _ = _independent(columns, varying)
    rest = columns[:, chosen]
    rest -= drift @ (drift.T @ rest)
    if detrend is not None:
        rest = np.asarray(detrend(np.ascontiguousarray(rest)), dtype=np.float64)
    left = [column for column in range(len(chosen)) if not _constant(rest[dropped:, column])]
    slow = drift.shape[1] if left else 0
    regressors = np.column_stack([drift[:, :slow], rest[:, left]])[dropped:]
    independent, basis = _independent(regressors, range(regressors.shape[1]))
    if basis.shape[1] > len(regressors) - 2:
        raise ValueError(
            "[study.confounds] scans kept must outnumber independent confounds, slow drift (its columns are "
            f"{slow}) and the mean; got {basis.shape[1] - slow} confounds for {len(regressors)} scans in {where}"
        )
    notes = []
    constant = [names[column] for column in range(len(names)) if column not in varying]
    constant += [names[chosen[column]] for column in range(len(chosen)) if column not in left]
    if constant:
        notes.append(f"confounds {', '.join(constant)} are constant once detrended and were left out")
    count = sum(column >= slow for column in independent)
    if count < len(names) - len(constant):
        notes.append(f"{count} of {len(names) - len(constant)} confounds that vary are independent")
    return Nuisance(basis, tuple(notes))


def slow_drift(scans: int, tr: float, window: float = 240.0) -> npt.NDArray[np.float64]:
    """Return orthonormal columns that span what a running median takes out of voxels, ends of a run included.

    Parameters
    ----------
    scans : int
    tr : float
        Seconds from scan to scan.
    window : float, default 240.0
        Seconds of the filter's window.

    Returns
    -------
    array of shape (scans, d), float64
        They span the mean, a slope, a parabola (which let the cosines end in any direction) and the cosines of the
        discrete cosine transform with periods of the window or longer.
    """
    scan = np.arange(scans)
    slope = np.linspace(-1, 1, scans)
    cosines = [np.cos(np.pi * (scan + 0.5) * order / scans) for order in range(1, int(2 * scans * tr / window) + 1)]
    orthonormal = np.linalg.qr(np.column_stack([np.ones(scans), slope, slope**2, *cosines]))[0]
    return np.asarray(orthonormal[:, 1:])


def number_in(text: str) -> float:
    """NaN where the text is no number; float() alone would take "1_5" and "infinity"."""
    return float(text) if NUMBER.fullmatch(text.strip(" ")) else math.nan


def _size(columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Root mean square of each column."""
    return np.asarray(np.sqrt(np.einsum("sv,sv->v", columns, columns) / len(columns)))


def _constant(column: npt.NDArray[np.float64]) -> bool:
    """Whether a column whose largest value was scaled to 1 holds one value, but for rounding."""
    return bool(np.abs(column - column.mean()).max(initial=0) <= CONSTANT)


def _independent(
    columns: npt.NDArray[np.float64], candidates: Sequence[int]
) -> tuple[list[int], npt.NDArray[np.float64]]:
    """Choose columns that those before them, and the mean, do not explain; with their orthonormal basis.

    Gram-Schmidt, each column twice ("twice is enough"), scaled to length 1: no column's units count.
    """
    chosen: list[int] = []
    basis = np.empty((len(columns), min(columns.shape)))
    for column in candidates:
        rest = columns[:, column] - columns[:, column].mean()
        rest /= np.linalg.norm(rest)
        found = basis[:, : len(chosen)]
        for _ in range(2):
            rest -= found @ (found.T @ rest)
            rest -= rest.mean()
        length = np.linalg.norm(rest)
        if length > INDEPENDENT and len(chosen) < basis.shape[1]:
            basis[:, len(chosen)] = rest / length
            chosen.append(column)
    return chosen, basis[:, : len(chosen)]
