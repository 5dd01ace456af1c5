"""A simulated study, read as a real one is."""

import csv
import hashlib
import itertools
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

import brain2music as b2m
import brain2music.simulation.study
from brain2music.simulation import simulate
from brain2music.simulation.brain.voxels import AUDITORY
from brain2music.simulation.schedule import draw_schedule
from brain2music.study.events import read_events


def test_a_schedule_is_that_of_ds003720_but_for_its_clips(ds003720, tmp_path):
    schedule = draw_schedule(7, (12, 6))
    odd = 0
    for task, number, _ in schedule.runs():
        real = (ds003720 / f"sub-001/func/sub-001_task-{task}_run-{number:02}_events.tsv").read_bytes()
        ours = schedule.events(task, number).encode()

        def shape(text):
            rows = [row.split(b"\t") for row in text.split(b"\r\n")]
            cells = [[*row[:2], re.sub(b"[a-z0-9]+", b"genre", row[2])] for row in rows[1:]]
            length = [round(float(row[5]) - float(row[4]), 2) for row in rows[1:]]
            return rows[0], cells, length

        if (task, number) == ("Training", 12):  # the real short clip is the same row's
            odd += sum(length != 15 for length in shape(ours)[2])
        assert shape(ours) == shape(real)
        path = tmp_path / f"{task}{number}.tsv"
        path.write_bytes(ours)
        heard = read_events(path)
        genres = [event.genre for event in heard.kept]
        assert all(len(set(genres[ten : ten + 10])) == 10 for ten in range(0, 40, 10))
        before = schedule.training[number - 2] if task == "Training" else schedule.test[number - 1]
        assert heard.dummies[0].clip == before[-1].clip
    assert odd == 1
    train = {(clip.genre, clip.track) for run in schedule.training for clip in run[1:]}
    test = {(clip.genre, clip.track) for run in schedule.test for clip in run[1:]}
    assert len(train) == 480
    assert len(test) == 60
    assert not train & test
    assert len(schedule.clips) == 540


@pytest.fixture(scope="module")
def folder(simulated):
    return simulated


@pytest.fixture(scope="module")
def study(folder):
    return b2m.Study(folder, rois="destrieux", cache=False)


@pytest.fixture(scope="module")
def brain(study):
    return study.responses("001")


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_files_are_those_of_ds003720(folder, ds003720):
    for subject in ("001", "002"):
        for run in ("Training_run-01", "Training_run-02", "Test_run-01", "Test_run-02"):
            stem = f"sub-{subject}/func/sub-{subject}_task-{run}"
            assert (ds003720 / f"{stem}_events.tsv").exists()
            for ending in ("_bold.nii", "_bold.json", "_events.tsv"):
                assert (folder / f"{stem}{ending}").exists()
        assert (folder / f"sub-{subject}/anat/sub-{subject}_T1w.nii").exists()
    func = sorted(path.name for path in (folder / "sub-001/func").iterdir())
    assert len(func) == 12
    assert not list(folder.rglob(".part-*"))


def test_study_reads_it_without_options(study, brain):
    assert study.subjects == ["001", "002"]
    assert brain.train.shape[:2] == (80, 10)
    assert brain.test.shape[:2] == (20, 10)
    assert brain.repeats.shape[:3] == (20, 4, 10)
    assert len(brain.rois.names) == 150
    assert list(study.captions) == [clip.clip for clip in study.clips]
    waveform, rate = study.stimuli[study.clips[0].clip]
    assert rate == 22050
    assert len(waveform) == 15 * rate


