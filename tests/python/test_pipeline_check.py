"""``brain2music check``: it passes exactly the studies that are read, and says all that is wrong at once."""

import json
import re

import numpy as np
import pytest
from whole_study import RULES, WholeStudy, edit, header, refusal

from brain2music import pipeline
from brain2music.cli import main


@pytest.fixture
def whole(tmp_path):
    return WholeStudy(tmp_path / "study")


#: What is done to the study, and words of each problem that it makes; none where it is read all the same.
CASES = {
    "as it is": (lambda s: None, []),
    "hidden files beside": (lambda s: s.of().with_name("._x_bold.nii").write_bytes(b"x"), []),
    "events out of order": (
        lambda s: s.of(ending="_events.tsv").write_text(
            "\n".join(np.array(s.of(ending="_events.tsv").read_text().splitlines())[[0, 3, 1, 4, 2]]) + "\n"
        ),
        [],
    ),
    "a subject without runs": (lambda s: s.image(s.root / "sub-03/anat/sub-03_T1w.nii", s.data(1)[..., 0]), []),
    "another task": (lambda s: s.bold("sub-01_task-Rest_run-1", 5), []),
    "no events": (lambda s: s.of(ending="_events.tsv").unlink(), ["a run of BOLD must have events"]),
    "no image": (lambda s: s.of("02", "Test").unlink(), ["sub-02: .*one BOLD image must belong to"]),
    "no test runs": (
        lambda s: (s.of("02", "Test").unlink(), s.of("02", "Test", ending="_events.tsv").unlink()),
        ["sub-02: .*task 'Test' must have runs"],
    ),
    "another genre": (lambda s: s.rules.write_text(json.dumps({**RULES, "genres": ["blues"]})), ["one of blues"]),
    "a clip heard twice": (
        lambda s: edit(s.of(ending="_events.tsv"), "\t11\t", "\t10\t"), ["must be heard once"],
    ),
    "an onset between scans": (
        lambda s: edit(s.of(ending="_events.tsv"), "45\t15", "45.7\t15"), ["must fall on the start of a scan"],
    ),
    "an image that is cut": (lambda s: s.of().write_bytes(s.of().read_bytes()[:-9]), ["must have .* bytes; got"]),
    "an image that is none": (lambda s: s.of().write_bytes(b"no image"), ["the header must be NIfTI's"]),
    "another TR": (lambda s: header(s.of(), pixdim=[1, 3, 3, 3, 2, 1, 1, 1]), ["must have one TR|start of a scan"]),
    "another grid": (lambda s: s.image(s.of(), np.ones((4, 2, 2, 40), np.int16)), ["all runs must have one grid"]),
    "a run too short": (lambda s: s.image(s.of(), s.data(1, 30)), ["must last until its last clip ends"]),
    "no labels": (lambda s: (s.root / "labels.nii.gz").unlink(), ["labels"]),
    "labels without names": (lambda s: (s.root / "labels.tsv").unlink(), ["labels must have names"]),
    "no track": (lambda s: s.track("jazz.00012", 1).unlink(), ["one file must hold track jazz.00012"]),
    "a track that is cut": (lambda s: s.track("jazz.00012", 1, 5), ["the track must last until end"]),
    "a silent track": (lambda s: s.track("jazz.00012", 1, level=0), ["a clip must hold sound"]),
    "a track that is none": (lambda s: s.track("jazz.00012", 1).write_bytes(b"noise"), ["must be audio"]),
    "a caption missing": (
        lambda s: edit(s.root / "captions.csv", "jazz.00012,some jazz\n", ""), ["every clip must have a caption"],
    ),
    "no test task": (lambda s: s.rules.write_text(json.dumps({**RULES, "test_task": None})), []),
    "a sidecar that is none": (lambda s: s.of(ending="_bold.json").write_text("{"), ["a sidecar must be JSON"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_passed_is_read_and_what_is_read_is_passed(whole, case):
    change, wanted = CASES[case]
    change(whole)
    found = pipeline.check(whole.context())
    assert (not found.problems) == (refusal(whole.context()) is None), found.problems
    assert len(found.problems) >= len(wanted)
    for words in wanted:
        assert any(np.array([bool(re.search(words, one)) for one in found.problems])), found.problems
    if not wanted:
        assert found.problems == []


def test_all_that_is_wrong_is_said_at_once(whole, capsys):
    for case in ("no events", "no image", "no track", "a caption missing"):
        CASES[case][0](whole)
    whole.track("jazz.00013", 1).unlink()
    assert main(whole.command()) == 1
    said = capsys.readouterr()
    for words in (
        "sub-01: [study.layout] a run of BOLD must have events",
        "sub-02: [study.layout] one BOLD image must belong to",
    ):
        assert words in said.out
    assert "[cli.check] a run must be able to read the study; got 3 problems" in said.err
    # The music is looked at once the events say what was heard.
    whole.events("sub-01_task-Training_run-1", 10)
    whole.bold("sub-02_task-Test_run-1", 30)
    assert main(whole.command()) == 1
    said = capsys.readouterr()
    assert said.out.count("one file must hold track") == 2
    assert "every clip must have a caption; got none for 1 clips, jazz.00012_0.00" in said.out
    assert "got 3 problems" in said.err


def test_what_would_be_read_is_shown(whole, capsys):
    CASES["a subject without runs"][0](whole)
    assert main(whole.command("--select", "acq-none")) == 1  # nothing is left
    capsys.readouterr()
    assert main(whole.command()) == 0
    out = capsys.readouterr().out
    assert "2 of 3 subjects" in out
    assert "Not read: sub-03: no runs of task Training" in out
    assert "sub-01: 2 training and 1 test runs, 8 and 4 clips, 40 voxels in 4 regions, own space, TR 1.5 s" in out
    assert "music: 12 clips, each decoded" in out
    assert "captions: 12" in out
    assert not (whole.root.parent / "out").exists()


def test_what_decoding_asks_for_is_checked(whole):
    found = pipeline.check(whole.context(rois="destrieux"))
    assert any("rois" in one for one in found.problems)
    assert (
        pipeline.check(whole.context(embeddings=("nothing",))).problems[-1].startswith("[pipeline.Context] the bundle")
    )


def test_a_run_begins_with_it(whole, capsys, tmp_path):
    CASES["no track"][0](whole)
    command = ["run", *whole.command()[1:2], str(tmp_path / "results"), *whole.command()[2:]]
    assert main(command) == 1
    assert "one file must hold track jazz.00012" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
