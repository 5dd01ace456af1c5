"""Banded ridge regression against a loop of scikit-learn's Ridge on scaled columns, in float64, and himalaya."""

import functools
import re

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, KFold
from threadpoolctl import threadpool_limits

import brain2music as b2m

ALPHAS = np.logspace(-1, 4, 6)
SOLVERS = ["eigenbasis", "cholesky", "kernel"]
SHAPES = [(90, 12, 6), (60, 40, 4), (40, 90, 3), (40, 90, 12)]
GAMMAS = np.array([[1 / 3, 1 / 3, 1 / 3], [0.7, 0.1, 0.2], [0, 0.01, 0.99], [0, 0, 1], [0.5, 0.5, 0], [1e-4, 0.9, 0.1]])


pytestmark = pytest.mark.filterwarnings("ignore:.*the grid of alphas")


@pytest.fixture(autouse=True)
def _no_threads_for_small_problems(one_thread):
    with threadpool_limits(1):
        yield


def data(rng, n, p, t, dtype=np.float64, mean=0.5):
    """Three bands, mixed; each target knows little of one of them."""
    bands = rng.permutation(np.arange(p) % 3)
    X = rng.standard_normal((n, p)) * np.array([1, 3, 0.5])[bands]
    W = rng.standard_normal((p, t)) * (bands[:, None] != np.arange(t) % 3)
    Y = 0.3 * X @ W + rng.standard_normal((n, t))
    return (mean + X).astype(dtype), (mean + Y).astype(dtype), bands


def in_norm(result, expected):
    return np.linalg.norm(result - expected) / np.linalg.norm(expected)


def loop(X, Y, bands, gammas, splits, alphas=ALPHAS, fit_intercept=True):
    """The definition, slowly: r2 and r (draws, alphas, t); coefficients (draws, alphas, p, t), intercepts."""
    X, Y = np.asarray(X, float), np.asarray(Y, float)
    p, t = X.shape[1], Y.shape[1]
    r2, r, intercept = np.zeros((3, len(gammas), len(alphas), t))
    coef = np.empty((len(gammas), len(alphas), p, t))
    for draw, gamma in enumerate(gammas):
        scale = np.sqrt(gamma[bands])
        for number, alpha in enumerate(alphas):
            model = Ridge(alpha=alpha, fit_intercept=fit_intercept, solver="svd" if 2 * p > len(X) else "cholesky")
            for train, test in splits:
                guess = model.fit(X[train] * scale, Y[train]).predict(X[test] * scale).reshape(len(test), t)
                r2[draw, number] += r2_score(Y[test], guess, multioutput="raw_values") / len(splits)
                r[draw, number] += np.diag(np.corrcoef(Y[test].T, guess.T)[:t, t:]) / len(splits)
            model.fit(X * scale, Y)
            coef[draw, number] = scale[:, None] * model.coef_.reshape(t, p).T
            intercept[draw, number] = model.intercept_
    return r2, r, coef, intercept


@functools.cache
def problem(shape, dtype=np.float64, mean=0.5, fit_intercept=True):
    X, Y, bands = data(np.random.default_rng(sum(shape)), *shape, dtype, mean)
    return X, Y, bands, loop(X, Y, bands, GAMMAS, list(KFold(5).split(X)), fit_intercept=fit_intercept)


def fitted(X, Y, bands=None, groups=None, **options):
    options = {"alphas": ALPHAS, "n_iter": GAMMAS} | options
    return b2m.ridge.BandedRidgeCV(bands, **options).fit(X, Y, groups=groups)


def check(model, expected, tolerance):
    r2, r, coef, intercept = expected
    paths = r2 if model.scoring == "r2" else r
    target = np.arange(paths.shape[2])
    draw = np.abs(GAMMAS[:, :, None] - model.best_gammas_).max(1).argmin(0)
    alpha = np.abs(ALPHAS[:, None] - model.best_alphas_).argmin(0)
    np.testing.assert_allclose(model.best_gammas_, GAMMAS[draw].T, rtol=1e-6)
    np.testing.assert_allclose(model.best_alphas_, ALPHAS[alpha], rtol=1e-6)
    assert (paths.max((0, 1)) - paths[draw, alpha, target]).max() < 2 * tolerance
    np.testing.assert_allclose(model.cv_scores_, paths[draw, alpha, target], rtol=0, atol=tolerance)
    np.testing.assert_allclose(model.cv_correlations_, r[draw, alpha, target], rtol=0, atol=tolerance)
    np.testing.assert_allclose(model.cv_scores_path_, paths[draw, :, target].T, rtol=0, atol=tolerance)
    assert in_norm(model.coef_, coef[draw, alpha, :, target].T) < tolerance
    apart = np.linalg.norm(model.intercept_ - intercept[draw, alpha, target])
    assert apart <= tolerance * max(np.linalg.norm(intercept[draw, alpha, target]), 1)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(model.deltas_, np.log(GAMMAS[draw].T / ALPHAS[alpha]), rtol=1e-6)


