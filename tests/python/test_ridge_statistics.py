"""Statistics of folds: against sums in float64, RidgeCV on all rows at once, and a loop of scikit-learn's Ridge."""

import functools
import itertools
import json
import pickle
import re
import weakref

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit
from threadpoolctl import threadpool_limits

import brain2music as b2m
from brain2music.ridge import FoldStatistics, RidgeCV

ALPHAS = np.logspace(-1, 4, 6)
FOUND = ["alphas_", "best_alphas_", "cv_scores_", "cv_correlations_", "cv_scores_path_", "coef_", "intercept_"]
SUMS = ["gram_", "cross_", "y_squares_"]

pytestmark = pytest.mark.filterwarnings("ignore:.*the grid of alphas")


@pytest.fixture(autouse=True)
def _no_threads_for_small_problems(one_thread):
    with threadpool_limits(1):
        yield


def data(rng, n=90, p=7, t=5, dtype=np.float64, mean=2.0):
    X = rng.standard_normal((n, p))
    Y = 0.3 * X @ rng.standard_normal((p, t)) + rng.standard_normal((n, t))
    return (mean + X).astype(dtype), (mean + Y).astype(dtype)


def runs_of(X, Y, length=15):
    return [(X[first : first + length], Y[first : first + length]) for first in range(0, len(X), length)]


def splits_of(fold):
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(fold.max() + 1)]


def fitted(statistics, **options):
    return RidgeCV(**({"alphas": ALPHAS, "keep_path": True} | options)).fit_statistics(statistics)


def in_norm(result, expected):
    return np.linalg.norm(result - expected) / np.linalg.norm(expected)


def assert_same_fit(model, expected, tolerance=1e-10):
    for name in FOUND:
        assert in_norm(getattr(model, name), getattr(expected, name)) < tolerance, name


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_is_gathered_are_sums_about_the_offsets(rng, weighted, dtype):
    X, Y = data(rng, dtype=dtype)
    weights = rng.exponential(size=90) if weighted else np.ones(90)
    statistics = FoldStatistics.gather(X, Y, cv=4, sample_weight=weights if weighted else None)
    x = np.hstack([X - statistics.x_offset_.numpy(), np.ones((90, 1))])
    y = Y - statistics.y_offset_.numpy()
    folds = [test for _, test in KFold(4).split(X)]
    for number, rows in enumerate([*folds, np.arange(90)]):
        weight = weights[rows, None]
        for name, expected in (
            ("gram_", x[rows].T @ (weight * x[rows])),
            ("cross_", x[rows].T @ (weight * y[rows])),
            ("y_squares_", (weight * y[rows] ** 2).sum(0)),
        ):
            value = getattr(statistics, name)
            assert value.dtype == torch.float64
            assert in_norm(value[number].numpy(), expected) < (1e-13 if dtype == np.float64 else 1e-6), name
    np.testing.assert_allclose(statistics.gram_[:, -1, -1], [*(weights[rows].sum() for rows in folds), weights.sum()])


@pytest.mark.parametrize("solver", ["auto", "eigenbasis", "cholesky"])
@pytest.mark.parametrize("scoring", ["r2", "correlation"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(90, 7, 5), (60, 40, 30), (40, 60, 3), (40, 1, 1)])
def test_fitting_statistics_equals_fitting_the_rows(rng, solver, scoring, fit_intercept, shape):
    X, Y = data(rng, *shape)
    options = {"solver": solver, "scoring": scoring, "fit_intercept": fit_intercept}
    model = fitted(FoldStatistics.gather(X, Y), **options)
    options |= {"solver": "cholesky"} if solver == "auto" else {}
    expected = RidgeCV(ALPHAS, keep_path=True, **options).fit(X, Y)
    if shape[1] == 1 and scoring == "correlation":  # knows no penalty
        np.testing.assert_allclose(model.cv_scores_path_, expected.cv_scores_path_, atol=1e-10)
        return
    if not fit_intercept:
        model.intercept_, expected.intercept_ = model.intercept_ + 1, expected.intercept_ + 1
    assert_same_fit(model, expected)
    assert in_norm(model.predict(X), expected.predict(X)) < 1e-10
    assert model.n_features_in_ == shape[1]


@pytest.mark.parametrize("alpha_per_target", [True, False])
def test_the_grid_and_one_penalty_for_all(rng, alpha_per_target):
    X, Y = data(rng)
    options = {"alphas": None, "alpha_per_target": alpha_per_target, "keep_path": True}
    assert_same_fit(fitted(FoldStatistics.gather(X, Y), **options), RidgeCV(**options).fit(X, Y))


