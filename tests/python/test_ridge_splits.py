"""Folds that leave rows out of train and test: a loop of scikit-learn's Ridge over the very rows, and himalaya."""

import re
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, PredefinedSplit, ShuffleSplit, TimeSeriesSplit

import brain2music as b2m
from brain2music.ridge.folds import train_test_rows

ALPHAS = np.logspace(-1, 4, 6)
SOLVERS = ["eigenbasis", "cholesky", "kernel"]
OF_ROWS = ["RidgeCV", "BandedRidgeCV", "BatchedRidgeCV", "KernelRidgeCV"]

pytestmark = [pytest.mark.filterwarnings("ignore:.*the grid of alphas"), pytest.mark.usefixtures("one_thread")]


def data(rng, n, p, t, dtype=np.float64, mean=0.0):
    X = rng.standard_normal((n, p)) + mean
    Y = 0.3 * X @ rng.standard_normal((p, t)) + rng.standard_normal((n, t)) + mean
    return X.astype(dtype), Y.astype(dtype)


def around(rows, folds=5, gap=2):
    """Blocks of rows, each trained on all others but the nearest."""
    index = np.arange(rows)
    return [
        (np.setdiff1d(index, np.arange(test[0] - gap, test[-1] + gap + 1)), test)
        for test in np.array_split(index, folds)
    ]


