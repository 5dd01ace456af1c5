"""Sample weights against a loop of scikit-learn's Ridge, r2_score and NumPy's weighted covariance, in float64."""

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
SHAPES = [(103, 12, 9), (60, 40, 4), (40, 90, 3), (50, 6, 30), (40, 90, 30)]
ALL = ["RidgeCV", "BatchedRidgeCV", "KernelRidgeCV", "BandedRidgeCV"]


pytestmark = pytest.mark.filterwarnings("ignore:.*the grid of alphas")


@pytest.fixture(autouse=True)
def _no_threads_for_small_problems(one_thread):
    with threadpool_limits(1):
        yield


def data(rng, n, p, t, dtype=np.float64, mean=0.0):
    X = rng.standard_normal((n, p))
    Y = 0.3 * X @ rng.standard_normal((p, t)) + rng.standard_normal((n, t))
    weights = rng.exponential(size=n) * (rng.random(n) > 0.15)
    assert (weights == 0).any()
    return (mean + X).astype(dtype), (mean + Y).astype(dtype), weights


def weighted_r(true, guess, weights):
    """Pearson's r of each column."""
    r = []
    for a, b in zip(true.T, guess.T, strict=True):
        covariance = np.cov(a, b, aweights=weights)
        r.append(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))
    return np.array(r)


def loop(X, Y, weights, splits, alphas=ALPHAS, fit_intercept=True):
    """The definition, slowly: r2 and r (alphas, t), held-out predictions (alphas, n, t), fits to all rows."""
    X, Y = np.asarray(X, float), np.asarray(Y, float)
    r2, r = np.zeros((2, len(alphas), Y.shape[1]))
    held = np.full((len(alphas), *Y.shape), np.nan)
    fits = []
    for number, alpha in enumerate(alphas):
        model = Ridge(alpha=alpha, fit_intercept=fit_intercept, solver="svd" if 2 * X.shape[1] > len(X) else "cholesky")
        for train, test in splits:
            guess = model.fit(X[train], Y[train], sample_weight=weights[train]).predict(X[test])
            held[number, test] = guess.reshape(len(test), -1)
            r2[number] += r2_score(Y[test], guess, sample_weight=weights[test], multioutput="raw_values")
            r[number] += weighted_r(Y[test], held[number, test], weights[test])
        model.fit(X, Y, sample_weight=weights)
        fits.append((model.coef_.reshape(Y.shape[1], -1).T, np.zeros(Y.shape[1]) + model.intercept_))
    return r2 / len(splits), r / len(splits), held, fits


@functools.cache
def problem(shape, dtype=np.float64, mean=0.5, fit_intercept=True, groups=False):
    """Data, and what the loop makes of them, once for all solvers and scorings."""
    rng = np.random.default_rng(sum(shape))
    X, Y, weights = data(rng, *shape, dtype, mean)
    groups = rng.integers(0, 11, len(X)) if groups else None
    splits = list((KFold(5) if groups is None else GroupKFold(5)).split(X, groups=groups))
    return X, Y, weights, groups, loop(X, Y, weights, splits, fit_intercept=fit_intercept)


def fitted(model, X, Y, weights, groups=None):
    return model.fit(X, Y, groups=groups, sample_weight=weights)


def in_norm(result, expected):
    return np.linalg.norm(result - expected) / np.linalg.norm(expected)


def check(model, problem, tolerance):
    """All that RidgeCV or KernelRidgeCV found, against the loop."""
    X, Y, weights, groups, (r2, r, held, fits) = problem
    fitted(model.set_params(alphas=ALPHAS, keep_path=True, keep_predictions=True), X, Y, weights, groups)
    path = r2 if model.scoring == "r2" else r
    assert np.abs(model.cv_scores_path_ - path).max() < tolerance
    chosen, index = np.abs(ALPHAS[:, None] - model.best_alphas_).argmin(0), np.arange(Y.shape[1])
    assert (path.max(0) - path[chosen, index]).max() < 2 * tolerance
    np.testing.assert_allclose(model.cv_scores_, path[chosen, index], rtol=0, atol=tolerance)
    np.testing.assert_allclose(model.cv_correlations_, r[chosen, index], rtol=0, atol=tolerance)
    assert in_norm(model.cv_predictions_, held[chosen, :, index].T) < tolerance
    coef = np.stack([fits[number][0][:, target] for target, number in enumerate(chosen)], 1)
    intercept = np.array([fits[number][1][target] for target, number in enumerate(chosen)])
    if isinstance(model, b2m.ridge.RidgeCV):
        assert in_norm(model.coef_, coef) < tolerance
        assert np.linalg.norm(model.intercept_ - intercept) < tolerance * max(np.linalg.norm(intercept), 1)
    assert in_norm(model.predict(X), np.asarray(X, float) @ coef + intercept) < tolerance


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_float64_equals_a_loop_of_scikit_learn(solver, scoring, fit_intercept, shape):
    model = b2m.ridge.RidgeCV(solver=solver, scoring=scoring, fit_intercept=fit_intercept)
    check(model, problem(shape, fit_intercept=fit_intercept), 1e-10)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("shape", [(300, 40, 50), (200, 130, 10), (60, 90, 20)])
