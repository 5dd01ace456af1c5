"""Events as other studies write them: rows out of order, other trial types, clips heard more or less often."""

import numpy as np
import pytest
from small_study import SmallStudy

from brain2music.study import EventRules
from brain2music.study.events import read_events

NAME = "sub-01_task-{}_run-{}"
RULES = EventRules(test_task=None, dummies=0, genres=None)
HEADER = "onset\tduration\tgenre\ttrack\tstart\tend"


@pytest.fixture
def small(tmp_path):
    return SmallStudy(tmp_path / "study")


def write(small, name, rows, header=HEADER):
    path = small.func(name) / f"{name}_events.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def clip(onset, track, duration="15", genre="jazz"):
    return f"{onset}\t{duration}\t{genre}\t{track}\t0\t15"


def heard(small, task, run, tracks, first=None):
    """A run that hears tracks one after the other."""
    name = NAME.format(task, run)
    write(small, name, [clip(15 * place, track) for place, track in enumerate(tracks)])
    small.bold(name, run if first is None else first, volumes=10 * len(tracks))


def test_rows_out_of_order_are_sorted_and_told(small):
    heard(small, "Training", 1, [10, 11, 12, 13])
    expected = small.responses(rules=RULES)
    write(small, NAME.format("Training", 1), [clip(15 * n, 10 + n) for n in (3, 0, 2, 1)])
    brain = small.responses(rules=RULES)
    np.testing.assert_array_equal(brain.train, expected.train)
    assert brain.train_clips.ids.tolist() == expected.train_clips.ids.tolist()
    assert "Rows of sub-01_task-Training_run-1_events.tsv are not in order of onset: sorted." in brain.notes


def test_other_trial_types_are_passed_over_by_a_rule(small):
    heard(small, "Training", 1, [10, 11, 12, 13])
    expected = small.responses(rules=RULES).train
    rows = []
    for n in range(4):
        rows += [clip(15 * n, 10 + n) + "\tmusic", f"{15 * n + 4}\t0\tn/a\tn/a\tn/a\tn/a\tbutton"]
    rows.append("60\tn/a\tn/a\tn/a\tn/a\tn/a\trest")
    path = write(small, NAME.format("Training", 1), rows, HEADER + "\ttrial_type")
    with pytest.raises(ValueError, match="duration must be positive; got 0 s in row 2"):
        small.responses(rules=RULES)
    rules = EventRules(test_task=None, dummies=0, genres=None, keep={"trial_type": ["music"]})
    brain = small.responses(rules=rules)
    np.testing.assert_array_equal(brain.train, expected)
    assert f"5 rows of {path.name} are no clips by the rule keep (button, rest): passed over." in brain.notes
    file = small.root / "rules.json"
    file.write_text('{"test_task": null, "dummies": 0, "genres": null, "keep": {"trial_type": ["music"]}}')
    assert EventRules.load(file) == EventRules(test_task=None, dummies=0, genres=None, keep={"trial_type": ["music"]})


@pytest.mark.parametrize(
    "keep", ["music", {"trial_type": "music"}, {"trial_type": []}, {"trial_type": [1]}, {1: ["a"]}]
)
def test_a_rule_that_names_no_texts_is_refused(keep, tmp_path):
    with pytest.raises(ValueError, match="keep must list texts for each column"):
        EventRules(keep=keep)


def test_of_a_dummy_neither_onset_nor_duration_matters(small):
    rules = EventRules(test_task=None, dummies=1, dummies_repeat=False, genres=None)
    name = NAME.format("Training", 1)
    for first in (clip(-15, 9), clip(-15, 9, "n/a"), clip(0, 9)):
        shift = 0 if first.startswith("-") else 15
        path = write(small, name, [first, *(clip(15 * n + shift, 10 + n) for n in range(3))])
        events = read_events(path, rules)
        assert [event.track for event in events.kept] == ["jazz.00010", "jazz.00011", "jazz.00012"]
    path = write(small, name, [clip(-30, 9), clip(-15, 8), clip(0, 10)])
    with pytest.raises(ValueError, match="onset must not be negative; got -15 s in row 2"):
        read_events(path, rules)
    path = write(small, name, [clip(15, 9), clip(0, 8), clip(30, 10)])
    with pytest.raises(
        ValueError, match="dummies must be the first rows and the first in time; got row 2 before row 1"
    ):
        read_events(path, rules)
    path = write(small, name, [clip(0, 9), clip(15, 8, "n/a")])
    with pytest.raises(ValueError, match="duration must be a number; got 'n/a' in row 2"):
        read_events(path, rules)