def test_run_by_run_equals_all_at_once(rng):
    X, Y = data(rng)
    fold = np.repeat(np.arange(6) % 3, 15)
    expected = RidgeCV(ALPHAS, splits_of(fold), keep_path=True).fit(X, Y)
    by_run, by_row = FoldStatistics(3), FoldStatistics(3)
    for number, (x, y) in enumerate(runs_of(X, Y)):
        by_run.update(x, y, fold=number % 3)
    for rows in np.array_split(rng.permutation(90), 7):
        by_row.update(X[rows], Y[rows], fold=fold[rows])
    for statistics in (
        FoldStatistics.gather(X, Y, splits_of(fold)),
        by_run,
        by_row,
        FoldStatistics.from_runs(iter(runs_of(X, Y)), n_folds=3),
    ):
        assert statistics.n_folds == 3
        assert_same_fit(fitted(statistics), expected)


def test_parts_add_up_in_any_order(rng):
    X, Y = data(rng)
    expected = fitted(FoldStatistics.from_runs(runs_of(X, Y, 30), n_folds=3))
    for order in itertools.permutations(range(3)):
        parts = []
        for number in order:
            part = FoldStatistics(3)
            part.update(*runs_of(X, Y, 30)[number], fold=number)
            parts.append(part)
        before = [[getattr(part, name).clone() for name in SUMS] for part in parts]
        assert_same_fit(fitted(parts[0] + (parts[1] + parts[2])), expected)
        assert_same_fit(fitted(functools.reduce(lambda a, b: a + b, parts)), expected)
        for part, sums in zip(parts, before, strict=True):
            for name, value in zip(SUMS, sums, strict=True):
                assert torch.equal(getattr(part, name), value)
        together = FoldStatistics(3)
        for part in parts:
            together += part
        assert_same_fit(fitted(together), expected)
        for part, sums in zip(parts, before, strict=True):
            for name, value in zip(SUMS, sums, strict=True):
                assert torch.equal(getattr(part, name), value)


def test_parts_that_do_not_fit_are_not_added(rng):
    X, Y = data(rng)
    one = FoldStatistics.gather(X, Y, cv=3)
    for other in (
        FoldStatistics.gather(X, Y, cv=4),
        FoldStatistics.gather(X[:, 1:], Y, cv=3),
        FoldStatistics.gather(X, Y[:, 1:], cv=3),
    ):
        for a, b in ((one, other), (other, one)):
            with pytest.raises(ValueError, match="must have equal folds, features and targets"):
                a + b
            before = a.gram_.clone()
            with pytest.raises(ValueError, match="must have equal folds, features and targets"):
                a += b
            assert torch.equal(a.gram_, before)
    for a, b in ((FoldStatistics(4), one), (one, FoldStatistics(4))):  # also where nothing was gathered yet
        with pytest.raises(ValueError, match="must have equal folds"):
            a + b


@pytest.mark.parametrize("solver", ["eigenbasis", "cholesky"])
def test_raw_signals_whose_runs_differ_keep_their_digits(rng, solver):
    X, Y = data(rng, 360, 9, 8)
    fold = np.repeat(np.arange(6) % 3, 60)
    levels = 100 + 10 * rng.standard_normal((6, 17)).repeat(60, axis=0)
    X, Y = (X + levels[:, :9]).astype(np.float32), (Y + levels[:, 9:]).astype(np.float32)
    path = np.zeros((len(ALPHAS), 8))
    for number, alpha in enumerate(ALPHAS):
        for train, test in splits_of(fold):
            guess = Ridge(alpha).fit(X[train].astype(float), Y[train].astype(float)).predict(X[test].astype(float))
            path[number] += r2_score(Y[test].astype(float), guess, multioutput="raw_values") / 3
    for order in (range(6), rng.permutation(6)):
        statistics = FoldStatistics(3)
        for number in order:
            statistics.update(*runs_of(X, Y, 60)[number], fold=number % 3)
        model = fitted(statistics, solver=solver)
        assert in_norm(model.cv_scores_path_, path) < 1e-5
        for target, alpha in enumerate(model.best_alphas_):
            best = Ridge(alpha).fit(X.astype(float), Y[:, target].astype(float))
            assert in_norm(model.coef_[:, target], best.coef_) < 1e-5
            assert model.intercept_[target] == pytest.approx(best.intercept_, abs=1e-3)