def test_float32_far_from_zero_equals_it_to_a_hundred_thousandth(solver, scoring, shape):
    model = b2m.ridge.RidgeCV(solver=solver, scoring=scoring)
    check(model, problem(shape, np.float32, mean=100), 1e-5)
    assert model.coef_.dtype == model.cv_predictions_.dtype == np.float32


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_of_very_unequal_size(rng, solver):
    X, Y, _ = data(rng, 200, 20, 6)
    weights = 10 ** rng.uniform(-3, 3, 200)
    check(b2m.ridge.RidgeCV(solver=solver), (X, Y, weights, None, loop(X, Y, weights, list(KFold(5).split(X)))), 1e-9)


@pytest.mark.parametrize("solver", [*SOLVERS, "auto"])
def test_weights_and_groups(solver):
    check(b2m.ridge.RidgeCV(solver=solver), problem((120, 10, 6), groups=True), 1e-10)


@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_linear_kernel_equals_it_too(scoring, fit_intercept, shape):
    model = b2m.ridge.KernelRidgeCV(scoring=scoring, fit_intercept=fit_intercept)
    check(model, problem(shape, fit_intercept=fit_intercept), 1e-10)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("solver", [*SOLVERS, "auto"])
def test_many_problems_equal_one_after_the_other(rng, solver, fit_intercept):
    _, Y, weights = data(rng, 60, 1, 5)
    xs = [0.5 + Y @ rng.standard_normal((5, p)) + 3 * rng.standard_normal((60, p)) for p in (3, 40, 90, 1)]
    kept = {"keep_path": True, "keep_predictions": True}
    batch = b2m.ridge.BatchedRidgeCV(ALPHAS, solver=solver, fit_intercept=fit_intercept, **kept)
    fitted(batch, xs, Y, weights)
    for i, X in enumerate(xs):
        r2, _, held, fits = loop(X, Y, weights, list(KFold(5).split(X)), fit_intercept=fit_intercept)
        assert np.abs(batch.cv_scores_path_[i] - r2).max() < 1e-10
        chosen = r2.argmax(0)
        np.testing.assert_allclose(batch.best_alphas_[i], ALPHAS[chosen])
        for target, number in enumerate(chosen):
            assert in_norm(batch.coef_[i][:, target], fits[number][0][:, target]) < 1e-10
            assert in_norm(batch.cv_predictions_[i][:, target], held[number, :, target]) < 1e-10
            assert abs(batch.intercept_[i][target] - fits[number][1][target]) < 1e-10


