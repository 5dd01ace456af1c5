"""Masked arrays and their like are refused by every public function, whatever the argument; found by introspection."""

import importlib
import inspect
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import torch
from public_rooms import ROOMS

import brain2music as b2m
from brain2music import _core
from brain2music.plain_arrays import refuse_masked


def masked(shape=(4, 3)):
    array = np.ma.array(np.arange(float(np.prod(shape))).reshape(shape), mask=False)
    array[(0,) * len(shape)] = np.ma.masked
    return array


def public_methods(public):
    for name, member in inspect.getmembers(public):
        if name.startswith(("_", "get_", "set_")) or not (inspect.isfunction(member) or inspect.ismethod(member)):
            continue
        yield name, member


def arguments():
    """Every argument of every public function, of every constructor that keeps arrays, and of every public method."""
    for room in ROOMS:
        try:
            module = importlib.import_module(f"brain2music.{room}")
        except ImportError:  # Dask is an extra
            continue
        for name in module.__all__:
            public = getattr(module, name)
            calls = []
            if inspect.isfunction(public):
                calls.append((f"{room}.{name}", public, None))
            elif isinstance(public, type):
                if not hasattr(public, "get_params") and "__init__" in vars(public):
                    calls.append((f"{room}.{name}", public, None))
                calls += [
                    (f"{room}.{name}.{method}", member, public if inspect.isfunction(member) else None)
                    for method, member in public_methods(public)
                ]
            for where, function, owner in calls:
                for parameter in inspect.signature(function).parameters.values():
                    if parameter.name == "self" or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                        continue
                    yield pytest.param(where, function, owner, parameter.name, id=f"{where}({parameter.name})")


ALL = list(arguments())


def test_the_walk_finds_what_takes_arrays():
    found = {param.id for param in ALL}
    assert len(found) > 150
    assert {
        "ridge.RidgeCV.fit(X)",
        "ridge.RidgeCV.fit(sample_weight)",
        "ridge.RidgeCV.score(y)",
        "ridge.KernelRidgeCV.predict(X)",
        "ridge.BandedRidgeCV.fit(groups)",
        "ridge.BatchedRidgeCV.fit(X)",
        "ridge.FoldStatistics.gather(X)",
        "ridge.held_out_rows(groups)",
        "decoding.BrainDecoder.fit(rois)",
        "retrieval.Corpus.from_embeddings(array)",
        "retrieval.Corpus.search(embedding)",
        "bundles.Bundle.embed(what)",
        "bundles.Embeddings(values)",
        "metrics.p_value(null)",
        "signal.zscore(runs)",
        "study.average_windows(responses)",
        "plotting.plot_embedding(predicted)",
        "evaluation.evaluate_decoding(predicted)",
    } <= found


@pytest.mark.parametrize(("where", "function", "owner", "name"), ALL)
def test_every_argument_refuses_masked_arrays(where, function, owner, name):
    given = {} if owner is None else {"self": object.__new__(owner)}
    if owner is not None and hasattr(owner, "get_params"):
        given["self"] = owner()
    rest = [p for p in inspect.signature(function).parameters if p == "self"]
    positional = [given[p] for p in rest]
    for value in (masked(), [np.zeros(3), masked()], (1.0, np.ma.masked), {"a": masked()}):
        message = rf"\[[\w.]+\] masked or missing values have no place here; got a masked array .* for {name}: fill"
        with pytest.raises(ValueError, match=message):
            function(*positional, **{name: value})


ESTIMATORS = [
    public
    for room in ("ridge", "decoding")
    for public in vars(importlib.import_module(f"brain2music.{room}")).values()
    if isinstance(public, type) and hasattr(public, "get_params")
]


