import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import brain2music as b2m
from brain2music import _core
from brain2music.bundles import Embeddings, EmbeddingSpace


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
    with pytest.raises(ValueError, match="one of the 3 that are here; got 2 of 3 that are not, 'x'"):
        music[["a", "x", "y"]]
    with pytest.raises(ValueError, match="clip_ids must differ; got 'a' twice"):
        music[["a", "b", "a"]]
    for clips in ("a", 0, slice(2), [0, 1], {"a"}, {"a": 1}):
        with pytest.raises(TypeError, match="clip id"):
            music[clips]


def test_embeddings_are_checked(rng):
    values = rng.standard_normal((2, 4, 8)).astype(np.float32)
    about = {"window": 10.0, "hop": 1.5, "role": "codec", "hash": "0f"}
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


# ---- embeddings that were computed elsewhere ---------------------------------------------------------------------


def test_arrays_become_embeddings(rng):
    values = rng.standard_normal((3, 4, 8))
    single = values.astype(np.float32)
    layouts = {
        "float64": values,
        "float32": single,
        "big-endian": values.astype(">f8"),
        "transposed": np.ascontiguousarray(values.transpose(2, 1, 0)).transpose(2, 1, 0),
        "torch": torch.from_numpy(values),
        "torch float32": torch.from_numpy(single).requires_grad_(),
        "list": values.tolist(),
        "mask that sets nothing": np.ma.array(values),
    }
    for name, layout in layouts.items():
        made = b2m.Embeddings.from_arrays(layout, ["a", "b", "c"])
        assert type(made.values) is np.ndarray, name
        assert made.values.dtype == np.float32, name
        np.testing.assert_array_equal(made.values, single, err_msg=name)
        assert (made.clip_ids, made.window, made.hop) == (("a", "b", "c"), 10.0, 1.5)
        assert (made.role, made.hash, made.space) == (None, None, None)
    for flat in (values[:, 0], torch.from_numpy(values[:, 0])):
        one = b2m.Embeddings.from_arrays(flat, SimpleNamespace(ids=np.array(["a", "b", "c"])), window=15, hop=15)
        np.testing.assert_array_equal(one.values, single[:, :1])
        assert (one.clip_ids, one.window, one.hop) == (("a", "b", "c"), 15, 15)
    assert repr(one) == "Embeddings(role=None, 3 clips x 1 windows x 8 dimensions, windows of 15 s every 15 s)"


def test_a_space_is_stated_whole_or_not(rng):
    values = rng.standard_normal((2, 4, 8))
    stated = Embeddings.from_arrays(values, ["a", "b"], 5, 1, role="mine", hash="0f" * 32)
    assert stated.space == EmbeddingSpace("mine", "0f" * 32, 5.0, 1.0)
    for part in ({"role": "mine"}, {"hash": "0f"}, {"role": "", "hash": ""}, {"role": "mine", "hash": ""}, {"hash": 3}):
        with pytest.raises(ValueError, match="role and hash must both be text, or both None, which states no space"):
            Embeddings.from_arrays(values, ["a", "b"], **part)


HUGE = np.array([[[1.0, 2.0]], [[3.0, 1e39]]])


@pytest.mark.parametrize(
    ("values", "change", "message"),
    [
        (HUGE, {}, r"\[bundles.Embeddings.from_arrays\] values must be finite in float32; got 1e\+39 for b"),
        (np.where(HUGE > 2, np.nan, HUGE), {}, "values must be finite in float32; got nan for b"),
        (torch.from_numpy(np.where(HUGE > 2, np.inf, HUGE)), {}, "values must be finite in float32; got inf for b"),
        (np.ones((2, 3), int), {}, "values must be float32 or float64; got int64"),
        ([[1, 2], [3, 4]], {}, "values must be float32 or float64; got int64"),
        (torch.ones(2, 3, dtype=torch.bfloat16), {}, "values must be float32 or float64; got torch.bfloat16"),
        (np.ones((2, 3), complex), {}, "values must be float32 or float64; got complex128"),
        (np.ones((2, 3), "longdouble"), {}, "values must be float32 or float64; got float128"),
        (np.ma.masked_equal(np.ones((2, 3)), 1), {}, "masked or missing values have no place here"),
        (np.ones(2), {}, r"values must be \(n, r, d\) or \(n, d\), .* got shape \(2,\) for 2 ids"),
        (np.ones((2, 0, 3)), {}, r"none of them 0, for n clip_ids; got shape \(2, 0, 3\) for 2 ids"),
        (np.ones((3, 4)), {}, r"for n clip_ids; got shape \(3, 4\) for 2 ids"),
        (np.ones((2, 4)), {"clip_ids": ["a", "a"]}, "clip_ids must differ; got 'a' twice"),
        (np.ones((2, 4)), {"window": 0}, "window must be a positive number of seconds; got 0"),
        (np.ones((2, 4)), {"window": float("inf")}, "window must be a positive number of seconds; got inf"),
        (np.ones((2, 4)), {"hop": -1.5}, "hop must be a positive number of seconds; got -1.5"),
        (np.ones((2, 4)), {"hop": float("nan")}, "hop must be a positive number of seconds; got nan"),
        (np.ones((2, 4)), {"hop": "1.5"}, "hop must be a positive number of seconds; got '1.5'"),
        (np.ones((2, 4)), {"hop": True}, "hop must be a positive number of seconds; got True"),
    ],
)
def test_arrays_are_checked(values, change, message):
    with pytest.raises(ValueError, match=message):
        Embeddings.from_arrays(values, **{"clip_ids": ["a", "b"], **change})


def test_ids_are_a_sequence_of_text(rng):
    for ids in ("ab", {"a", "b"}, {"a": 0, "b": 1}, [0, 1], 2):
        with pytest.raises(TypeError, match=r"\[bundles.Embeddings.from_arrays\] .*clip id"):
            Embeddings.from_arrays(rng.standard_normal((2, 4)), ids)


def test_a_space_that_is_not_stated_stays_so_in_a_file(rng, tmp_path):
    values = rng.standard_normal((4, 2, 8)).transpose(2, 1, 0)
    made = Embeddings.from_arrays(values, list("abcdefgh"), window=np.float32(2.5), hop=1)
    made.save(tmp_path / "mine.safetensors")
    read = Embeddings.load(tmp_path / "mine.safetensors")
    np.testing.assert_array_equal(read.values, made.values)
    assert (read.clip_ids, read.window, read.hop) == (made.clip_ids, 2.5, 1.0)
    assert (read.role, read.hash, read.space) == (None, None, None)
    assert made[["c", "a"]].space is None