@functools.cache
def banded_problem(shape, fit_intercept):
    rng = np.random.default_rng(sum(shape))
    X, Y, weights = data(rng, *shape, mean=0.5)
    bands = rng.permutation(np.arange(shape[1]) % 3)
    gammas = np.array([[0.7, 0.1, 0.2], [1 / 3, 1 / 3, 1 / 3], [0, 0.01, 0.99]])
    splits = list(KFold(5).split(X))
    results = [loop(X * np.sqrt(gamma[bands]), Y, weights, splits, fit_intercept=fit_intercept) for gamma in gammas]
    return X, Y, weights, bands, gammas, results


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(90, 12, 5), (60, 40, 4), (40, 90, 12)])
def test_bands_equal_a_loop_over_draws(solver, scoring, fit_intercept, shape):
    X, Y, weights, bands, gammas, results = banded_problem(shape, fit_intercept)
    options = {"solver": solver, "scoring": scoring, "fit_intercept": fit_intercept}
    model = fitted(b2m.ridge.BandedRidgeCV(bands, ALPHAS, n_iter=gammas, **options), X, Y, weights)
    paths = np.stack([result[0 if scoring == "r2" else 1] for result in results]).reshape(-1, shape[2])
    np.testing.assert_allclose(model.cv_scores_, paths.max(0), rtol=0, atol=1e-10)
    best = paths.argmax(0)
    np.testing.assert_allclose(model.best_alphas_, ALPHAS[best % len(ALPHAS)])
    np.testing.assert_allclose(model.best_gammas_, gammas[best // len(ALPHAS)].T)
    for target, number in enumerate(best):
        draw, alpha = divmod(number, len(ALPHAS))
        coef, intercept = (v[..., target] for v in results[draw][3][alpha])
        assert in_norm(model.coef_[:, target], np.sqrt(gammas[draw][bands]) * coef) < 1e-10
        assert abs(model.intercept_[target] - intercept) < 1e-10


def estimators(**options):
    """One of each, with one band or problem."""
    for name in ALL:
        more = {"n_iter": [[1.0]]} if name == "BandedRidgeCV" else {}
        yield getattr(b2m.ridge, name)(alphas=ALPHAS, **options, **more)


def kept(model):
    """All that a model found, in one list of arrays."""
    names = ["cv_scores_", "cv_correlations_", "intercept_", "dual_coef_" if hasattr(model, "dual_coef_") else "coef_"]
    values = [getattr(model, name) for name in names]
    return [value[0] if isinstance(value, list) else value for value in values]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("shape", [(80, 6, 4), (40, 60, 3), (40, 60, 25)])
def test_whole_weights_equal_repeated_rows(rng, solver, scoring, shape):
    X, Y, _ = data(rng, *shape)
    times = rng.integers(0, 4, len(X))
    again = np.repeat(np.arange(len(X)), times)
    fold = rng.permutation(np.arange(len(X)) % 4)
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(4)]
    repeated = [(np.flatnonzero(fold[again] != k), np.flatnonzero(fold[again] == k)) for k in range(4)]
    options = {"solver": solver, "scoring": scoring, "keep_path": True, "keep_predictions": True}
    one = fitted(b2m.ridge.RidgeCV(cv=splits, **options), X, Y, times)
    other = fitted(b2m.ridge.RidgeCV(cv=repeated, **options), X[again], Y[again], None)
    np.testing.assert_allclose(one.alphas_, other.alphas_, rtol=1e-12)
    np.testing.assert_allclose(one.cv_scores_path_, other.cv_scores_path_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(one.cv_correlations_, other.cv_correlations_, rtol=0, atol=1e-9)
    assert in_norm(one.coef_, other.coef_) < 1e-10
    assert in_norm(one.cv_predictions_[again], other.cv_predictions_) < 1e-10
    assert np.isfinite(one.cv_predictions_).all()  # rows of no weight are predicted, too


@pytest.mark.parametrize("name", ALL)
def test_rows_of_no_weight_are_as_good_as_not_there(rng, name):
    X, Y, weights = data(rng, 60, 5, 4)
    fold = np.arange(60) % 3
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]
    there = np.flatnonzero(weights > 0)
    without = [(np.flatnonzero(fold[there] != k), np.flatnonzero(fold[there] == k)) for k in range(3)]
    other = X.copy(), Y.copy()
    other[0][weights == 0] = 1e3 * rng.standard_normal(((weights == 0).sum(), 5))
    other[1][weights == 0] = -1e3
    whole, less = (next(m for m in estimators(cv=cv) if type(m).__name__ == name) for cv in (splits, without))
    fitted(less, X[there], Y[there], weights[there])
    for x, y in ((X, Y), other):
        fitted(whole, x, y, weights)
        for a, b in zip(kept(whole), kept(less), strict=True):
            a = a[there] if len(a) == 60 else a  # of a kernel: a coefficient for each row
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)
    if name == "KernelRidgeCV":
        assert not whole.dual_coef_[weights == 0].any()


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_and_penalties_may_be_scaled_alike(rng, solver):
    X, Y, weights = data(rng, 60, 12, 4)
    one = fitted(b2m.ridge.RidgeCV(alphas=ALPHAS, solver=solver), X, Y, weights)
    other = fitted(b2m.ridge.RidgeCV(alphas=7 * ALPHAS, solver=solver), X, Y, 7 * weights)
    np.testing.assert_allclose(other.best_alphas_, 7 * one.best_alphas_)
    for a, b in zip(kept(one), kept(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_default_grid_is_relative_to_the_weighted_gram_matrix(rng, solver, fit_intercept):
    X, Y, weights = data(rng, 60, 12, 4, mean=3)
    model = fitted(b2m.ridge.RidgeCV(solver=solver, fit_intercept=fit_intercept), X, Y, weights)
    centered = X - fit_intercept * np.average(X, axis=0, weights=weights)
    mean = np.linalg.eigvalsh(centered.T @ np.diag(weights) @ centered).mean()
    np.testing.assert_allclose(model.alphas_, mean * np.logspace(-3, 6, 10), rtol=1e-10)


def test_a_number_weighs_all_rows_alike_and_a_list_will_do(rng):
    X, Y, _ = data(rng, 60, 5, 4)
    for of_number, of_rows in zip(estimators(), estimators(), strict=True):
        fitted(of_number, X, Y, 2.5)
        fitted(of_rows, X, Y, [2.5] * 60)
        for a, b in zip(kept(of_number), kept(of_rows), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(
            kept(fitted(of_number.set_params(alphas=ALPHAS / 2.5), X, Y, None))[0], kept(of_rows)[0], atol=1e-11
        )


def test_a_tensor_of_one_number_does_too(rng):
    X, Y, _ = (torch.from_numpy(x) for x in data(rng, 60, 5, 4))
    for of_number, of_rows in zip(estimators(), estimators(), strict=True):
        fitted(of_number, X, Y, torch.tensor(2.5))
        fitted(of_rows, X, Y, torch.full((60,), 2.5))
        for a, b in zip(kept(of_number), kept(of_rows), strict=True):
            np.testing.assert_array_equal(a, b)


def test_torch_in_torch_out(rng):
    X, Y, weights = data(rng, 60, 5, 4, np.float32)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    for model, other in zip(estimators(), estimators(), strict=True):
        fitted(other, X, Y, weights)
        for given in (torch.from_numpy(weights), torch.from_numpy(weights.astype(np.float32)), weights):
            for a, b in zip(kept(fitted(model, x, y, given)), kept(other), strict=True):
                assert isinstance(a, torch.Tensor)
                np.testing.assert_allclose(a.numpy(), b, rtol=0, atol=1e-6)


def test_the_score_may_be_weighted(rng):
    X, Y, weights = data(rng, 60, 5, 4)
    for model in estimators():
        fitted(model, X, Y, weights)
        expected = r2_score(Y, model.predict(X), sample_weight=weights)
        assert model.score(X, Y, weights) == pytest.approx(expected, abs=1e-14)
        assert model.score(X, Y) != pytest.approx(expected, abs=1e-4)


def test_bad_weights_are_refused(rng):
    X, Y, _ = data(rng, 60, 5, 4)
    for kind in (np.asarray, torch.as_tensor):
        for model in estimators():
            for value in (-1e-9, np.nan, np.inf):
                weights = np.ones(60)
                weights[7] = value
                with pytest.raises(ValueError, match=r"sample_weight must be finite and not negative"):
                    model.fit(X, Y, sample_weight=kind(weights))
            for shape in ((59,), (61,), (60, 1), (1,)):
                message = re.escape("sample_weight must hold a number for each row; got shape ")
                with pytest.raises(ValueError, match=rf"{message}.* for 60 rows"):
                    model.fit(X, Y, sample_weight=kind(np.ones(shape)))
            for where in (slice(12, 24), slice(12, 23)):
                weights = np.ones(60)
                weights[where] = 0
                left = 24 - where.stop
                with pytest.raises(ValueError, match=rf"sample_weight above zero; got {left} and 48 in fold 1"):
                    model.fit(X, Y, sample_weight=kind(weights))
            with pytest.raises(ValueError, match="sample_weight above zero; got 2 and 0 in fold 0"):
                model.fit(X, Y, sample_weight=kind(np.r_[1, 1, np.zeros(58)]))