@pytest.mark.parametrize("solver", [*SOLVERS, "auto"])
@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_float64_equals_a_loop_of_scikit_learn(solver, scoring, fit_intercept, shape):
    X, Y, bands, expected = problem(shape, fit_intercept=fit_intercept)
    options = {"solver": solver, "scoring": scoring, "fit_intercept": fit_intercept}
    model = fitted(X, Y, bands, keep_path=True, **options)
    check(model, expected, 1e-10)
    assert model.solver_ == solver or solver == "auto"
    assert len(np.unique(model.best_gammas_[0])) > 1  # targets do choose


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("shape", [(150, 12, 30), (60, 40, 4), (40, 90, 12)])
def test_float32_far_from_zero_equals_it_to_a_hundred_thousandth(solver, scoring, shape):
    X, Y, bands, expected = problem(shape, np.float32, mean=100)
    model = fitted(X, Y, bands, keep_path=True, solver=solver, scoring=scoring)
    check(model, expected, 1e-5)
    assert model.coef_.dtype == model.best_gammas_.dtype == model.deltas_.dtype == np.float32


@pytest.mark.parametrize("solver", SOLVERS)
def test_groups_are_held_out_together(rng, solver):
    X, Y, bands = data(rng, 80, 9, 4)
    groups = rng.integers(0, 11, 80)
    expected = loop(X, Y, bands, GAMMAS, list(GroupKFold(5).split(X, groups=groups)))
    check(fitted(X, Y, bands, groups, solver=solver, keep_path=True), expected, 1e-10)


