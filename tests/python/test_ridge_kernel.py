"""Kernel ridge regression against scikit-learn's KernelRidge and KernelCenterer in a loop, RidgeCV and himalaya."""

import re

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KernelCenterer, StandardScaler
from threadpoolctl import threadpool_limits

import brain2music as b2m

ALPHAS = np.logspace(-1, 4, 6)


pytestmark = pytest.mark.filterwarnings("ignore:.*the grid of alphas")


@pytest.fixture(autouse=True)
def _no_threads_for_small_problems(one_thread):
    with threadpool_limits(1):
        yield


def data(rng, n, p, t, dtype=np.float64, mean=0.5):
    X = rng.standard_normal((n, p))
    Y = 0.3 * X @ rng.standard_normal((p, t)) + rng.standard_normal((n, t))
    return (mean + X).astype(dtype), (mean + Y).astype(dtype)


def in_norm(result, expected):
    return np.linalg.norm(result - expected) / np.linalg.norm(expected)


def loop(kernel, Y, splits, alphas=ALPHAS, fit_intercept=True, scoring="r2"):
    """The definition, slowly: scores (alphas, t), held-out predictions (alphas, n, t)."""
    path = np.zeros((len(alphas), Y.shape[1]))
    held = np.full((len(alphas), *Y.shape), np.nan)
    for train, test in splits:
        of_train, of_test = kernel[np.ix_(train, train)], kernel[np.ix_(test, train)]
        mean = fit_intercept * Y[train].mean(0)
        if fit_intercept:
            center = KernelCenterer().fit(of_train)
            of_train, of_test = center.transform(of_train), center.transform(of_test)
        for number, alpha in enumerate(alphas):
            model = KernelRidge(alpha=alpha, kernel="precomputed").fit(of_train, Y[train] - mean)
            guess = held[number, test] = model.predict(of_test) + mean
            if scoring == "r2":
                path[number] += r2_score(Y[test], guess, multioutput="raw_values")
            else:
                path[number] += np.diag(np.corrcoef(Y[test].T, guess.T)[: Y.shape[1], Y.shape[1] :])
    return path / len(splits), held


def fitted(X, Y, cv=None, **options):
    options = {"alphas": ALPHAS, "keep_path": True, "keep_predictions": True} | options
    return b2m.ridge.KernelRidgeCV(cv=5 if cv is None else cv, **options).fit(X, Y)


KERNELS = {
    "linear": {},
    "poly": {"degree": 2, "gamma": 0.05, "coef0": 0.7},
    "polynomial": {"degree": 3},
    "rbf": {"gamma": 0.03},
    "sigmoid": {"gamma": 0.01, "coef0": 0.1},
    "cosine": {},
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("explicit", [True, False])
def test_each_kernel_is_the_one_of_scikit_learn(rng, name, explicit):
    X, Y = data(rng, 50, 7, 4)
    X[3] = 0  # no cosine there
    named = KERNELS[name] if explicit else {}
    kernel = pairwise_kernels(X, metric=name, **named)
    alphas = np.trace(kernel) * np.logspace(-1 if name == "sigmoid" else -3, 0, 5)  # it has eigenvalues below 0
    model = fitted(X, Y, alphas=alphas, kernel=name, **named)
    path, held = loop(kernel, Y, list(KFold(5).split(X)), alphas)
    np.testing.assert_allclose(model.cv_scores_path_, path, rtol=0, atol=1e-10)
    chosen = path.argmax(0)
    assert in_norm(model.cv_predictions_, held[chosen, :, np.arange(4)].T) < 1e-10
    new = rng.standard_normal((9, 7))
    expected = pairwise_kernels(new, X, metric=name, **named) @ model.dual_coef_ + model.intercept_
    assert in_norm(model.predict(new), expected) < 1e-12


@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(57, 5, 4), (40, 90, 3), (40, 30, 25), (30, 1, 1)])
def test_a_precomputed_kernel_equals_a_loop_of_scikit_learn(rng, scoring, fit_intercept, shape):
    X, Y = data(rng, *shape)
    kernel = pairwise_kernels(X, metric="rbf", gamma=0.3 / shape[1])
    cv = ShuffleSplit(4, test_size=0.2, random_state=0)
    options = {"fit_intercept": fit_intercept, "scoring": scoring}
    model = fitted(kernel, Y, cv, kernel="precomputed", **options)
    path, held = loop(kernel, Y, list(cv.split(X)), **options)
    np.testing.assert_allclose(model.cv_scores_path_, path, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.cv_scores_, path.max(0), rtol=0, atol=1e-10)
    np.testing.assert_array_equal(model.best_alphas_, ALPHAS[path.argmax(0)])
    last = np.concatenate([test for _, test in cv.split(X)][-1:])
    np.testing.assert_allclose(
        model.cv_predictions_[last], held[path.argmax(0), :, np.arange(shape[2])].T[last], rtol=0, atol=1e-10
    )
    never = np.setdiff1d(np.arange(shape[0]), np.concatenate([test for _, test in cv.split(X)]))
    assert len(never)
    assert np.isnan(model.cv_predictions_[never]).all()
    mean = fit_intercept * Y.mean(0)
    centered = KernelCenterer().fit_transform(kernel) if fit_intercept else kernel
    for target, alpha in enumerate(model.best_alphas_):
        rival = KernelRidge(alpha=alpha, kernel="precomputed").fit(centered, Y[:, target] - mean[..., target])
        assert in_norm(model.dual_coef_[:, target], rival.dual_coef_) < 1e-10
        predicted = rival.predict(centered) + mean[..., target]
        assert in_norm(model.predict(kernel)[:, target], predicted) < 1e-10