def of_all_kinds(rows):
    """A fold without a gap, few and many rows trained on, overlapping tests, rows that are never held out."""
    index = np.random.default_rng(3).permutation(rows)
    third = rows // 3
    return [
        (index[third:], index[:third]),
        (index[: rows // 4], index[third : third + rows // 6]),
        (index[: 3 * rows // 4], index[-rows // 5 :]),
        (np.arange(third, rows - 3), np.arange(third - 4)),
    ]


def splits_named(name, rows):
    return {
        "a gap around each fold": lambda: around(rows),
        "TimeSeriesSplit": lambda: list(TimeSeriesSplit(4).split(np.empty(rows))),
        "TimeSeriesSplit with a gap": lambda: list(TimeSeriesSplit(3, gap=3, max_train_size=14).split(np.empty(rows))),
        "ShuffleSplit": lambda: list(
            ShuffleSplit(4, test_size=0.3, train_size=0.4, random_state=0).split(np.empty(rows))
        ),
        "all kinds": lambda: of_all_kinds(rows),
        "one fold": lambda: around(rows)[1:2],
    }[name]()


NAMES = ["a gap around each fold", "TimeSeriesSplit", "TimeSeriesSplit with a gap", "ShuffleSplit", "all kinds"]


def loop(X, Y, splits, fit_intercept=True, scoring="r2", weights=None, alphas=ALPHAS):
    """Scores (alphas, t) by both measures averaged over folds, best, coefficients, intercepts, held-out predictions."""
    X, Y = np.asarray(X, float), np.asarray(Y, float)
    w = np.ones(len(X)) if weights is None else weights
    paths = {name: np.zeros((len(alphas), Y.shape[1])) for name in ("r2", "correlation")}
    held = np.full((len(alphas), *Y.shape), np.nan)
    solver = "svd" if X.shape[1] > len(X) // 4 else "cholesky"
    for train, test in splits:
        v = w[test][:, None] / w[test].sum()
        true = Y[test] - (v * Y[test]).sum(0)
        for number, alpha in enumerate(alphas):
            model = Ridge(alpha=alpha, fit_intercept=fit_intercept, solver=solver)
            predicted = model.fit(X[train], Y[train], w[train]).predict(X[test]).reshape(len(test), -1)
            held[number, test] = predicted
            guess = predicted - (v * predicted).sum(0)
            paths["r2"][number] += 1 - (v * (Y[test] - predicted) ** 2).sum(0) / (v * true**2).sum(0)
            spreads = (v * true**2).sum(0) * (v * guess**2).sum(0)
            paths["correlation"][number] += (v * true * guess).sum(0) / np.sqrt(spreads)
    paths = {name: path / len(splits) for name, path in paths.items()}
    best = paths[scoring].argmax(0)
    coef, intercept, predictions = np.empty((X.shape[1], Y.shape[1])), np.zeros(Y.shape[1]), np.empty(Y.shape)
    for number in np.unique(best):
        its = best == number
        model = Ridge(alpha=alphas[number], fit_intercept=fit_intercept, solver=solver).fit(X, Y[:, its], w)
        coef[:, its], intercept[its] = model.coef_.reshape(its.sum(), -1).T, model.intercept_
        predictions[:, its] = held[number][:, its]
    return paths[scoring], best, coef, intercept, predictions


def close(result, expected, tolerance):
    """Compare in norm; NaN at the same places."""
    result, expected = np.asarray(result, float), np.asarray(expected, float)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))
    apart = np.linalg.norm(np.nan_to_num(result - expected))
    assert apart <= tolerance * max(np.linalg.norm(np.nan_to_num(expected)), 1)


def check(model, expected, tolerance):
    path, best, coef, intercept, predictions = expected
    np.testing.assert_allclose(model.cv_scores_path_, path, rtol=0, atol=tolerance)
    chosen = np.searchsorted(model.alphas_, np.ravel(model.best_alphas_) * 0.999)
    index = np.arange(len(best))
    assert (path[best, index] - path[chosen, index] < 2 * tolerance).all()
    same = chosen == best
    assert same.mean() > 0.8 or len(coef) == 1  # the correlation of one feature knows no penalty
    np.testing.assert_allclose(model.cv_scores_, path[chosen, index], rtol=0, atol=tolerance)
    close(model.coef_.reshape(coef.shape)[:, same], coef[:, same], tolerance)
    close(np.ravel(model.intercept_)[same], intercept[same], 10 * tolerance)
    if hasattr(model, "cv_predictions_"):
        close(model.cv_predictions_.reshape(predictions.shape)[:, same], predictions[:, same], tolerance)


def fitted(X, Y, cv, **options):
    return b2m.ridge.RidgeCV(ALPHAS, cv=cv, keep_path=True, keep_predictions=True, **options).fit(X, Y)


@pytest.mark.parametrize(("scoring", "fit_intercept"), [("r2", True), ("r2", False), ("correlation", True)])
@pytest.mark.parametrize("shape", [(103, 12, 9), (60, 40, 4), (40, 90, 3), (50, 1, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_float64_equals_a_loop_of_scikit_learn(rng, scoring, fit_intercept, shape, name):
    X, Y = data(rng, *shape, mean=0.5)
    splits = splits_named(name, len(X))
    options = {"scoring": scoring, "fit_intercept": fit_intercept}
    expected = loop(X, Y, splits, **options)
    for solver in SOLVERS:
        check(fitted(X, Y, splits, solver=solver, **options), expected, 1e-10)


@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("shape", [(300, 40, 60), (200, 130, 30), (60, 90, 10)])
@pytest.mark.parametrize("name", NAMES)
def test_float32_far_from_zero_equals_it_to_a_hundred_thousandth(rng, scoring, shape, name):
    X, Y = data(rng, *shape, np.float32, mean=100)
    splits = splits_named(name, len(X))
    expected = loop(X, Y, splits, scoring=scoring)
    for solver in SOLVERS:
        model = fitted(X, Y, splits, solver=solver, scoring=scoring)
        check(model, expected, 1e-5)
        assert model.coef_.dtype == np.float32


@pytest.mark.parametrize("name", ["all kinds", "one fold"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_more_rows_than_are_added_up_at_once(rng, name, dtype):
    X, Y = data(rng, 4300, 12, 3, dtype, mean=10)
    splits = splits_named(name, len(X))
    expected = loop(X, Y, splits)
    for solver in SOLVERS[:2]:
        check(fitted(X, Y, splits, solver=solver), expected, 1e-5 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize("solver", SOLVERS)
def test_float32_where_few_rows_are_trained_on_and_all_rows_are_well_conditioned(rng, solver):
    X, Y = data(rng, 2000, 100, 4, np.float32)
    index = rng.permutation(2000)
    splits = [(index[:105], index[1300:1600]), (index[100:205], index[1200:])]
    alphas = np.array([1e-3, 0.1, 10])
    path = loop(X, Y, splits, alphas=alphas)[0]
    model = b2m.ridge.RidgeCV(alphas, splits, keep_path=True, solver=solver).fit(X, Y)
    np.testing.assert_allclose(model.cv_scores_path_, path, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_any_folds(seed):
    rng = np.random.default_rng(seed)
    n, p, t = (int(rng.integers(low, high)) for low, high in ((12, 80), (1, 60), (1, 7)))
    X, Y = data(rng, n, p, t)
    splits = []
    for _ in range(rng.integers(1, 6)):
        index = rng.permutation(n)
        held, kept = int(rng.integers(3, n // 2)), int(rng.integers(2, n // 2))
        splits.append((index[held : held + kept] if rng.random() < 0.7 else index[held:], index[:held]))
    expected = loop(X, Y, splits)
    for solver in SOLVERS:
        check(fitted(X, Y, splits, solver=solver), expected, 1e-8)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_folds_that_train_on_all_other_rows_give_the_very_same_numbers(rng, solver, dtype):
    X, Y = data(rng, 90, 20, 30, dtype)
    expected = fitted(X, Y, 5, solver=solver)
    pairs = list(KFold(5).split(X))
    shuffled = [(rng.permutation(train), rng.permutation(test)) for train, test in pairs]
    for cv in (pairs, shuffled, PredefinedSplit(np.arange(90) // 18)):
        model = fitted(X, Y, cv, solver=solver)
        for name in ("cv_scores_path_", "best_alphas_", "coef_", "intercept_", "cv_predictions_"):
            np.testing.assert_array_equal(getattr(model, name), getattr(expected, name))


def test_folds_in_every_form_that_scikit_learn_takes(rng):
    X, Y = data(rng, 60, 6, 4)
    splitter = TimeSeriesSplit(3)
    pairs = list(splitter.split(X))
    expected = fitted(X, Y, pairs).cv_scores_path_
    masks = [tuple(np.isin(np.arange(60), part) for part in pair) for pair in pairs]
    forms = {
        "splitter": splitter,
        "generator": splitter.split(X),
        "masks": masks,
        "lists of bool": [[part.tolist() for part in pair] for pair in masks],
        "lists": [[part.tolist() for part in pair] for pair in pairs],
        "from the end": [(train - 60, test - 60) for train, test in pairs],
        "out of order": [(train[::-1], rng.permutation(test)) for train, test in pairs],
        "small integers": [(train.astype(np.uint8), test.astype(np.int8)) for train, test in pairs],
        "tensors": [tuple(torch.as_tensor(part) for part in pair) for pair in pairs],
        "slices": [(slice(0, test[0]), slice(test[0], test[-1] + 1)) for _, test in pairs],
    }
    for name, cv in forms.items():
        np.testing.assert_array_equal(fitted(X, Y, cv).cv_scores_path_, expected, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_one_fold_alone_and_weights(rng, name):
    X, Y = data(rng, 80, 9, 5)
    weights = rng.uniform(0.2, 3, 80)
    for splits in (splits_named(name, 80), splits_named(name, 80)[-1:]):
        expected = loop(X, Y, splits, weights=weights)
        for solver in SOLVERS:
            model = b2m.ridge.RidgeCV(ALPHAS, cv=splits, keep_path=True, keep_predictions=True, solver=solver)
            check(model.fit(X, Y, sample_weight=weights), expected, 1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(70, 12, 5), (40, 60, 5)])
def test_kernels_and_batches_equal_it(rng, name, shape):
    X, Y = data(rng, *shape, mean=1)
    splits = splits_named(name, len(X))
    expected = loop(X, Y, splits)
    for kernel, of_rows in (("linear", X), ("precomputed", X @ X.T)):
        model = b2m.ridge.KernelRidgeCV(ALPHAS, splits, kernel=kernel, keep_path=True, keep_predictions=True)
        model.coef_ = X.T @ model.fit(of_rows, Y).dual_coef_
        check(model, expected, 1e-9)
    xs = [X, X[:, :5], X[:, 3:]]
    batch = b2m.ridge.BatchedRidgeCV(ALPHAS, splits, keep_path=True).fit(xs, Y)
    for x, path, coef in zip(xs, batch.cv_scores_path_, batch.coef_, strict=True):
        alone = loop(x, Y, splits)
        np.testing.assert_allclose(path, alone[0], rtol=0, atol=1e-10)
        close(coef, alone[2], 1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bands_equal_a_loop_over_draws(rng, name, dtype):
    X, Y = data(rng, 160, 40, 6, dtype)
    bands = np.arange(40) % 2
    gammas = np.array([[0.5, 0.5], [0.9, 0.1], [0.0, 1.0]])
    splits = splits_named(name, len(X))
    runs = [loop(X * np.sqrt(gamma)[bands], Y, splits) for gamma in gammas]
    scores = np.stack([path.max(0) for path, *_ in runs])
    coef = [np.sqrt(gammas[draw])[bands] * runs[draw][2][:, target] for target, draw in enumerate(scores.argmax(0))]
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    for solver in SOLVERS:
        model = b2m.ridge.BandedRidgeCV(bands, ALPHAS, splits, n_iter=gammas, solver=solver).fit(X, Y)
        np.testing.assert_allclose(model.cv_scores_, scores.max(0), rtol=0, atol=tolerance)
        close(model.coef_, np.stack(coef, axis=1), 10 * tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_one_penalty_for_all_targets_and_one_target(rng, name):
    X, Y = data(rng, 60, 8, 4)
    splits = splits_named(name, 60)
    path = loop(X, Y, splits)[0].mean(1)
    model = fitted(X, Y, splits, alpha_per_target=False)
    np.testing.assert_array_equal(model.best_alphas_, ALPHAS[path.argmax()])
    check(fitted(X, Y[:, 0], splits), loop(X, Y[:, :1], splits), 1e-10)


def test_tiles_of_targets_do_not_matter(rng):
    X, Y = data(rng, 120, 60, 3000, np.float32)
    splits = splits_named("all kinds", 120)
    for solver in SOLVERS[:2]:
        model = fitted(X, Y, splits, solver=solver)
        limited = fitted(X, Y, splits, solver=solver, memory_limit="40 MiB")
        part = fitted(X, Y[:, 2040:2060], splits, solver=solver)
        np.testing.assert_allclose(part.cv_scores_path_, model.cv_scores_path_[:, 2040:2060], rtol=0, atol=1e-5)
        np.testing.assert_allclose(limited.cv_scores_path_, model.cv_scores_path_, rtol=0, atol=1e-5)


@pytest.mark.parametrize("p", [20, 120])
@pytest.mark.parametrize("name", NAMES)
def test_himalaya_agrees(rng, p, name):
    from himalaya.backend import set_backend
    from himalaya.ridge import RidgeCV
    from himalaya.scoring import r2_score

    set_backend("numpy")
    X, Y = data(rng, 100, p, 40)
    X, Y = X - X.mean(0), Y - Y.mean(0)
    splits = splits_named(name, 100)
    params = {"score_func": r2_score, "warn": False}
    rival = RidgeCV(alphas=ALPHAS, cv=splits, fit_intercept=False, solver_params=params).fit(X, Y)
    model = fitted(X, Y, splits, fit_intercept=False)
    np.testing.assert_allclose(model.best_alphas_, rival.best_alphas_)
    np.testing.assert_allclose(model.cv_scores_, rival.cv_scores_.ravel(), rtol=0, atol=1e-9)
    close(model.coef_, rival.coef_, 1e-9)


def test_a_decoder_trains_on_the_clips_that_a_fold_names(rng):
    music = rng.standard_normal((40, 3, 6))
    labels = np.repeat([1, 2, 3], 12)
    brain = rng.standard_normal((40, 8, 36))
    brain[:, :, :12] += (music.mean(1) @ rng.standard_normal((6, 12)))[:, None]
    brain[4, :6] = np.nan  # the first window holds no scan
    splits = around(40, folds=4)
    decoder = b2m.BrainDecoder(n_rois=1, alphas=ALPHAS, cv=splits).fit(brain, music, rois=labels)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")
        means = np.stack([np.nanmean(brain[:, w : w + 6], axis=1) for w in range(3)], axis=1)
    there = np.isfinite(means[..., 0])
    clips, x, y = np.nonzero(there)[0], means[there], music[there]
    of_rows = [tuple(np.flatnonzero(np.isin(clips, part)) for part in pair) for pair in splits]
    for label, score in decoder.roi_scores_.items():
        inside = x[:, labels == label]
        best = loop(inside, y, of_rows)[1]
        correlations = loop(inside, y, of_rows, scoring="correlation")[0]
        np.testing.assert_allclose(score, correlations[best, np.arange(6)].mean(), rtol=0, atol=1e-9)
        if label == 1:
            np.testing.assert_allclose(decoder.alphas_[0], ALPHAS[best])


def test_an_encoder_trains_on_the_past(rng):
    X, Y = data(rng, 90, 7, 12)
    for cv in (TimeSeriesSplit(4), around(90)):
        encoder = b2m.VoxelwiseEncoder(ALPHAS, cv=cv).fit(X, Y)
        splits = list(cv.split(X)) if hasattr(cv, "split") else cv
        path, best, coef, intercept, _ = loop(X, Y, splits)
        np.testing.assert_allclose(encoder.cv_scores_, path.max(0), rtol=0, atol=1e-10)
        np.testing.assert_allclose(encoder.best_alphas_, ALPHAS[best])
        close(encoder.coef_, coef, 1e-10)
        close(encoder.intercept_, intercept, 1e-10)


FIRST, REST = np.arange(10), np.arange(10, 60)
WRONG = [
    ([(np.arange(9, 60), FIRST)], "a fold must not train on rows that it holds out; got row 9 in both parts of fold 0"),
    ([(REST, FIRST), (REST, [10, 60])], "a fold must name rows from 0 to 59; got row 60 in fold 1"),
    ([(REST, [-61, 3])], "a fold must name rows from 0 to 59; got row -61 in fold 0"),
    ([(REST, [3, 4, -57])], "a fold must name a row once; got row 3 2 times in fold 0"),
    ([(REST.astype(float), FIRST)], "or masks of shape (60,); got float64 of shape (50,) in fold 0"),
    ([(np.ones(59, bool), FIRST)], "or masks of shape (60,); got bool of shape (59,) in fold 0"),
    ([(REST.reshape(2, 25), FIRST)], "or masks of shape (60,); got int64 of shape (2, 25) in fold 0"),
    ([(REST, FIRST), 3], "a fold must be a pair (train, test); got 3 for fold 1"),
    ([(REST, FIRST, FIRST)], "a fold must be a pair (train, test); got (array("),
    ([(REST, [])], "every fold must hold out two rows or more, else it has no score; got 0 in fold 0"),
    ([([], FIRST)], "every fold must leave two rows or more to train on; got 0 in fold 0"),
    ([(REST[:1], FIRST)], "every fold must leave two rows or more to train on; got 1 in fold 0"),
    ([], "cv must give a fold or more; got none from list"),
    (iter([]), "cv must give a fold or more; got none from list_iterator (a generator gives its folds once"),
]


@pytest.mark.parametrize(("cv", "message"), WRONG)
def test_wrong_folds_are_named(rng, cv, message):
    X, Y = data(rng, 60, 4, 2)
    for name in OF_ROWS:
        if not hasattr(cv, "__next__") or name == "RidgeCV":
            with pytest.raises(ValueError, match=rf"^\[ridge\.{name}\] .*{re.escape(message)}"):
                getattr(b2m.ridge, name)(alphas=[1.0], cv=cv).fit(X, Y)


def test_weights_of_zero_leave_too_few_rows_to_train_on(rng):
    X, Y = data(rng, 60, 4, 2)
    weights = np.where(np.arange(60) < 20, 1.0, 0.0)
    with pytest.raises(ValueError, match="train on 2 rows or more with a sample_weight above zero; got 10 and 0"):
        b2m.ridge.RidgeCV([1.0], cv=[(np.arange(30, 60), FIRST)]).fit(X, Y, sample_weight=weights)


def test_statistics_take_no_gaps(rng):
    X, Y = data(rng, 60, 4, 2)
    for call in (b2m.ridge.FoldStatistics.gather, lambda X, Y, cv: b2m.ridge.held_out_rows(cv, len(X))):
        with pytest.raises(ValueError, match="hold out; got row 24 neither trained on nor held out in fold 0"):
            call(X, Y, cv=TimeSeriesSplit(4))
    for (train, test), held_out in zip(train_test_rows(5, 60), b2m.ridge.held_out_rows(5, 60), strict=True):
        np.testing.assert_array_equal(test, held_out)
        np.testing.assert_array_equal(train, np.delete(np.arange(60), test))
