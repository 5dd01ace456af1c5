"""No run vanishes: all that lies in func folders is used, or listed with the reason."""

import re

import pytest
from small_study import SmallStudy

from brain2music.pipeline import Context, Settings, say_runs
from brain2music.pipeline.runs import runs_section
from brain2music.study import EventRules

TRAINING = "sub-01_task-Training_run-0{}"


@pytest.fixture
def small(tmp_path):
    """Two runs, of tracks 10 and 20."""
    made = SmallStudy(tmp_path / "study")
    for run in (1, 2):
        made.run(TRAINING.format(run), 10 * run)
    return made


def refused(small, message, error=ValueError, **options):
    with pytest.raises(error, match=message) as caught:
        small.responses(**options)
    return str(caught.value)


def why(study, run, task="Training"):
    """Why a run is not used: found in the table, which raises nothing."""
    table = study.runs
    row = table[(table.run == run) & (table.task == task)].iloc[0]
    assert row.used == (row.why == "")
    return row.why


def all_listed(small, used, **options):
    """Every file is used, or listed once with a reason."""
    study = small.study(**options)
    unused = study.unused_files
    assert (unused.why != "").all()
    assert unused.path.is_unique
    assert set(unused.path) == small.files() - {str(path) for path in used}
    return dict(zip((path.rpartition("/")[2] for path in unused.path), unused.why, strict=True))


def test_the_table_has_a_row_for_each_run(small):
    study = small.study()
    table = study.runs
    assert list(table.columns) == ["subject", "session", "task", "run", "scans", "events", "used", "why"]
    assert table.run.tolist() == [1, 2]
    assert table.scans.tolist() == [40, 40]
    assert table.used.all()
    assert table.events.tolist() == [str(small.func("sub-01") / f"{TRAINING.format(run)}_events.tsv") for run in (1, 2)]
    assert small.tracks() == [10, 20]
    func = small.func("sub-01")
    all_listed(small, [*func.glob("*.nii"), *func.glob("*.tsv")])


def test_bold_without_events_is_refused_and_told(small):
    bold = small.bold(TRAINING.format(3), 30)
    message = r"a run of BOLD must have events \(or leave it out: exclude_runs=\['sub-01_task-Training_run-03'\]\)"
    told = refused(small, rf"{message}; got none for {bold}", FileNotFoundError)
    study = small.study()
    assert why(study, 3) == told
    assert study.runs.scans.tolist() == [40, 40, 40]
    with pytest.raises(FileNotFoundError, match="must have events"):
        study.clips  # noqa: B018
    assert small.tracks(exclude_runs=["sub-01_task-Training_run-03"]) == [10, 20]


def test_events_without_bold_are_refused_and_told(small):
    events = small.events(TRAINING.format(3), 30)
    told = refused(small, rf"one BOLD image must belong to {events} \(or leave it out: .*; got none", FileNotFoundError)
    study = small.study()
    assert why(study, 3) == told
    assert study.runs.scans.isna().tolist() == [False, False, True]


POINTERS = {
    "annex": ("/annex/objects/MD5E-s513884512--cb3439ffbd18ce85ea413202e253de26.nii\n", "datalad get"),
    "LFS": ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull --include"),
}


@pytest.mark.parametrize("kind", ["bold.nii", "events.tsv", "bold.json"])
@pytest.mark.parametrize("stand_in", ["link", "annex", "LFS"])
def test_what_was_not_fetched_is_named(small, kind, stand_in):
    small.sidecar(small.func("sub-01") / f"{TRAINING.format(2)}_bold.nii", RepetitionTime=1.5)
    path = small.func("sub-01") / f"{TRAINING.format(2)}_{kind}"
    path.unlink()
    if stand_in == "link":
        path.symlink_to("../../.git/annex/objects/xx/yy/MD5E-s9--0/MD5E-s9--0")
    else:
        path.write_text(POINTERS[stand_in][0])
    command = POINTERS.get(stand_in, ("", "datalad get"))[1]
    told = refused(small, f"got not fetched: run {command} {path}", FileNotFoundError)
    assert why(small.study(), 2) == told
    if stand_in == "link":
        path.unlink()
        path.symlink_to("elsewhere")
        refused(small, rf"got a link to nowhere \(elsewhere\): fetch or restore {path}", FileNotFoundError)
    if kind != "bold.json":
        assert small.tracks(exclude_runs=["run-2"]) == [10]