@pytest.mark.parametrize("shape", [(90, 12, 20), (50, 90, 20)])
def test_himalaya_agrees(rng, shape):
    from himalaya.backend import set_backend
    from himalaya.ridge import GroupRidgeCV
    from himalaya.scoring import r2_score

    set_backend("numpy")
    X, Y, bands = data(rng, *shape, mean=0)
    X, Y = X - X.mean(0), Y - Y.mean(0)
    gammas = rng.dirichlet([0.5, 0.5, 0.5], 12)
    solver_params = {"n_iter": gammas, "alphas": ALPHAS, "score_func": r2_score, "progress_bar": False, "warn": False}
    rival = GroupRidgeCV(
        groups=bands, cv=KFold(5), fit_intercept=False, solver="random_search", solver_params=solver_params
    ).fit(X, Y)
    model = fitted(X, Y, bands, n_iter=gammas, fit_intercept=False)
    np.testing.assert_allclose(model.cv_scores_, rival.cv_scores_.max(0), rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.deltas_, rival.deltas_, rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.best_alphas_, rival.best_alphas_, rtol=1e-9)
    assert in_norm(model.coef_[np.argsort(bands, kind="stable")], rival.coef_) < 1e-9  # his are sorted by groups
    new = rng.standard_normal((7, shape[1]))
    assert in_norm(model.predict(new), rival.predict(new)) < 1e-9
    assert in_norm(model.predict(new, split=True), rival.predict(new, split=True)) < 1e-9


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("alphas", [ALPHAS, None])
def test_one_band_is_ridge_regression(rng, solver, alphas):
    X, Y, _ = data(rng, 60, 12, 5)
    one = b2m.ridge.RidgeCV(alphas, solver=solver).fit(X, Y)
    for given, bands in ((X, None), ([X], None), (X, ["all"] * 12)):
        model = fitted(given, Y, bands, alphas=alphas, n_iter=3, solver=solver)
        for name in ("alphas_", "best_alphas_", "cv_scores_", "cv_correlations_", "coef_", "intercept_"):
            np.testing.assert_allclose(getattr(model, name), getattr(one, name), rtol=0, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(model.best_gammas_, np.ones((1, 5)), rtol=1e-14)
        assert in_norm(model.predict(given), one.predict(X)) < 1e-10


def test_the_default_grid_is_shared_by_the_bands(rng):
    X, Y, bands = data(rng, 60, 12, 4)
    centered = X - X.mean(0)
    mean = np.linalg.eigvalsh(centered.T @ centered).mean()
    for solver in SOLVERS:
        model = fitted(X, Y, bands, alphas=None, solver=solver)
        np.testing.assert_allclose(model.alphas_, mean / 3 * np.logspace(-3, 6, 10), rtol=1e-10)


def test_a_list_of_arrays_is_the_same_as_labels(rng):
    X, Y, bands = data(rng, 60, 12, 4)
    parts = [X[:, bands == band] for band in range(3)]
    labelled, listed = fitted(X, Y, bands), fitted(parts, Y)
    for name in ("cv_scores_", "best_alphas_", "best_gammas_", "deltas_", "intercept_"):
        np.testing.assert_allclose(getattr(listed, name), getattr(labelled, name), rtol=1e-9, err_msg=name)
    order = np.argsort(bands, kind="stable")
    assert in_norm(listed.coef_, labelled.coef_[order]) < 1e-10
    assert in_norm(listed.predict(parts), labelled.predict(X)) < 1e-10
    assert in_norm(listed.predict(parts, split=True), labelled.predict(X, split=True)) < 1e-10
    assert in_norm(listed.predict(np.hstack(parts)), labelled.predict(X)) < 1e-10
    assert listed.score(parts, Y) == pytest.approx(labelled.score(X, Y), abs=1e-10)
    np.testing.assert_array_equal(listed.bands_, [0, 1, 2])


@pytest.mark.parametrize("labels", [["timbre", "rhythm", "melody"], [7, 0, -2], [2.5, 1.5, 0.5]])
def test_labels_of_any_kind_in_their_order(rng, labels):
    X, Y, bands = data(rng, 60, 12, 4)
    number, named = fitted(X, Y, bands, n_iter=GAMMAS), fitted(X, Y, np.array(labels)[bands], n_iter=GAMMAS[:, ::-1])
    np.testing.assert_array_equal(named.bands_, sorted(labels))  # each list falls: bands come the other way round
    np.testing.assert_array_equal(named.best_gammas_, number.best_gammas_[::-1])
    np.testing.assert_allclose(named.cv_scores_, number.cv_scores_, rtol=0, atol=1e-12)
    assert in_norm(named.coef_, number.coef_) < 1e-10
    assert in_norm(named.predict(X, split=True), number.predict(X, split=True)[::-1]) < 1e-10


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_band_of_weight_0_gets_no_coefficients(rng, solver):
    X, Y, bands = data(rng, 60, 40, 4)
    model = fitted(X, Y, bands, n_iter=[[0, 0.3, 0.7]], solver=solver)
    assert not model.coef_[bands == 0].any()
    assert model.coef_[bands != 0].all()
    assert (model.deltas_[0] == -np.inf).all()
    assert np.isfinite(model.deltas_[1:]).all()
    assert not model.predict(X, split=True)[0].any()
    other = X.copy()
    other[:, bands == 0] = 1e3 * rng.standard_normal((60, (bands == 0).sum()))
    np.testing.assert_allclose(fitted(other, Y, bands, n_iter=[[0, 0.3, 0.7]]).cv_scores_, model.cv_scores_, atol=1e-9)


def test_split_predictions_are_those_of_each_band_and_add_up(rng):
    X, Y, bands = data(rng, 60, 12, 4)
    for y in (Y, Y[:, 0]):
        model = fitted(X, y, bands)
        parts = model.predict(X, split=True)
        assert parts.shape == (3, *y.shape)
        assert in_norm(parts.sum(0) + model.intercept_, model.predict(X)) < 1e-12
        for band in range(3):
            assert in_norm(parts[band], X[:, bands == band] @ model.coef_[bands == band]) < 1e-12


@functools.cache
def without_each_band():
    """Best r2 and r (2, t) without each band."""
    X, Y, bands = data(np.random.default_rng(0), 60, 12, 4)
    best = []
    for band in range(3):
        others = [other for other in range(3) if other != band]
        gammas = GAMMAS[:, others]
        gammas = gammas[gammas.sum(1) > 0]
        left = np.searchsorted(others, bands[bands != band])
        gammas = gammas / gammas.sum(1, keepdims=True)
        r2, r, *_ = loop(X[:, bands != band], Y, left, gammas, list(KFold(5).split(X)))
        best.append((r2.max((0, 1)), r.max((0, 1))))
    return X, Y, bands, np.array(best)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scoring", ["r2", "correlation"])
def test_unique_variance_is_what_is_lost_without_a_band(solver, scoring):
    X, Y, bands, best = without_each_band()
    model = fitted(X, Y, bands, solver=solver, scoring=scoring)
    expected = model.cv_scores_ - best[:, ["r2", "correlation"].index(scoring)]
    np.testing.assert_allclose(model.unique_variance(X, Y), expected, rtol=0, atol=1e-9)


def test_unique_variance_finds_the_band_that_says_something(rng):
    signal, noise, twin = (rng.standard_normal((300, 4)) for _ in range(3))
    Y = np.stack([signal.sum(1), twin[:, 0]], 1) + rng.standard_normal((300, 2))
    model = fitted([signal, noise, twin, twin], Y, n_iter=30, random_state=0, alphas=np.logspace(-4, 3, 8))
    unique = model.unique_variance([signal, noise, twin, twin], Y)
    assert unique.shape == (4, 2)
    assert unique[0, 0] == pytest.approx(0.8, abs=0.05)
    assert unique[0, 0] == pytest.approx(model.cv_scores_[0], abs=0.02)
    assert model.cv_scores_[1] > 0.4
    assert np.abs(unique[1:, 0]).max() < 0.02
    assert np.abs(unique[:, 1]).max() < 0.02  # what is said twice is unique to neither


@pytest.mark.parametrize("solver", SOLVERS)
def test_results_depend_neither_on_memory_nor_on_threads(rng, solver):
    X, Y, bands = data(rng, 80, 30, 100)
    gammas = rng.dirichlet([0.5, 0.5, 0.5], 9)
    with pytest.raises(ValueError, match="memory_limit must be at least") as refused:
        fitted(X, Y, bands, n_iter=gammas, solver=solver, memory_limit=1)
    least = float(re.search(r"at least ([0-9.e+]+) MiB", str(refused.value)).group(1))
    expected = fitted(X, Y, bands, n_iter=gammas, solver=solver)
    for threads, share in ((1, 1.01), (1, 3), (2, 1.01), (2, None)):
        torch.set_num_threads(threads)  # one_thread sets it back
        limit = None if share is None else f"{threads * share * least} MiB"
        model = fitted(X, Y, bands, n_iter=gammas, solver=solver, memory_limit=limit)
        np.testing.assert_array_equal(model.best_gammas_, expected.best_gammas_)
        np.testing.assert_array_equal(model.best_alphas_, expected.best_alphas_)
        np.testing.assert_allclose(model.cv_scores_, expected.cv_scores_, rtol=0, atol=1e-10)
        assert in_norm(model.coef_, expected.coef_) < 1e-10
        assert in_norm(model.intercept_, expected.intercept_) < 1e-10


def test_the_first_draw_weighs_all_alike_and_all_add_up_to_1(rng):
    X, Y, bands = data(rng, 60, 12, 4)
    model = fitted(X, Y, bands, n_iter=40, random_state=3)
    assert model.gammas_.shape == (40, 3)
    np.testing.assert_array_equal(model.gammas_[0], np.full(3, 1 / 3))
    np.testing.assert_allclose(model.gammas_.sum(1), 1, rtol=1e-12)
    assert (model.gammas_ >= 0).all()
    assert len(np.unique(model.gammas_, axis=0)) == 40
    same = fitted(X, Y, bands, n_iter=40, random_state=3)
    np.testing.assert_array_equal(same.gammas_, model.gammas_)
    np.testing.assert_array_equal(same.coef_, model.coef_)
    np.testing.assert_array_equal(b2m.ridge.dirichlet_gammas(40, 3, random_state=3), model.gammas_)
    given = fitted(X, Y, bands, n_iter=model.gammas_.tolist())
    np.testing.assert_array_equal(given.cv_scores_, model.cv_scores_)
    assert (fitted(X, Y, bands, n_iter=40, random_state=4).gammas_[1:] != model.gammas_[1:]).all()
    np.testing.assert_array_equal(fitted(X, Y, bands, n_iter=1).gammas_, np.full((1, 3), 1 / 3))


def test_concentrations_are_taken_in_turn():
    largest = b2m.ridge.dirichlet_gammas(400, 4, (0.05, 1, 100), random_state=0).max(1)[3:]
    sparse, even, equal = (largest[offset::3].mean() for offset in range(3))
    assert sparse > 0.85
    assert even == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, abs=0.03)  # the largest of a broken stick
    assert equal < 0.32
    np.testing.assert_array_equal(
        b2m.ridge.dirichlet_gammas(9, 4, 0.5, random_state=0), b2m.ridge.dirichlet_gammas(9, 4, [0.5], random_state=0)
    )
    tiny = b2m.ridge.dirichlet_gammas(300, 3, 1e-5, random_state=0)
    assert np.isfinite(tiny).all()
    np.testing.assert_allclose(tiny.sum(1), 1, rtol=1e-12)


