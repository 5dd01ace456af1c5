"""Many ridge regressions that share their targets: a region of the brain each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted  # type: ignore[import-untyped]

from brain2music import _core
from brain2music.ridge.arrays import check_features, check_targets
from brain2music.ridge.estimator import RidgeCV
from brain2music.ridge.fitted import check_rows, predict_from, warn_of_edges
from brain2music.ridge.folds import train_test_rows
from brain2music.ridge.options import told_of_progress
from brain2music.ridge.statistics import FoldStatistics

__all__ = ["BatchedRidgeCV"]


class BatchedRidgeCV(RidgeCV):
    """Ridge regressions of the same targets on many sets of features, of unequal size.

    Each problem is what :class:`RidgeCV` would fit, with a default grid of its own; on the CPU problems run beside one
    another.

    Parameters
    ----------
    alphas, cv, fit_intercept, scoring, alpha_per_target, solver, keep_path, keep_predictions, device, progress
        As for :class:`RidgeCV`.
    memory_limit : int or str, optional
        As for :class:`RidgeCV`, shared by the problems that run beside one another; results of others come on top.

    Attributes
    ----------
    coef_ : list of arrays of shape (p_i, t)
    intercept_, best_alphas_, cv_scores_, cv_correlations_ : lists of arrays of shape (t,)
    cv_scores_path_, cv_predictions_ : lists, as for :class:`RidgeCV`, where asked for
    alphas_ : list of arrays of shape (penalties,), float64
    solver_ : list of str

    Notes
    -----
    A single matrix in place of a list is one problem, as scikit-learn's tools want it; then :meth:`predict` returns one
    array.
    """

    def fit(self, X: Any, y: Any, groups: npt.ArrayLike | None = None, sample_weight: Any = None) -> "BatchedRidgeCV":
        """Choose penalties and fit, problem by problem.

        Parameters
        ----------
        X : list of arrays of shape (n, p_i)
        y : array of shape (n, t) or (n,)
        groups : array-like of shape (n,), optional
            Rows of a group (a run, a clip) are held out together.
        sample_weight : array-like of shape (n,), optional
            How much each row counts, in fits and in scores.

        Returns
        -------
        BatchedRidgeCV
            This estimator.

        Raises
        ------
        ValueError
            As :meth:`RidgeCV.fit`.
        """
        where = "ridge.BatchedRidgeCV"
        many = _is_many(X)
        xs = list(X) if many else [check_features(self, X, where, reset=True)]
        if not xs:
            raise ValueError(f"[{where}] there must be a problem; got an empty list")
        if many:
            self.n_features_in_ = sum(x.shape[1] for x in xs)
        y = check_targets(y, where)
        check_rows(xs, y, where)
        folds = train_test_rows(self.cv, len(y), groups, y, where)
        options = self._options(xs[0], where, sample_weight)
        with told_of_progress(self.progress, "problems", "problem") as options["on_progress"]:
            results = _core.ridge.batched_ridge_cv(xs, y[:, None] if y.ndim == 1 else y, folds, options)
        self.alphas_ = [result["alphas"] for result in results]
        self.best_alphas_ = [result["best_alphas"] for result in results]
        self.cv_scores_ = [result["cv_scores"] for result in results]
        self.cv_correlations_ = [result["correlations"] for result in results]
        self.coef_ = [result["coef"][:, 0] if y.ndim == 1 else result["coef"] for result in results]
        self.intercept_ = [result["intercept"][0] if y.ndim == 1 else result["intercept"] for result in results]
        if self.keep_path:
            self.cv_scores_path_ = [result["cv_path"] for result in results]
        if self.keep_predictions:
            self.cv_predictions_ = [
                result["predictions"][:, 0] if y.ndim == 1 else result["predictions"] for result in results
            ]
        self.solver_ = [result["solver"] for result in results]
        warn_of_edges(results, where)
        return self

    def fit_statistics(self, statistics: FoldStatistics) -> "BatchedRidgeCV":
        """Not of many problems: statistics are of one."""
        raise TypeError(
            f"[ridge.BatchedRidgeCV] statistics must be fitted by RidgeCV, one problem at a time; got {statistics}"
        )

    def predict(self, X: Any) -> Any:
        """Predict the targets by each problem.

        Parameters
        ----------
        X : list of arrays of shape (n, p_i)

        Returns
        -------
        list of arrays of shape (n, t) or (n,)
        """
        check_is_fitted(self)
        where = "ridge.BatchedRidgeCV"
        if not _is_many(X):
            X = check_features(self, X, where, reset=False)
            return predict_from(X, self.coef_[0], self.intercept_[0], where)
        shapes = [tuple(x.shape) for x in X]
        if [shape[1] for shape in shapes] != [len(coef) for coef in self.coef_]:
            features = [len(coef) for coef in self.coef_]
            raise ValueError(f"[{where}] X must have the features of the fit, {features}; got shapes {shapes}")
        return [
            predict_from(x, coef, intercept, where)
            for x, coef, intercept in zip(X, self.coef_, self.intercept_, strict=True)
        ]


def _is_many(X: Any) -> bool:
    """Whether X is a list of matrices rather than one."""
    matrices = (np.ndarray, torch.Tensor)
    return isinstance(X, Sequence) and all(isinstance(x, matrices) and x.ndim == 2 for x in X)