@pytest.mark.parametrize(
    "place",
    ["task-Test_events.tsv", "sub-01/sub-01_task-Test_events.tsv", "sub-01/func/sub-01_task-Test_events.tsv"],
)
def test_events_are_inherited_by_each_run(small, place):
    for run in (1, 2):
        small.bold(f"sub-01_task-Test_run-0{run}", 50 + run)
    events = small.events(small.root / place, 700)
    rules = EventRules(dummies=0, repeats=2)
    brain = small.responses(rules=rules)
    assert brain.repeats.shape == (4, 2, 10, 40)
    assert (brain.repeats[:, 0, :7] != brain.repeats[:, 1, :7]).any()
    assert f"One events file, {events.name}, applies to 2 runs: sub-01 Test run 1, sub-01 Test run 2." in brain.notes
    table = small.study(rules=rules).runs
    assert table[table.task == "Test"].events.tolist() == [str(events)] * 2


def test_nearer_events_count_more(small):
    small.events(small.root / "task-Training_events.tsv", 800)
    assert small.tracks() == [10, 20]
    small.events(small.func("sub-01") / "sub-01_task-Training_events.tsv", 900)
    refused(small, r"one events\.tsv of a folder may apply to .*run-01_bold.nii; got .*Training_events.tsv, .*run-01_")


def test_events_of_a_session_stay_in_it(tmp_path):
    small = SmallStudy(tmp_path / "study")
    for session, first in (("a", 10), ("b", 20)):
        small.bold(f"sub-01_ses-{session}_task-Training", first)
        small.events(small.root / f"sub-01/ses-{session}/sub-01_ses-{session}_task-Training_events.tsv", first)
    assert small.tracks() == [10, 20]


def test_a_run_without_number_is_a_run(small):
    """Alone, or beside runs with numbers: it comes first."""
    small.run("sub-01_task-Training", 70)
    assert small.tracks() == [70, 10, 20]
    assert small.study().runs.run.isna().tolist() == [True, False, False]


def test_numbers_are_numbers(tmp_path):
    small = SmallStudy(tmp_path / "study")
    for run, first in (("0", 10), ("10", 40), ("2", 30), ("01", 20)):
        small.bold(f"sub-01_task-Training_run-{run}", first)
        small.events(f"sub-01_task-Training_run-{run.zfill(3)}", first)  # zeros do not matter
    brain = small.responses()
    assert small.tracks() == [10, 20, 30, 40]
    assert "numbered with a gap: sub-01 has no run 3, 4, 5, 6, 7, 8, 9; runs 0, 1, 2, 10 are there." in " ".join(
        brain.notes
    )
    small.bold("sub-01_task-Training_run-002", 50)
    refused(small, r"one BOLD image must belong to .*run-002_events.tsv; got .*run-002_bold.nii and .*run-2_bold.nii")


def test_gaps_are_told(tmp_path):
    small = SmallStudy(tmp_path / "study")
    for run in (1, 3, 4):
        small.run(TRAINING.format(run), 10 * run)
    brain = small.responses()
    assert small.tracks() == [10, 30, 40]
    assert "Runs of task Training are numbered with a gap: sub-01 has no run 2; runs 1, 3, 4 are there." in brain.notes
    other = SmallStudy(tmp_path / "goes-on")
    for session, run in ((1, 1), (1, 2), (2, 3), (2, 4)):
        other.run(f"sub-01_ses-{session}_task-Training_run-{run}", 10 * run)
    assert other.tracks() == [10, 20, 30, 40]
    assert "gap" not in " ".join(other.responses().notes)


