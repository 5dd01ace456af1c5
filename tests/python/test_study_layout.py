import json
import re
import shutil
from pathlib import Path

import pytest

from brain2music.study.layout import Layout
from brain2music.study.names import entities
from brain2music.study.sidecars import inherit, read_sidecar


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def raw(study_folder):
    touch(*(study_folder.bold(task, run) for task, run in study_folder.runs()))
    return Layout(study_folder.root, None, None)


def test_real_layout(study_folder):
    layout = raw(study_folder)
    for task, count in (("Training", 12), ("Test", 6)):
        runs = layout.runs("001", task)
        assert [run.index for run in runs] == list(range(1, count + 1))
        assert [run.bold for run in runs] == [study_folder.bold(task, run) for run in range(1, count + 1)]
        assert {run.tr for run in runs} == {1.5}
        assert not any(run.prepared or run.aligned for run in runs)
    assert runs[3].name == "sub-001 Test run 4"


def test_entities():
    path = Path("sub-001_task-Training_run-01_space-T1w_desc-preproc_bold.nii.gz")
    assert entities(path) == {
        "sub": "001",
        "task": "Training",
        "run": "01",
        "space": "T1w",
        "desc": "preproc",
        "suffix": "bold",
        "extension": ".nii.gz",
    }


def test_sidecars_are_inherited(study_folder):
    root, bold = study_folder.root, study_folder.bold()
    (root / "bold.json").write_text('{"RepetitionTime": 9, "A": 1}')
    (root / "task-Training_bold.json").write_text('{"RepetitionTime": 8, "B": 2}')
    (root / "sub-001" / "sub-001_bold.json").write_text('{"B": 3}')
    (root / "task-Test_bold.json").write_text('{"C": 4}')
    with pytest.raises(
        ValueError, match=r"one bold\.json of a folder may apply to .*; got .*bold\.json, .*task-Training"
    ):
        inherit(bold, root, ".json")
    (root / "bold.json").unlink()
    merged = read_sidecar(bold, root)
    assert (merged["RepetitionTime"], merged["B"], merged["TaskName"]) == (1.5, 3, "Training")
    assert "C" not in merged


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "a sidecar must be JSON; got '.*' in {}"),
        ("[]", r"a sidecar must hold one object; got \[\] in {}"),
        (
            '{"RepetitionTime": "1.5"}',
            "RepetitionTime must be a positive number of seconds; got '1.5' in {}",
        ),
        ('{"RepetitionTime": 0}', "RepetitionTime must be a positive number of seconds; got 0 in {}"),
        ('{"RepetitionTime": 1500}', "RepetitionTime must be a positive number of seconds; got 1500 in {}"),
        ('{"RepetitionTime": NaN}', "RepetitionTime must be a positive number of seconds; got nan in {}"),
    ],
)
def test_bad_sidecars_are_refused(study_folder, text, message):
    layout = raw(study_folder)
    path = study_folder.bold().with_suffix(".json")
    path.write_text(text)
    with pytest.raises(ValueError, match=message.format(re.escape(str(path)))):
        layout.runs("001", "Training")


def test_missing_and_double_files_are_refused(study_folder):
    layout = raw(study_folder)
    with pytest.raises(ValueError, match="subject must be one of 001; got '009'"):
        layout.runs("009", "Training")
    with pytest.raises(FileNotFoundError, match="task 'Rest' must have runs; got no sub-001_task-Rest_"):
        layout.runs("001", "Rest")
    double = study_folder.bold().with_suffix(".nii.gz")
    double.touch()
    layout.refresh()
    with pytest.raises(
        ValueError, match=r"one BOLD image must belong to .*run-01_events.tsv; got .*\.nii and .*\.nii\.gz"
    ):
        layout.runs("001", "Training")
    double.unlink()
    study_folder.bold().unlink()
    layout.refresh("001")
    with pytest.raises(FileNotFoundError, match=r"one BOLD image must belong to .*run-01_events.tsv .*; got none"):
        layout.runs("001", "Training")
    study_folder.write(study_folder.bold(), study_folder.data("Training", 1))
    study_folder.events("Training", 5).unlink()
    layout.refresh("001")
    with pytest.raises(
        FileNotFoundError,
        match=r"a run of BOLD must have events \(or leave it out: exclude_runs=\['sub-001_task-Training_run-05'\]\); "
        r"got none for .*run-05_bold.nii",
    ):
        layout.runs("001", "Training")
    for run in (5, 6):
        study_folder.bold("Training", run).with_suffix(".json").unlink()
    study_folder.bold("Training", 5).unlink()
    study_folder.events("Training", 6).rename(study_folder.events().with_name("sub-001_task-Training_run-x_events.tsv"))
    study_folder.bold("Training", 6).unlink()
    layout.refresh("001")
    with pytest.raises(ValueError, match=r"run must be a whole number of at most six digits; got 'x' in .*run-x_"):
        layout.runs("001", "Training")
    shutil.rmtree(study_folder.root / "sub-001")
    with pytest.raises(FileNotFoundError, match=r"a BIDS folder must hold folders sub-\*; got none in"):
        Layout(study_folder.root, None, None)


