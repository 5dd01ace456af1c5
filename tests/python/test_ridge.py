"""Ridge regression against scikit-learn's Ridge in a loop (float64) and himalaya."""

import re
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, RepeatedKFold, ShuffleSplit

import brain2music as b2m
from brain2music import _core

ALPHAS = np.logspace(-1, 4, 6)
SOLVERS = ["eigenbasis", "cholesky", "kernel"]


def data(rng, n, p, t, dtype=np.float64, signal=0.3):
    X = rng.standard_normal((n, p))
    Y = signal * X @ rng.standard_normal((p, t)) + rng.standard_normal((n, t))
    return X.astype(dtype), Y.astype(dtype)


def loop(X, Y, splits, alphas=ALPHAS, fit_intercept=True, scoring="r2"):
    """The definition, slowly: scores (alphas, t), best, coefficients, intercepts, held-out predictions."""
    X, Y = np.asarray(X, float), np.asarray(Y, float)
    path = np.zeros((len(alphas), Y.shape[1]))
    held = np.full((len(alphas), *Y.shape), np.nan)
    solver = "svd" if X.shape[1] > len(X) // 2 else "cholesky"
    for train, test in splits:
        for number, alpha in enumerate(alphas):
            model = Ridge(alpha=alpha, fit_intercept=fit_intercept, solver=solver).fit(X[train], Y[train])
            predicted = model.predict(X[test]).reshape(len(test), -1)
            held[number, test] = predicted
            true = Y[test] - Y[test].mean(0)
            if scoring == "r2":
                path[number] += 1 - ((Y[test] - predicted) ** 2).sum(0) / (true**2).sum(0)
            else:
                guess = predicted - predicted.mean(0)
                path[number] += (true * guess).sum(0) / np.sqrt((true**2).sum(0) * (guess**2).sum(0))
    path /= len(splits)
    best = path.argmax(0)
    coef, intercept, predictions = np.empty((X.shape[1], Y.shape[1])), np.zeros(Y.shape[1]), np.empty(Y.shape)
    for target, number in enumerate(best):
        model = Ridge(alpha=alphas[number], fit_intercept=fit_intercept, solver=solver).fit(X, Y[:, target])
        coef[:, target], intercept[target] = model.coef_.ravel(), np.ravel(model.intercept_)[0]
        predictions[:, target] = held[number, :, target]
    return path, best, coef, intercept, predictions


def fitted(X, Y, cv=None, groups=None, **options):
    options = {"alphas": ALPHAS, "keep_path": True, "keep_predictions": True} | options
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        return b2m.ridge.RidgeCV(cv=5 if cv is None else cv, **options).fit(X, Y, groups=groups)


def in_norm(result, expected):
    return np.linalg.norm(result - expected) / np.linalg.norm(expected)


def assert_equal(model, expected, tolerance):
    path, best, coef, intercept, predictions = expected
    assert np.abs(model.cv_scores_path_ - path).max() < tolerance
    chosen = np.searchsorted(model.alphas_, model.best_alphas_ * 0.999)
    index = np.arange(len(best))
    tie = path[best, index] - path[chosen, index] < 2 * tolerance
    assert tie.all()
    same = chosen == best
    assert same.mean() > 0.85 or model.coef_.shape[0] == 1  # the correlation of one feature knows no penalty
    np.testing.assert_allclose(model.cv_scores_, path[chosen, index], rtol=0, atol=tolerance)
    if not same.any():
        return
    assert in_norm(model.coef_[:, same], coef[:, same]) < tolerance
    assert in_norm(model.predict_rows[:, same], predictions[:, same]) < tolerance
    apart = np.linalg.norm(model.intercept_[same] - intercept[same])  # the mean of Y less that of X times coef: cancels
    assert apart <= tolerance * max(np.linalg.norm(intercept[same]), 1)


def check(X, Y, tolerance, cv=None, groups=None, **options):
    model = fitted(X, Y, cv, groups, **options)
    model.predict_rows = model.cv_predictions_
    splits = list((cv or (KFold(5) if groups is None else GroupKFold(5))).split(X, groups=groups))
    named = {name: options[name] for name in ("alphas", "fit_intercept", "scoring") if name in options}
    assert_equal(model, loop(X, Y, splits, **named), tolerance)
    return model


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(103, 12, 9), (60, 40, 4), (40, 90, 3), (50, 1, 1), (200, 128, 3)])
def test_float64_equals_a_loop_of_scikit_learn(rng, solver, scoring, fit_intercept, shape):
    X, Y = data(rng, *shape)
    check(X + 0.5, Y + 2, 1e-10, solver=solver, scoring=scoring, fit_intercept=fit_intercept)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("shape", [(300, 40, 200), (200, 130, 30), (60, 90, 10)])