@pytest.mark.parametrize(
    "sessions", [[str(number) for number in range(1, 12)], ["post", "pre"], ["w1", "w2", "w10"], ["1", "02", "3"]]
)
def test_sessions_come_in_natural_order(tmp_path, sessions):
    small = SmallStudy(tmp_path / "study")
    for number, session in enumerate(sessions, start=1):
        small.run(f"sub-01_ses-{session}_task-Training_run-1", 10 * number)
    assert small.tracks() == [10 * number for number in range(1, len(sessions) + 1)]
    assert small.study().runs.session.tolist() == sessions


def test_an_order_that_scans_tsv_contradicts_is_told(tmp_path):
    small = SmallStudy(tmp_path / "study")
    for session, first, day in (("post", 10, 9), ("pre", 20, 2)):
        small.run(f"sub-01_ses-{session}_task-Training_run-1", first)
        table = small.root / f"sub-01/ses-{session}/sub-01_ses-{session}_scans.tsv"
        name = f"func/sub-01_ses-{session}_task-Training_run-1_bold.nii"
        table.write_text(f"filename\tacq_time\n{name}\t1925-03-0{day}T10:00:00.25Z\n")
    notes = " ".join(small.responses().notes)
    assert (
        "sub-01 ses-pre Training run 1 was measured before sub-01 ses-post Training run 1, and is read after" in notes
    )
    table.write_text(table.read_text().replace("1925-03-02", "1925-03-10"))
    assert "was measured before" not in " ".join(small.responses().notes)
    for text in ("filename\n", "filename\tacq_time\nx_bold.nii\tn/a\nx_bold.nii\t1925-02-31T00:00:00\n"):
        table.write_text(text)
        assert "was measured before" not in " ".join(small.responses().notes)


def test_both_kinds_of_image_are_refused(small):
    small.bold(TRAINING.format(2), 20, extension=".nii.gz")
    told = refused(small, r"one BOLD image must belong to .*run-02_events.tsv; got .*\.nii and .*\.nii\.gz")
    assert why(small.study(), 2) == told


def test_hidden_files_are_never_read(small):
    func = small.func("sub-01")
    used = list(func.iterdir())
    fork = bytes.fromhex("00051607000200004d6163204f53205820202020202020200002000000090000003200000e")
    for path in used:
        (func / f"._{path.name}").write_bytes(fork)
    (func / ".DS_Store").write_bytes(fork)
    (func / ".ipynb_checkpoints").mkdir()
    assert small.tracks() == [10, 20]
    reasons = all_listed(small, used) if not (func / ".ipynb_checkpoints").rmdir() else {}
    assert set(reasons.values()) == {"hidden: not looked into"}


def test_other_files_are_listed(small):
    used = list(small.func("sub-01").iterdir())
    func = small.func("sub-01")
    small.bold("sub-01_task-rest", 90)
    for name in (
        *("sub-01_task-Training_run-01_sbref.nii", "sub-01_task-Training_run-01_physio.tsv.gz", "notes.txt"),
        *("sub-01_task-rest_bold.json", "sub-01_task-Training_events.json", "inner/x.nii"),
    ):
        (func / name).parent.mkdir(exist_ok=True)
        (func / name).write_text("{}")
    reasons = all_listed(small, used)
    assert reasons["sub-01_task-rest_bold.nii"] == "task rest is not among those read: Training"
    assert reasons["sub-01_task-Training_run-01_sbref.nii"] == "sbref.nii: not read"
    assert reasons["x.nii"] == "in folder inner: runs are looked for in func"
    assert why(small.study(), 2) == ""
    table = small.study().runs
    assert table[table.task == "rest"][["scans", "used"]].to_numpy().tolist() == [[40, False]]


