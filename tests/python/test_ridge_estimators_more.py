"""The conventions of scikit-learn, by its own checks: kernels and bands."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

import brain2music as b2m

ESTIMATORS = {
    "KernelRidgeCV": b2m.ridge.KernelRidgeCV(cv=3),
    "KernelRidgeCV, rbf": b2m.ridge.KernelRidgeCV(cv=3, kernel="rbf"),
    "BandedRidgeCV": b2m.ridge.BandedRidgeCV(cv=3, n_iter=3, random_state=0),
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.filterwarnings("default")
def test_check_estimator(estimator, one_thread):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        results = check_estimator(ESTIMATORS[estimator], on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input", "check_estimators_pickle"}


@pytest.mark.filterwarnings("default")
def test_check_estimator_of_a_precomputed_kernel(one_thread):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        results = check_estimator(b2m.ridge.KernelRidgeCV(cv=3, kernel="precomputed"), on_skip=None, on_fail=None)
    failed = {result["check_name"]: str(result["exception"]) for result in results if result["status"] == "failed"}
    # It cuts a kernel to whole numbers: what is left has eigenvalues below 0, and is refused.
    assert "positive definite" in failed.pop("check_estimators_dtypes", "positive definite")
    assert not failed
    assert {result["status"] for result in results} <= {"passed", "skipped", "failed"}


@pytest.mark.parametrize(
    ("estimator", "grid"),
    [
        (b2m.ridge.KernelRidgeCV(kernel="rbf"), {"gamma": [0.01, 0.1], "scoring": ["r2", "correlation"]}),
        (
            b2m.ridge.BandedRidgeCV(["a", "b"] * 3, n_iter=5, random_state=0),
            {"concentration": [0.1, (0.5, 1)], "solver": ["cholesky", "kernel"]},
        ),
    ],
    ids=["KernelRidgeCV", "BandedRidgeCV"],
)
def test_clones_searches_and_pickles(rng, one_thread, estimator, grid):
    X = rng.standard_normal((80, 6))
    Y = X @ rng.standard_normal((6, 3)) + rng.standard_normal((80, 3))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        search = GridSearchCV(estimator, grid, cv=3).fit(X, Y)
    best = search.best_estimator_
    assert best.score(X, Y) > 0.3
    copy = clone(best)
    assert not hasattr(copy, "cv_scores_")
    assert copy.get_params() == best.get_params()
    assert {name: copy.get_params()[name] for name in grid} == search.best_params_
    same = pickle.loads(pickle.dumps(best))
    np.testing.assert_array_equal(same.predict(X), best.predict(X))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        np.testing.assert_array_equal(copy.fit(X, Y).predict(X), best.predict(X))


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan])
def test_a_row_without_a_group_is_named(missing):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
    groups = np.repeat(np.array([1, 2, 3], object), 4)
    groups[5] = missing
    with pytest.raises(
        ValueError, match="groups must name the group of every row; got 1 rows without, row 5 the first"
    ):
        b2m.ridge.RidgeCV(cv=3).fit(X, y, groups=groups)


def test_scoring_none_is_the_default_and_other_things_are_refused():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 3)), rng.standard_normal((30, 2))
    np.testing.assert_array_equal(
        b2m.ridge.RidgeCV(cv=3, scoring=None).fit(X, y).coef_, b2m.ridge.RidgeCV(cv=3).fit(X, y).coef_
    )
    for wrong in (3, len, "neg_mean_squared_error"):
        with pytest.raises(ValueError, match="scoring must be 'r2' or 'correlation'; got"):
            b2m.ridge.RidgeCV(cv=3, scoring=wrong).fit(X, y)
