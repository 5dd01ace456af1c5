"""Rates on the noise of a real brain, as they were measured and as the page quotes them."""

import json
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "resting_noise"
KEPT = json.loads((EXAMPLE / "results.json").read_text())
PAGE = " ".join((ROOT / "docs" / "explanation" / "significance.rst").read_text().split())


def test_the_script_measures_what_is_kept(monkeypatch, tmp_path):
    """On made noise, in place of a download of 60 MB."""
    monkeypatch.syspath_prepend(EXAMPLE)
    script = __import__("resting_noise")
    noise = np.random.default_rng(0).standard_normal((652, 400)).cumsum(axis=0).astype(np.float32)
    monkeypatch.setattr(script, "recording", lambda wheel: noise)
    script.main(["--studies", "4", "--wheel", "none", "--out", str(tmp_path / "results.json")])
    made = json.loads((tmp_path / "results.json").read_text())
    assert made.keys() == KEPT.keys()
    assert made["nulls"].keys() == KEPT["nulls"].keys()
    assert made["recording"] == {**KEPT["recording"], "vertices": 400}
    for name, row in KEPT["nulls"].items():
        assert made["nulls"][name].keys() == row.keys()
        mean, error = row["vertices rejected"]["0.05"], row["standard error"]["0.05"]
        assert row["beside three standard errors of 0.05"] == script.verdict(mean - 0.05, 3 * error)
    assert all(KEPT["nulls"][name]["beside three standard errors of 0.05"] != "too often" for name in script.CLAIMED)


def test_null_studies_of_made_noise_are_rejected_as_often_as_they_should_be():
    made = json.loads((ROOT / "examples" / "null_studies" / "results.json").read_text())
    error = made["standard error of clips, between studies"]
    assert made["studies"] == 200
    assert abs(made["voxels rejected"]["clips"] - 0.05) <= 3 * error
    assert 3 <= made["studies with a rejection"]["largest"] <= 19
    assert made["calibrated"]


def test_the_page_quotes_what_was_measured_on_made_noise():
    rejected = json.loads((ROOT / "examples" / "null_studies" / "results.json").read_text())["voxels rejected"]
    plain = [f"{100 * rejected[f'{folds} folds, taken as independent']:.0f} %" for folds in (2, 5)]
    own = [f"{100 * rejected[f'{folds} folds']:.1f} %" for folds in (2, 5)]
    assert f"below {plain[0]} at 0.05 with two folds, and {plain[1]} with five" in PAGE
    assert f"calls {own[0]} and {own[1]} significant" in PAGE
    assert (
        f"calls {100 * rejected['paper']:.0f} % of the voxels significant at 0.05, where orders of the clips call 5 %"
        in PAGE
    )


def test_the_page_quotes_what_was_measured():
    rows = KEPT["nulls"]

    def percent(name, digits=1, level="0.05"):
        return f"{100 * rows[name]['vertices rejected'][level]:.{digits}f} %"

    paper = [f"{music}, the paper's null" for music in ("clips", "scans")]
    for words in (
        f"call {percent('clips')} of the vertices significant at 0.05",
        f"(standard error {100 * rows['clips']['standard error']['0.05']:.3f} %)",
        f"and {percent('clips', 2, '0.001')} at 0.001",
        f"in {rows['clips']['studies with a rejection']['largest']} of {rows['clips']['studies']} studies",
        f"{percent('clips, 3 of a piece in succession')} are called significant",
        f"call {percent('scans, one run')} significant with one test run",
        f"and {percent('scans, three runs')} with three",
        f"gives {percent(paper[0], 0)} with clips and {percent(paper[1], 0)} with music that goes on",
    ):
        assert words in PAGE
