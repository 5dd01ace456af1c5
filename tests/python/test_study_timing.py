"""What sidecars say of the times of scans: taken into account, refused by file and field, or told in the notes."""

import math

import numpy as np
import pytest
from small_study import SmallStudy

from brain2music.study import EventRules
from brain2music.study.sidecars import Sidecar
from brain2music.study.timing import read_timing

RUN = "sub-01_task-Training_run-0{}"
REGULAR = [1.5 * scan for scan in range(40)]


def sidecar(**fields):
    made = Sidecar()
    made.update(fields)
    made.sources = dict.fromkeys(fields, "x_bold.json")
    return made


@pytest.fixture
def small(tmp_path):
    made = SmallStudy(tmp_path / "study")
    made.bolds = [made.run(RUN.format(run), 10 * run) for run in (1, 2)]
    return made


def responses(small, shift=0.0, **fields):
    for bold in small.bolds:
        small.sidecar(bold, **fields)
    return small.responses(rules=EventRules(test_task=None, dummies=0, onset_shift=shift))


def told(brain, text):
    return [note for note in brain.notes if text in note]


@pytest.mark.parametrize(
    ("times", "step"),
    [
        (REGULAR, 1.5),
        (list(range(0, 80, 2)), 2),
        ([round(0.72 * scan, 2) for scan in range(400)], 0.72),
        ([round(2.0034 * scan, 2) for scan in range(400)], 2.0034),
        ([round(1.4 * scan + 0.003 * (-1) ** scan + 0.003, 3) for scan in range(400)], 1.4),
    ],
)
def test_regular_volume_timing_gives_the_tr(times, step):
    timing = read_timing(sidecar(VolumeTiming=times))
    assert timing.tr == pytest.approx(step, abs=2e-5)
    assert np.abs(np.array(times) - times[0] - timing.tr * np.arange(len(times))).max() <= 0.01
    assert (timing.volumes, timing.facts) == (len(times), ())


def test_volume_timing_is_the_tr_of_a_run(small):
    plain = responses(small, RepetitionTime=1.5)
    for fields in ({"VolumeTiming": REGULAR}, {"VolumeTiming": REGULAR, "RepetitionTime": 1.5}):
        np.testing.assert_array_equal(responses(small, **fields).train, plain.train)
    late = responses(small, VolumeTiming=[time + 3 for time in REGULAR])
    np.testing.assert_array_equal(late.train, plain.train)
    assert told(late, "VolumeTiming begins at 3 s. Onsets are counted from the first volume")
    # Where they are counted as VolumeTiming is, the rule says so; here the first two scans then lie before any clip.
    with pytest.raises(ValueError, match="onset must fall on the start of a scan"):
        responses(small, -3, VolumeTiming=[time + 3 for time in REGULAR])


IRREGULAR = [6.0 * (scan // 2) + 1.5 * (scan % 2) for scan in range(40)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"VolumeTiming": IRREGULAR}, r"at equal times: .* got steps of 1\.5 to 4\.5 s in"),
        ({"VolumeTiming": [*REGULAR[:-1], 59]}, r"at equal times: .* got steps of 1\.5 to 2 s in"),
        ({"VolumeTiming": REGULAR[:-1]}, "a time for each volume; got 39 times and 40 volumes for"),
        (
            {"VolumeTiming": REGULAR, "RepetitionTime": 2},
            r"exclude each other .*; got 2 s in .* and steps of 1\.5 s in",
        ),
        ({"VolumeTiming": [2 * time for time in REGULAR]}, r"pixdim\[4\] .*; got 1\.5 s and 3 s for"),
        (
            {"RepetitionTime": 1.5, "StartTime": 1.5},
            "StartTime must lie within the first scan, from 0 to 1.5 s, or .*=-1.5",
        ),
        (
            {"RepetitionTime": 1.5, "StartTime": -0.5},
            "StartTime must lie within the first scan.*onset_shift=0.5; got -0.5",
        ),
        (
            {"RepetitionTime": 1.5, "DelayTime": 1.5},
            "DelayTime must be seconds from 0, a part of the TR of 1.5 s; got 1.5",
        ),
        ({"RepetitionTime": 1.5, "NumberOfVolumesDiscardedByUser": 1.5}, "a whole number from 0; got 1.5 in"),
        ({"RepetitionTime": 1.5, "SliceTimingCorrected": "true"}, "must be true or false; got 'true' in"),
    ],
)
def test_what_is_not_taken_into_account_is_refused(small, fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        responses(small, **fields)
    assert "sub-01_task-Training_run-01_bold" in str(caught.value)
    assert small.study().runs.used.tolist() == [False, False]


FIELDS = (
    *("RepetitionTime", "VolumeTiming", "StartTime", "DelayTime", "AcquisitionDuration", "DelayAfterTrigger"),
    *("NumberOfVolumesDiscardedByScanner", "NumberOfVolumesDiscardedByUser"),
)
WRONG = ("1.5", None, True, [1.5], {"s": 1.5}, math.nan, math.inf, -math.inf, -1, 10**400)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:10])
def test_wrong_types_are_refused_by_file_and_field(field, value):
    if (field, value) == ("StartTime", -1):  # a number, refused where the TR is known
        assert read_timing(sidecar(StartTime=-1)).start == -1
        return
    with pytest.raises(ValueError, match=rf"{field} must be .*; got .* in x_bold.json"):
        read_timing(sidecar(**{field: value}))


