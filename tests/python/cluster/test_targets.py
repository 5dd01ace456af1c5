"""Blocks of targets over real worker processes, beside plain fits in this one."""

import sys
import warnings

import cloudpickle
import numpy as np
import pytest
import torch
from cluster_fits import ALPHAS, TOLERANCE, assert_same, data, fit, fit_targets, fitted_attributes
from sklearn.model_selection import KFold

import brain2music as b2m
from brain2music.distributed import blocks, notices

# Workers cannot import a test module: what it defines is sent to them whole.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_of_targets_are_one_fit(client, rng, dtype):
    X, Y = data(rng, 90, 12, 205, dtype)
    groups = rng.integers(0, 9, 90)
    for options in ({}, {"alphas": ALPHAS, "scoring": "correlation", "keep_path": True, "keep_predictions": True}):
        model = b2m.ridge.RidgeCV(**options)
        expected = fit(b2m.ridge.RidgeCV(**options), X, Y, groups)
        result = fit_targets(model, X, Y, groups=groups, targets_at_once=60)
        assert_same(result, expected, TOLERANCE[dtype])
        assert not fitted_attributes(model)  # left as it was
        np.testing.assert_allclose(result.predict(X), expected.predict(X), atol=100 * TOLERANCE[dtype])


def test_equal_blocks_as_long_as_the_grid_of_penalties(client, rng):
    X, Y = data(rng, 60, 5, 12)
    for targets in (12, 6, 2, 1):
        model = b2m.ridge.RidgeCV(alphas=ALPHAS)
        result = fit_targets(model, X, Y[:, :targets], targets_at_once=min(6, targets // 2 or 1))
        assert_same(result, fit(model, X, Y[:, :targets]), 1e-11)


def test_blocks_differ_in_length_but_hardly():
    for targets in range(40):
        for at_once in range(1, 45):
            found = blocks.bounds(targets, at_once)
            widths = {last - first for first, last in found}
            assert [first for first, _ in found] == [0, *(last for _, last in found[:-1])]
            assert found[-1][1] == targets
            assert max(widths) <= at_once + (len(found) > 1 or targets > at_once)
            assert len(found) == 1 or (len(widths) > 1 and max(widths) - min(widths) <= 2)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_file_that_every_worker_maps(client, rng, tmp_path, monkeypatch, order):
    X, Y = data(rng, 80, 6, 150, np.float32)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "Y.npy", np.asarray(Y, order=order))
    expected = fit(b2m.ridge.RidgeCV(), X, Y)
    monkeypatch.chdir(tmp_path)
    assert_same(fit_targets(b2m.ridge.RidgeCV(), X, tmp_path / "Y.npy", targets_at_once=64), expected, 2e-5)
    assert_same(fit_targets(b2m.ridge.RidgeCV(), "X.npy", "Y.npy", targets_at_once=64), expected, 2e-5)


def test_torch_in_torch_out(client, rng):
    X, Y = (torch.from_numpy(array) for array in data(rng, 60, 5, 70, np.float32))
    for y in (Y, Y[:, 0]):
        assert_same(fit_targets(b2m.ridge.RidgeCV(), X, y, targets_at_once=32), fit(b2m.ridge.RidgeCV(), X, y), 2e-5)


def test_one_target(client, rng):
    X, Y = data(rng, 60, 5, 1)
    result = fit_targets(b2m.ridge.RidgeCV(), X, Y[:, 0])
    assert_same(result, fit(b2m.ridge.RidgeCV(), X, Y[:, 0]), 1e-11)
    result.coef_ *= 2  # ours to write to


def test_one_penalty_for_all_targets(client, rng):
    X, Y = data(rng, 90, 12, 110)
    for options in ({}, {"alphas": ALPHAS[::-1], "keep_path": True, "keep_predictions": True}):
        model = b2m.ridge.RidgeCV(alpha_per_target=False, **options)
        assert_same(fit_targets(model, X, Y, targets_at_once=40), fit(model, X, Y), 1e-11)


def test_folds_are_drawn_once(client, rng):
    X, Y = data(rng, 60, 5, 50)
    drawn = []

    class Once(KFold):
        def split(self, X, y=None, groups=None):
            for train, test in super().split(X, y, groups):
                drawn.append((train, test))
                yield train, test

    result = fit_targets(b2m.ridge.RidgeCV(cv=Once(4, shuffle=True)), X, Y, targets_at_once=11)
    assert len(drawn) == 4
    result.cv = None
    assert_same(result, fit(b2m.ridge.RidgeCV(cv=drawn), X, Y), 1e-11)
    gaps = [(train[::2], test) for train, test in drawn]
    assert_same(fit_targets(b2m.ridge.RidgeCV(cv=gaps), X, Y), fit(b2m.ridge.RidgeCV(cv=gaps), X, Y), 1e-11)
    pairs = (pair for pair in drawn)  # can be gone through once, and not copied
    assert_same(fit_targets(b2m.ridge.RidgeCV(cv=pairs), X, Y), fit(b2m.ridge.RidgeCV(cv=drawn), X, Y), 1e-11)


@pytest.mark.parametrize("kernel", ["linear", "precomputed"])
def test_kernel_ridge(client, rng, kernel):
    X, Y = data(rng, 40, 90, 70)
    model = b2m.ridge.KernelRidgeCV(kernel=kernel, keep_path=True)
    X = X @ X.T if kernel == "precomputed" else X
    result = fit_targets(model, X, Y, targets_at_once=35)
    assert_same(result, fit(model, X, Y), 1e-10)
    if kernel == "linear":
        assert result.X_fit_ is X  # does not come back
    model = b2m.ridge.KernelRidgeCV(kernel=kernel, alpha_per_target=False)
    assert_same(fit_targets(model, X, Y, targets_at_once=35), fit(model, X, Y), 1e-10)


def test_bands(client, rng, tmp_path):
    X, Y = data(rng, 60, 9, 50)
    bands = [X[:, :3], X[:, 3:4], X[:, 4:]]
    model = b2m.ridge.BandedRidgeCV(n_iter=6, random_state=0, keep_path=True)
    expected = fit(model, bands, Y)
    assert_same(fit_targets(model, bands, Y, targets_at_once=20), expected, 1e-10)
    np.save(tmp_path / "band.npy", bands[2])
    assert_same(fit_targets(model, [*bands[:2], tmp_path / "band.npy"], Y, targets_at_once=20), expected, 1e-10)
    model.bands = [0, 0, 0, 1, 2, 2, 2, 2, 2]
    assert_same(fit_targets(model, X, Y, targets_at_once=20), fit(model, X, Y), 1e-10)
    tensors = [torch.from_numpy(band) for band in bands]
    model.bands = None
    y = torch.from_numpy(Y)
    assert_same(fit_targets(model, tensors, y, targets_at_once=20), fit(model, tensors, y), 1e-10)


@pytest.mark.parametrize("state", [None, np.random.RandomState(0), np.random.default_rng(0)])
def test_the_seed_is_drawn_once(client, rng, state):
    X, Y = data(rng, 60, 6, 50)
    model = b2m.ridge.BandedRidgeCV([0, 0, 0, 1, 1, 1], n_iter=4, random_state=state)
    result = fit_targets(model, X, Y, targets_at_once=20)
    assert result.random_state is state
    model = b2m.ridge.BandedRidgeCV([0, 0, 0, 1, 1, 1], n_iter=result.gammas_)
    result.set_params(n_iter=None)
    assert_same(result, fit(model, X, Y), 1e-11)


def test_weights_of_rows(client, rng):
    X, Y = data(rng, 60, 6, 50)
    weight = rng.uniform(0.5, 2, 60)
    for model in (b2m.ridge.RidgeCV(), b2m.ridge.RidgeCV(alpha_per_target=False), b2m.ridge.KernelRidgeCV()):
        result = fit_targets(model, X, Y, sample_weight=weight, targets_at_once=20)
        assert_same(result, fit(model, X, Y, sample_weight=weight), 1e-10)
    model, xs = b2m.ridge.BatchedRidgeCV(), [X, X[:, :2]]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        result = b2m.distributed.fit_problems(model, xs, Y, sample_weight=weight)
    assert_same(result, fit(model, xs, Y, sample_weight=weight), 1e-10)


def test_a_bar(client, rng, capsys):
    X, Y = data(rng, 60, 6, 50)
    assert fit_targets(b2m.ridge.RidgeCV(progress=True), X, Y, targets_at_once=20).progress
    assert "50/50" in capsys.readouterr().err


def test_warnings_are_said_once_and_count_all_targets(client, rng):
    X = rng.standard_normal((100, 10))
    Y = np.hstack([X @ rng.standard_normal((10, 70)), rng.standard_normal((100, 50))])
    for options in ({}, {"alpha_per_target": False}):
        model = b2m.ridge.RidgeCV(alphas=[1e3, 1e4, 1e5], **options)
        with pytest.warns(UserWarning, match="the grid of alphas") as expected:
            model.fit(X, Y)
        with pytest.warns(UserWarning, match="the grid of alphas") as found:
            b2m.distributed.fit_targets(model, X, Y, targets_at_once=35)
        assert [str(one.message) for one in found] == [str(one.message) for one in expected]
        assert found[0].filename == __file__
        assert "got 70 of 120 targets at its smallest, 0 at" in str(found[0].message)


def test_other_warnings_are_said_once():
    parts = [
        (8, [(UserWarning, "[a.b] few; got 2 of 8 targets"), (FutureWarning, "in {} of 8 targets")]),
        (8, [(FutureWarning, "in {} of 8 targets"), (UserWarning, "[a.b] few; got 5 rows of 8")]),
        (7, [(UserWarning, "[a.b] few; got 1 of 7 targets")]),
        (7, []),
    ]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        notices.warn_once(parts, 30, stacklevel=1)
    assert [(one.category, str(one.message)) for one in found] == [
        (UserWarning, "[a.b] few; got 3 of 30 targets"),
        (FutureWarning, "in {} of 8 targets"),
        (UserWarning, "[a.b] few; got 5 rows of 8"),
    ]