def test_training_clips_heard_again_are_averaged_when_allowed(small):
    heard(small, "Training", 1, [10, 11, 12])
    heard(small, "Training", 2, [11, 20, 11])
    with pytest.raises(ValueError, match=r"heard once; got jazz.00011_0.00 in row 2 .*\(the rule train_repeats"):
        small.responses(rules=RULES)
    rules = EventRules(test_task=None, dummies=0, genres=None, train_repeats=True)
    brain = small.responses(rules=rules)
    assert brain.train_clips.track.tolist() == ["jazz.00010", "jazz.00011", "jazz.00012", "jazz.00020"]
    assert brain.train_clips.run.tolist() == [1, 1, 1, 2]
    assert "1 training clips are heard up to 3 times: their responses are averaged." in brain.notes
    # The same runs, each clip with a name of its own.
    heard(small, "Training", 2, [21, 20, 22])
    alone = small.responses(rules=RULES)
    hearings = alone.train[[list(alone.train_clips.track).index(f"jazz.000{n}") for n in (11, 21, 22)]]
    np.testing.assert_allclose(brain.train[1], np.nanmean(hearings.astype(float), axis=0), atol=1e-6)
    np.testing.assert_array_equal(brain.train[0], alone.train[0])
    # The last hearing ends after its run under the delay of three scans; two are left there.
    assert np.isnan(hearings[2, -1]).all()
    assert np.isfinite(brain.train[1]).all()


def test_test_clips_may_be_heard_unequally_often(small):
    heard(small, "Training", 1, [10, 11, 12])
    heard(small, "Test", 1, [30, 31, 30], first=7)
    heard(small, "Test", 2, [30, 31, 32], first=8)
    strict = EventRules(dummies=0, genres=None, repeats=2)
    with pytest.raises(ValueError, match=r"heard 2 times; got jazz.00030_0.00 3 .*\(the rule repeats may be null"):
        small.responses(rules=strict)
    rules = EventRules(dummies=0, genres=None, repeats=None)
    brain = small.responses(rules=rules)
    assert "Test clips are heard 1 to 3 times." in brain.notes
    assert brain.repeats.shape[:2] == (3, 3)
    there = ~np.isnan(brain.repeats).all(axis=(2, 3))
    assert there.tolist() == [[True, True, True], [True, True, False], [True, False, False]]
    for row, hearings in enumerate(brain.repeats.astype(float)):
        for scan in range(10):
            measured = hearings[~np.isnan(hearings[:, scan]).all(axis=1), scan]
            expected = measured.mean(axis=0) if len(measured) else np.full(40, np.nan)
            np.testing.assert_allclose(brain.test[row, scan], expected, atol=1e-6)
    assert not any("4 presentations" in note for note in brain.notes)
    once = EventRules(dummies=0, genres=None, repeats=None)
    heard(small, "Test", 1, [30, 31, 33], first=7)
    heard(small, "Test", 2, [34, 35, 32], first=8)
    assert small.responses(rules=once).repeats is None


def test_pandas_writes_tracks_with_a_point(small):
    path = write(small, NAME.format("Training", 1), [clip(0, "9.0")])
    assert read_events(path, RULES).kept[0].track == "jazz.00009"


def test_a_miss_as_large_as_snap_is_none(tmp_path):
    """ds000113 has onsets such as 190.02 s at a TR of 2 s; 190.02 - 190 is a little more than 0.02."""
    study = SmallStudy(tmp_path)
    name = "sub-01_task-Training_run-1"
    path = study.events(name, 10)
    path.write_text(path.read_text().replace("\n45\t", "\n45.02\t"))
    study.bold(name, 10)
    assert len(study.responses().train) == 4
    path.write_text(path.read_text().replace("\n45.02\t", "\n45.03\t"))
    with pytest.raises(ValueError, match=r"to 0.02 s \(rule snap\); got 45.03 s"):
        study.responses()