def test_a_sidecar_that_lost_its_image_and_events_is_a_run(small):
    path = small.func("sub-01") / f"{TRAINING.format(3)}_bold.json"
    path.write_text('{"RepetitionTime": 1.5}')
    told = refused(
        small,
        rf"a run must have an image and events \(.*exclude_runs.*\); got {path} alone",
        FileNotFoundError,
    )
    assert why(small.study(), 3) == told
    assert small.tracks(exclude_runs=["run-3"]) == [10, 20]
    path.rename(path.with_name("sub-01_task-Training_bold.json"))  # says something of every run
    assert small.tracks() == [10, 20]


def test_runs_beside_func_are_read_and_those_in_other_folders_listed(small):
    small.run(TRAINING.format(3), 30)
    func = small.func("sub-01")
    for path in func.glob("*run-03*"):
        path.rename(func.parent / path.name)
    assert small.tracks() == [10, 20, 30]
    for path in func.parent.glob("*run-03*"):
        (func.parent / "beh").mkdir(exist_ok=True)
        path.rename(func.parent / "beh" / path.name)
    unused = small.study().unused_files
    assert {path.rpartition("-")[2] for path in unused.path} == {"03_bold.nii", "03_events.tsv"}
    assert set(unused.why) == {"in folder beh: runs are looked for in func"}


def test_subjects_that_are_preprocessed_only_or_not_fetched_are_rows(small):
    prepared = small.prepared("sub-07_task-Training_run-01", 10)
    (small.root / "sub-03").symlink_to("nowhere")
    study = small.study()
    assert study.subjects == ["01", "03"]
    table = study.runs.set_index("subject")
    assert table.loc["07"].why == f"subject 07 is preprocessed, but there is no sub-07 in {small.root}"
    assert str(prepared) in set(study.unused_files.path)
    assert set(table.loc["03"].why) == {"not there (sub-01 has it)"}
    assert not table.used[["03", "07"]].any()
    assert len(study.responses("01").train) == 8


def test_names_that_do_not_fit_their_folder_are_refused(small):
    path = small.bold(TRAINING.format(3), 30)
    moved = path.rename(path.with_name("sub-02_task-Training_run-03_bold.nii"))
    told = refused(small, rf"a name must have sub-01, as its folder has; got sub-02 in {moved}")
    assert why(small.study(), 3) == told
    moved = moved.rename(path.with_name("sub-01_ses-9_task-Training_run-03_bold.nii"))
    refused(small, rf"a name must have no ses-, as its folder has; got ses-9 in {moved}")
    moved.rename(path.with_name("sub-01_task-Training_run-x_bold.nii"))
    refused(small, r"run must be a whole number of at most six digits; got 'x' in .*run-x_bold.nii")


@pytest.mark.parametrize("entry", ["sub-01_task-Training_run-2", "run-0002", "sub-01_run-02"])
def test_runs_are_left_out_by_name(small, entry):
    small.events(TRAINING.format(2), 10)  # its clips repeat those of run 1
    brain = small.responses(exclude_runs=[entry])
    assert "Left out, as asked: sub-01_task-Training_run-02." in brain.notes
    assert "gap" not in " ".join(brain.notes)
    study = small.study(exclude_runs=[entry])
    assert why(study, 2) == "left out, as asked"
    assert len(study.clips) == 4
    used = [path for path in small.func("sub-01").iterdir() if "run-01" in path.name]
    assert set(all_listed(small, used, exclude_runs=[entry]).values()) == {"left out, as asked"}


def test_entries_that_say_nothing_are_refused(small):
    for entry in ("sub-01_task-Training_run-03", "sub-02", "task-training"):
        refused(
            small,
            f"exclude_runs must match a run, such as sub-01_task-Training_run-01; got {entry}",
            exclude_runs=[entry],
        )
    for entry in ("", "run", "sub-", "sub-01_bold"):
        refused(small, f"exclude_runs must name entities, .*; got {entry!r}", exclude_runs=[entry])
    with pytest.raises(TypeError, match="exclude_runs must be a list of entries; got the text 'run-1'"):
        small.study(exclude_runs="run-1")
    refused(
        small, "task 'Training' must have runs; got no sub-01_task-Training", FileNotFoundError, exclude_runs=["sub-01"]
    )


