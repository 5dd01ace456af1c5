"""Scans left out: by a limit on a confound, by fMRIPrep's outliers, or because a confound is not known."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brain2music.study.confounds import MISSING, number_in
from brain2music.study.tables import read_table

__all__ = ["Censor", "check_censor", "scans_left_out"]

#: From a rule to what it stands for: a limit on a column, or True for a rule without one.
Censor = Mapping[str, float | bool]

#: Rules without a limit, and the columns they stand for: fMRIPrep writes one for each scan, 1 there and 0 elsewhere.
OUTLIERS = {"non_steady_state": "non_steady_state_outlier", "motion_outlier": "motion_outlier"}

#: The rule that leaves out a scan whose confound is n/a.
UNKNOWN = "missing"

#: Fewest scans of a run that may be left.
FEWEST = 3

_RULE = (
    "censor must map columns of the confounds to a limit, and non_steady_state, motion_outlier or missing to True, as "
    'in {"framewise_displacement": 0.5, "non_steady_state": True}'
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
        raise ValueError(f"[study.Study] {_RULE}; got {censor!r}")
    for name, limit in censor.items():
        known = name in OUTLIERS or name == UNKNOWN
        number = isinstance(limit, int | float) and not isinstance(limit, bool) and math.isfinite(limit)
        if not isinstance(name, str) or (limit is not True if known else not number):
            raise ValueError(f"[study.Study] {_RULE}; got {limit!r} for {name!r}")
    rules = dict(censor)
    if UNKNOWN in rules and not confounds and not set(rules) - {UNKNOWN, *OUTLIERS}:
        raise ValueError(
            "[study.Study] censor by missing needs confounds, or a limit on a column, that may be n/a; got neither"
        )
    return rules


def scans_left_out(
    path: Path, censor: Censor, confounds: Sequence[str], scans: int
) -> tuple[npt.NDArray[np.bool_], list[str]]:
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
    notes : list of str
        What was left out by which rule, one sentence each.

    Raises
    ------
    ValueError
        Naming file, row and column, if a value that a rule needs is missing or no number, or hardly a scan is left.
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
            found[name] = np.array([any(number_in(row[each]) != 0 for each in columns) for row in table], bool)
    if UNKNOWN in censor:
        found["n/a"] = unknown
    left_out = np.any(list(found.values()), axis=0)
    if scans - left_out.sum() < FEWEST:
        raise ValueError(
            f"[study.Study] censor must leave {FEWEST} scans of a run or more; got {scans - left_out.sum()} of {scans} "
            f"left, by {path}"
        )
    reasons = ", ".join(f"{name}: {which.sum()}" for name, which in found.items() if which.any())
    share = f"{left_out.sum()} of {scans} scans ({left_out.mean():.1%})"
    return left_out, [f"{share} are left out ({reasons})."] if left_out.any() else []