def test_each_run_is_let_go_of_before_the_next(rng):
    alive = []

    def runs():
        for _ in range(4):
            assert not any(array() is not None for array in alive)
            X, Y = data(rng, 20)
            alive.extend([weakref.ref(X), weakref.ref(Y)])
            yield X, Y
            del X, Y

    assert fitted(FoldStatistics.from_runs(runs(), n_folds=2)).coef_.shape == (7, 5)


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_memory_maps(rng, tmp_path, layout, dtype):
    X, Y = data(rng, dtype=dtype)
    for name, array in (("x", X), ("y", Y)):
        np.save(tmp_path / name, np.asarray(array, order=layout))
    maps = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy"]
    expected = RidgeCV(ALPHAS, keep_path=True).fit(X.astype(float), Y.astype(float))
    assert_same_fit(fitted(FoldStatistics.gather(*maps)), expected, 1e-10 if dtype == np.float64 else 1e-5)


def test_weights_are_those_of_the_fit(rng):
    X, Y = data(rng)
    weights = rng.exponential(size=90) * (rng.random(90) > 0.1)
    fold = np.arange(90) % 3
    expected = RidgeCV(ALPHAS, splits_of(fold), keep_path=True).fit(X, Y, sample_weight=weights)
    parts = FoldStatistics(3)
    for rows in np.array_split(np.arange(90), 4):
        parts.update(X[rows], Y[rows], fold[rows], sample_weight=weights[rows])
    for statistics in (parts, FoldStatistics.gather(X, Y, splits_of(fold), sample_weight=weights)):
        assert_same_fit(fitted(statistics), expected)
    times = rng.integers(0, 4, 90)
    again = np.repeat(np.arange(90), times)
    weighted, repeated = FoldStatistics(3), FoldStatistics(3)
    weighted.update(X, Y, fold, sample_weight=times)
    repeated.update(X[again], Y[again], fold[again])
    assert_same_fit(fitted(weighted), fitted(repeated))


def test_groups_and_rows_that_no_fold_holds_out(rng):
    X, Y = data(rng)
    groups = rng.integers(0, 11, 90)
    expected = RidgeCV(ALPHAS, 4, keep_path=True).fit(X, Y, groups=groups)
    assert_same_fit(fitted(FoldStatistics.gather(X, Y, 4, groups)), expected)
    assert_same_fit(fitted(FoldStatistics.gather(X, Y, GroupKFold(4), groups)), expected)
    cv = ShuffleSplit(3, test_size=0.2, random_state=0)  # also rows that two folds hold out
    expected = RidgeCV(ALPHAS, cv, keep_path=True).fit(X, Y)
    assert_same_fit(fitted(FoldStatistics.gather(X, Y, cv)), expected)
    fold = rng.integers(-1, 3, 90)
    expected = RidgeCV(ALPHAS, splits_of(fold), keep_path=True).fit(X, Y)
    statistics = FoldStatistics(3)
    statistics.update(X, Y, fold)
    assert_same_fit(fitted(statistics), expected)
    statistics = FoldStatistics(3)
    statistics.update(X[fold >= 0], Y[fold >= 0], fold[fold >= 0])
    statistics.update(X[fold < 0], Y[fold < 0], -1)
    assert_same_fit(fitted(statistics), expected)


def test_what_comes_out_is_of_the_kind_of_the_targets(rng):
    X, Y = data(rng, dtype=np.float32)
    for x, y, kind in ((X, Y, np.ndarray), (torch.from_numpy(X), torch.from_numpy(Y), torch.Tensor)):
        statistics = FoldStatistics.gather(x, y)
        for again in (statistics, statistics + statistics):
            model = fitted(again)
            for name in FOUND[1:]:
                assert isinstance(getattr(model, name), kind), name
                assert str(getattr(model, name).dtype).endswith("float64"), name
            assert isinstance(model.predict(x), kind)


@pytest.mark.parametrize("numpy", [True, False])
def test_a_file_holds_all_of_it(rng, tmp_path, numpy):
    X, Y = data(rng)
    statistics = FoldStatistics.gather(*((X, Y) if numpy else map(torch.from_numpy, (X, Y))))
    statistics.save(tmp_path / "sums.safetensors")
    loaded = FoldStatistics.load(str(tmp_path / "sums.safetensors"))
    with safetensors.safe_open(tmp_path / "sums.safetensors", "pt") as file:
        for name in ("x_offset", "y_offset", "gram", "cross", "y_squares"):
            assert torch.equal(file.get_tensor(name), getattr(statistics, f"{name}_"))
            assert torch.equal(getattr(loaded, f"{name}_"), getattr(statistics, f"{name}_"))
    assert loaded.n_folds == 5
    for name in FOUND:
        np.testing.assert_array_equal(getattr(fitted(loaded), name), getattr(fitted(statistics), name))
    assert isinstance(fitted(loaded).coef_, np.ndarray if numpy else torch.Tensor)
    loaded.update(X, Y, fold=np.arange(90) % 5)
    assert_same_fit(fitted(loaded + loaded), fitted(loaded + statistics + FoldStatistics.gather(X, Y)), 1)


