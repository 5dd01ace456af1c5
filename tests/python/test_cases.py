"""Studies as people have them: each is read, or refused in words that help, and a check says the same beforehand.

The numbers are those of the list of reported cases; ``test_pipeline_check.py`` holds those that are not here.
"""

import dataclasses
import re
from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest
import soundfile
from small_study import AFFINE, SHAPE, TR
from whole_study import FILES, RUNS, WholeStudy, edit, refusal

from brain2music import pipeline

ANNEX = "../../.git/annex/objects/xx/yy/MD5E-s9--0"
POINTER = "/annex/objects/MD5E-s513884512--cb3439ffbd18ce85ea413202e253de26.nii\n"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
FETCH = "not fetched: run datalad get "


@dataclasses.dataclass
class Case:
    """What is done to a whole study, the settings it is read with, and what must come out."""

    change: Callable[[WholeStudy], object] = lambda study: None
    refused: str = ""  #: words of the message; read if empty
    told: str = ""  #: words of the notes of what is read, known before a volume is read
    tracks: tuple[int, ...] = ()  #: first track of each training run of sub-01, in the order read
    settings: dict = dataclasses.field(default_factory=dict)


def stands_for(path, text=None):
    """Put a link to nowhere, or a pointer, in a file's place."""
    path.unlink()
    path.symlink_to(ANNEX) if text is None else path.write_text(text)


def rename(study, old, new, subjects=("01", "02"), endings=("_bold.nii", "_events.tsv")):
    """Give a run's files other entities after the subject, and the folder that these say."""
    for subject in subjects:
        for ending in endings:
            name = f"sub-{subject}_{new}"
            to = study.func(name) / f"{name}{ending}"
            to.parent.mkdir(parents=True, exist_ok=True)
            (study.func(f"sub-{subject}") / f"sub-{subject}_{old}{ending}").rename(to)


def rows(study, *lines, **which):
    """Write the events of a run; each line is onset, duration, genre, track, start, end."""
    path = study.of(ending="_events.tsv", **which)
    path.write_text("\n".join(["onset\tduration\tgenre\ttrack\tstart\tend", *lines]) + "\n")


def clip(track, onset=0, duration=15, genre="jazz"):
    return f"{onset}\t{duration}\t{genre}\t{track}\t0\t15"


FOUR = [clip(10 + number, 15 * number) for number in range(4)]


def sessions(study):
    """One training run and one presentation of the test clips in each of sessions 1, 2 and 10."""
    for subject in ("01", "02"):
        for path in study.func(f"sub-{subject}").iterdir():
            path.unlink()
        for session, first in (("1", 10), ("2", 20), ("10", 40)):
            study.run(f"sub-{subject}_ses-{session}_task-Training_run-1", first)
            study.run(f"sub-{subject}_ses-{session}_task-Test_run-1", 30)
    for track in range(40, 44):
        study.track(f"jazz.{track:05d}", track)
    with (study.root / "captions.csv").open("a") as file:
        file.writelines(f"jazz.{track:05d},some jazz\n" for track in range(40, 44))
    study.say(repeats=3)


def shared_events(study, task, path):
    """One events file for two runs of a task: each run's own is taken away."""
    for subject in ("01", "02"):
        if task == "Test":
            study.bold(FILES.format(subject, task, 2), 31)
        for run in (1, 2):
            study.of(subject, task, run, "_events.tsv").unlink(missing_ok=True)
        study.events(study.root / path.format(subject), 30 if task == "Test" else 10)
    study.say(repeats=2 if task == "Test" else 1)


def fmriprep(study, *spaces, extra="", confounds=None, columns="csf\ttrans_x", sidecar=None, ours="", table=None):
    """Derivatives in place of the raw images; ``ours`` and ``confounds`` name the tables of confounds."""
    table = table or [f"{a:.4f}\t{b:.4f}" for a, b in np.random.default_rng(0).standard_normal((40, 2))]
    for subject in ("01", "02"):
        for (task, run), first in RUNS.items():
            name = FILES.format(subject, task, run)
            study.of(subject, task, run).unlink()
            for space in spaces or ("T1w",):
                bold = study.prepared(f"{name}{extra}", first, space)
                study.sidecar(bold, RepetitionTime=TR, **(sidecar or {}))
            if confounds is not None:
                to = study.func(name, "fmriprep") / f"{name}{ours}_desc-confounds_{confounds}.tsv"
                to.write_text("\n".join([columns, *table]) + "\n")


