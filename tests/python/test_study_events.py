import dataclasses
import json
import re

import pandas as pd
import pytest

from brain2music.study import EventRules, Study
from brain2music.study.events import check_split, read_events
from brain2music.study.layout import Layout

SUBJECTS = ("001", "002", "003", "004", "005")


def all_runs(root, subject="001", rules=None):
    rules = rules or EventRules()
    layout = Layout(root, None, None)
    return [
        [read_events(path, rules) for path in layout.events(subject, task)]
        for task in (rules.train_task, rules.test_task)
    ]


def pandas_runs(root, subject, task):
    """The same events by way of pandas, quotes taken off by a regular expression."""
    for path in sorted((root / f"sub-{subject}" / "func").glob(f"*task-{task}*events.tsv")):
        table = pd.read_csv(path, sep="\t", quoting=3)
        table["genre"] = table["genre"].map(lambda text: re.search("[a-z]+", text).group())
        table["id"] = [f"{g}.{t:05}_{s:.2f}" for g, t, s in zip(table.genre, table.track, table.start, strict=True)]
        yield table


@pytest.mark.parametrize("subject", SUBJECTS)
def test_real_events_are_480_and_60_clips_with_4_repeats(ds003720, subject):
    train, test = all_runs(ds003720, subject)
    assert [len(train), len(test)] == [12, 6]
    notes = check_split(train, test, EventRules())
    assert notes == [
        "18 dummy events at the beginning of 18 runs dropped with their scans: each repeats a clip heard elsewhere."
    ]
    for task, runs in (("Training", train), ("Test", test)):
        for run, expected in zip(runs, pandas_runs(ds003720, subject, task), strict=True):
            assert [event.clip for event in run.dummies] == list(expected.id[:1])
            assert [event.clip for event in run.kept] == list(expected.id[1:])
            for name in ("onset", "duration", "start", "end", "genre"):
                assert [getattr(event, name) for event in run.kept] == list(expected[name][1:])
    clips = [[event.clip for run in runs for event in run.kept] for runs in (train, test)]
    assert len(clips[0]) == len(set(clips[0])) == 480
    assert sorted(pd.Series(clips[1]).value_counts()) == [4] * 60
    tracks = [{event.track for run in runs for event in run.kept} for runs in (train, test)]
    assert not tracks[0] & tracks[1]
    genres = pd.Series([event.genre for run in train for event in run.kept]).value_counts()
    assert len(genres) == 10
    assert set(genres) == {48}
    cut = [event for run in train for event in run.kept if event.end - event.start < 14.995]
    assert [event.clip for event in cut] == ["pop.00049_9.59"]
    # The dummies: what is claimed of them in the method file.
    for runs, before in ((train, [train[-1], *train[:-1]]), (test, test)):
        assert [run.dummies[0].clip for run in runs] == [run.kept[-1].clip for run in before]


def test_read_naively_twelve_training_clips_come_twice(ds003720):
    train, test = all_runs(ds003720, rules=EventRules(dummies=0))
    with pytest.raises(ValueError, match=r"a training clip must be heard once; got \S+ in row 1 of .* and row 41 of"):
        check_split(train, test, EventRules(dummies=0))


def test_all_subjects_hear_the_same(ds003720):
    clips = Study(ds003720, cache=False).clips
    assert len(clips) == 540


def test_line_ends_and_byte_order_mark_do_not_matter(study_folder):
    path = study_folder.events()
    original = read_events(path)
    for change in (lambda raw: raw.replace(b"\r\n", b"\n"), lambda raw: b"\xef\xbb\xbf" + raw + b"\r\n\r\n"):
        path.write_bytes(change(path.read_bytes()))
        assert [e.clip for e in read_events(path).kept] == [e.clip for e in original.kept]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("15\t15\t'blues'\t98", "15\t15\t'blue'\t98", r"genre must be one of blues.*; got \"'blue'\" in row 2 of {}"),
        ("15\t15\t'blues'\t98", "15\t15\t'blues'\t9a", r"track must fit .*; got '9a' in row 2 of {}"),
        ("15\t15\t'blues'\t98", "15\t15\t'blues'\t", r"track must fit .*; got '' in row 2 of {}"),
        ("15\t15\t'blues'", "n/a\t15\t'blues'", r"onset must be a number; got 'n/a' in row 2 of {}"),
        ("15\t15\t'blues'", "1_5\t15\t'blues'", r"onset must be a number; got '1_5' in row 2 of {}"),
        ("15\t15\t'blues'", "nan\t15\t'blues'", r"onset must be a number; got 'nan' in row 2 of {}"),
        ("15\t15\t'blues'", "1e999\t15\t'blues'", r"onset must be a number; got '1e999' in row 2 of {}"),
        ("15\t15\t'blues'", "-15\t15\t'blues'", r"onset must not be negative; got -15 s in row 2 of {}"),
        ("15\t15\t'blues'", "14\t15\t'blues'", r"onset must not lie before .* 15 s; got 14 s in row 2 of {}"),
        ("30\t15\t", "300\t15\t", r"onset must not lie before .* 315 s; got 300 s in row 21 of {}"),
        ("15\t15\t'blues'", "15\t0\t'blues'", r"duration must be positive; got 0 s in row 2 of {}"),
        ("6.46\t21.46", "6.46\t20.46", r"start and end must be 15 s apart; got 6.46 and 20.46 in row 2 of {}"),
        ("6.46\t21.46", "-1\t14", r"start and end must be 15 s apart; got -1 and 14 in row 2 of {}"),
        ("6.46\t21.46", "6.46", r"a row must have 6 fields, as the header; got 5 in row 2 of {}"),
        ("\r\n15\t", "\r\n\r\n15\t", r"a row must have 6 fields, as the header; got 1 in row 2 of {}"),
        ("genre", "style", r"column genre must be there once; got columns .*'style'.* in {}"),
        ("onset\tduration", "onset\tonset", r"column onset must be there once; got .* in {}"),
        ("blues", "bl\0ues", r"a table must be text; got a zero byte at byte \d+ of {}"),
    ],
)
def test_bad_events_are_refused_naming_file_row_and_column(study_folder, old, new, message):
    path = study_folder.events()
    study_folder.edit(path, old, new)
    with pytest.raises(ValueError, match=message.format(re.escape(str(path)))):
        read_events(path)