def test_float32_equals_it_to_a_hundred_thousandth(rng, solver, scoring, shape):
    X, Y = data(rng, *shape, np.float32)
    model = check(100 + X, 100 + Y, 1e-5, solver=solver, scoring=scoring)
    assert model.coef_.dtype == model.best_alphas_.dtype == np.float32
    assert model.solver_ == solver


@pytest.mark.parametrize("solver", SOLVERS)
def test_float32_with_folds_of_scattered_rows_and_penalties_of_all_sizes(rng, solver):
    X = rng.standard_normal((300, 130))
    Y = X @ rng.standard_normal((130, 50)) * np.logspace(-3, 0.5, 50) + rng.standard_normal((300, 50))
    cv = KFold(4, shuffle=True, random_state=0)
    model = check((10 + X).astype(np.float32), (Y - 3).astype(np.float32), 1e-5, cv=cv, solver=solver)
    assert len(np.unique(model.best_alphas_)) > 4


def test_penalties_far_above_and_below_all_eigenvalues(rng):
    X, Y = data(rng, 200, 30, 20, np.float32)
    for scoring in ("r2", "correlation"):
        check(X, Y, 1e-5, solver="eigenbasis", scoring=scoring, alphas=np.logspace(-4, 9, 8))


def test_repeated_eigenvalues_and_duplicated_columns(rng):
    genre = np.eye(10)[rng.integers(0, 10, 300)]
    Y = genre @ rng.standard_normal((10, 6)) + rng.standard_normal((300, 6))
    for X in (genre, np.hstack([genre, genre, genre[:, :3]]), np.linalg.qr(rng.standard_normal((300, 20)))[0] * 20):
        for solver in SOLVERS:
            check(X, Y, 1e-9, solver=solver, scoring="correlation")
            check(X.astype(np.float32), Y.astype(np.float32), 1e-5, solver=solver)


def test_columns_scaled_from_a_millionth_to_a_million(rng):
    X, Y = data(rng, 200, 13, 8)
    X *= np.logspace(-6, 6, 13)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="An ill-conditioned matrix")
        model = check(X, Y, 1e-8, alphas=np.logspace(-2, 2, 5), solver="cholesky")
    assert model.solver_ == "cholesky"
    assert in_norm(fitted(X, Y, alphas=np.logspace(-2, 2, 5)).coef_, model.coef_) < 1e-12


def test_columns_without_variance_get_no_weight(rng):
    X, Y = data(rng, 100, 8, 5)
    X[:, 3] = 7
    for solver in SOLVERS:
        model = check(X, Y, 1e-9, solver=solver)
        assert np.abs(model.coef_[3]).max() < 1e-12


def test_a_constant_target_scores_zero_and_is_predicted(rng):
    X, Y = data(rng, 100, 8, 3)
    Y[:, 1] = 42.1
    for solver in SOLVERS:
        for scoring in ("r2", "correlation"):
            for dtype in (np.float32, np.float64):
                model = fitted(X.astype(dtype), Y.astype(dtype), solver=solver, scoring=scoring)
                assert model.cv_scores_[1] == 0
                assert model.cv_correlations_[1] == 0
                np.testing.assert_allclose(model.predict(X)[:, 1], 42.1, rtol=1e-5)


@pytest.mark.parametrize(
    "cv", [KFold(3, shuffle=True, random_state=0), RepeatedKFold(n_splits=4, n_repeats=2, random_state=1)]
)
def test_splitters(rng, cv):
    X, Y = data(rng, 90, 10, 6)
    model = fitted(X, Y, cv)
    expected = loop(X, Y, list(cv.split(X)))
    np.testing.assert_allclose(model.cv_scores_path_, expected[0], atol=1e-10)


def test_rows_that_no_fold_holds_out_are_trained_on(rng):
    X, Y = data(rng, 90, 10, 6)
    cv = ShuffleSplit(3, test_size=0.2, random_state=0)
    model = fitted(X, Y, cv)
    np.testing.assert_allclose(model.cv_scores_path_, loop(X, Y, list(cv.split(X)))[0], atol=1e-10)
    held_out = np.unique(np.concatenate([test for _, test in cv.split(X)]))
    assert np.isnan(np.delete(model.cv_predictions_, held_out, axis=0)).all()


