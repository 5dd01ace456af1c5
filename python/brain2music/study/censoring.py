"""Scans left out: by a limit on a confound, by fMRIPrep's outliers, or because a confound is not known."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brain2music.study.confounds import MISSING, number_in
from brain2music.study.tables import read_table

__all__ = ["Censor", "check_censor", "check_left", "left_out_notes", "scans_left_out"]

#: From a rule to what it stands for: a limit on a column, or True for a rule without one.
Censor = Mapping[str, float | bool]

#: Rules without a limit, and the columns they stand for: fMRIPrep writes one for each scan, 1 there and 0 elsewhere.
OUTLIERS = {"non_steady_state": "non_steady_state_outlier", "motion_outlier": "motion_outlier"}

#: The rule that leaves out a scan whose confound is n/a.
UNKNOWN = "missing"

#: Part of a run's scans, after its dummies, that must be left: of fewer no mean, median and variance mean anything.
FEWEST = 0.1

_SUCH = (
    "and non_steady_state, motion_outlier or missing to True, as in "
    '{"framewise_displacement": 0.5, "non_steady_state": True}'
)


def check_censor(censor: Censor | None, confounds: Sequence[str]) -> dict[str, float | bool]:
    """Check the rules by which scans are left out.

    Raises
    ------
    ValueError
        If a rule is unknown or has no limit, or ``missing`` has no column to look at.
    """
    if censor is None:
        return {}
    if not isinstance(censor, Mapping):
        raise ValueError(f"[study.Study] censor must map columns of the confounds to a limit, {_SUCH}; got {censor!r}")
    for name, limit in censor.items():
        known = name in OUTLIERS or name == UNKNOWN
        flag = isinstance(limit, bool | np.bool_)
        number = isinstance(limit, Real) and not flag and math.isfinite(limit)
        if not isinstance(name, str) or (not (flag and limit) if known else not number):
            raise ValueError(
                f"[study.Study] censor must map columns of the confounds to a limit, {_SUCH}; got {limit!r} for "
                f"{name!r}"
            )
    rules = {name: True if name in (*OUTLIERS, UNKNOWN) else float(limit) for name, limit in censor.items()}
    if UNKNOWN in rules and not confounds and not set(rules) - {UNKNOWN, *OUTLIERS}:
        raise ValueError(
            "[study.Study] censor by missing needs confounds, or a limit on a column, that may be n/a; got neither"
        )
    return rules


def scans_left_out(
    path: Path, censor: Censor, confounds: Sequence[str], scans: int
) -> tuple[npt.NDArray[np.bool_], dict[str, int]]:
    """Say which scans of a run are left out.

    Parameters
    ----------
    path : Path
        fMRIPrep's confounds of the run.
    censor : mapping
        As :func:`check_censor` has it.
    confounds : sequence of str
        Columns that are regressed out.
    scans : int
        Rows that the table must have.

    Returns
    -------
    left_out : array of shape (scans,), bool
    reasons : dict
        How many scans are left out by each rule; a scan may be by several.

    Raises
    ------
    ValueError
        Naming file, row and column, if a value that a rule needs is missing or no number.
    """
    limits = {name: float(limit) for name, limit in censor.items() if limit is not True}
    table = read_table(path, list(limits) + (list(confounds) if UNKNOWN in censor else []))
    if len(table) != scans:
        raise ValueError(f"[study.confounds] confounds must have a row a volume ({scans}); got {len(table)} in {path}")
    unknown = np.zeros(scans, bool)
    if UNKNOWN in censor:
        unknown = np.array([any(row[name] in MISSING for name in confounds) for row in table])
    found: dict[str, npt.NDArray[np.bool_]] = {}
    for name, limit in limits.items():
        values = np.array([number_in(row[name]) for row in table])
        absent = np.array([row[name] in MISSING for row in table])
        if UNKNOWN in censor:
            unknown[1:] |= absent[1:]
        # What happened since the scan before is not known of the first.
        odd = np.flatnonzero(~np.isfinite(values) & ~(absent & ((np.arange(scans) == 0) | (UNKNOWN in censor))))
        if odd.size:
            raise ValueError(
                f"[study.confounds] confound {name} must be known to leave scans out by it (n/a in row 1 is no reason; "
                f'"missing" leaves other such rows out); got {table[odd[0]][name]!r} in row {odd[0] + 1} of {path}'
            )
        with np.errstate(invalid="ignore"):
            found[f"{name} above {limit:g}"] = values > limit
    for name, column in OUTLIERS.items():
        if name in censor:
            columns = [each for each in table[0] if re.fullmatch(column + "[0-9]*", each)] if table else []
            found[name] = np.array(
                [any(_flag(row[each], each, number, path) for each in columns) for number, row in enumerate(table, 1)],
                bool,
            )
    if UNKNOWN in censor:
        found["n/a"] = unknown
    left_out = np.any(list(found.values()), axis=0)
    return left_out, {name: int(which.sum()) for name, which in found.items()}


def check_left(left_out: npt.NDArray[np.bool_], dropped: int, path: Path) -> None:
    """Refuse a run of which next to nothing is left."""
    scans = len(left_out) - dropped
    left = int((~left_out[dropped:]).sum())
    if left < max(2, FEWEST * scans):
        raise ValueError(
            f"[study.Study] censor must leave a tenth of a run's scans or more; got {left} of {scans} left, by {path} "
            "(exclude_runs leaves a run out)"
        )


def _flag(text: str, column: str, number: int, path: Path) -> bool:
    """Whether a scan is marked: fMRIPrep writes 0 and 1, pandas False and True."""
    if text.strip() in ("True", "False"):
        return text.strip() == "True"
    value = number_in(text)
    if not math.isfinite(value):
        raise ValueError(f"[study.confounds] confound {column} must be 0 or 1; got {text!r} in row {number} of {path}")
    return value != 0


def left_out_notes(
    left_out: Mapping[str, npt.NDArray[np.bool_]], reasons: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """Say how many scans of a subject's runs, by name, are left out, by which rules, and where most are."""
    lost = sum(int(scans.sum()) for scans in left_out.values())
    every = sum(map(len, left_out.values()))
    if not lost:
        return [f"No scan of {len(left_out)} runs is left out."] if left_out else []
    together: Counter[str] = Counter()
    for counts in reasons.values():
        together.update(counts)
    listed = ", ".join(f"{name}: {count}" for name, count in together.items() if count)
    worst = max(left_out, key=lambda name: left_out[name].mean())
    most = left_out[worst]
    return [
        f"{lost} of {every} scans ({lost / every:.1%}) are left out ({listed}); most in {worst}: {most.sum()} of "
        f"{len(most)} ({most.mean():.1%})."
    ]