def test_runs_that_another_subject_has(small):
    small.run("sub-02_task-Training_run-01", 10)
    small.image(small.root / "sub-03/anat/sub-03_T1w.nii", small.data(1)[..., 0])
    assert small.tracks() == [10, 20]
    assert "sub-02 lacks runs that sub-01 has: task-Training_run-2." in small.responses("02").notes
    study = small.study(exclude_runs=["sub-02_run-2"])
    assert "lacks" not in " ".join(study.responses("02").notes)
    assert len(study.clips) == 8
    table = study.runs
    assert table[table.subject == "02"].why.tolist() == ["", "not there (sub-01 has it); left out, as asked"]
    assert table[table.subject == "03"].why.tolist() == ["not there (sub-01 has it)"] * 2
    with pytest.raises(FileNotFoundError, match="task 'Training' must have runs; got no sub-03_task-Training"):
        study.responses("03")


def test_derivatives_are_accounted_for(small):
    for run in (1, 2):
        small.prepared(TRAINING.format(run), 10 * run)
        small.prepared(f"sub-01_task-Training_run-{run}", 10 * run, space="MNI")
    study = {"space": "T1w", "mask": None, "assume_aligned": False}
    assert small.tracks(**study) == [10, 20]
    func = small.func("sub-01", "fmriprep")
    used = [*small.func("sub-01").glob("*events.tsv"), *func.glob("*space-T1w*")]
    reasons = all_listed(small, used, **study)
    assert reasons["sub-01_task-Training_run-01_bold.nii"] == "another image of the run is read"
    # A run without a raw counterpart.
    path = small.prepared(TRAINING.format(3), 30)
    told = refused(small, f"a run of BOLD must have events .*; got none for {path}", FileNotFoundError, **study)
    assert why(small.study(**study), 3) == told
    small.events(small.root / "task-Training_run-3_events.tsv", 30)
    assert small.tracks(**study) == [10, 20, 30]
    # A raw run that was not preprocessed.
    path = small.run(TRAINING.format(4), 40)
    told = refused(small, "space 'T1w' needs preprocessed BOLD; got none of task 'Training', run 4", Exception, **study)
    assert why(small.study(**study), 4) == told
    for image in func.glob("*space-MNI*"):
        image.unlink()
    refused(
        small, rf"preprocessed into one space, or none .*; got raw BOLD {path} beside .*run-01_space-T1w", mask=None
    )


def test_a_bad_header_is_told(small):
    path = small.func("sub-01") / f"{TRAINING.format(2)}_bold.nii"
    path.write_bytes(path.read_bytes()[:-1])
    assert str(path) in why(small.study(), 2)
    small.bold(TRAINING.format(2), 20, volumes=30)
    assert re.search("must last until its last clip ends, 60 s", why(small.study(), 2))
    small.bold(TRAINING.format(2), 20, tr=1.6, volumes=60)
    assert why(small.study(), 2)
    small.events(TRAINING.format(2), 20).write_text("onset\n1\n")
    assert "column duration must be there once" in why(small.study(), 2)


def test_the_command_line_says_which_runs_are_used(small, tmp_path):
    settings = Settings.of(
        {"study": str(small.root), "assume_aligned": True, "exclude_runs": ["run-2"]}, "the command line"
    )
    context = Context(settings, tmp_path / "out")
    assert say_runs(context) == [
        "1 of 2 runs are used.",
        "Not used: sub-01_task-Training_run-2: left out, as asked",
    ]
    rows = runs_section(context).tables[0].rows  # of the report
    assert [row[:2] + row[3:] for row in rows] == [
        ("sub-01_task-Training_run-1", "40", "yes", ""),
        ("sub-01_task-Training_run-2", "40", "no", "left out, as asked"),
    ]
    context.write_config()
    assert Settings.load(tmp_path / "out" / "config.json") == settings
    assert settings.exclude_runs == ("run-2",)
