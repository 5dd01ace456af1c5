"""The Cholesky solver on a CPU: blocks and tiles of every size, and penalties whose sums are made of others'."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

import brain2music as b2m

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}


def data(rng, n, p, t, dtype=np.float64):
    X = rng.standard_normal((n, p))
    return X.astype(dtype), (0.3 * X @ rng.standard_normal((p, t)) + rng.standard_normal((n, t))).astype(dtype)


def path_of(X, Y, alphas, folds=3, scoring="r2"):
    """(alphas, t): scores by explicit predictions of scikit-learn's Ridge in float64."""
    X, Y = X.astype(float), Y.astype(float)
    path = np.zeros((len(alphas), Y.shape[1]))
    for train, test in KFold(folds).split(X):
        true = Y[test] - Y[test].mean(0)
        for number, alpha in enumerate(alphas):
            predicted = Ridge(alpha, solver="svd").fit(X[train], Y[train]).predict(X[test]).reshape(true.shape)
            if scoring == "r2":
                path[number] += 1 - ((Y[test] - predicted) ** 2).sum(0) / (true**2).sum(0)
            else:
                guess = predicted - predicted.mean(0)
                path[number] += (true * guess).sum(0) / np.sqrt((true**2).sum(0) * (guess**2).sum(0))
    return path / folds


@pytest.fixture
def fit():
    def run(X, Y, alphas, **options):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*the grid of alphas")
            options = {"cv": 3, "solver": "cholesky", "keep_path": True} | options
            return b2m.ridge.RidgeCV(alphas, **options).fit(X, Y)

    return run


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [1, 5, 6, 7, 47, 48, 49, 54, 57, 95, 96, 97, 103, 145, 200, 241])
def test_all_sizes_of_blocks_and_tiles(rng, fit, p, dtype):
    """Blocks of 48 features, tiles of 6 by 16 or 8; of 241 features a fold holds out fewer rows than half."""
    alphas = np.logspace(0, 3, 4)
    for t in (1, 7, 8, 15, 16, 17, 33):
        X, Y = data(rng, 300, p, t, dtype)
        model = fit(X, Y, alphas)
        path = path_of(X, Y, alphas)
        assert np.abs(model.cv_scores_path_ - path).max() < TOLERANCE[dtype]
        coef = np.stack([Ridge(a).fit(X, Y[:, i]).coef_ for i, a in enumerate(model.best_alphas_)], axis=1)
        assert np.linalg.norm(model.coef_ - coef) < TOLERANCE[dtype] * np.linalg.norm(coef)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scoring", ["r2", "correlation"])
def test_sixty_penalties(rng, fit, dtype, scoring):
    """Far above and below all eigenvalues, and so many that most are made of others."""
    X, Y = data(rng, 400, 60, 20, dtype)
    alphas = np.logspace(-4, 9, 60)
    model = fit(X, Y, alphas, scoring=scoring)
    assert np.abs(model.cv_scores_path_ - path_of(X, Y, alphas, scoring=scoring)).max() < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("condition", [1e1, 1e2, 1e3, 1e5, 1e8])
def test_eigenvalues_over_many_orders_of_magnitude(rng, fit, dtype, condition):
    basis = np.linalg.qr(rng.standard_normal((300, 90)))[0]
    X = basis * np.geomspace(1, np.sqrt(condition), 90) @ np.linalg.qr(rng.standard_normal((90, 90)))[0]
    Y = X @ rng.standard_normal((90, 12)) / np.sqrt(condition) + 0.1 * rng.standard_normal((300, 12))
    X, Y = X.astype(dtype), Y.astype(dtype)
    alphas = np.geomspace(1e-2, 1e3, 23)
    tolerance = TOLERANCE[dtype] * (1 if condition < 1e4 else 30)  # products of X with itself forget as much
    assert np.abs(fit(X, Y, alphas).cv_scores_path_ - path_of(X, Y, alphas)).max() < tolerance


def test_penalties_over_more_orders_of_magnitude_than_can_be_told_of(rng, fit):
    """Products of as many factors leave the range of float64: then all penalties are solved for."""
    X, Y = data(rng, 120, 30, 5)
    X *= np.logspace(0, -3, 30)
    alphas = np.logspace(-3, 300, 120)
    assert np.abs(fit(X, Y, alphas).cv_scores_path_ - path_of(X, Y, alphas)).max() < 1e-9


def test_the_order_of_penalties_does_not_matter_and_repeated_ones_tie(rng, fit):
    X, Y = data(rng, 240, 50, 9, np.float32)
    alphas = np.logspace(-2, 4, 12)
    path = fit(X, Y, alphas).cv_scores_path_
    np.testing.assert_allclose(fit(X, Y, alphas[::-1]).cv_scores_path_[::-1], path, rtol=0, atol=1e-6)
    twice = fit(X, Y, np.repeat(alphas, 2)).cv_scores_path_
    np.testing.assert_allclose(twice[::2], path, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(twice[::2], twice[1::2])


def test_one_penalty_and_a_narrow_grid(rng, fit):
    X, Y = data(rng, 240, 50, 9, np.float32)
    for alphas in ([3.0], np.linspace(100, 101, 9), np.full(3, 7.0)):
        assert np.abs(fit(X, Y, alphas).cv_scores_path_ - path_of(X, Y, alphas)).max() < 1e-5


def test_a_matrix_without_rank_is_solved_by_its_penalty(rng, fit):
    X, Y = data(rng, 200, 40, 6, np.float32)
    X = np.hstack([X, X[:, :20], np.zeros((200, 9), np.float32)])
    alphas = np.logspace(-1, 4, 11)
    assert np.abs(fit(X, Y, alphas).cv_scores_path_ - path_of(X, Y, alphas)).max() < 1e-5


def test_the_result_does_not_depend_on_the_number_of_threads(rng, fit):
    X, Y = data(rng, 500, 310, 70, np.float32)
    alphas = np.logspace(-1, 4, 10)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = fit(X, Y, alphas)
        torch.set_num_threads(3)
        beside = fit(X, Y, alphas)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(alone.best_alphas_, beside.best_alphas_)
    np.testing.assert_allclose(alone.cv_scores_path_, beside.cv_scores_path_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(alone.coef_, beside.coef_, rtol=1e-4, atol=1e-6)
