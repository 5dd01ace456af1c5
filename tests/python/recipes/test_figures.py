"""The figures on the shipped bundle's model cards are those that were measured, beside goals fixed before training."""

import json
import sys
from pathlib import Path

import pytest

import brain2music as b2m

EXAMPLE = Path(__file__).parents[3] / "examples" / "train_bundle"
MEASURED = json.loads((EXAMPLE / "figures.json").read_text())
GOALS = json.loads((EXAMPLE / "goals.json").read_text())["rows"]


@pytest.fixture
def shipped():
    return b2m.Bundle.shipped("composer", device="cpu")


def test_the_networks_that_were_measured_are_those_that_are_shipped(shipped):
    networks = {name: entry["sha256"] for name, entry in {**shipped.roles, **shipped.stages}.items()}
    assert MEASURED["networks"] == networks


def test_every_goal_was_measured_and_stands_on_a_card(shipped, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE)
    train_bundle = __import__("train_bundle")
    assert GOALS.keys() == train_bundle.CARD_OF_FIGURE.keys() == MEASURED["rows"].keys()
    for name, row in MEASURED["rows"].items():
        assert row["goal"] == GOALS[name]["goal"]
        assert row["of"] == GOALS[name]["of"]
    cards = {name: entry["card"] for name, entry in {**shipped.roles, **shipped.stages}.items()}
    for card, figures in train_bundle.figures_of_cards(EXAMPLE / "figures.json").items():
        assert cards[card]["figures"] == figures
        for figure in figures:
            missed = figure["value"] > figure["goal"] if figure.get("at_most") else figure["value"] < figure["goal"]
            assert ("reason" in figure) == missed
    sys.modules.pop("train_bundle")


def test_the_bundle_is_small_and_makes_everything(shipped):
    assert sum(path.stat().st_size for path in shipped.path.iterdir()) < 20e6
    roles = {"music_embedder", "text_embedder", "semantic_encoder", "codec", "conditioner", "tagger"}
    assert shipped.roles.keys() == roles
    assert [*shipped.stages] == ["semantic", "acoustic"]
