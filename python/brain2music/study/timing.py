"""When the scans of a run were taken: the fields of its sidecars that say so."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from brain2music.study.sidecars import Sidecar

__all__ = ["Timing", "read_timing"]

#: Seconds by which the times of regular volumes may be off: they are often given in hundredths.
REGULAR = 0.01


@dataclass(frozen=True)
class Timing:
    """Timing of a run's scans, in seconds.

    Parameters
    ----------
    tr : float or None
        From ``RepetitionTime`` or a regular ``VolumeTiming``; None where no sidecar says.
    start : float
        ``StartTime``: the time that the first volume stands for, from the start of the acquisition.
    volumes : int or None
        Number of times in ``VolumeTiming``.
    facts : tuple of str
        What the user should know, one sentence each.
    """

    tr: float | None = None
    start: float = 0.0
    volumes: int | None = None
    facts: tuple[str, ...] = ()


def read_timing(sidecar: Sidecar) -> Timing:
    """Read and check every field that changes what a scan means.

    Raises
    ------
    ValueError
        Naming file and field, if a field has the wrong type or range, or two fields contradict each other.

    References
    ----------
    BIDS specification, *Magnetic Resonance Imaging*, "Timing parameters", and *Derivatives*, "Imaging data types".
    """
    tr: float | None = None
    volumes: int | None = None
    facts: list[str] = []
    if "RepetitionTime" in sidecar:
        given = sidecar["RepetitionTime"]
        if not _is_number(given) or not 0 < given < 100:
            raise _refusal(sidecar, "RepetitionTime", "a positive number of seconds")
        tr = float(given)
    if "VolumeTiming" in sidecar:
        with np.errstate(over="ignore", invalid="ignore"):  # times near the largest float are refused as they are
            step, first, volumes = _regular(sidecar)
        if tr is not None and abs(step - tr) > 1e-3:
            raise ValueError(
                f"[study.layout] RepetitionTime and VolumeTiming exclude each other unless they agree; got {tr:g} s in "
                f"{sidecar.sources['RepetitionTime']} and steps of {step:g} s in {sidecar.sources['VolumeTiming']}"
            )
        tr = step if tr is None else tr
        if first > REGULAR:
            facts.append(
                f"VolumeTiming begins at {first:g} s. Onsets are counted from the first volume, as BIDS says; say "
                f"onset_shift={-first:g} if they are counted from where VolumeTiming is."
            )
    start = _number(sidecar, "StartTime") or 0.0
    facts += _pauses(sidecar, tr) + _discarded(sidecar)
    corrected = sidecar.get("SliceTimingCorrected", False)
    if not isinstance(corrected, bool):
        raise _refusal(sidecar, "SliceTimingCorrected", "true or false")
    if corrected and "StartTime" not in sidecar:
        facts.append(
            "Slice times were corrected (SliceTimingCorrected), to a time within the scan that no StartTime gives: "
            "scans are counted as if they stood for their beginning."
        )
    return Timing(tr, start, volumes, tuple(facts))


def _pauses(sidecar: Sidecar, tr: float | None) -> list[str]:
    """Check the silent part of sparse acquisitions: it lies within the TR, and changes no scan's beginning."""
    delay, acquired = _number(sidecar, "DelayTime"), _number(sidecar, "AcquisitionDuration")
    facts = []
    if delay is not None:
        if delay < 0 or (tr is not None and delay >= tr):
            raise _refusal(
                sidecar, "DelayTime", f"seconds from 0, a part of the TR{'' if tr is None else f' of {tr:g} s'}"
            )
        if delay:
            facts.append(f"Sparse acquisition: the last {delay:g} s of each TR are without a scan (DelayTime).")
    if acquired is not None:
        if acquired <= 0:
            raise _refusal(sidecar, "AcquisitionDuration", "a positive number of seconds")
        if tr is not None and acquired > tr + 1e-3:
            facts.append(f"AcquisitionDuration, {acquired:g} s, is longer than the TR: taken for the run's, not used.")
        elif tr is not None and acquired < 0.99 * tr:
            facts.append(f"Sparse acquisition: a scan takes {acquired:g} s of each TR (AcquisitionDuration).")
    return facts


def _discarded(sidecar: Sidecar) -> list[str]:
    """Tell what lies before the first stored volume: BIDS counts onsets from that volume on."""
    facts = []
    for field in ("NumberOfVolumesDiscardedByScanner", "NumberOfVolumesDiscardedByUser"):
        count = _number(sidecar, field)
        if count is not None and (count < 0 or not float(count).is_integer()):
            raise _refusal(sidecar, field, "a whole number from 0")
        if count:
            facts.append(
                f"{field} is {count:g}. Onsets are counted from the first stored volume, as BIDS says; if they are "
                f"counted from the trigger, say onset_shift=-{count:g} TR, in seconds."
            )
    delay = _number(sidecar, "DelayAfterTrigger")
    if delay is not None and delay < 0:
        raise _refusal(sidecar, "DelayAfterTrigger", "seconds from 0")
    if delay:
        facts.append(
            f"DelayAfterTrigger is {delay:g} s. Onsets are counted from the first stored volume, as BIDS says; if they "
            f"are counted from the trigger, say onset_shift={-delay:g}."
        )
    return facts


def _number(sidecar: Sidecar, field: str) -> float | None:
    """Return a field, which must be a finite number; None where it is absent."""
    if field not in sidecar:
        return None
    value = sidecar[field]
    if not _is_number(value):
        raise _refusal(sidecar, field, "a finite number")
    return float(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _regular(sidecar: Sidecar) -> tuple[float, float, int]:
    """Return step, first time and number of ``VolumeTiming``, whose steps must be equal."""
    values = sidecar["VolumeTiming"]
    if not isinstance(values, list) or len(values) < 2 or not all(map(_is_number, values)):
        raise _refusal(sidecar, "VolumeTiming", "a list of two or more finite numbers")
    times = np.array(values, dtype=np.float64)
    steps = np.diff(times)
    if times[0] < 0 or not (steps > 0).all():
        raise _refusal(sidecar, "VolumeTiming", "times from 0 that increase")
    mean = float(times[-1] - times[0]) / (len(times) - 1)
    scans = np.arange(len(times))
    tolerance = min(REGULAR, mean / 100)
    for digits in range(1, 7):  # the roundest step that fits, as times are rounded
        step = round(mean, digits)
        if 0 < step < 100 and np.abs(times - times[0] - scans * step).max() <= tolerance:
            return step, float(times[0]), len(times)
    raise ValueError(
        "[study.layout] volumes must follow at equal times: scans of VolumeTiming are not placed by their times yet; "
        f"got steps of {steps.min():g} to {steps.max():g} s in {sidecar.sources['VolumeTiming']}"
    )


def _refusal(sidecar: Sidecar, field: str, rule: str) -> ValueError:
    return ValueError(f"[study.layout] {field} must be {rule}; got {sidecar[field]!r:.60} in {sidecar.sources[field]}")