def test_torch_in_torch_out(rng):
    X, Y, bands = data(rng, 60, 12, 4, np.float32)
    parts = [X[:, bands == band] for band in range(3)]
    numpy = fitted(parts, Y)
    x, y = [torch.from_numpy(part) for part in parts], torch.from_numpy(Y)
    model = fitted(x, y)
    for name in ("coef_", "intercept_", "best_alphas_", "best_gammas_", "deltas_", "cv_scores_", "cv_correlations_"):
        value = getattr(model, name)
        assert isinstance(value, torch.Tensor), name
        assert value.dtype == torch.float32, name
        np.testing.assert_allclose(value.numpy(), getattr(numpy, name), rtol=1e-4, atol=1e-5, err_msg=name)
    for split in (False, True):
        predicted = model.predict(x, split=split)
        assert isinstance(predicted, torch.Tensor)
        np.testing.assert_allclose(predicted.numpy(), numpy.predict(parts, split=split), rtol=1e-4, atol=1e-4)
    unique = model.unique_variance(x, y)
    assert isinstance(unique, torch.Tensor)
    np.testing.assert_allclose(unique.numpy(), numpy.unique_variance(parts, Y), rtol=0, atol=1e-4)


def test_bad_input_is_named(rng):
    X, Y, bands = data(rng, 60, 12, 4)
    with pytest.raises(ValueError, match=r"bands must hold a label for each column of X; got shape \(11,\)"):
        fitted(X, Y, bands[:-1])
    for draws in (np.ones((4, 2)), np.ones(3), np.ones((4, 4))):
        with pytest.raises(ValueError, match=r"n_iter must be a number of draws, or an array \(draws, 3\)"):
            fitted(X, Y, bands, n_iter=draws)
    for draw in ([0.5, 0.6, -0.1], [0, 0, 0], [np.nan, 0.5, 0.5], [np.inf, 1, 1]):
        with pytest.raises(ValueError, match="gammas must be finite and not negative, with a positive one in each"):
            fitted(X, Y, bands, n_iter=[[0.2, 0.3, 0.5], draw])
    for more in ({"n_iter": 0}, {"n_iter": 5, "concentration": 0}, {"n_iter": 5, "concentration": ()}):
        with pytest.raises(ValueError, match="there must be a draw and positive concentrations"):
            fitted(X, Y, bands, **more)
    with pytest.raises(ValueError, match="bands must be None for a list of arrays"):
        fitted([X, X], Y, bands)
    with pytest.raises(ValueError, match=r"must have equal rows; got shapes \[\(60, 12\), \(59, 12\)\]"):
        fitted([X, X[1:]], Y)
    for name, row, column in (("X", 7, 3), ("Y", 58, 1)):
        x, y = X.copy(), Y.copy()
        (x if name == "X" else y)[row, column] = np.nan
        with pytest.raises(ValueError, match=rf"{name} must be finite.*row {row}, column {column}"):
            fitted(x, y, bands)
    with pytest.raises(ValueError, match="scoring must be 'r2' or 'correlation'; got 'mse'"):
        fitted(X, Y, bands, scoring="mse")
    model = fitted([X[:, :5], X[:, 5:]], Y, n_iter=3)
    with pytest.raises(ValueError, match=r"bands of the fit, of \[5, 7\] columns; got shapes \[\(60, 6\), \(60, 6\)\]"):
        model.predict([X[:, :6], X[:, 6:]])
    with pytest.raises(ValueError, match="there must be two bands or more"):
        fitted(X, Y, n_iter=3).unique_variance(X, Y)