@pytest.mark.parametrize(
    ("estimator", "name"),
    [(public, name) for public in ESTIMATORS for name in inspect.signature(public).parameters],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_estimators_keep_their_parameters_and_refuse_them_when_fitted(estimator, name):
    value = [(np.arange(4), masked((4,)))] if name == "cv" else masked()
    model = estimator(**{name: value})
    assert getattr(model, name) is value
    with pytest.raises(ValueError, match=f"masked or missing values .* for {name}: fill"):
        model.fit(np.zeros((8, 2)), np.zeros((8, 2)))


class Marked(np.ndarray):
    """An array of another library, with a mask."""

    mask = np.array([True, False])


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (masked((5,)), r"a masked array of shape \(5,\) with 1 masked"),
        (np.ma.masked_equal(np.arange(6).reshape(2, 3) % 3, 1), r"a masked array of shape \(2, 3\) with 2 masked"),
        (np.ma.masked, r"a masked array of shape \(\) with 1 masked"),
        ([[[np.ma.masked]]], "a masked array"),
        (np.array([1, np.ma.array(2, mask=True)[()]], dtype=object), "a masked array"),
        (np.ma.array([(1, 2.0)], mask=[(0, 1)], dtype=[("a", int), ("b", float)]), "a masked array of"),
        (np.zeros(2).view(Marked), r"a masked array of shape \(2,\) with 1 masked"),
        (pd.array([1, None, 3], dtype="Int64"), r"a pandas IntegerArray with 1 missing \(<NA>\)"),
        (pd.Series([True, None], dtype="boolean"), "a pandas Series with 1 missing"),
        (pd.Series(["a", None], dtype="string"), "a pandas Series with 1 missing"),
        (pd.DataFrame({"a": pd.array([1.5, None], dtype="Float64"), "b": [1, 2]}), "a pandas DataFrame with 1 missing"),
        (pd.Categorical(["a", None]), "a pandas Categorical with 1 missing"),
        ([1, pd.NA], "pandas' <NA>"),
        (np.array([1, pd.NaT], dtype=object), "pandas' NaT"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_loses_its_meaning_is_named(value, found):
    with pytest.raises(ValueError, match=rf"^\[room\.function\] .* have no place here; got {found}.* for X: "):
        refuse_masked(value, "X", "room.function")


@pytest.mark.filterwarnings("ignore")  # torch calls these beta, or old
@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: torch.eye(3).to_sparse(), "a tensor of layout torch.sparse_coo"),
        (lambda: torch.eye(3).to_sparse_csr(), "a tensor of layout torch.sparse_csr"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "a nested tensor"),
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), r"a quantised tensor \(torch.qint8\)"),
        (lambda: torch.masked.masked_tensor(torch.ones(2), torch.tensor([True, False])), "a torch MaskedTensor"),
    ],
)
def test_tensors_that_are_not_plain_are_named(make, found):
    with pytest.raises(ValueError, match=rf"^\[room\.function\] .* have no place here; got {found}.* for X: "):
        refuse_masked(make(), "X", "room.function")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [lambda x: x.to_sparse(), lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)])
def test_the_extension_refuses_them_too(make):
    for value in (make(torch.eye(3)), masked()):
        with pytest.raises(ValueError, match=r"have no place here; got a (tensor of layout|quantised|masked)"):
            _core.signal.zscore(value, [])


@pytest.mark.parametrize(
    "value",
    [
        np.ma.array(np.arange(3.0)),
        np.ma.array(np.arange(3.0), mask=[False] * 3),
        pd.Series([1.0, np.nan]),
        pd.DataFrame({"a": pd.array([1, 2], dtype="Int64")}),
        torch.ones(3, requires_grad=True),
        [[1.0, 2.0], [3.0, float("nan")]],
        np.array(["a", None], dtype=object),
        {"a": [1, 2], "b": "text"},
        None,
    ],
    ids=str,
)
def test_plain_values_pass(value):
    refuse_masked(value, "X", "room.function")


def test_an_array_whose_mask_sets_nothing_is_a_plain_array(rng):
    X, y = rng.standard_normal((40, 3)), rng.standard_normal((40, 2))
    plain = b2m.ridge.RidgeCV(alphas=[1.0]).fit(X, y)
    unmasked = b2m.ridge.RidgeCV(alphas=[1.0]).fit(np.ma.array(X), np.ma.array(y, mask=np.zeros(y.shape, bool)))
    np.testing.assert_array_equal(unmasked.coef_, plain.coef_)
    assert type(unmasked.coef_) is np.ndarray
    bold = rng.standard_normal((30, 4)).astype(np.float32)
    np.testing.assert_array_equal(b2m.signal.zscore(np.ma.array(bold)), b2m.signal.zscore(bold))


