"""Files that are often taken for networks, or for models: each is refused by what it is."""

import re

import pytest
import torch
from made_bundle import CARD
from safetensors.torch import save_file

import brain2music as b2m
from brain2music.bundles import write

PICKLED = "weights or a module pickled by torch.save"


def weights(path, **how):
    torch.save(torch.nn.Linear(2, 2).state_dict(), path, **how)


FILES = {
    "a state_dict": (weights, PICKLED),
    "a module": (lambda path: torch.save(torch.nn.Linear(2, 2), path), PICKLED),
    "an old state_dict": (lambda path: weights(path, _use_new_zipfile_serialization=False), PICKLED),
    "safetensors": (lambda path: save_file({"weight": torch.ones(2)}, path), "weights without code (safetensors)"),
    "nothing": (lambda path: path.write_bytes(b""), "an empty file"),
    "a pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
        "not fetched: run git lfs pull --include",
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_no_torchscript_is_told_by_what_it_is(tmp_path, kind):
    make, got = FILES[kind]
    make(tmp_path / "network.pt")
    entry = {"methods": ["embed"], "sample_rate": 300, "window": 1.0, "dimension": 2, "card": CARD}
    roles = {"music_embedder": {"module": tmp_path / "network.pt", **entry}}
    with pytest.raises(ValueError, match=rf"must be TorchScript, .*; got {re.escape(got)}.* for 'music_embedder' in"):
        write(tmp_path / "bundle", name="x", description="y", roles=roles)
    assert not (tmp_path / "bundle").exists()


def test_a_model_of_another_library_is_told(tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / "x.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"that brain2music saved is expected; got .*: its metadata have no entry"):
        b2m.load(tmp_path / "x.safetensors")