def uncaptioned(study):
    (study.root / "captions.csv").unlink()


def sidecars(study, **fields):
    for subject in ("01", "02"):
        for task, run in RUNS:
            study.sidecar(study.of(subject, task, run), **fields)


def orientation(study, sform, qform):
    """Place the voxels of each image; 0 says nothing of them."""
    for subject in ("01", "02"):
        for task, run in RUNS:
            path = study.of(subject, task, run)
            image = nib.Nifti1Image(np.asarray(nib.load(path).dataobj).copy(), None, nib.load(path).header)
            image.header.set_sform(AFFINE * sform, int(np.any(sform)))
            image.header.set_qform(AFFINE * qform if np.any(qform) else None, int(np.any(qform)))
            nib.save(image, path)


def mask(study, values, affine=AFFINE):
    nib.save(nib.Nifti1Image(np.broadcast_to(values, SHAPE).copy(), affine), study.root / "mask.nii")


def labels(study, change):
    path = study.root / "labels.nii.gz"
    values = change(np.asarray(nib.load(path).dataobj))
    nib.save(nib.Nifti1Image(values, AFFINE), path)


def names(study, *indices):
    text = "\n".join(["index\tname\tcolor", *(f"{index}\tregion {index}\t#ff0000" for index in indices)])
    (study.root / "labels.tsv").write_text(text + "\n")


def two_directions(study):
    for direction, run in (("AP", 1), ("PA", 2)):
        rename(study, f"task-Training_run-{run}", f"task-Training_dir-{direction}_run-1")


def several(study, entity, values):
    """A training run's image several times, told apart by an entity."""
    for subject in ("01", "02"):
        name = FILES.format(subject, "Training", 1)
        study.of(subject).unlink()
        for value in values:
            study.bold(f"{name}_{entity}-{value}", 10)


def surfaces_alone(study):
    for subject in ("01", "02"):
        for task, run in RUNS:
            name = FILES.format(subject, task, run)
            folder = study.func(name, "fmriprep")
            folder.mkdir(parents=True, exist_ok=True)
            for side in "LR":
                (folder / f"{name}_hemi-{side}_space-fsaverage5_bold.func.gii").write_text("<GIFTI/>")


def late(study, seconds):
    """All onsets late by so much."""
    for subject in ("01", "02"):
        for task, run in RUNS:
            path = study.of(subject, task, run, "_events.tsv")
            text = re.sub(r"(?m)^(\d+)\t15\t", lambda m: f"{int(m[1]) + seconds:.3f}\t15\t", path.read_text())
            path.write_text(text)


def sound(study, change, track="jazz.00012", ending=".wav", **how):
    path = study.root / "stimuli" / "genres" / "jazz" / f"{track}.wav"
    values, rate = soundfile.read(path)
    path.unlink()
    soundfile.write(path.with_suffix(ending), change(values), rate, **how)


def forks(study):
    """What macOS writes beside every file that it copies."""
    for path in [path for path in study.root.rglob("*") if path.is_file()]:
        (path.parent / f"._{path.name}").write_bytes(bytes.fromhex("00051607000200004d6163204f532058") + bytes(100))


