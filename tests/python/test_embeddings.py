import json
from types import SimpleNamespace

import numpy as np
import pytest

from brain2music import _core
from brain2music.bundles import Embeddings


def embeddings(rng, ids=("a", "b", "c"), **changes):
    fields = {"window": 10.0, "hop": 1.5, "role": "music_embedder", "hash": "0" * 64, **changes}
    return Embeddings(rng.standard_normal((len(ids), 4, 8)).astype(np.float32), tuple(ids), **fields)


def test_embeddings_join_by_clip_id(rng):
    music = embeddings(rng)
    chosen = music[["c", "a"]]
    assert chosen.clip_ids == ("c", "a")
    np.testing.assert_array_equal(chosen.values, music.values[[2, 0]])
    assert (chosen.window, chosen.hop, chosen.role, chosen.hash) == (10.0, 1.5, "music_embedder", "0" * 64)
    clips = SimpleNamespace(ids=np.array(["b", "c"]))
    assert music[clips].clip_ids == ("b", "c")
    assert all(type(clip) is str for clip in music[clips].clip_ids)
    assert len(music[clips]) == 2
    with pytest.raises(ValueError, match="got 2 of 3 that are not among the 3 embedded, 'x' the first"):
        music[["a", "x", "y"]]
    with pytest.raises(ValueError, match="clip_ids must differ; got 'a' twice"):
        music[["a", "b", "a"]]
    for clips in ("a", 0, slice(2), [0, 1]):
        with pytest.raises(TypeError, match="clip id"):
            music[clips]


def test_embeddings_are_checked(rng):
    values = rng.standard_normal((2, 4, 8)).astype(np.float32)
    about = {"window": 10.0, "hop": 1.5, "role": "codec", "hash": ""}
    for wrong in (values[0], values.astype(float), values[:1]):
        with pytest.raises(ValueError, match=r"values must be \(n, r, d\) float32 for n clip_ids; got"):
            Embeddings(wrong, ("a", "b"), **about)
    values[1, 2, 3] = np.inf
    with pytest.raises(ValueError, match="got NaN or Inf for b"):
        Embeddings(values, ("a", "b"), **about)
    assert repr(embeddings(rng)) == (
        "Embeddings(role='music_embedder', 3 clips x 4 windows x 8 dimensions, windows of 10 s every 1.5 s)"
    )


def test_embeddings_are_saved_as_anyone_reads_them(rng, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    music = embeddings(rng, ids=("blues.00017_6.44", "é"))
    path = tmp_path / "music.safetensors"
    music.save(path)
    read = Embeddings.load(path)
    np.testing.assert_array_equal(read.values, music.values)
    for field in ("clip_ids", "window", "hop", "role", "hash"):
        assert getattr(read, field) == getattr(music, field)
    with safetensors.safe_open(path, "numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("values"), music.values)
        assert json.loads(file.metadata()["clip_ids"]) == list(music.clip_ids)
    _core.io.save_safetensors(path, {"values": music.values}, {"format": "else"})
    with pytest.raises(ValueError, match="the file must hold 'brain2music embeddings 1'; got 'else' in"):
        Embeddings.load(path)
    metadata = {"format": "brain2music embeddings 1", "clip_ids": '["a"]', "about": "{}"}
    _core.io.save_safetensors(path, {"values": music.values}, metadata)
    with pytest.raises(ValueError, match="the metadata must be whole; got"):
        Embeddings.load(path)