def test_groups_are_held_out_together(rng):
    X, Y = data(rng, 120, 10, 6)
    groups = rng.integers(0, 11, 120)
    check(X, Y, 1e-10, groups=groups)
    pairs = list(GroupKFold(5).split(X, groups=groups))
    np.testing.assert_array_equal(fitted(X, Y, pairs).coef_, fitted(X, Y, groups=groups).coef_)
    sizes = np.repeat(np.arange(9), [3, 9, 4, 8, 5, 7, 6, 2, 10])  # no two groups of one size: no order to choose
    held_out = _core.ridge.group_folds(sizes.tolist(), 4)
    expected = [test for _, test in GroupKFold(4).split(sizes, groups=sizes)]
    assert {tuple(rows) for rows in held_out} == {tuple(rows) for rows in expected}


def test_one_penalty_for_all_targets(rng):
    X, Y = data(rng, 100, 10, 300)
    path, *_ = loop(X, Y, list(KFold(5).split(X)))
    model = fitted(X, Y, alpha_per_target=False)
    np.testing.assert_array_equal(model.best_alphas_, ALPHAS[path.mean(1).argmax()])
    np.testing.assert_allclose(model.coef_, Ridge(alpha=model.best_alphas_[0]).fit(X, Y).coef_.T, rtol=1e-9)
    np.testing.assert_allclose(model.cv_scores_, path[path.mean(1).argmax()], atol=1e-10)


@pytest.mark.parametrize("p", [20, 120])
def test_himalaya_agrees(rng, p):
    from himalaya.backend import set_backend
    from himalaya.ridge import RidgeCV
    from himalaya.scoring import r2_score

    set_backend("numpy")
    X, Y = data(rng, 100, p, 40)
    X, Y = X - X.mean(0), Y - Y.mean(0)
    rival = RidgeCV(
        alphas=ALPHAS, cv=KFold(5), fit_intercept=False, solver_params={"score_func": r2_score, "warn": False}
    ).fit(X, Y)
    model = fitted(X, Y, fit_intercept=False)
    np.testing.assert_allclose(model.best_alphas_, rival.best_alphas_)
    np.testing.assert_allclose(model.cv_scores_, rival.cv_scores_.ravel(), atol=1e-9)
    assert in_norm(model.coef_, rival.coef_) < 1e-9


def test_results_do_not_depend_on_tiles_of_targets(rng):
    X, Y = data(rng, 80, 6, 4500)
    model = fitted(X, Y)
    for part in (slice(0, 10), slice(2040, 2060), slice(4400, 4500)):
        np.testing.assert_allclose(fitted(X, Y[:, part]).cv_scores_path_, model.cv_scores_path_[:, part], atol=1e-12)


def test_layouts_and_types(rng):
    X, Y = data(rng, 60, 5, 4)
    expected = fitted(X, Y).coef_
    wide = np.zeros((120, 15))
    wide[::2, ::3] = X
    for x, y in ((np.asfortranarray(X), np.asfortranarray(Y)), (wide[::2, ::3], Y[::-1][::-1]), (X, Y.copy(order="F"))):
        np.testing.assert_allclose(fitted(x, y).coef_, expected, rtol=1e-12)
    whole = np.round(10 * X)
    for dtype in (np.int16, np.int64, np.float16):
        x = whole.astype(dtype)
        tolerance = 1e-12 if dtype == np.int64 else 1e-5
        model = fitted(x, Y.astype(np.float32))
        assert model.coef_.dtype == (np.float64 if dtype == np.int64 else np.float32)
        assert in_norm(model.coef_, fitted(whole, Y.astype(np.float32).astype(float)).coef_) < max(tolerance, 1e-6)


def test_torch_in_torch_out(rng):
    X, Y = (torch.from_numpy(v) for v in data(rng, 60, 5, 4, np.float32))
    model = fitted(X, Y)
    for name in ("coef_", "intercept_", "best_alphas_", "cv_scores_", "cv_scores_path_", "cv_predictions_"):
        assert isinstance(getattr(model, name), torch.Tensor), name
    predicted = model.predict(X)
    assert isinstance(predicted, torch.Tensor)
    np.testing.assert_allclose(predicted.numpy(), fitted(X.numpy(), Y.numpy()).predict(X.numpy()), rtol=1e-5, atol=1e-6)
    assert model.score(X, Y) == pytest.approx(fitted(X.numpy(), Y.numpy()).score(X.numpy(), Y.numpy()), abs=1e-6)
    with pytest.raises(ValueError, match=re.escape("X must have 5 features; got shape (60, 4)")):
        model.predict(X[:, :4])


