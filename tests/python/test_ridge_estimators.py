"""The conventions of scikit-learn, by its own checks."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import brain2music as b2m

ESTIMATORS = [b2m.ridge.RidgeCV(cv=3), b2m.ridge.BatchedRidgeCV(cv=3)]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
@pytest.mark.filterwarnings("default")
def test_check_estimator(estimator):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        results = check_estimator(estimator, on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input", "check_estimators_pickle"}


def test_pipelines_clones_searches_and_pickles(rng):
    X = rng.standard_normal((80, 6))
    Y = X @ rng.standard_normal((6, 3)) + rng.standard_normal((80, 3))
    model = make_pipeline(StandardScaler(), b2m.ridge.RidgeCV()).fit(X, Y)
    assert model.score(X, Y) > 0.5
    search = GridSearchCV(b2m.ridge.RidgeCV(), {"scoring": ["r2", "correlation"]}, cv=3).fit(X, Y)
    copy = clone(search.best_estimator_)
    assert not hasattr(copy, "coef_")
    same = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(same.predict(X), search.best_estimator_.predict(X))


def test_one_target_is_a_vector(rng):
    X = rng.standard_normal((50, 4))
    y = X @ rng.standard_normal(4) + rng.standard_normal(50)
    model = b2m.ridge.RidgeCV().fit(X, y)
    assert model.coef_.shape == (4,)
    assert np.shape(model.intercept_) == ()
    assert model.predict(X).shape == (50,)
    assert b2m.ridge.RidgeCV().fit(X, y[:, None]).coef_.shape == (4, 1)