IRREGULAR = [6.0 * (k // 2) + 1.5 * (k % 2) for k in range(40)]
MNI = "MNI152NLin2009cAsym"
CSF = {"confounds": ("csf",)}
MASK = {"mask": "mask.nii"}
PROBABLE = np.linspace(0.1, 0.9, int(np.prod(SHAPE))).reshape(SHAPE).astype(np.float32)

CASES = {
    "01 forks of macOS beside every file": Case(forks),
    "02 sessions 1, 2 and 10": Case(sessions, tracks=(10, 20, 40)),
    "03 runs 1 and 3": Case(
        lambda s: rename(s, "task-Training_run-2", "task-Training_run-3"), told="numbered with a gap", tracks=(10, 20)
    ),
    "03 numbers that go on in another session": Case(
        lambda s: (
            [rename(s, f"task-Training_run-{n}", f"ses-{n}_task-Training_run-{n}") for n in (1, 2)]
            + [rename(s, "task-Test_run-1", "ses-2_task-Test_run-1")]
        ),
        tracks=(10, 20),
    ),
    "04 a subject lacks a run": Case(
        lambda s: [s.of("02", run=2, ending=ending).unlink() for ending in ("_bold.nii", "_events.tsv")],
        told="sub-02 lacks runs that sub-01 has",
    ),
    "05 events at the root": Case(lambda s: shared_events(s, "Test", "task-Test_events.tsv"), told="applies to 2 runs"),
    "05 events of a subject": Case(
        lambda s: shared_events(s, "Test", "sub-{0}/sub-{0}_task-Test_events.tsv"), told="applies to 2 runs"
    ),
    "05 one events file for two training runs": Case(
        lambda s: shared_events(s, "Training", "sub-{0}/func/sub-{0}_task-Training_events.tsv"),
        "got jazz.00010_0.00 in row 1 of .*_events.tsv, which applies to several runs .*train_repeats",
    ),
    "06 a run without events, left out by name": Case(
        lambda s: s.bold("sub-01_task-Training_run-3", 5),
        tracks=(10, 20),
        settings={"exclude_runs": ("sub-01_task-Training_run-3",)},
    ),
    "07 BOLD is a link to nowhere": Case(lambda s: stands_for(s.of()), f"{FETCH}.*run-1_bold.nii"),
    "07 BOLD is a pointer": Case(lambda s: stands_for(s.of(), POINTER), f"{FETCH}.*run-1_bold.nii"),
    "07 events are a link to nowhere": Case(lambda s: stands_for(s.of(ending="_events.tsv")), f"{FETCH}.*_events.tsv"),
    "07 labels are a link to nowhere": Case(lambda s: stands_for(s.root / "labels.nii.gz"), f"{FETCH}.*labels.nii.gz"),
    "07 names are a pointer": Case(lambda s: stands_for(s.root / "labels.tsv", LFS), "git lfs pull --include .*labels"),
    "07 captions are a pointer": Case(lambda s: stands_for(s.root / "captions.csv", POINTER), f"{FETCH}.*captions"),
    "07 a track is a link to nowhere": Case(lambda s: stands_for(s.track("jazz.00012", 1)), f"{FETCH}.*jazz.00012.wav"),
    "07 a track is a pointer": Case(lambda s: stands_for(s.track("jazz.00012", 1), LFS), "git lfs pull .*00012.wav"),
    "07 a sidecar is a pointer": Case(
        lambda s: s.of(ending="_bold.json").write_text(POINTER), f"{FETCH}.*run-1_bold.json"
    ),
    "08 irregular VolumeTiming": Case(
        lambda s: sidecars(s, VolumeTiming=IRREGULAR, AcquisitionDuration=1.4), "must follow at equal times"
    ),
    "08 DelayTime": Case(lambda s: sidecars(s, RepetitionTime=TR, DelayTime=0.5), told="Sparse acquisition"),
    "09 StartTime": Case(lambda s: fmriprep(s, sidecar={"StartTime": 0.712}), told="StartTime is 0.712 s"),
    "09 StartTime taken off": Case(
        lambda s: (fmriprep(s, sidecar={"StartTime": 0.712}), s.say(onset_shift=-0.712)), told="is taken off the onsets"
    ),
    "10 confounds": Case(lambda s: fmriprep(s, confounds="timeseries"), settings=CSF),
    "10 confounds of before 20.2": Case(lambda s: fmriprep(s, confounds="regressors"), settings=CSF),
    "10 confounds beside a cohort": Case(
        lambda s: fmriprep(s, "MNIPediatricAsym_cohort-5_res-2", confounds="timeseries"), settings=CSF
    ),
    "10 confounds beside magnitudes": Case(
        lambda s: fmriprep(s, extra="_part-mag", confounds="timeseries"), settings=CSF
    ),
    "10 no confounds": Case(fmriprep, "confounds need", settings=CSF),
    "10 confounds without the column": Case(
        lambda s: fmriprep(s, confounds="timeseries", columns="wm\ttrans_x"), "column csf must be there", settings=CSF
    ),
    "11 n/a in the first row": Case(
        lambda s: fmriprep(s, confounds="timeseries", table=["n/a\t0", *(f"{n % 7}\t{n}" for n in range(39))]),
        settings=CSF,
    ),
    "11 n/a in the middle": Case(
        lambda s: fmriprep(s, confounds="timeseries", table=["1\t0", "2\t0", *["n/a\t1"] * 38]),
        "confound csf must be known .*row 3",
        settings=CSF,
    ),
    "11 fewer rows than volumes": Case(
        lambda s: fmriprep(s, confounds="timeseries", table=["1\t0", "2\t0"]), "a row a volume", settings=CSF
    ),
    "13 two resolutions": Case(lambda s: fmriprep(s, MNI, f"{MNI}_res-2"), f"space must be given .*{MNI}:res-2"),
    "13 one of two resolutions": Case(lambda s: fmriprep(s, MNI, f"{MNI}_res-2"), settings={"space": f"{MNI}:res-2"}),
    "14 button presses": Case(
        lambda s: rows(s, FOUR[0], "16.1\t0\tn/a\tn/a\tn/a\tn/a", *FOUR[1:]),
        "duration must be positive; .* row 2 .*passed over by the rule keep",
    ),
    "14 button presses passed over": Case(
        lambda s: (rows(s, FOUR[0], "16.1\t0\tn/a\tn/a\tn/a\tn/a", *FOUR[1:]), s.say(keep={"genre": ["jazz"]})),
        told="1 rows of .* are no clips by the rule keep",
    ),
    "14 columns in another order, and one more": Case(
        lambda s: s.of(ending="_events.tsv").write_text(
            "end\ttrack\tonset\tgenre\tx\tstart\tduration\n"
            + "".join(f"15\t{10 + n}\t{15 * n}\tjazz\tn/a\t0\t15\n" for n in range(4))
        ),
        tracks=(10, 20),
    ),
    "14 a rest of duration n/a": Case(
        lambda s: rows(s, *FOUR, "60\tn/a\tn/a\tn/a\tn/a\tn/a"), "duration must be a number; .*row 5 .*the rule keep"
    ),
    "14 a dummy before the first volume": Case(
        lambda s: (rows(s, clip(99, -15), *FOUR), s.say(dummies=1, dummies_repeat=False), uncaptioned(s)),
        told="3 dummy events at the beginning of 3 runs",
    ),
    "17 no orientation": Case(lambda s: orientation(s, 0, 0), "must say where its voxels lie"),
    "17 no orientation, one grid": Case(lambda s: orientation(s, 0, 0), settings={"assume_same_grid": True}),
    "17 two orientations": Case(lambda s: orientation(s, 1, [[-1], [1], [1], [1]]), told="qform and sform of"),
    "19 a probability map": Case(lambda s: mask(s, PROBABLE), "a probability map", settings=MASK),
    "19 a probability map cut": Case(lambda s: mask(s, PROBABLE), settings={**MASK, "mask_threshold": 0.05}),
    "19 NaN outside": Case(
        lambda s: mask(s, np.where(PROBABLE > 0.15, 1, np.nan).astype(np.float32)),
        told="are NaN: outside",
        settings={**MASK, "n_rois": 1},
    ),
    "19 0 and 255": Case(
        lambda s: mask(s, np.where(PROBABLE > 0.15, 255, 0).astype(np.uint8)), settings={**MASK, "n_rois": 1}
    ),
    "19 another grid": Case(
        lambda s: mask(s, np.uint8(1), np.diag([3.0, 3, 3, 1])), "mask must have the grid of the BOLD", settings=MASK
    ),
    "20 labels a hair off": Case(lambda s: labels(s, lambda x: (x - 1e-4).astype(np.float32))),
    "20 labels far off": Case(lambda s: labels(s, lambda x: (x - 0.3).astype(np.float32)), "must be whole numbers"),
    "20 an atlas of four": Case(refused="say min_regions=4", settings={"min_regions": 20}),
    "20 names with a colour, written as floats": Case(lambda s: names(s, "1.0", "2.0", "3.0", "4.0")),
    "20 names from 0": Case(
        lambda s: names(s, 0, 1, 2, 3), r"got none for \[4\] .*count from 0", settings={"min_regions": 3}
    ),
    "20 a negative label": Case(lambda s: labels(s, lambda x: np.where(x == 4, -4, x)), "got -4 to 3"),
    "22 two directions": Case(two_directions, tracks=(10, 20)),
    "22 one direction": Case(
        lambda s: (two_directions(s), rename(s, "task-Test_run-1", "task-Test_dir-AP_run-1"), uncaptioned(s)),
        tracks=(10,),
        settings={"select": ("dir-AP",)},
    ),
    "22 echoes": Case(lambda s: several(s, "echo", "123"), r"choose by select=\{'echo': '1'\}"),
    "22 magnitude and phase": Case(lambda s: several(s, "part", ("mag", "phase")), tracks=(10, 20)),
    "22 a reference image beside": Case(
        lambda s: s.image(s.of(ending="_sbref.nii"), s.data(1)[..., 0]), tracks=(10, 20)
    ),
    "22 zeros before the number": Case(
        lambda s: rename(s, "task-Training_run-1", "task-Training_run-01", endings=("_events.tsv",)), tracks=(10, 20)
    ),
    "22 run 0": Case(lambda s: rename(s, "task-Training_run-2", "task-Training_run-0"), tracks=(20, 10)),
    "22 no number": Case(lambda s: rename(s, "task-Test_run-1", "task-Test"), tracks=(10, 20)),
    "22 surfaces alone": Case(
        surfaces_alone, r"surfaces are there: space='fsaverage5'", settings={"assume_aligned": False}
    ),
    "22 surfaces that are none": Case(surfaces_alone, "got no NumberOfDataArrays in", settings={"space": "fsaverage5"}),
    "25 unequal repeats": Case(
        lambda s: (
            [s.run(FILES.format(n, "Test", 2), 29) for n in ("01", "02")]
            + [s.track("jazz.00029", 29), edit(s.root / "captions.csv", "jazz.00030", "jazz.00029,x\njazz.00030")]
        ),
        "a test clip must be heard 1 times; .*the rule repeats may be null",
    ),
    "25 unequal repeats allowed": Case(
        lambda s: (
            [s.run(FILES.format(n, "Test", 2), 29) for n in ("01", "02")]
            + [s.track("jazz.00029", 29), edit(s.root / "captions.csv", "jazz.00030", "jazz.00029,x\njazz.00030")]
            + [s.say(repeats=None)]
        ),
        told="Test clips are heard 1 to 2 times",
    ),
    "25 training clips heard twice": Case(
        lambda s: (rows(s, *FOUR, run=2), s.say(train_repeats=True)), told="4 training clips are heard up to 2 times"
    ),
    "25 onsets 16 ms late": Case(lambda s: late(s, 0.016)),
    "25 onsets 60 ms late": Case(lambda s: late(s, 0.06), "must fall on the start of a scan, .*rule snap"),
    "25 onsets 60 ms late, snapped": Case(lambda s: (late(s, 0.06), s.say(snap=0.1))),
    "25 track 10.0": Case(lambda s: rows(s, *FOUR[:3], clip("13.0", 45))),
    "25 a genre in capitals": Case(
        lambda s: (rows(s, clip(10, genre="Jazz"), *FOUR[1:]), s.say(genres=["jazz"])), "got 'Jazz' .*null allows any"
    ),
    "36 an ending in capitals": Case(lambda s: sound(s, lambda x: x, ending=".WAV")),
    "36 a track twice": Case(
        lambda s: (sound(s, lambda x: x, ending=".au"), s.track("jazz.00012", 1)), "got .*jazz.00012.au and .*.wav"
    ),
    "36 opposite phases": Case(lambda s: sound(s, lambda x: np.stack([x, -x], 1)), "silent after mixing"),
    "36 a track that ends a little early": Case(lambda s: sound(s, lambda x: x[: int(14.93 * 2000)])),
}


@pytest.mark.filterwarnings("ignore:a clip ends at 15 s")
@pytest.mark.parametrize("name", CASES)
def test_a_check_says_beforehand_what_reading_says(name, tmp_path):
    case, study = CASES[name], WholeStudy(tmp_path / "study")
    case.change(study)
    settings = {key: str(study.root / value) if key == "mask" else value for key, value in case.settings.items()}
    found = pipeline.check(study.context(**settings))
    context = study.context(**settings)
    reason = refusal(context)
    if case.refused:
        assert reason is not None
        assert re.search(case.refused, reason), reason
        assert any(re.search(case.refused, problem) for problem in found.problems), found.problems
        return
    assert reason is None, reason
    assert found.problems == []
    if case.told:
        assert any(re.search(case.told, line) for line in found.lines), found.lines
        notes = [note for subject in context.subjects for note in context.study.responses(subject).notes]
        assert any(re.search(case.told, note) for note in notes), notes
    if case.tracks:
        clips = context.study.responses("01").train_clips
        first = [clips.track[clips.run == run][0] for run in sorted(set(clips.run))]
        assert first == [f"jazz.{track:05d}" for track in case.tracks]
