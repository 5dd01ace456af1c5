"""Ridge regression of many targets on one set of features."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted  # type: ignore[import-untyped]

from brain2music import _core
from brain2music.ridge.arrays import check_features, check_targets
from brain2music.ridge.fitted import FittedRidge, check_rows, predict_from, warn_of_edges
from brain2music.ridge.folds import train_test_rows
from brain2music.ridge.options import core_options, told_of_progress
from brain2music.ridge.statistics import FoldStatistics

__all__ = ["RidgeCV"]


class RidgeCV(FittedRidge):
    r"""Ridge regression, the penalty of each target chosen by cross-validation.

    Minimises :math:`\lVert y - X w - b \rVert^2 + \alpha \lVert w \rVert^2` for each target; scores are averaged over
    folds, the best :math:`\alpha` is taken, and the fit repeated on all rows. The intercept is exact in each training
    fold: features and targets are centred by its own means. All arithmetic that decides is in float64, or in float32
    where the conditioning of ``X`` allows.

    Parameters
    ----------
    alphas : sequence of float, optional
        Penalties, absolute. By default ten from 0.001 to 1,000,000 times the mean eigenvalue of ``X'X`` (``X`` centred
        where there is an intercept), so that the unit of ``X`` does not matter.
    cv : int, scikit-learn splitter, or iterable of (train, test), default 5
        An integer k is ``KFold(k)``, with groups ``GroupKFold(k)``. Train and test are indices or masks of rows. A fold
        trains on the rows of train and is scored on those of test, two or more each; rows in neither (a gap between
        runs, the future in ``TimeSeriesSplit``) have no part in it. Folds may hold out rows that others hold out.
    fit_intercept : bool, default True
    scoring : {"r2", "correlation"}, default "r2"
        A target that is constant in a fold scores 0 there.
    alpha_per_target : bool, default True
        If False, one penalty for all targets, the best on average.
    solver : {"auto", "eigenbasis", "cholesky", "kernel"}, default "auto"
        All give the same result up to rounding. "auto" counts operations, with n rows of which a fold holds out h,
        p features, t targets, k folds and a penalties: "eigenbasis" ``k (60 p^3 + t (4 p^2 + 2 p min(p, h)))``,
        "cholesky" ``k a (p^3 / 3 + t (2 p^2 + 2 p min(p, h)))``, on a CPU with 7 in place of a larger a; and, where
        p > n, "kernel" ``4 n^2 p + k a (2 m^3 / 3 + 2 m^2 min(t, h) + 2 h m t)`` with m = n - h. Counts take
        h = n / k, whatever the folds are.
    keep_path : bool, default False
        Keep the scores of all penalties.
    keep_predictions : bool, default False
        Keep the held-out predictions with the chosen penalties.
    device : "auto", str or torch.device, default "auto"
        Where to compute. "auto": where a tensor X lies; for NumPy arrays CUDA where there is one. Targets that lie
        elsewhere are brought there block by block, so they may be larger than its memory.
    memory_limit : int or str, optional
        What may be held at once beside ``X`` and ``y``, results included, in bytes or as "2 GiB". ``y`` may be a memory
        map (``numpy.load(path, mmap_mode="r")``) larger than memory.
    progress : bool, default False
        Show a bar.

    Attributes
    ----------
    coef_ : array of shape (p, t), or (p,) for ``y`` of shape (n,)
    intercept_ : array of shape (t,), or a scalar array
    best_alphas_ : array of shape (t,)
    cv_scores_ : array of shape (t,)
        Score of the best penalty, averaged over folds.
    cv_correlations_ : array of shape (t,)
        Pearson's r on held-out rows with the best penalty, averaged over folds.
    cv_scores_path_ : array of shape (penalties, t)
        With ``keep_path``.
    cv_predictions_ : array of shape (n, t)
        With ``keep_predictions``, of the last fold that holds a row out; NaN in rows that no fold holds out.
    alphas_ : array of shape (penalties,), float64
    solver_ : str
        The solver that was used.

    Notes
    -----
    NumPy arrays and torch tensors go in; what comes out is of the kind of the targets, on their device: float32, or
    float64 where ``X`` or ``y`` is float64 or an integer wider than 16 bits. A warning counts the targets whose penalty
    lies at an edge of the grid and is better than its neighbour by more than 0.001, with a positive score.

    References
    ----------
    Denk, Takagi et al. (2023), *Brain2Music*, sections 3.3 and 3.4. ``coef_`` and ``best_alphas_`` are as in himalaya
    (Dupré la Tour et al., 2022).

    Examples
    --------
    >>> import brain2music as b2m, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, W = rng.standard_normal((100, 5)), rng.standard_normal((5, 3))
    >>> model = b2m.ridge.RidgeCV(alphas=np.logspace(-1, 3, 5)).fit(X, X @ W + rng.standard_normal((100, 3)))
    >>> model.coef_.shape, model.best_alphas_.shape
    ((5, 3), (3,))
    """

    def __init__(
        self,
        alphas: Any = None,
        cv: Any = 5,
        fit_intercept: bool = True,
        scoring: str = "r2",
        *,
        alpha_per_target: bool = True,
        solver: str = "auto",
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
        self.alpha_per_target = alpha_per_target
        self.solver = solver
        self.keep_path = keep_path
        self.keep_predictions = keep_predictions
        self.device = device
        self.memory_limit = memory_limit
        self.progress = progress

    def fit(self, X: Any, y: Any, groups: npt.ArrayLike | None = None, sample_weight: Any = None) -> "RidgeCV":
        """Choose penalties and fit.

        Parameters
        ----------
        X : array of shape (n, p)
        y : array of shape (n, t) or (n,)
        groups : array-like of shape (n,), optional
            Rows of a group (a run, a clip) are held out together.
        sample_weight : array-like of shape (n,), optional
            How much each row counts, in fits and in scores.

        Returns
        -------
        RidgeCV
            This estimator.

        Raises
        ------
        ValueError
            If shapes do not fit, ``X`` or ``y`` holds NaN or Inf (named by row and column), a penalty is not positive,
            a fold trains on or holds out fewer than two rows, or trains on a row that it holds out, or
            ``memory_limit`` does not suffice.
        """
        where = f"ridge.{type(self).__name__}"
        X = check_features(self, X, where, reset=True)
        y = check_targets(y, where)
        check_rows([X], y, where)
        folds = train_test_rows(self.cv, len(X), groups, y, where)
        options = self._options(X, where, sample_weight)
        with told_of_progress(self.progress, "targets", "target") as options["on_progress"]:
            result = _core.ridge.ridge_cv(X, y[:, None] if y.ndim == 1 else y, folds, options)
        self._keep(result, one_target=y.ndim == 1)
        self.solver_ = result["solver"]
        warn_of_edges([result], where)
        return self

    def fit_statistics(self, statistics: FoldStatistics) -> "RidgeCV":
        """Choose penalties and fit, from statistics: the folds and weights are in them, ``cv`` is not looked at.

        Parameters
        ----------
        statistics : FoldStatistics

        Returns
        -------
        RidgeCV
            This estimator; what it keeps is float64.

        Raises
        ------
        ValueError
            As :meth:`fit`; and for ``keep_predictions`` or ``solver="kernel"``, which take the rows themselves.
        """
        where = "ridge.RidgeCV"
        sums = statistics._gathered()
        like = np.empty(0) if statistics._numpy else sums.gram
        options = self._options(sums.gram, where)
        with told_of_progress(self.progress, "targets", "target") as options["on_progress"]:
            result = _core.ridge.ridge_cv_of_statistics(sums, like, options)
        self.n_features_in_ = len(sums.x_offset)
        self._keep(result, one_target=False)
        self.solver_ = result["solver"]
        warn_of_edges([result], where)
        return self

    def predict(self, X: Any) -> Any:
        """Predict targets.

        Parameters
        ----------
        X : array of shape (n, p)

        Returns
        -------
        array of shape (n, t), or (n,)
            Of the kind and type of ``coef_``.
        """
        check_is_fitted(self)
        where = f"ridge.{type(self).__name__}"
        X = check_features(self, X, where, reset=False)
        return predict_from(X, self.coef_, self.intercept_, where)

    def _options(self, X: Any, where: str, sample_weight: Any = None) -> dict[str, Any]:
        return core_options(
            self,
            X,
            where,
            sample_weight,
            alpha_per_target=bool(self.alpha_per_target),
            solver=self.solver,
            keep_predictions=bool(self.keep_predictions),
        )