def test_sessions(tmp_path):
    for session, run in (("a", 1), ("a", 2), ("b", 1)):
        stem = tmp_path / "sub-1" / f"ses-{session}" / "func" / f"sub-1_ses-{session}_task-x_run-{run}"
        touch(Path(f"{stem}_events.tsv"), Path(f"{stem}_bold.nii.gz"))
    runs = Layout(tmp_path, None, None).runs("1", "x")
    assert [(run.session, run.index, run.tr) for run in runs] == [("a", 1, None), ("a", 2, None), ("b", 1, None)]
    assert all(run.bold.name == f"sub-1_ses-{run.session}_task-x_run-{run.index}_bold.nii.gz" for run in runs)


@pytest.mark.parametrize("place", ["derivatives", "derivatives/fmriprep"])
def test_fmriprep(study_folder, place):
    raw(study_folder)
    for task, run in study_folder.runs():
        touch(study_folder.prepared(task, run), study_folder.prepared(task, run, "desc-brain_mask"))
        touch(study_folder.prepared(task, run, space="space-MNI152NLin2009cAsym_"))
    confounds = study_folder.prepared(kind="desc-confounds_timeseries", space="").with_suffix("").with_suffix(".tsv")
    touch(confounds)
    derivatives = study_folder.root / place
    with pytest.raises(ValueError, match=r"space must be given where there are several; got MNI152NLin2009cAsym, T1w"):
        Layout(study_folder.root, derivatives, None).runs("001", "Training")
    with pytest.raises(
        FileNotFoundError, match=r"space must be one of .*T1w; got 'fsaverage' for task 'Training', run 1"
    ):
        Layout(study_folder.root, derivatives, "fsaverage").runs("001", "Training")
    runs = Layout(study_folder.root, derivatives, "T1w").runs("001", "Training")
    assert [run.bold for run in runs] == [study_folder.prepared(run=run) for run in range(1, 13)]
    assert [run.mask for run in runs] == [
        study_folder.prepared(run=run, kind="desc-brain_mask") for run in range(1, 13)
    ]
    assert [run.confounds for run in runs] == [confounds] + [None] * 11
    assert all(run.aligned and run.space == "T1w" and run.tr == 1.5 for run in runs)
    own = study_folder.prepared().with_suffix("").with_suffix(".json")
    own.write_text(json.dumps({"RepetitionTime": 1.6}))
    assert Layout(study_folder.root, derivatives, "T1w").runs("001", "Training")[0].tr == 1.6
    with pytest.raises(
        FileNotFoundError, match="space 'T1w' needs preprocessed BOLD; got none of task 'Training', run 1"
    ):
        Layout(study_folder.root, None, "T1w").runs("001", "Training")


@pytest.mark.parametrize(
    "place",
    [
        "derivatives/fmriprep/sourcedata/freesurfer/sub-001/mri/aparc.a2009s+aseg.mgz",
        "derivatives/freesurfer/sub-001/mri/aparc.a2009s+aseg.mgz",
        "derivatives/freesurfer/sub-001/mri/aparc.a2009s+aseg.nii.gz",
        "derivatives/atlas/sub-001/anat/sub-001_space-T1w_seg-destrieux_dseg.nii.gz",
    ],
)
@pytest.mark.parametrize("derivatives", ["derivatives", "derivatives/fmriprep"])
def test_destrieux_is_found(study_folder, place, derivatives):
    if "atlas" in place and derivatives.endswith("fmriprep"):
        place = place.replace("atlas", "fmriprep")
    touch(study_folder.prepared())
    path = study_folder.root / place
    layout = Layout(study_folder.root, study_folder.root / derivatives, None)
    touch(study_folder.prepared(kind="desc-aparcaseg_dseg"))
    with pytest.raises(
        FileNotFoundError, match=r"needs FreeSurfer's aparc.a2009s\+aseg.mgz or .* of sub-001; got neither in"
    ):
        layout.destrieux("001")
    touch(path)
    layout.refresh("001")
    assert layout.destrieux("001") == path.resolve()