@pytest.mark.parametrize("value", [[0, "1"], [0, None], [0, True], [0, math.nan], [0], [], [1, 0], [0, 0], [-1, 0]])
def test_wrong_times_are_refused(value):
    with pytest.raises(ValueError, match=r"VolumeTiming must be .*; got .* in x_bold.json"):
        read_timing(sidecar(VolumeTiming=value))


def test_start_time_is_told_and_can_be_taken_off(small):
    """Slices corrected to 0.712 s within each scan: scan k is the k-th one, whichever way onsets are counted."""
    plain = responses(small, RepetitionTime=1.5)
    corrected = {"RepetitionTime": 1.5, "StartTime": 0.712, "SliceTimingCorrected": True}
    brain = responses(small, **corrected)
    np.testing.assert_array_equal(brain.train, plain.train)
    assert told(brain, "StartTime is 0.712 s: each scan stands for that much after its start")
    for shift in (-0.712, -0.71):
        brain = responses(small, shift, **corrected)
        np.testing.assert_array_equal(brain.train, plain.train)
        assert told(brain, "StartTime, 0.712 s, is taken off the onsets by onset_shift")
    with pytest.raises(ValueError, match="onset must fall on the start of a scan"):
        responses(small, -0.5, **corrected)
    assert told(responses(small, RepetitionTime=1.5, SliceTimingCorrected=True), "that no StartTime gives")


def test_start_time_of_removed_volumes(tmp_path):
    """Four volumes were removed and slices corrected: StartTime 6.712. Clips begin after 7.5 s of the acquisition."""
    small = SmallStudy(tmp_path / "study")
    events = small.events(RUN.format(1), 10)
    lines = events.read_text().splitlines()
    rows = [[str(float(onset) + 7.5), *rest] for onset, *rest in (line.split("\t") for line in lines[1:])]
    events.write_text("\n".join([lines[0], *("\t".join(row) for row in rows)]) + "\n")
    small.bolds = [small.bold(RUN.format(1), 10, volumes=44)]
    brain = responses(small, -6.712, RepetitionTime=1.5, StartTime=6.712)
    assert brain.train.shape == (4, 10, 40)
    # The first clip begins with the sixth scan of the acquisition, the second one stored; three scans of delay.
    small.events(RUN.format(1), 10)
    shifted = responses(small, 1.5, RepetitionTime=1.5)
    np.testing.assert_array_equal(brain.train, shifted.train)


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"DelayTime": 0.9}, r"the last 0.9 s of each TR are without a scan (DelayTime)"),
        ({"AcquisitionDuration": 0.6}, "a scan takes 0.6 s of each TR (AcquisitionDuration)"),
        ({"AcquisitionDuration": 615.0}, "AcquisitionDuration, 615 s, is longer than the TR: taken for the run's"),
        ({"NumberOfVolumesDiscardedByScanner": 4}, "NumberOfVolumesDiscardedByScanner is 4. Onsets are counted from"),
        ({"NumberOfVolumesDiscardedByUser": 2.0}, "NumberOfVolumesDiscardedByUser is 2. Onsets are counted from"),
        ({"DelayAfterTrigger": 1.2}, "DelayAfterTrigger is 1.2 s. Onsets are counted from the first stored volume"),
    ],
)
def test_what_does_not_move_scans_is_told(small, fields, note):
    plain = responses(small, RepetitionTime=1.5)
    brain = responses(small, RepetitionTime=1.5, **fields)
    np.testing.assert_array_equal(brain.train, plain.train)
    assert told(brain, note)
    none = responses(small, RepetitionTime=1.5, **dict.fromkeys(set(fields) - {"AcquisitionDuration"}, 0))
    assert none.notes == plain.notes


def test_what_some_runs_say_names_them(small):
    small.sidecar(small.bolds[0], RepetitionTime=1.5)
    small.sidecar(small.bolds[1], RepetitionTime=1.5, DelayAfterTrigger=1)
    assert told(small.responses(), "(In 1 of 2 runs: sub-01 Training run 2.)")
    small.sidecar(small.bolds[1], RepetitionTime=3)
    small.bold(RUN.format(2), 20, tr=3)
    with pytest.raises(ValueError, match=r"all runs must have one TR; got 1\.5 s in .*run-01.* and 3 s in .*run-02"):
        small.responses()
    assert small.study().runs.used.tolist() == [True, False]


def test_the_file_that_says_it_is_named(small):
    root = small.root / "task-Training_bold.json"
    root.write_text('{"RepetitionTime": 1.5, "StartTime": "late"}')
    small.sidecar(small.bolds[0], RepetitionTime=1.5)
    with pytest.raises(ValueError, match=rf"StartTime must be a finite number; got 'late' in {root}"):
        small.responses()
    root.write_text("[" * 100_000)
    with pytest.raises(ValueError, match=f"a sidecar must be JSON; got .* in {root}"):
        small.responses()
