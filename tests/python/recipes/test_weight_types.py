"""The costs of types of weights that the documentation tells are those that were measured with the shipped stages."""

import json
from pathlib import Path

import numpy as np
import pytest

import brain2music as b2m

EXAMPLE = Path(__file__).parents[3] / "examples" / "train_bundle"
MEASURED = json.loads((EXAMPLE / "weight_types.json").read_text())
GOALS = json.loads((EXAMPLE / "goals.json").read_text())["rows"]
COMPARED = ["bfloat16", "int8", "float32, another seed"]


def test_the_stages_that_were_measured_are_those_that_are_shipped():
    stages = b2m.Bundle.shipped("composer", device="cpu").stages
    assert MEASURED["stages"] == {name: entry["sha256"] for name, entry in stages.items()}


def test_every_row_is_a_goal_and_has_all_columns():
    assert "generated_identifies_condition" in MEASURED["rows"]
    assert MEASURED["rows"].keys() <= GOALS.keys()
    for row in MEASURED["rows"].values():
        assert [*row["columns"]] == ["float32", *COMPARED]
        assert row["n"] > 1
        assert row["samples"] >= 1
    for shares in MEASURED["same_codes"].values():
        assert [*shares] == COMPARED
        assert all(0 <= share <= 1 for share in shares.values())


@pytest.mark.parametrize("column", COMPARED)
def test_intervals_are_those_of_the_differences(column):
    for row in MEASURED["rows"].values():
        reference, cell = row["columns"]["float32"], row["columns"][column]
        assert cell["difference"] == pytest.approx(cell["mean"] - reference["mean"], abs=2e-5)
        half = 1.96 * cell["deviation"] / np.sqrt(row["n"])
        assert cell["interval"] == pytest.approx([cell["difference"] - half, cell["difference"] + half], abs=2e-5)


def test_the_comparison_is_that_of_scipy(monkeypatch):
    stats = pytest.importorskip("scipy.stats")
    monkeypatch.syspath_prepend(EXAMPLE)
    compared = __import__("weight_types").compared
    rng = np.random.default_rng(3)
    values = {name: rng.random(4000) for name in ("float32", "int8")}
    cell = compared(values)["int8"]
    paired = stats.ttest_rel(values["int8"], values["float32"]).confidence_interval(0.95)
    assert cell["interval"] == pytest.approx([*paired], abs=2e-5)  # Student's t is nearly normal with 4,000 clips


def test_a_type_that_the_shipped_bundle_declares_costs_no_more_than_the_limit():
    for entry in b2m.Bundle.shipped("composer", device="cpu").stages.values():
        for dtype in entry["dtypes"]:
            if dtype in COMPARED:
                intervals = [row["columns"][dtype]["interval"] for row in MEASURED["rows"].values()]
                assert all(low > MEASURED["limit"] for low, _ in intervals)


def test_the_page_shows_every_row(monkeypatch, tmp_path):
    assert (
        "build/docs/weight_types.rst" in (EXAMPLE.parents[1] / "docs" / "explanation" / "performance.rst").read_text()
    )
    monkeypatch.syspath_prepend(EXAMPLE.parents[1] / "docs")
    page = __import__("draw_weight_types")
    page.main(tmp_path / "build" / "weight_types.rst")
    written = (tmp_path / "build" / "weight_types.rst").read_text()
    assert MEASURED["rows"].keys() <= page.ROWS.keys()
    for name, row in MEASURED["rows"].items():
        assert f"   * - {page.ROWS[name]}\n     - {row['n']}\n     - {row['samples']}\n" in written
        for column in COMPARED:
            cell = row["columns"][column]
            low, high = cell["interval"]
            assert f"{cell['difference']:+.3f} ({low:+.3f} to {high:+.3f})" in written


def test_the_pieces_that_all_columns_have_are_compared(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE)
    Pieces = __import__("weight_types").Pieces
    pieces = Pieces.__new__(Pieces)
    complete = {("true", 1): 5, ("true", 2): 3, ("true", 3): 1, ("captions", 1): 2}
    monkeypatch.setattr(pieces, "batches", lambda source: [np.array([i]) for i in range(5)], raising=False)
    monkeypatch.setattr(
        pieces, "_complete", lambda source, count, batch: batch[0] < complete.get((source, count), 0), raising=False
    )
    assert [pieces._most(source, 3)[0] for source in ("true", "captions")] == [2, 1]
    assert [len(pieces._most(source, 3)[1]) for source in ("true", "captions")] == [3, 2]