def test_more_bad_files(study_folder):
    path = study_folder.events()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=f"a table must be UTF-8 text; got .* in {path}"):
        read_events(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=f"column onset must be there once; got .* in {path}"):
        read_events(path)
    path.write_bytes(b"onset\tduration\tgenre\ttrack\tstart\tend\r\n0\t15\t'pop'\t1\t0\t15\r\n")
    with pytest.raises(ValueError, match=f"more events than its 1 dummies; got 1 in {path}"):
        read_events(path)


def test_inconsistent_studies_are_refused(study_folder):
    rules = EventRules()

    def refused(message):
        with pytest.raises(ValueError, match=message):
            check_split(*all_runs(study_folder.root), rules)

    test = study_folder.events("Test", 1)
    original = test.read_bytes()
    study_folder.edit(test, "450\t15\t'pop'\t32\t10.7\t25.7", "450\t15\t'pop'\t33\t10.7\t25.7")
    refused(r"a test clip must be heard 4 times; got pop.00032_10.70 3 times, first in row 11 of .*Test_run-01")
    test.write_bytes(original)
    study_folder.edit(test, "'pop'\t32\t10.7\t25.7", "'pop'\t32\t10.701\t25.701", count=5)
    study_folder.edit(test, "0\t15\t'pop'\t32\t10.701\t25.701", "0\t15\t'pop'\t32\t10.7\t25.7", count=2)
    refused(r"one id must have one start and end; got pop.00032_10.70 at .* in row 11 of .* and .* in row 21 of")
    # The training clip of row 2 of run 1 is blues.00098_6.46: a stretch of it in a test run is the same music.
    test.write_bytes(original.replace(b"'blues'\t17\t6.44\t21.44", b"'blues'\t98\t20\t35"))
    refused(r"share no music; got blues.00098_6.46 in row 2 of .*Training_run-01.* and blues.00098_20.00 in row \d+ of")
    test.write_bytes(original.replace(b"'blues'\t17\t6.44\t21.44", b"'blues'\t98\t22\t37"))
    notes = check_split(*all_runs(study_folder.root), rules)
    assert "Other parts of these tracks are in training and in test: blues.00098." in notes
    test.write_bytes(original)
    study_folder.forget("Training", 12)
    refused(r"a dummy event must repeat a clip heard elsewhere.*; got disco.00009_4.21 in row 1 of .*Training_run-01")


def test_rules_for_another_study(tmp_path):
    events = tmp_path / "sub-1" / "func" / "sub-1_task-listen_run-1_events.tsv"
    events.parent.mkdir(parents=True)
    events.write_text(
        "onset\tduration\tstim_file\n-4000\t10000\tsilence\n6000\t10000\tsong a.wav\n16000\t10000\tb.wav\n"
    )
    rules = {
        "train_task": "listen",
        "test_task": None,
        "track": "stim_file",
        "genre": None,
        "start": None,
        "end": None,
        "track_name": "{track}",
        "dummies_repeat": False,
        "onset_unit": 0.001,
        "onset_shift": 4,
    }
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(rules))
    loaded = EventRules.load(path)
    assert dataclasses.asdict(loaded) == dataclasses.asdict(EventRules()) | rules
    run = read_events(events, loaded)
    assert [(e.clip, e.genre, e.onset, e.start, e.end) for e in run.kept] == [
        ("song a.wav_0.00", "n/a", 10.0, 0.0, 10.0),
        ("b.wav_0.00", "n/a", 20.0, 0.0, 10.0),
    ]
    assert [event.clip for event in Study(tmp_path, events=path, cache=False).clips] == [e.clip for e in run.kept]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "rules must be JSON; got '.*' in {}"),
        ("[1]", "rules must be among .*; got list in {}"),
        ('{"onsets": "t"}', r"rules must be among .*; got \['onsets'\] in {}"),
        ('{"dummies": "1"}', "dummies must be like 1; got '1' in {}"),
        ('{"genres": "pop"}', "genres must be like .*; got 'pop' in {}"),
        ('{"onset": null}', "onset must be like 'onset'; got None in {}"),
        ('{"dummies": -1}', "dummies must be 0 or more.*; got -1, 4, 1.0"),
        ('{"start": null}', "start and end must both be columns or both None; got None, 'end'"),
        ('{"onset_unit": NaN}', "onset_unit positive; got 1, 4, nan"),
        ('{"onset_shift": Infinity}', "onset_shift must be finite; got inf"),
    ],
)
def test_bad_rules_are_refused(tmp_path, text, message):
    path = tmp_path / "rules.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message.replace("{}", re.escape(str(path)))):
        EventRules.load(path)