def test_other_files_are_refused(rng, tmp_path):
    path = tmp_path / "sums.safetensors"
    FoldStatistics.gather(*data(rng)).save(path)
    tensors = {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()}  # it maps the file
    described = json.dumps({"version": 1, "kind": "FoldStatistics", "numpy": True})
    whole = path.read_bytes()

    def refused(metadata=described, **changes):
        changed = {name: changes.get(name, tensor) for name, tensor in tensors.items()}
        safetensors.torch.save_file(
            {name: tensor.contiguous() for name, tensor in changed.items() if tensor is not None},
            path,
            {"brain2music": metadata},
        )
        with pytest.raises(ValueError, match=re.escape(f"that FoldStatistics.save wrote is expected; got {path}")):
            FoldStatistics.load(path)

    for content in (b"", b"nothing", pickle.dumps([1]), whole[:-8], whole[:100]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"that FoldStatistics\.save wrote is expected"):
            FoldStatistics.load(path)
    refused(gram=None)
    refused(metadata="{}")
    refused(metadata="no json")
    refused(metadata=described.replace("FoldStatistics", "Bundle"))
    refused(metadata=described.replace("1", "2"))
    refused(gram=tensors["gram"][:, :-1])
    refused(gram=tensors["gram"][:2])
    refused(cross=tensors["cross"][:, 1:])
    refused(y_offset=tensors["y_offset"][1:])
    refused(y_squares=tensors["y_squares"][1:])
    refused(x_offset=tensors["x_offset"].float())
    with pytest.raises((FileNotFoundError, ValueError), match="missing"):
        FoldStatistics.load(tmp_path / "missing.safetensors")


def test_bad_input_is_named(rng):
    X, Y = data(rng)
    for folds in (1, 0, -3, True):
        with pytest.raises(ValueError, match="n_folds must be two or more"):
            FoldStatistics(folds)
    statistics = FoldStatistics(3)
    for given in (statistics, FoldStatistics(3) + FoldStatistics(3)):
        with pytest.raises(ValueError, match="rows must have been gathered; got none"):
            fitted(given)
        with pytest.raises(ValueError, match="rows must have been gathered; got none"):
            given.gram_  # noqa: B018
    assert not hasattr(statistics, "nonsense")
    statistics.update(X, Y, fold=np.arange(90) % 3)
    before = statistics.gram_.clone()
    for fold in (3, -2, np.full(90, 3)):
        with pytest.raises(ValueError, match="fold must lie between -1 and 2"):
            statistics.update(X, Y, fold=fold)
    for fold in (0.5, np.zeros(89, int), np.zeros(90), "a"):
        with pytest.raises(ValueError, match="fold must be an integer, or one for each row"):
            statistics.update(X, Y, fold=fold)
    for x, y in ((X, Y[1:]), (X[:, 0], Y), (X, Y[:, 0]), (X[:0], Y[:0])):
        with pytest.raises(ValueError, match=r"\[ridge\.(F|f)old"):
            statistics.update(x, y, fold=0)
    with pytest.raises(ValueError, match="must have equal folds, features and targets"):
        statistics.update(X[:, 1:], Y, fold=0)
    for name, row, column in (("X", 7, 3), ("Y", 58, 1)):
        for value in (np.nan, -np.inf):
            x, y = X.copy(), Y.copy()
            (x if name == "X" else y)[row, column] = value
            with pytest.raises(ValueError, match=rf"{name} must be finite.*row {row}, column {column}"):
                statistics.update(x, y, fold=0)
    for weights in (-np.ones(90), np.full(90, np.nan), np.ones(89)):
        with pytest.raises(ValueError, match="sample_weight must"):
            statistics.update(X, Y, fold=0, sample_weight=weights)
    assert torch.equal(statistics.gram_, before)
    for options in ({"keep_predictions": True}, {"solver": "kernel"}):
        with pytest.raises(ValueError, match="statistics give no held-out predictions, no solver 'kernel'"):
            fitted(statistics, **options)
    one = FoldStatistics(3)
    one.update(X, Y, fold=1)
    with pytest.raises(ValueError, match="every fold must hold out rows and leave rows to train on; got a weight of 0"):
        fitted(one)
    with pytest.raises(TypeError, match="statistics must be fitted by RidgeCV"):
        b2m.ridge.BatchedRidgeCV().fit_statistics(statistics)
