import threading
from pathlib import Path

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import brain2music as b2m
from brain2music import _core


def best_by_numpy(queries, items, k):
    """Cosines in float64, rounded to float32; of equal ones the lower index first."""
    queries, items = queries.astype(np.float64), items.astype(np.float64)
    cosines = queries @ items.T / np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(items, axis=1))
    scores = cosines.astype(np.float32)
    indices = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, indices, axis=1), indices


def numbered(n):
    return [f"track {i}" for i in range(n)]


@settings(deadline=None, max_examples=80)
@given(
    n=st.integers(1, 700),
    d=st.integers(1, 70),
    q=st.integers(0, 20),
    k=st.integers(1, 700),
    levels=st.sampled_from([1, 3, 10**6]),
    sketched=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_and_ties(n, d, q, k, levels, sketched, seed):
    rng = np.random.default_rng(seed)
    # Whole numbers, whose sums of products are exact, so the same in any order; few levels make many ties.
    items, queries = (rng.integers(-levels, levels + 1, (rows, d)).astype(np.float32) for rows in (n, q))
    items[~items.any(axis=1)] = 1
    queries[~queries.any(axis=1)] = 1
    k = min(k, n)
    sketch = _core.kernels.cosine_sketch(items) if sketched else None
    scores, indices = _core.kernels.cosine_top_k(queries, items, k, sketch)
    assert scores.dtype == np.float32
    assert indices.dtype == np.int64
    assert scores.shape == indices.shape == (q, k)
    theirs, rows = best_by_numpy(queries, items, k)
    np.testing.assert_array_equal(scores, theirs)
    np.testing.assert_array_equal(indices, rows)


@pytest.mark.parametrize("q", [1, 60, 300])
def test_neighbours_are_those_of_faiss(rng, q):
    items, queries = (rng.standard_normal((n, 128), dtype=np.float32) for n in (20_000, q))
    corpus = b2m.Corpus.from_embeddings(items, numbered(len(items)))
    index = corpus.to_faiss()
    assert isinstance(index, faiss.IndexFlatIP)
    theirs, rows = index.search(queries / np.linalg.norm(queries, axis=1, keepdims=True), 10)
    scores, indices = corpus.search(queries, 10)
    np.testing.assert_allclose(scores, theirs, atol=1e-6)
    apart = np.abs(np.diff(theirs, axis=1)) > 1e-6  # what float32 sums can tell apart
    clear = np.c_[np.ones((q, 1), bool), apart] & np.c_[apart, np.zeros((q, 1), bool)]
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(indices[clear], rows[clear])


@pytest.mark.parametrize("q", [1, 60, 300])
def test_many_copies_come_in_order_with_one_score(rng, device, q):
    items = rng.standard_normal((11, 40), dtype=np.float32)[np.arange(7001) % 11]
    queries = rng.standard_normal((q, 40), dtype=np.float32)
    corpus = b2m.Corpus.from_embeddings(items, numbered(len(items)))
    scores, indices = (x.cpu().numpy() for x in corpus.search(torch.from_numpy(queries).to(device), 50))
    assert np.all(scores == scores[:, :1])
    np.testing.assert_array_equal(indices, indices[:, :1] % 11 + 11 * np.arange(50))


def test_threads_make_no_difference(rng):
    items, queries = (rng.standard_normal((n, 33), dtype=np.float32) for n in (5000, 20))
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        found.append(_core.kernels.cosine_top_k(queries, items, 9))
    torch.set_num_threads(before)
    for scores, indices in found[1:]:
        np.testing.assert_array_equal(scores, found[0][0])
        np.testing.assert_array_equal(indices, found[0][1])


def test_a_query_alone_is_found_as_among_others(rng):
    corpus = b2m.Corpus.from_embeddings(rng.standard_normal((3000, 20)), numbered(3000))
    queries = rng.standard_normal((9, 20))
    scores, indices = corpus.search(queries, 7)
    for i, query in enumerate(queries):
        alone = corpus.search(query[None], 7)
        np.testing.assert_array_equal(alone[0][0], scores[i])
        np.testing.assert_array_equal(alone[1][0], indices[i])


def test_what_goes_in_comes_out(rng):
    items = rng.standard_normal((100, 6))
    corpus = b2m.Corpus.from_embeddings(torch.from_numpy(items), numbered(100))
    queries = rng.standard_normal((3, 4, 6)).astype(np.float32)
    scores, indices = corpus.search(queries, 5)
    assert isinstance(scores, np.ndarray)
    expected = best_by_numpy(queries.mean(axis=1, dtype=np.float64).astype(np.float32), corpus.values, 5)
    np.testing.assert_array_equal(indices, expected[1])
    np.testing.assert_allclose(scores, expected[0], rtol=2e-7)
    assert corpus.ids[indices].shape == (3, 5)
    there = corpus.search(torch.from_numpy(queries), 5)
    assert all(isinstance(x, torch.Tensor) for x in there)
    np.testing.assert_array_equal(there[1].numpy(), indices)
    layouts = {
        "fortran": np.asfortranarray(queries),
        "reversed": queries[::-1].copy()[::-1],
        "float64": queries.astype(np.float64),
        "big-endian": queries.astype(">f4"),
        "list": queries.tolist(),
    }
    for layout in layouts.values():
        np.testing.assert_array_equal(corpus.search(layout, 5)[1], indices)
    whole = np.round(queries * 10)
    np.testing.assert_array_equal(corpus.search(whole.astype(np.int16), 5)[1], corpus.search(whole, 5)[1])
    assert corpus.search(queries.astype(np.float16), 5)[0].dtype == np.float32


def test_embeddings_with_clip_ids_are_searched_by_their_values(rng):
    class Embeddings:
        clip_ids = ("a", "b")
        values = rng.standard_normal((2, 3, 6)).astype(np.float32)

    corpus = b2m.Corpus.from_embeddings(rng.standard_normal((20, 6)), numbered(20))
    np.testing.assert_array_equal(corpus.search(Embeddings())[1], corpus.search(Embeddings.values)[1])


def test_a_corpus_says_what_it_holds(rng, tmp_path):
    items = rng.standard_normal((7, 5))
    corpus = b2m.Corpus.from_embeddings(items, numbered(7))
    assert len(corpus) == 7
    assert corpus.dimension == 5
    assert corpus.ids.tolist() == numbered(7)
    np.testing.assert_allclose(corpus.values, items / np.linalg.norm(items, axis=1, keepdims=True), rtol=1e-6)
    assert corpus.values.dtype == np.float32
    for frozen in (corpus.values, corpus.ids):
        with pytest.raises(ValueError, match="read-only"):
            frozen[0] = frozen[1]
    assert corpus.bundle_hash is corpus.role is corpus.seconds is corpus.window is corpus.hop is corpus.files is None
    assert corpus.skipped == []
    assert repr(corpus) == "Corpus(7 items x 5 dimensions)"
    corpus.save(tmp_path / "x.index")
    opened = b2m.Corpus.open(tmp_path / "x.index", verify=True)
    np.testing.assert_array_equal(opened.values, corpus.values)
    np.testing.assert_array_equal(opened.search(items, 3)[1], corpus.search(items, 3)[1])
    assert repr(opened) == f"Corpus(7 items x 5 dimensions, {tmp_path / 'x.index'})"


def test_ids_are_left_out(rng):
    items = rng.standard_normal((30, 5))
    corpus = b2m.Corpus.from_embeddings(items, numbered(30))
    rest = corpus.exclude(["track 3", "track 29", "track 3"])
    assert len(rest) == 28
    assert rest.ids.tolist() == [name for name in numbered(30) if name not in ("track 3", "track 29")]
    assert rest.ids[rest.search(items[3:4], 28)[1]].tolist() == [
        [name for name in corpus.ids[corpus.search(items[3:4], 30)[1][0]] if name not in ("track 3", "track 29")]
    ]
    assert len(corpus) == 30
    with pytest.raises(ValueError, match=r"every id must be in the corpus .*; got 1 that are not, 'other' the first"):
        corpus.exclude(["other", "track 1"])
    assert len(corpus.exclude(["other", "track 1"], missing_ok=True)) == 29
    with pytest.raises(ValueError, match="an item must be left; got all 30"):
        corpus.exclude(numbered(30))
    with pytest.raises(TypeError, match="a sequence of str; got 'track 1'"):
        corpus.exclude("track 1")


def test_bad_input_is_refused_with_what_it_was(rng):
    items = rng.standard_normal((10, 4))
    corpus = b2m.Corpus.from_embeddings(items, numbered(10))
    bad = np.ones((3, 2, 4))
    bad[2, 1, 3] = np.nan
    with pytest.raises(ValueError, match=r"finite in float32; got nan at query 2, window 1, dimension 3"):
        corpus.search(bad)
    with pytest.raises(ValueError, match=r"must be \(queries, 4\) or \(queries, windows, 4\); got shape \[4\]"):
        corpus.search(items[0])
    with pytest.raises(ValueError, match="got 1e\\+300 at query 0, dimension 0"):
        corpus.search(np.full((1, 4), 1e300))
    with pytest.raises(ValueError, match="not all zero; got otherwise in row 1"):
        corpus.search(np.array([[1.0, 0, 0, 0], [0, 0, 0, 0]]))
    with pytest.raises(ValueError, match="not all zero; got otherwise in row 0"):
        corpus.search(np.array([[[1.0, -2, 0, 0], [-1, 2, 0, 0]]]))  # windows that cancel out
    for k in (0, -1, 11):
        with pytest.raises(ValueError, match=f"between 1 and the number of items, 10; got {k}"):
            corpus.search(items, k)
    with pytest.raises(ValueError, match="real numbers; got ComplexDouble"):
        corpus.search(items.astype(complex))
    with pytest.raises(TypeError, match="got dtype object"):
        corpus.search([[None] * 4])
    with pytest.raises(ValueError, match="an id for each of 10 embeddings; got 9"):
        b2m.Corpus.from_embeddings(items, numbered(9))
    with pytest.raises(TypeError, match="ids must be a sequence of str; got 3"):
        b2m.Corpus.from_embeddings(items, ["a", 3])
    with pytest.raises(ValueError, match="got 'track 1' twice"):
        b2m.Corpus.from_embeddings(items, [*numbered(9), "track 1"])
    with pytest.raises(ValueError, match="a direction; got zeros only at item 0"):
        b2m.Corpus.from_embeddings(items * 0, numbered(10))
    with pytest.raises(RuntimeError, match=r"No such file.*none\.index/index\.json"):
        b2m.Corpus.open("none.index")


def test_the_interpreter_lock_is_released_while_searching(rng):
    corpus = b2m.Corpus.from_embeddings(rng.standard_normal((20_000, 64)), numbered(20_000))
    queries = rng.standard_normal((500, 64))
    corpus.search(queries[:1])
    during, started, done = [], threading.Event(), threading.Event()

    def count():
        started.set()
        while not done.is_set():
            during.append(None)
            done.wait(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    started.wait()
    before = len(during)
    corpus.search(queries, 20)
    inside = len(during) - before
    done.set()
    thread.join()
    assert inside > 2


def test_an_opened_corpus_is_not_copied(rng, tmp_path):
    b2m.Corpus.from_embeddings(rng.standard_normal((1000, 8)), numbered(1000)).save(tmp_path / "x.index")
    corpus = b2m.Corpus.open(tmp_path / "x.index")
    address = corpus.values.ctypes.data
    corpus.search(corpus.values[:3], 2)
    maps = [line for line in Path("/proc/self/maps").read_text().splitlines() if "x.index/vectors.npy" in line]
    ranges = [tuple(int(end, 16) for end in line.split()[0].split("-")) for line in maps]
    assert any(start <= address < end for start, end in ranges)