def test_the_validator_of_bids_passes(folder):
    result = subprocess.run(["bids-validator-deno", str(folder)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert "ERROR" not in result.stdout


def truth(folder, subject="001"):
    with (folder / f"truth/sub-{subject}_voxels.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def column(brain, row):
    """Column of the responses that holds a row's voxel."""
    mask = np.asarray(brain.mask.dataobj) != 0
    index = np.cumsum(mask.ravel()).reshape(mask.shape) - 1
    return index[int(row["x"]), int(row["y"]), int(row["z"])]


def repeatability(brain, voxels):
    """Correlation between presentations: the share of variance that is explainable (Schoppe et al., 2016)."""
    repeats = brain.repeats[:, :, :7, voxels].transpose(1, 0, 2, 3)
    series = repeats.reshape(4, -1, len(voxels))
    series = (series - series.mean(axis=1, keepdims=True)) / series.std(axis=1, keepdims=True)
    return np.mean([(series[a] * series[b]).mean(axis=0) for a, b in itertools.combinations(range(4), 2)], axis=0)


def test_noise_ceilings_are_as_stated(folder, brain):
    rows = truth(folder)
    auditory = [row for row in rows if row["region"].split("_", 2)[2] in AUDITORY]
    ceiling = np.array([float(row["noise_ceiling"]) for row in auditory])
    assert np.median(ceiling) == pytest.approx(0.3, abs=0.04)
    measured = repeatability(brain, [column(brain, row) for row in auditory])
    assert measured.mean() == pytest.approx((ceiling**2).mean(), rel=0.25)
    assert np.corrcoef(measured, ceiling)[0, 1] > 0.5
    responsive = {column(brain, row) for row in rows}
    silent = [voxel for voxel in range(brain.train.shape[2]) if voxel not in responsive]
    assert len(responsive) < 0.15 * brain.train.shape[2]  # most voxels respond to nothing
    assert abs(repeatability(brain, silent).mean()) < 0.03  # noise that the whole brain shares


def test_voxels_follow_the_features_that_the_truth_names(folder, study, brain):
    features = np.load(folder / "truth/features.npy")
    with (folder / "truth/features.tsv").open(encoding="utf-8", newline="") as file:
        names = [row["feature"] for row in csv.DictReader(file, delimiter="\t")]
    with (folder / "truth/clips.tsv").open(encoding="utf-8", newline="") as file:
        first = {row["clip"]: int(row["first_row"]) for row in csv.DictReader(file, delimiter="\t")}
    rows = [row for row in truth(folder) if row["response"] == "linear" and float(row["noise_ceiling"]) > 0.25]
    assert len(rows) > 20
    scores, others = [], []
    means = np.stack([features[first[clip] :][:150].mean(axis=0) for clip in brain.test_clips.ids])
    responses = np.nanmean(brain.test, axis=1)
    for row, other in zip(rows, [*rows[7:], *rows[:7]], strict=True):
        weights = np.zeros(len(names))
        for term in row["features"].split():
            name, _, weight = term.rpartition(":")
            weights[names.index(name)] = float(weight)
        drive = means @ weights
        scores.append(np.corrcoef(drive, responses[:, column(brain, row)])[0, 1])
        others.append(np.corrcoef(drive, responses[:, column(brain, other)])[0, 1])
    assert np.mean(scores) > 0.25
    assert np.mean(scores) > np.mean(others) + 0.15


def test_a_stopped_call_goes_on_and_gives_the_same_bytes(folder, simulated_settings):
    before = digests(folder)
    run = folder / "sub-002/func/sub-002_task-Test_run-02"
    for ending in ("_events.tsv", "_bold.nii"):
        run.with_name(run.name + ending).unlink()
    (folder / "truth/sub-002_voxels.tsv").unlink()
    (folder / "captions.csv").unlink()
    untouched = folder / "sub-002/func/sub-002_task-Training_run-01_bold.nii"
    written = untouched.stat().st_mtime_ns
    simulate(folder, **simulated_settings, progress=False)
    assert digests(folder) == before
    assert untouched.stat().st_mtime_ns == written


def test_a_null_study_holds_no_music_and_motion_only_the_raw_images(folder, simulated_settings, tmp_path):
    # The music is the same: it is not rendered again.
    other = tmp_path / "null"
    settings = {**simulated_settings, "subjects": 1, "corpus": 0, "signal": 0.0, "motion": True, "line_end": "lf"}
    brain2music.simulation.study._claim(other, brain2music.simulation.study._Settings(**settings))
    shutil.copytree(folder / "stimuli", other / "stimuli", copy_function=os.link)
    simulate(other, **settings, progress=False)
    rows = truth(other)
    assert all(float(row["noise_ceiling"]) == 0 for row in rows)
    brain = b2m.Study(other, rois="destrieux", cache=False).responses("001")
    assert abs(repeatability(brain, [column(brain, row) for row in rows]).mean()) < 0.02
    events = other / "sub-001/func/sub-001_task-Training_run-01_events.tsv"
    assert b"\r" not in events.read_bytes()
    raw = b2m.Study(other, derivatives=tmp_path, mask=brain.mask, assume_aligned=True, cache=False).responses("001")
    # The first volume is where the head rests; the linear interpolation of the others costs variance.
    assert not np.array_equal(raw.train, brain.train)
    pairs = zip(raw.train[:, 0].T, brain.train[:, 0].T, strict=True)
    assert np.nanmedian([np.corrcoef(one, other)[0, 1] for one, other in pairs]) > 0.5
    moved = (other / "truth/sub-001_task-Training_run-01_motion.tsv").read_text().splitlines()
    assert len(moved) == 411


def test_bad_settings_and_other_studies_are_refused(folder, tmp_path):
    with pytest.raises(FileExistsError, match="with other seed, runs, voxel_size"):
        simulate(folder, subjects=2, seed=1, corpus=3, progress=False)
    (tmp_path / "something").write_text("of mine")
    with pytest.raises(FileExistsError, match="must be empty or not there"):
        simulate(tmp_path, progress=False)
    for name, value in {
        "subjects": 0,
        "seed": -1,
        "runs": (25, 1),
        "voxel_size": 0.0,
        "signal": float("nan"),
        "line_end": "cr",
        "corpus": -1,
    }.items():
        with pytest.raises(ValueError, match=rf"\[simulation.simulate\] {name} must be .*; got"):
            simulate(tmp_path / "new", **{name: value}, progress=False)
    assert not (tmp_path / "new").exists()
