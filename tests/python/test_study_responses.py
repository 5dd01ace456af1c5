import json
import re
import subprocess
import sys
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiMasker
from scipy import ndimage, stats

import brain2music as b2m
from brain2music.study import EventRules

GENRES = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"]


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory, make_study_folder):
    """One prepared study for all tests that only read."""
    folder = make_study_folder(tmp_path_factory.mktemp("responses") / "study")
    folder.write_prepared()
    labels = folder.write_labels(folder.root / "atlas.nii.gz")
    return SimpleNamespace(folder=folder, labels=labels)


def scipy_run(path, mask_image):
    """A run by nilearn and SciPy: masked, detrended, without the dummy, z-scored."""
    bold = NiftiMasker(mask_image, standardize=None, dtype="float32").fit().transform(path)
    trend = ndimage.median_filter(bold, size=(161, 1), mode="reflect")
    return stats.zscore((bold - trend)[10:].astype(np.float64), axis=0)


def expected_responses(folder, mask_image, paths, delay):
    """The definition, with pandas for the events: {task: {clip: [(run, scans)]}} of shape (10, voxels) each."""
    heard = {"Training": {}, "Test": {}}
    for task, run in folder.runs():
        events = pd.read_csv(folder.events(task, run), sep="\t", quoting=3)[1:]
        processed = scipy_run(paths(task, run), mask_image)
        padded = np.vstack([processed, np.full((delay, processed.shape[1]), np.nan)])
        for row in events.itertuples():
            first = round(row.onset / 1.5) - 10 + delay
            clip = f"{re.search('[a-z]+', row.genre).group()}.{row.track:05}_{row.start:.2f}"
            heard[task].setdefault(clip, []).append((run, padded[first : first + 10]))
    return heard