def test_the_default_grid_knows_no_unit(rng):
    X, Y = data(rng, 100, 10, 8)
    mean = np.linalg.eigvalsh((X - X.mean(0)).T @ (X - X.mean(0))).mean()
    for scale in (1e-5, 1, 1e5):
        for solver in SOLVERS:
            model = fitted(scale * X + scale, Y, alphas=None, solver=solver)
            np.testing.assert_allclose(model.alphas_, mean * scale**2 * np.logspace(-3, 6, 10), rtol=1e-6)
            np.testing.assert_allclose(model.cv_scores_, fitted(X, Y, alphas=None).cv_scores_, atol=1e-7)


def test_targets_at_an_edge_of_the_grid_are_counted(rng):
    X, Y = data(rng, 100, 10, 8, signal=1.0)
    Y[:, 2:] = rng.standard_normal((100, 6))  # noise wants any large penalty: no word about that
    with pytest.warns(UserWarning, match="got 2 of 8 targets at its smallest, 0 at its largest"):
        b2m.ridge.RidgeCV(alphas=[1e3, 1e4, 1e5]).fit(X, Y)
    with pytest.warns(UserWarning, match="got 2 of 8 targets at its smallest, 0 at its largest"):
        b2m.ridge.RidgeCV(alphas=[1e5, 1e4, 1e3]).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        b2m.ridge.RidgeCV().fit(X, Y)
        b2m.ridge.RidgeCV(alphas=[1e4]).fit(X, Y)


def test_bad_input_is_named(rng):
    X, Y = data(rng, 60, 5, 4)
    for name, row, column in (("X", 7, 3), ("Y", 58, 1)):
        for value in (np.nan, np.inf):
            x, y = X.copy(), Y.copy()
            (x if name == "X" else y)[row, column] = value
            with pytest.raises(
                ValueError, match=rf"\[ridge.RidgeCV\] {name} must be finite.*row {row}, column {column}"
            ):
                fitted(x, y)
    with pytest.raises(ValueError, match=r"alphas must be positive and finite; got 0"):
        fitted(X, Y, alphas=[1, 0])
    with pytest.raises(ValueError, match=r"alphas must hold a penalty"):
        fitted(X, Y, alphas=[])
    with pytest.raises(ValueError, match=r"\(60, 5\) and \(59, 4\)"):
        fitted(X, Y[:-1])
    with pytest.raises(ValueError, match="scoring must be 'r2' or 'correlation'; got 'mse'"):
        fitted(X, Y, scoring="mse")
    with pytest.raises(ValueError, match="solver must be 'auto'"):
        fitted(X, Y, solver="svd")
    with pytest.raises(ValueError, match="hold out two rows or more"):
        fitted(X, Y, cv=KFold(60))
    with pytest.raises(ValueError, match="cv must be two folds or more; got 1"):
        fitted(X, Y, cv=1)
    with pytest.raises(ValueError, match="at most the number of groups; got 5 folds of 2"):
        fitted(X, Y, groups=np.arange(60) % 2)
    with pytest.raises(ValueError, match=re.escape("got shape (59,) for 60 rows")):
        fitted(X, Y, groups=np.arange(59))
    singular = np.repeat(X, 3, axis=1)
    with pytest.raises(ValueError, match="alpha is too small for columns of X that nearly repeat one another"):
        fitted(singular, Y, alphas=[1e-30], solver="cholesky")


def test_many_problems_are_what_each_would_be(rng):
    sizes = (3, 61, 150, 1, 40)
    Y = rng.standard_normal((100, 7)).astype(np.float32)
    xs = [(Y @ rng.standard_normal((7, p)) + 3 * rng.standard_normal((100, p))).astype(np.float32) for p in sizes]
    groups = np.repeat(np.arange(10), 10)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        batch = b2m.ridge.BatchedRidgeCV(keep_path=True, keep_predictions=True).fit(xs, Y, groups=groups)
        singles = [b2m.ridge.RidgeCV(keep_path=True, keep_predictions=True).fit(x, Y, groups=groups) for x in xs]
    for i, single in enumerate(singles):
        for name in (
            "alphas_",
            "best_alphas_",
            "cv_scores_",
            "cv_correlations_",
            "coef_",
            "intercept_",
            "cv_predictions_",
        ):
            np.testing.assert_allclose(
                getattr(batch, name)[i], getattr(single, name), rtol=2e-4, atol=1e-6, err_msg=name
            )
        assert batch.solver_[i] == single.solver_
    for predicted, x, single in zip(batch.predict(xs), xs, singles, strict=True):
        np.testing.assert_allclose(predicted, single.predict(x), rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match=r"features of the fit, \[3, 61, 150, 1, 40\]"):
        batch.predict(xs[:2])
    xs[3][5] = np.nan
    with pytest.raises(ValueError, match="X must be finite"):
        b2m.ridge.BatchedRidgeCV().fit(xs, Y)