@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(60, 12, 5), (40, 90, 3), (40, 90, 30)])
def test_the_linear_kernel_is_ridge_regression(rng, scoring, fit_intercept, shape):
    X, Y = data(rng, *shape)
    options = {"alphas": ALPHAS, "scoring": scoring, "fit_intercept": fit_intercept}
    model = fitted(X, Y, **options)
    other = b2m.ridge.RidgeCV(solver="cholesky", keep_path=True, keep_predictions=True, **options).fit(X, Y)
    np.testing.assert_allclose(model.cv_scores_path_, other.cv_scores_path_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.cv_correlations_, other.cv_correlations_, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(model.best_alphas_, other.best_alphas_)
    assert in_norm(X.T @ model.dual_coef_, other.coef_) < 1e-10
    np.testing.assert_allclose(model.intercept_, other.intercept_, rtol=0, atol=1e-9)
    assert in_norm(model.cv_predictions_, other.cv_predictions_) < 1e-10
    new = rng.standard_normal((7, shape[1]))
    assert in_norm(model.predict(new), other.predict(new)) < 1e-10
    assert model.score(X, Y) == pytest.approx(other.score(X, Y), abs=1e-10)


@pytest.mark.parametrize("mean", [0, 10, 100])
@pytest.mark.parametrize("t", [5, 40])
def test_float32_equals_float64_to_a_hundred_thousandth(rng, mean, t):
    X, Y = data(rng, 80, 20, t, np.float32, mean)
    model, wide = fitted(X, Y), fitted(X.astype(float), Y.astype(float))
    assert model.dual_coef_.dtype == model.cv_scores_.dtype == model.predict(X).dtype == np.float64
    assert np.abs(model.cv_scores_path_ - wide.cv_scores_path_).max() < 1e-5
    np.testing.assert_allclose(model.best_alphas_, wide.best_alphas_)
    assert in_norm(model.cv_predictions_, wide.cv_predictions_) < 1e-5
    assert in_norm(model.dual_coef_, wide.dual_coef_) < 1e-5
    predicted, expected = model.predict(X), wide.predict(X.astype(float))
    assert in_norm(predicted, expected) < 1e-5
    assert in_norm(predicted - Y.mean(0), expected - Y.mean(0)) < 1e-4


@pytest.mark.parametrize("kernel", ["linear", "rbf", "polynomial", "cosine"])
@pytest.mark.parametrize("t", [4, 40])
def test_himalaya_agrees(rng, kernel, t):
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import KernelRidgeCV
    from himalaya.scoring import r2_score

    set_backend("numpy")
    X, Y = data(rng, 60, 12, t, mean=0)
    X, Y = X - X.mean(0), Y - Y.mean(0)
    alphas = ALPHAS if kernel in ("linear", "polynomial") else ALPHAS / 100
    rival = KernelRidgeCV(
        alphas=alphas,
        kernel=kernel,
        cv=KFold(5),
        solver_params={"score_func": r2_score, "local_alpha": True},
        warn=False,
    ).fit(X, Y)
    model = fitted(X, Y, alphas=alphas, kernel=kernel, fit_intercept=False)
    np.testing.assert_allclose(model.best_alphas_, rival.best_alphas_)
    np.testing.assert_allclose(model.cv_scores_, np.ravel(rival.cv_scores_), rtol=0, atol=1e-9)
    assert in_norm(model.dual_coef_, rival.dual_coef_) < 1e-9
    new = rng.standard_normal((7, 12))
    assert in_norm(model.predict(new), rival.predict(new)) < 1e-9


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scoring", ["r2", "correlation"])
def test_many_targets_are_what_each_would_be(rng, dtype, scoring):
    X, Y = data(rng, 50, 30, 80, dtype)  # more than a fold's 10 rows; then fewer, then as many
    tolerance = 1e-10 if dtype == np.float64 else 1e-5
    all_at_once = fitted(X, Y, kernel="rbf", gamma=0.02, alphas=ALPHAS / 100, scoring=scoring)
    for some in (slice(0, 3), slice(40, 50), slice(69, 80)):
        few = fitted(X, Y[:, some], kernel="rbf", gamma=0.02, alphas=ALPHAS / 100, scoring=scoring)
        assert np.abs(few.cv_scores_path_ - all_at_once.cv_scores_path_[:, some]).max() < tolerance
        assert in_norm(few.dual_coef_, all_at_once.dual_coef_[:, some]) < tolerance
        assert in_norm(few.cv_predictions_, all_at_once.cv_predictions_[:, some]) < tolerance


def test_one_penalty_for_all_targets(rng):
    X, Y = data(rng, 50, 12, 30)
    kernel = pairwise_kernels(X, metric="rbf", gamma=0.02)
    alphas = np.logspace(-4, 3, 8)
    path, held = loop(kernel, Y, list(KFold(5).split(X)), alphas)
    assert len(np.unique(path.argmax(0))) > 1
    best = path.mean(1).argmax()
    model = fitted(kernel, Y, kernel="precomputed", alpha_per_target=False, alphas=alphas)
    np.testing.assert_array_equal(model.best_alphas_, alphas[best])
    np.testing.assert_allclose(model.cv_scores_, path[best], rtol=0, atol=1e-10)
    assert in_norm(model.cv_predictions_, held[best]) < 1e-10


def test_the_default_grid_is_relative_to_the_centred_kernel(rng):
    X, Y = data(rng, 50, 12, 3, mean=5)
    for fit_intercept in (True, False):
        kernel = pairwise_kernels(X, metric="polynomial", degree=2)
        model = fitted(X, Y, alphas=None, kernel="polynomial", degree=2, fit_intercept=fit_intercept)
        values = np.linalg.eigvalsh(KernelCenterer().fit_transform(kernel) if fit_intercept else kernel)
        mean = np.average(values, weights=values)  # zeros do not count, nor how many rows there are
        np.testing.assert_allclose(model.alphas_, mean * np.logspace(-3, 6, 10), rtol=1e-9)


def test_scikit_learn_cuts_a_precomputed_kernel_both_ways(rng):
    X, Y = data(rng, 60, 12, 4)
    kernel = X @ X.T
    grid = {"scoring": ["r2", "correlation"], "alpha_per_target": [True, False]}
    of_rows = GridSearchCV(b2m.ridge.KernelRidgeCV(ALPHAS), grid, cv=3).fit(X, Y)
    of_kernel = GridSearchCV(b2m.ridge.KernelRidgeCV(ALPHAS, kernel="precomputed"), grid, cv=3).fit(kernel, Y)
    predicted = cross_val_predict(b2m.ridge.KernelRidgeCV(ALPHAS, kernel="precomputed"), kernel, Y, cv=3)
    expected = cross_val_predict(b2m.ridge.RidgeCV(ALPHAS), X, Y, cv=3)
    scores = of_rows.cv_results_["mean_test_score"]
    np.testing.assert_allclose(of_kernel.cv_results_["mean_test_score"], scores, rtol=0, atol=1e-10)
    assert of_kernel.best_params_ == of_rows.best_params_
    assert in_norm(predicted, expected) < 1e-10


def test_the_last_step_of_a_pipeline(rng):
    X, Y = data(rng, 60, 12, 4, mean=3)
    one = make_pipeline(StandardScaler(), b2m.ridge.KernelRidgeCV(ALPHAS / 100, kernel="rbf")).fit(X, Y)
    kernel = pairwise_kernels(StandardScaler().fit_transform(X), metric="rbf")
    other = make_pipeline(KernelCenterer(), b2m.ridge.KernelRidgeCV(ALPHAS / 100, kernel="precomputed")).fit(kernel, Y)
    assert in_norm(other.predict(kernel), one.predict(X)) < 1e-10


def test_torch_in_torch_out(rng):
    X, Y = data(rng, 60, 12, 4, np.float32)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    for name in ("linear", "rbf", "precomputed"):
        given = (X @ X.T, x @ x.T) if name == "precomputed" else (X, x)
        numpy, tensor = (fitted(a, b, kernel=name) for a, b in zip(given, (Y, y), strict=True))
        for attribute in ("dual_coef_", "intercept_", "best_alphas_", "cv_scores_", "cv_scores_path_"):
            assert isinstance(getattr(tensor, attribute), torch.Tensor), attribute
            assert isinstance(getattr(numpy, attribute), np.ndarray), attribute
            np.testing.assert_allclose(
                getattr(tensor, attribute).numpy(), getattr(numpy, attribute), rtol=1e-4, atol=1e-5
            )
        predicted = tensor.predict(given[1][:5])
        assert isinstance(predicted, torch.Tensor)
        assert predicted.dtype == (torch.float32 if name == "precomputed" else torch.float64)
        np.testing.assert_allclose(predicted.numpy(), numpy.predict(given[0][:5]), rtol=1e-4, atol=1e-4)


def test_one_target_is_a_vector(rng):
    X, Y = data(rng, 40, 5, 1)
    model, matrix = fitted(X, Y[:, 0]), fitted(X, Y)
    assert model.dual_coef_.shape == model.cv_predictions_.shape == (40,)
    assert model.predict(X[:3]).shape == (3,)
    assert np.shape(model.intercept_) == ()
    assert matrix.dual_coef_.shape == (40, 1)
    np.testing.assert_allclose(matrix.dual_coef_[:, 0], model.dual_coef_, rtol=1e-12)
    assert model.X_fit_.shape == (40, 5)
    assert not hasattr(fitted(X @ X.T, Y, kernel="precomputed"), "X_fit_")


def test_rows_that_may_not_be_written_to(rng):
    X, Y = data(rng, 40, 5, 3)
    expected = fitted(X, Y).predict(X)
    for v in (X, Y):
        v.flags.writeable = False  # as of a memory map, or in a worker of joblib
    torch.set_warn_always(True)  # it would warn once in a process
    try:
        np.testing.assert_array_equal(fitted(X, Y).predict(X), expected)
    finally:
        torch.set_warn_always(False)


def test_what_is_no_kernel_is_refused(rng):
    X, Y = data(rng, 40, 5, 3)
    kernel = X @ X.T
    for kind in (np.asarray, torch.as_tensor):
        with pytest.raises(ValueError, match=re.escape("must be (rows, rows) for the rows of Y; got [40, 39]")):
            fitted(kind(kernel[:, :39].copy()), Y, kernel="precomputed")
        askew = kernel.copy()
        askew[3, 7] += 0.01 * kernel.max()
        with pytest.raises(ValueError, match=r"the kernel must be symmetric; got values .* apart"):
            fitted(kind(askew), Y, kernel="precomputed")
        for value in (np.nan, np.inf):
            hole = kernel.copy()
            hole[3, 7] = hole[7, 3] = value
            with pytest.raises(ValueError, match=r"must be finite.*got (nan|inf) at row 3, column 7"):
                fitted(kind(hole), Y, kernel="precomputed")
        model = fitted(kind(kernel), kind(Y), kernel="precomputed")
        with pytest.raises(ValueError, match=r"40 features"):
            model.predict(kind(kernel[:, :39].copy()))
        with pytest.raises(ValueError, match=r"must be finite"):
            model.predict(kind(hole))
    with pytest.raises(ValueError, match=r"kernel must be 'precomputed' or one of linear, .*; got 'laplacian'"):
        fitted(X, Y, kernel="laplacian")
    not_definite = kernel - 10 * np.eye(40)
    with pytest.raises(ValueError, match="positive definite"):
        fitted(not_definite, Y, kernel="precomputed", alphas=[0.1])
