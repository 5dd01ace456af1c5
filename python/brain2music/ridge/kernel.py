"""Ridge regression from inner products of rows."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted  # type: ignore[import-untyped]

from brain2music import _core
from brain2music.ridge.arrays import check_features, check_targets, refuse_non_finite
from brain2music.ridge.fitted import FittedRidge, check_rows, predict_from, warn_of_edges
from brain2music.ridge.folds import train_test_rows
from brain2music.ridge.kernels import pairwise_kernel
from brain2music.ridge.options import core_options, told_of_progress

__all__ = ["KernelRidgeCV"]


class KernelRidgeCV(FittedRidge):
    """Kernel ridge regression, the penalty of each target chosen by cross-validation.

    What :class:`RidgeCV` would give on the features that the kernel stands for, the intercept exact in each training
    fold included: with ``kernel="linear"`` the same predictions, at a cost that does not grow with their number.

    Parameters
    ----------
    alphas : sequence of float, optional
        Penalties, absolute. By default ten from 0.001 to 1,000,000 times the mean eigenvalue of the centred kernel,
        each weighed by itself.
    cv : int, scikit-learn splitter, or iterable of (train, test), default 5
        As for :class:`RidgeCV`: a fold trains on the rows of train and is scored on those of test.
    fit_intercept : bool, default True
    scoring : {"r2", "correlation"}, default "r2"
    kernel : {"linear", "polynomial", "poly", "rbf", "sigmoid", "cosine", "precomputed"}, default "linear"
        With "precomputed", ``X`` is the kernel itself: (n, n) in :meth:`fit`, (m, n) in :meth:`predict`.
    gamma : float, optional
        Of "rbf", "polynomial" and "sigmoid"; 1 / p by default.
    degree : float, default 3
        Of "polynomial".
    coef0 : float, default 1
        Of "polynomial" and "sigmoid".
    alpha_per_target, keep_path, keep_predictions, device, memory_limit, progress
        As for :class:`RidgeCV`.

    Attributes
    ----------
    dual_coef_ : array of shape (n, t), or (n,) for ``y`` of shape (n,)
        Predictions are ``kernel(X, X_fit_) @ dual_coef_ + intercept_``.
    intercept_ : array of shape (t,), or a scalar array
    X_fit_ : array of shape (n, p)
        Not with "precomputed".
    best_alphas_, cv_scores_, cv_correlations_ : arrays of shape (t,)
    cv_scores_path_ : array of shape (penalties, t)
        With ``keep_path``.
    cv_predictions_ : array of shape (n, t)
        With ``keep_predictions``.
    alphas_ : array of shape (penalties,), float64

    Notes
    -----
    Kernels are float64, whatever ``X`` is: their values are large beside what varies. So is all that is kept, but with
    "precomputed" of float32.

    References
    ----------
    Names as in himalaya's KernelRidgeCV (Dupré la Tour et al., 2022).

    Examples
    --------
    >>> import brain2music as b2m, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 500))
    >>> y = X @ rng.standard_normal((500, 3))
    >>> b2m.ridge.KernelRidgeCV(alphas=[1.0, 10.0, 100.0]).fit(X, y).predict(X[:2]).shape
    (2, 3)
    """

    def __init__(
        self,
        alphas: Any = None,
        cv: Any = 5,
        fit_intercept: bool = True,
        scoring: str = "r2",
        *,
        kernel: str = "linear",
        gamma: float | None = None,
        degree: float = 3,
        coef0: float = 1,
        alpha_per_target: bool = True,
        keep_path: bool = False,
        keep_predictions: bool = False,
        device: Any = "auto",
        memory_limit: int | str | None = None,
        progress: bool = False,
    ) -> None:
        self.alphas = alphas
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.alpha_per_target = alpha_per_target
        self.keep_path = keep_path
        self.keep_predictions = keep_predictions
        self.device = device
        self.memory_limit = memory_limit
        self.progress = progress

    def fit(self, X: Any, y: Any, groups: npt.ArrayLike | None = None, sample_weight: Any = None) -> "KernelRidgeCV":
        """Choose penalties and fit.

        Parameters
        ----------
        X : array of shape (n, p), or (n, n) with "precomputed"
        y : array of shape (n, t) or (n,)
        groups : array-like of shape (n,), optional
            Rows of a group (a run, a clip) are held out together.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        KernelRidgeCV
            This estimator.

        Raises
        ------
        ValueError
            As :meth:`RidgeCV.fit`; and for a precomputed kernel that is not square and symmetric.
        """
        where = "ridge.KernelRidgeCV"
        X = check_features(self, X, where, reset=True)
        y = check_targets(y, where)
        check_rows([X], y, where)
        refuse_non_finite(X, "X", where)
        folds = train_test_rows(self.cv, len(X), groups, y, where)
        options = core_options(
            self,
            X,
            where,
            sample_weight,
            alpha_per_target=bool(self.alpha_per_target),
            keep_predictions=bool(self.keep_predictions),
        )
        products = self._products(X, X, where)
        with told_of_progress(self.progress, "targets", "target") as options["on_progress"]:
            result = _core.ridge.kernel_ridge_cv(products, y[:, None] if y.ndim == 1 else y, folds, options)
        if self.kernel != "precomputed":
            self.X_fit_ = X
        self._keep(result, one_target=y.ndim == 1, coef="dual_coef_")
        warn_of_edges([result], where)
        return self

    def predict(self, X: Any) -> Any:
        """Predict targets.

        Parameters
        ----------
        X : array of shape (m, p), or (m, n) with "precomputed"

        Returns
        -------
        array of shape (m, t), or (m,)
        """
        check_is_fitted(self)
        where = "ridge.KernelRidgeCV"
        if self.kernel == "precomputed" and isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind == "f":
            refuse_non_finite(X, "X", where)  # scikit-learn looks for this before it counts columns
        X = check_features(self, X, where, reset=False)
        refuse_non_finite(X, "X", where)
        products = X if self.kernel == "precomputed" else self._products(X, self.X_fit_, where)
        return predict_from(products, self.dual_coef_, self.intercept_, where)

    def _products(self, X: Any, Y: Any, where: str) -> Any:
        if self.kernel == "precomputed":
            return X
        return pairwise_kernel(X, Y, self.kernel, self.gamma, self.degree, self.coef0, where)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        return tags