def test_a_tensor_that_is_negative_by_a_flag_is_read_as_it_is(rng):
    """``torch.conj`` flips signs lazily: memory holds the opposite."""
    z = torch.from_numpy(rng.standard_normal((30, 4)) + 1j * rng.standard_normal((30, 4)))
    lazy = z.conj().imag
    assert lazy.is_neg()
    np.testing.assert_array_equal(b2m.signal.zscore(lazy), b2m.signal.zscore(-z.imag))
    y = torch.from_numpy(rng.standard_normal((30, 2)))
    fits = [b2m.ridge.RidgeCV(alphas=[1.0]).fit(X, y) for X in (lazy, -z.imag)]
    np.testing.assert_allclose(fits[0].coef_, fits[1].coef_, atol=1e-12)


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_complex_numbers_are_refused_where_real_ones_are_meant(rng, convert):
    z = rng.standard_normal((30, 4)) + 1j * rng.standard_normal((30, 4))
    x = rng.standard_normal((30, 4))
    calls = [
        lambda: b2m.ridge.RidgeCV().fit(convert(z), convert(x)),
        lambda: b2m.ridge.RidgeCV().fit(convert(x), convert(z)),
        lambda: b2m.ridge.BatchedRidgeCV().fit([convert(z)], convert(x)),
        lambda: b2m.ridge.KernelRidgeCV().fit(convert(z), convert(x)),
        lambda: b2m.ridge.BandedRidgeCV(n_iter=1).fit([convert(z)], convert(x)),
        lambda: b2m.ridge.FoldStatistics.gather(convert(z), convert(x), cv=2),
        lambda: b2m.metrics.permutation_null(convert(z), convert(x), n_permutations=3),
        lambda: b2m.plotting.plot_embedding(convert(z), convert(x), ["a"] * 30),
        lambda: b2m.signal.zscore(convert(z)),
        lambda: b2m.metrics.correlation(convert(z), convert(x)),
        lambda: b2m.Corpus.from_embeddings(convert(z), [str(i) for i in range(30)]),
        lambda: b2m.BrainDecoder(n_rois=1, min_voxels=1).fit(
            convert(z[:, None]), convert(x[:, None]), rois=np.ones(4, int)
        ),
    ]
    for call in calls:
        with pytest.raises((ValueError, TypeError), match=r"(?i)complex|real|float"):
            call()


def test_records_and_objects_without_numbers_are_refused(rng):
    record = np.zeros((8, 2), dtype=[("a", float)])
    objects = np.array([[1.0, None]] * 8, dtype=object)
    y = rng.standard_normal((8, 2))
    for value in (record, objects):
        with pytest.raises((ValueError, TypeError)):
            b2m.ridge.RidgeCV().fit(value, y)
        with pytest.raises((ValueError, TypeError)):
            b2m.metrics.correlation(value, y)
        with pytest.raises((ValueError, TypeError)):
            b2m.signal.zscore(value)


def test_guarded_functions_are_still_themselves():
    assert pickle.loads(pickle.dumps(b2m.metrics.correlation)) is b2m.metrics.correlation
    assert pickle.loads(pickle.dumps(b2m.ridge.RidgeCV)) is b2m.ridge.RidgeCV
    assert list(inspect.signature(b2m.ridge.RidgeCV.fit).parameters) == ["self", "X", "y", "groups", "sample_weight"]
    assert re.match("Subtract from each voxel", b2m.signal.median_detrend.__doc__)
    with pytest.raises(TypeError, match="median_detrend"):
        b2m.signal.median_detrend()
    with pytest.raises(TypeError, match="no_such"):
        b2m.signal.median_detrend(np.zeros((3, 2)), no_such=1)