@pytest.mark.parametrize("delay", [0, 3, 5])
def test_responses_are_those_of_nilearn_and_scipy(module_folder, tmp_path, delay):
    folder = module_folder.folder
    brain = b2m.Study(folder.root, cache=tmp_path).responses("001", delay_scans=delay)
    inside = np.ones(folder.shape, np.uint8)
    inside[0] = inside[1, 1, 1] = 0  # one voxel is outside the brain mask of each task's second run
    np.testing.assert_array_equal(np.asarray(brain.mask.dataobj), inside)
    heard = expected_responses(folder, brain.mask, folder.prepared, delay)

    assert brain.train.shape == (480, 10, 99)
    assert brain.repeats.shape == (60, 4, 10, 99)
    assert brain.test.shape == (60, 10, 99)
    assert {array.dtype for array in (brain.train, brain.repeats, brain.test)} == {np.dtype(np.float32)}
    assert list(brain.train_clips.ids) == list(heard["Training"])
    assert list(brain.test_clips.ids) == list(heard["Test"])
    train = np.array([scans for presentations in heard["Training"].values() for _, scans in presentations])
    repeats = np.array([[scans for _, scans in presentations] for presentations in heard["Test"].values()])
    np.testing.assert_allclose(brain.train, train, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(brain.repeats, repeats, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(brain.test, np.nanmean(repeats, axis=1), rtol=1e-4, atol=1e-5)
    assert [run for presentations in heard["Training"].values() for run, _ in presentations] == list(
        brain.train_clips.run
    )
    assert [presentations[0][0] for presentations in heard["Test"].values()] == list(brain.test_clips.run)

    # The last clip of each run lacks as many scans as the delay has; of the test clips a repeat does.
    np.testing.assert_array_equal(brain.train_clips.scans_present, ~np.isnan(train[..., 0]))
    assert (~brain.train_clips.scans_present).sum() == 12 * delay
    assert brain.test_clips.scans_present.all()
    assert np.isnan(brain.repeats[..., 0]).sum() == 6 * delay
    assert not np.isnan(brain.test).any()
    notes = " ".join(brain.notes)
    assert ("12 presentations of training clips end after their run" in notes) == (delay > 0)
    assert ("6 presentations of test clips end after their run" in notes) == (delay > 0)
    assert "12 training runs and 6 test runs" in notes
    assert "18 dummy events" in notes
    assert "fMRIPrep's BOLD in space T1w" in notes


def test_clips(module_folder, tmp_path):
    brain = b2m.Study(module_folder.folder.root, cache=tmp_path).responses("sub-001")
    for clips, count, runs in ((brain.train_clips, 480, 12), (brain.test_clips, 60, 6)):
        assert len(clips) == len(set(clips.ids)) == count
        assert sorted(set(clips.genre)) == GENRES
        assert sorted(set(clips.run)) == list(range(1, runs + 1))
        assert [f"{track}_{start:.2f}" for track, start in zip(clips.track, clips.start, strict=True)] == list(
            clips.ids
        )
        assert [track.split(".")[0] for track in clips.track] == list(clips.genre)
    lengths = brain.train_clips.end - brain.train_clips.start
    assert brain.train_clips.ids[lengths < 14.995].tolist() == ["pop.00049_9.59"]
    assert (brain.rois, brain.tr) == (None, 1.5)


def test_regions_choose_the_voxels(module_folder):
    folder, labels = module_folder.folder, module_folder.labels
    study = b2m.Study(folder.root, rois=folder.root / "atlas.nii.gz", cache=False)
    brain = study.responses("001")
    assert isinstance(brain.train, np.ndarray)
    np.testing.assert_array_equal(np.asarray(brain.mask.dataobj), labels != 0)
    np.testing.assert_array_equal(brain.rois.labels, labels[labels != 0])
    assert brain.rois.names[7] == "region 7"
    assert brain.train.shape[2] == len(brain.rois)
    # A mask of one's own wins; then voxels outside every region have label 0.
    mask = nib.Nifti1Image(np.ones(folder.shape, np.uint8), nib.load(folder.prepared()).affine)
    rois = (folder.root / "atlas.nii.gz", folder.root / "atlas.tsv")
    brain = b2m.Study(folder.root, rois=rois, mask=mask, cache=False).responses("001")
    np.testing.assert_array_equal(brain.rois.labels, labels.ravel())


def test_a_second_call_reads_the_cache(study_folder, tmp_path, monkeypatch):
    study_folder.write_prepared()
    cache, read = tmp_path / "cache", []
    from brain2music.study import responses

    original = responses.read_masked
    monkeypatch.setattr(responses, "read_masked", lambda *args: read.append(args[0].path) or original(*args))

    def runs_read(**options):
        read.clear()
        brain = b2m.Study(study_folder.root, cache=cache).responses("001", **options)
        return len(read), brain

    count, first = runs_read()
    assert count == 18
    count, second = runs_read()
    assert count == 0
    for name in ("train", "test", "repeats"):
        np.testing.assert_array_equal(getattr(second, name), getattr(first, name))
    assert second.notes == first.notes
    second.train[:] = 0  # one's own copy: the cache stays as it is
    assert runs_read()[1].train.any()
    assert runs_read(delay_scans=2)[0] == 18
    study_folder.write(study_folder.prepared("Test", 3), study_folder.data("Test", 9).astype(np.float32))
    count, changed = runs_read()
    assert count == 18
    assert not np.array_equal(changed.test, first.test, equal_nan=True)
    np.testing.assert_array_equal(changed.train, first.train)
    study_folder.edit(study_folder.events("Training", 4), "classical'", "'classical'")
    assert runs_read()[0] == 18  # events go into the hash by content
    entries = sorted(cache.iterdir())
    assert len(entries) == 4
    assert json.loads((entries[0] / "entry.json").read_text())["settings"]["subject"] == "001"
    assert {path.suffix for entry in entries for path in entry.iterdir()} == {".npy", ".json"}


def test_nothing_half_written_stays(study_folder, tmp_path, monkeypatch):
    study_folder.write_prepared()
    path = study_folder.prepared("Test", 6)
    path.write_bytes(path.read_bytes()[:-100])
    study = b2m.Study(study_folder.root, cache=tmp_path / "cache")
    with pytest.raises(ValueError, match=f"the data must be whole; got .* in {path}"):
        study.responses("001")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("brain2music.study.responses.read_masked", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.responses("001")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_default_cache_is_the_users(study_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    study_folder.write_prepared()
    b2m.Study(study_folder.root).responses("001")
    assert len(list((tmp_path / "user" / "brain2music").iterdir())) == 1


def test_progress_is_a_bar_of_runs(module_folder, capsys):
    b2m.Study(module_folder.folder.root, cache=False).responses("001", progress=True)
    assert "18/18" in capsys.readouterr().err


def test_raw_bold_is_never_taken_for_aligned(study_folder, module_folder):
    study_folder.write_raw()
    mask = module_folder.folder.prepared(kind="desc-brain_mask")
    message = rf"BOLD must be aligned: .* assume_aligned=True; got raw BOLD, {study_folder.bold()}"
    with pytest.raises(ValueError, match=message):
        b2m.Study(study_folder.root, mask=mask, cache=False).responses("001")
    study = b2m.Study(study_folder.root, mask=mask, assume_aligned=True, cache=False)
    brain = study.responses("001")
    assert "Alignment assumed, as asked: raw BOLD." in brain.notes
    prepared = b2m.Study(module_folder.folder.root, mask=mask, cache=False).responses("001")
    np.testing.assert_array_equal(brain.train, prepared.train)  # the same data, int16 here and float32 there
    with pytest.raises(
        FileNotFoundError, match=r"voxels must be chosen by mask=, rois= .*; got 0 brain masks for 18 runs"
    ):
        b2m.Study(study_folder.root, assume_aligned=True, cache=False).responses("001")


def test_fmripreps_native_space_is_each_runs_own(study_folder):
    study_folder.write_prepared(space="")
    with pytest.raises(ValueError, match=r"BOLD must be aligned: .*; got fMRIPrep's native space, which each run has"):
        b2m.Study(study_folder.root, cache=False).responses("001")
    brain = b2m.Study(study_folder.root, assume_aligned=True, cache=False).responses("001")
    assert brain.train.shape == (480, 10, 99)


def test_labels_must_lie_in_the_space_of_the_bold(study_folder):
    study_folder.write_prepared(space="space-MNI152NLin2009cAsym_")
    surfer = study_folder.root / "derivatives" / "freesurfer" / "sub-001" / "mri" / "aparc.a2009s+aseg.mgz"
    surfer.parent.mkdir(parents=True)
    labels = np.full((20, 20, 20), 11133, np.int32)
    nib.save(nib.MGHImage(labels, nib.affines.from_matvec(np.eye(3), [-9, -9, -9])), surfer)
    study = b2m.Study(study_folder.root, rois="destrieux", cache=False)
    message = rf"space of the BOLD, MNI152NLin2009cAsym; got space T1w of {re.escape(str(surfer))}"
    with pytest.raises(ValueError, match=message):
        study.responses("001")
    study_folder.write_prepared()
    brain = b2m.Study(study_folder.root, rois="destrieux", space="T1w", cache=False).responses("001")
    assert set(brain.rois.labels) == {11133}
    assert any(
        note.startswith("149 of 150 regions hold no voxel of the mask: ctx_lh_G_and_S_front") for note in brain.notes
    )


def test_labels_and_stimuli_beside_the_study_are_found_without_options(study_folder):
    """The layout that `brain2music simulate` writes."""
    space = "space-MNI152NLin2009cAsym_"
    study_folder.write_prepared(space=space)
    pipeline = study_folder.root / "derivatives" / "fmriprep"
    name = f"sub-001_{space}seg-destrieux_dseg.nii.gz"
    labels = study_folder.write_labels(pipeline / "sub-001" / "anat" / name, names=False)
    table = pipeline / "seg-destrieux_dseg.tsv"
    table.write_text("index\tname\n" + "".join(f"{label}\tregion {label}\n" for label in range(1, 31)))
    brain = b2m.Study(study_folder.root, rois="destrieux", cache=False).responses("001")
    np.testing.assert_array_equal(brain.rois.labels, labels[labels != 0])
    assert brain.rois.names[30] == "region 30"


@pytest.fixture
def small(study_folder, monkeypatch):
    """A prepared study whose responses nobody computes: bad input is found before a volume is read."""
    study_folder.write_prepared()
    monkeypatch.setattr("brain2music.study.responses.read_masked", lambda *_: pytest.fail("a volume was read"))
    return study_folder


def refused(folder, message, error=ValueError, **options):
    with pytest.raises(error, match=message):
        b2m.Study(folder.root, cache=False, **options).responses("001")


def test_bad_studies_are_refused_before_a_volume_is_read(small):
    path, data = small.prepared("Training", 3), small.data("Training", 3).astype(np.float32)
    small.write(path, data, tr=2.0)
    refused(small, rf"pixdim\[4\] .* must be RepetitionTime .*; got 2 s and 1.5 s for {path}")
    small.write(path, data[..., :409])
    refused(
        small,
        rf"must last until its last clip ends, 615 s \(410 volumes\); got 409 volumes in {path} for .*_events.tsv",
    )
    small.write(path, data[:, :, :3])
    refused(small, rf"all runs must have one grid; got shape \(6, 5, 4\), .* and shape \(6, 5, 3\), .* in {path}")
    small.write(path, data, affine=np.diag([2.0, 2, 2.1, 1]))
    refused(small, rf"all runs must have one grid; .* in {path}")
    small.write(path, data[..., 0])
    refused(small, rf"dim must be four-dimensional.* in {path}")
    path.unlink()
    refused(small, r"one preprocessed image|all runs must be preprocessed into one space|one BOLD image", Exception)


def test_fewer_runs_than_another_subject(make_study_folder, tmp_path):
    folder = make_study_folder(tmp_path / "two", ("001", "002"))
    folder.write_prepared()
    folder.events("Test", 6).unlink()
    refused(
        folder,
        r"a run of BOLD must have events .*exclude_runs=\['sub-001_task-Test_run-06'\].*; got none for .*run-06_space",
        FileNotFoundError,
    )
    folder.prepared("Test", 6).unlink()
    refused(folder, r"must have an image and events .*; got .*run-06_bold.json alone", FileNotFoundError)
    folder.bold("Test", 6).with_suffix(".json").unlink()
    study = b2m.Study(folder.root, cache=False)
    brain = study.responses("001")
    assert "sub-001 lacks runs that sub-002 has: task-Test_run-6." in brain.notes
    assert len(brain.test_clips) == 50
    row = study.runs.query("subject == '001' and task == 'Test' and run == 6").iloc[0]
    assert (row.used, row.why) == (False, "not there (sub-002 has it)")
    folder.forget("Training", 12)
    folder.prepared("Training", 12).unlink()
    refused(folder, "a dummy event must repeat a clip heard elsewhere, .*run-01_events.tsv, heard nowhere else")


def test_a_run_with_another_tr(small):
    sidecar = small.bold("Training", 3).with_suffix(".json")
    small.edit(sidecar, '"RepetitionTime":1.5', '"RepetitionTime":2')
    small.write(small.prepared("Training", 3), small.data("Training", 3).astype(np.float32), tr=2.0)
    refused(small, r"all runs must have one TR; got 1\.5 s in .*run-01.* and 2 s in .*run-03.*bold.nii.gz")


def test_onsets_fall_on_scans(small):
    rules = EventRules(onset_shift=0.7)
    refused(small, r"onset must fall on the start of a scan, to 0.02 s \(rule snap\); got 15.7 s at a TR", events=rules)


def test_one_repeat_and_no_test_runs(study_folder):
    study_folder.write_prepared()
    brain = b2m.Study(study_folder.root, events=EventRules(test_task=None), cache=False).responses("001")
    assert brain.test.shape == (0, 10, 99)
    assert brain.repeats is None
    assert len(brain.test_clips) == 0


def test_constant_voxels_and_longer_runs_are_noted(study_folder):
    study_folder.write_prepared()
    data = study_folder.data("Training", 2).astype(np.float32)
    data[2, 2, 2] = 7
    longer = np.concatenate([data, data[..., :4]], axis=-1)
    study_folder.write(study_folder.prepared("Training", 2), longer)
    brain = b2m.Study(study_folder.root, cache=False).responses("001")
    assert "1 voxels of the mask are constant in sub-001 Training run 2: 0 there." in brain.notes
    assert "sub-001 Training run 2 goes on for 4 volumes after its last clip: used." in brain.notes
    assert (~brain.train_clips.scans_present).sum() == 33


@pytest.mark.parametrize("delay", [-1, 1.5, True, "3"])
def test_bad_delays_are_refused(module_folder, delay):
    with pytest.raises(ValueError, match=rf"delay_scans must be a whole number from 0; got {delay!r}"):
        b2m.Study(module_folder.folder.root, cache=False).responses("001", delay_scans=delay)


def test_confounds(study_folder):
    study_folder.write_prepared()
    refused(
        study_folder,
        r"confounds need \*_desc-confounds_timeseries.tsv; got none beside",
        FileNotFoundError,
        confounds=("a",),
    )
    rng = np.random.default_rng(0)
    for task, run in study_folder.runs():
        path = study_folder.prepared(task, run, "desc-confounds_timeseries", "").with_suffix("").with_suffix(".tsv")
        path.write_text("a\n" + "\n".join(map(str, rng.standard_normal(410))) + "\n")
    brain = b2m.Study(study_folder.root, confounds=["a"], cache=False).responses("001", delay_scans=0)
    confound = pd.read_csv(path, sep="\t")["a"][10:]
    run = brain.repeats[brain.test_clips.run == 6].transpose(1, 0, 2, 3).reshape(400, -1)
    assert np.abs(run.T @ confound.to_numpy()).max() / 400 < 1e-5


def test_memory_is_the_result_and_one_run(make_study_folder, tmp_path):
    """In a process of its own, the peak beyond imports is the result, one masked run, and a few slabs."""
    folder = make_study_folder(tmp_path / "big")
    folder.shape = (24, 24, 16)
    data = folder.data("Training", 1)
    for task, run in folder.runs():
        folder.write(folder.bold(task, run), data)
    mask = folder.write(tmp_path / "mask.nii", np.ones(folder.shape, np.uint8))
    code = """
import resource, sys, numpy as np, brain2music as b2m
from brain2music.study.bold import standardize
import tqdm.auto
standardize(np.ones((410, 5000), np.float32), 1.5, 10)  # what torch needs once
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
brain = b2m.Study(sys.argv[1], mask=sys.argv[2], assume_aligned=True, cache=False).responses("001")
result = brain.train.nbytes + brain.test.nbytes + brain.repeats.nbytes
run = 410 * brain.train.shape[2] * 4
print((peak() - before - result) / run)
"""
    command = [sys.executable, "-c", code, str(folder.root), str(mask)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    print(done.stdout)
    assert float(done.stdout) < 1.5
