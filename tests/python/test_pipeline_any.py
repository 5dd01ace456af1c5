"""What a check passes is run to its report: studies of few clips and runs, unequal subjects, odd TRs, lost scans."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from any_study import AnyStudy, dealt, named

from brain2music import pipeline
from brain2music.cli import main
from brain2music.pipeline import evaluating
from brain2music.pipeline.context import Context

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:\[[a-zA-Z.]+\] the grid of alphas:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:a clip ends at:UserWarning"),
]

MUSIC = ("--embeddings", "music_embedder")
LONGER = {**named(20), **{f"k{n:02d}": ("abc"[n % 3], 18.0) for n in range(20, 24)}}
REPEATED = {**dealt(named(18), 3), ("01", "test", 1): ["k18", "k19", "k20"], ("01", "test", 2): ["k18"]}

#: What to write, what to run it with, and words that the report's notes hold.
STUDIES = {
    "two runs, no test task": (
        lambda root: AnyStudy(root, dealt(named(24), 2), named(24)), MUSIC, "There are no test runs"
    ),
    "one run": (
        lambda root: AnyStudy(root, dealt(named(16, 2), 1), named(16, 2)), MUSIC, "chosen over folds of clips"
    ),
    "a number of folds of clips": (
        lambda root: AnyStudy(root, dealt(named(12), 3), named(12)), (*MUSIC, "--cv", "3"), ""
    ),
    "scans lost in nearly all clips, and windows of one scan": (
        lambda root: AnyStudy(root, dealt(named(24), 3), named(24),
                              lost={("01", "listen", run): range(1, 80, 7) for run in (1, 2, 3)}),
        (*MUSIC, "codec", "--censor", "framewise_displacement=0.5", "--no-encoding", "--no-held-out-genres"),
        "presentations of training clips lose scans",
    ),
    "subjects whose longest clips differ": (
        lambda root: AnyStudy(root, {**dealt(LONGER, 3), **dealt(named(20), 3, "02")}, LONGER, equal_lengths=False),
        (*MUSIC, "--no-held-out-genres"), "windows are not there in all clips",
    ),
    "clips that are no whole number of scans": (
        lambda root: AnyStudy(root, dealt(named(24), 3), named(24), tr=2.0, gap=1, delay=2, snap=1.0),
        (*MUSIC, "--delay", "4", "--no-held-out-genres"), "windows have no target",
    ),
    "hardly a test clip heard twice": (
        lambda root: AnyStudy(root, REPEATED, named(21, seconds=10.5)), (*MUSIC, "--no-held-out-genres"),
        "No noise ceiling",
    ),
    "training clips of one genre": (
        lambda root: AnyStudy(root, {**dealt(named(18), 3), ("01", "test", 1): ["k18", "k19", "k20"]},
                              {**named(18, 1), **{f"k{n}": ("ab"[n % 2], 15.0) for n in (18, 19, 20)}}),
        (*MUSIC, "--no-encoding"), "No genre was held out for decoding: without a fewer than 8 training clips",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STUDIES)
def test_what_a_check_passes_is_run(case, tmp_path, capsys):
    write, options, told = STUDIES[case]
    study = write(tmp_path / "study")
    assert main(["check", str(study.root), *study.command(*options)]) == 0, capsys.readouterr().out
    assert main(["run", "--quiet", str(study.root), str(tmp_path / "out"), *study.command(*options)]) == 0
    table = pd.read_csv(tmp_path / "out" / "evaluate.tsv", sep="\t")
    assert np.isfinite(table[["value", "chance", "oracle"]].to_numpy()).all()
    headline = table[(table.stage == "decode-test") & (table.metric == "identification") & (table.genre == "all")]
    assert len(headline) == len(set(table.subject)) * len(set(table.embedding))
    assert told in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--n-rois", "7"), "n_rois must be at most the regions of 10 voxels or more, 6; got 7"),
        (("--cv", "9"), "every fold must hold two clips or more; got 9 folds of 12 clips"),
        (("--delay", "300"), "4 training clips or more must have scans, at a delay of 200 scans; got 0"),
    ],
)
def test_what_a_run_would_refuse_a_check_says(options, message, tmp_path, capsys):
    study = AnyStudy(tmp_path / "study", dealt(named(12), 3), named(12))
    command = [str(study.root), *study.command(*MUSIC, *options)]
    assert main(["check", *command]) == 1
    assert message in capsys.readouterr().out
    assert main(["run", "--quiet", *command[:1], str(tmp_path / "out"), *command[1:]]) == 1


def test_music_of_the_truth_is_joined_by_clip():
    """Subjects may hear the clips in another order, or not all of them."""
    rng = np.random.default_rng(0)
    clips, truth = np.array(list("abcdefgh")), rng.standard_normal((8, 1, 6)).astype(np.float32)
    oracle = SimpleNamespace(clips=tuple(clips), embedded=truth + 0.1 * rng.standard_normal((8, 1, 6)), tags=None)
    found = []
    for order in (np.arange(8), rng.permutation(8)[:6]):
        made = SimpleNamespace(embedded=truth[order], tags=None)
        table = pipeline.decoding.ClipTable(clips[order], np.full(len(order), "jazz"))
        decoded = SimpleNamespace(subject="01", embedding="music_embedder", test_target=truth[order], test_clips=table)
        context = SimpleNamespace(settings=SimpleNamespace(conditioning=("clip",), seed=0))
        rows = evaluating._generation(context, "clip", made, decoded, oracle, None)
        found.append(next(row.oracle for row in rows if row.metric == "identification" and row.genre == "all"))
    assert found == [1.0, 1.0]


def test_windows_of_any_study(tmp_path):
    """They start with scans, and are no longer than the shortest clip; a text stands for the longest."""
    for tr, seconds, wanted in (
        (1.5, 15, (1.5, 10.0, 15.0)),
        (1.49, 14.9, (1.49, 10.0, 15.0)),
        (2.0, 6, (2.0, 6.0, 6.0)),
        (2.5, 6, (2.5, 5.0, 5.0)),
        (0.8, 16, (1.6, 10.0, 16.0)),
        (3.0, 21, (3.0, 10.0, 21.0)),
    ):
        clips = named(6, seconds=seconds)
        study = AnyStudy(tmp_path / f"study-{tr}-{seconds}", dealt(clips, 2), clips, tr=tr, gap=2, snap=1.3)
        settings = pipeline.Settings(str(study.root), events=str(study.root / "rules.json"), assume_aligned=True)
        context = Context(settings, tmp_path / "out", progress=False)
        found = context.hop, context.window(10.0), context.window(15.0, whole=True)
        assert found == pytest.approx(wanted), (tr, seconds)


def test_settings_are_not_changed_by_a_file_that_is_not_there(tmp_path):
    study = AnyStudy(tmp_path / "study", dealt(named(12), 3), named(12))
    out = tmp_path / "out"
    assert main(["embed", "--quiet", str(out), "--study", str(study.root)]) == 1  # the rules are not the defaults
    (out / "config.json").write_text(json.dumps({"study": str(study.root), "events": str(study.root / "rules.json")}))
    before = (out / "config.json").read_text()
    assert main(["embed", "--quiet", str(out), "--embeddings-file", str(tmp_path / "none.safetensors")]) == 1
    assert (out / "config.json").read_text() == before
