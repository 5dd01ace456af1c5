"""Ridge regression with a penalty of its own for each band of features."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import clone  # type: ignore[import-untyped]
from sklearn.utils import check_random_state  # type: ignore[import-untyped]
from sklearn.utils.validation import check_is_fitted  # type: ignore[import-untyped]

from brain2music import _core
from brain2music.ridge.arrays import check_features, check_targets, refuse_non_finite
from brain2music.ridge.fitted import FittedRidge, check_rows, predict_from, warn_of_edges
from brain2music.ridge.folds import train_test_rows
from brain2music.ridge.options import core_options, told_of_progress

__all__ = ["BandedRidgeCV", "dirichlet_gammas"]

WHERE = "ridge.BandedRidgeCV"


def dirichlet_gammas(
    draws: int, bands: int, concentration: float | Sequence[float] = (0.1, 1.0), random_state: Any = None
) -> npt.NDArray[np.float64]:
    """Random weights of bands that add up to 1; the first draw weighs all alike.

    Parameters
    ----------
    draws, bands : int
    concentration : float or sequence of float, default (0.1, 1.0)
        Of the Dirichlet distribution; several are taken in turn. Below 1, most draws favour a few bands.
    random_state : int, RandomState or None

    Returns
    -------
    array of shape (draws, bands), float64
    """
    random = check_random_state(random_state)
    concentrations = np.ravel(concentration).astype(float)
    if draws < 1 or not len(concentrations) or not (concentrations > 0).all():
        raise ValueError(
            f"[{WHERE}] there must be a draw and positive concentrations; got {draws} draws, {concentration}"
        )
    gammas = np.stack(
        [random.dirichlet(np.full(bands, concentrations[draw % len(concentrations)])) for draw in range(draws)]
    )
    gammas[0] = 1 / bands
    # A draw of small concentration may round to 0 in all bands.
    gammas[~(gammas.sum(1) > 0)] = 1 / bands
    result: npt.NDArray[np.float64] = gammas
    return result


class BandedRidgeCV(FittedRidge):
    r"""Banded (group) ridge regression by random search.

    Minimises :math:`\lVert y - \sum_b X_b w_b - c \rVert^2 + \sum_b \lambda_b \lVert w_b \rVert^2` for each target,
    with :math:`\lambda_b = \alpha / \gamma_b`: bands (feature spaces, delays) that say little about a target are shrunk
    away. Weights :math:`\gamma` that add up to 1 are drawn from a Dirichlet distribution, all draws are tried with all
    alphas, and each target takes the best pair by its cross-validated score.

    Parameters
    ----------
    bands : array-like of shape (p,), optional
        Label of each column's band. None: ``X`` is a list of arrays, a band each; or one array, one band.
    alphas : sequence of float, optional
        By default ten from 0.001 to 1,000,000 times the mean eigenvalue of ``X'X`` divided by the number of bands.
    cv : int, scikit-learn splitter, or iterable of (train, test), default 5
        As for :class:`RidgeCV`: a fold trains on the rows of train and is scored on those of test.
    fit_intercept : bool, default True
    scoring : {"r2", "correlation"}, default "r2"
    n_iter : int, or array of shape (draws, bands), default 100
        How many draws, the first of which weighs all bands alike; or the draws themselves. Time grows with them.
    concentration : float or sequence of float, default (0.1, 1.0)
        Of the Dirichlet distribution, in turn.
    random_state : int, RandomState or None
    solver : {"auto", "eigenbasis", "cholesky", "kernel"}, default "auto"
    keep_path, device, memory_limit, progress
        As for :class:`RidgeCV`.

    Attributes
    ----------
    coef_ : array of shape (p, t), or (p,) for ``y`` of shape (n,)
        Of ``X`` as it was given.
    intercept_ : array of shape (t,), or a scalar array
    best_alphas_, cv_scores_, cv_correlations_ : arrays of shape (t,)
    best_gammas_ : array of shape (bands, t)
    deltas_ : array of shape (bands, t)
        ``log(best_gammas_ / best_alphas_)``, as in himalaya.
    gammas_ : array of shape (draws, bands), float64
    bands_ : array of the bands' labels, in the order of ``gammas_``
    cv_scores_path_ : array of shape (penalties, t)
        With ``keep_path``: of each target's best draw.
    alphas_ : array of shape (penalties,), float64
    solver_ : str

    Notes
    -----
    The best score of many draws is a little too good; score the model on data it was not fitted to.

    References
    ----------
    Nunez-Elizalde, Huth & Gallant (2019), *Voxelwise encoding models with non-spherical multivariate normal priors*;
    Dupré la Tour et al. (2022), *Feature-space selection with banded ridge regression*.

    Examples
    --------
    >>> import brain2music as b2m, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> rhythm, timbre = rng.standard_normal((100, 6)), rng.standard_normal((100, 9))
    >>> Y = timbre @ rng.standard_normal((9, 4)) + rng.standard_normal((100, 4))
    >>> model = b2m.ridge.BandedRidgeCV(n_iter=20, random_state=0).fit([rhythm, timbre], Y)
    >>> model.best_gammas_.shape, model.predict([rhythm, timbre], split=True).shape
    ((2, 4), (2, 100, 4))
    """

    def __init__(
        self,
        bands: Any = None,
        alphas: Any = None,
        cv: Any = 5,
        fit_intercept: bool = True,
        scoring: str = "r2",
        *,
        n_iter: Any = 100,
        concentration: Any = (0.1, 1.0),
        random_state: Any = None,
        solver: str = "auto",
        keep_path: bool = False,
        device: Any = "auto",
        memory_limit: int | str | None = None,
        progress: bool = False,
    ) -> None:
        self.bands = bands
        self.alphas = alphas
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.n_iter = n_iter
        self.concentration = concentration
        self.random_state = random_state
        self.solver = solver
        self.keep_path = keep_path
        self.device = device
        self.memory_limit = memory_limit
        self.progress = progress

    def fit(self, X: Any, y: Any, groups: npt.ArrayLike | None = None, sample_weight: Any = None) -> "BandedRidgeCV":
        """Search and fit.

        Parameters
        ----------
        X : array of shape (n, p), or list of arrays of shape (n, p_b)
        y : array of shape (n, t) or (n,)
        groups : array-like of shape (n,), optional
            Rows of a group (a run, a clip) are held out together.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        BandedRidgeCV
            This estimator.

        Raises
        ------
        ValueError
            As :meth:`RidgeCV.fit`; and for bands or draws that do not fit ``X``.
        """
        X, labels = self._one_matrix(X, reset=True)
        y = check_targets(y, WHERE)
        check_rows([X], y, WHERE)
        self.bands_, column_bands = np.unique(labels, return_inverse=True)
        self._column_bands = column_bands.astype(np.int64)
        self.gammas_ = self._draws(len(self.bands_))
        folds = train_test_rows(self.cv, len(X), groups, y, WHERE)
        options = core_options(self, X, WHERE, sample_weight, solver=self.solver)
        with told_of_progress(self.progress, "targets x draws", "target") as options["on_progress"]:
            result = _core.ridge.banded_ridge_cv(
                X, self._column_bands, self.gammas_, y[:, None] if y.ndim == 1 else y, folds, options
            )
        self._keep(result, one_target=y.ndim == 1)
        draw = result["best_draw"]
        if isinstance(draw, torch.Tensor):
            self.best_gammas_: Any = torch.from_numpy(self.gammas_).to(self.best_alphas_)[draw].T
            self.deltas_: Any = torch.log(self.best_gammas_ / self.best_alphas_)
        else:
            self.best_gammas_ = self.gammas_[draw].T.astype(self.best_alphas_.dtype)
            with np.errstate(divide="ignore"):  # a band of weight 0
                self.deltas_ = np.log(self.best_gammas_ / self.best_alphas_)
        self.solver_ = result["solver"]
        warn_of_edges([result], WHERE)
        return self

    def predict(self, X: Any, split: bool = False) -> Any:
        """Predict targets.

        Parameters
        ----------
        X : array of shape (m, p), or list of arrays of shape (m, p_b)
        split : bool, default False
            What each band contributes, without the intercept; these add up to the prediction less the intercept.

        Returns
        -------
        array of shape (m, t) or (m,); with ``split`` (bands, m, t) or (bands, m)
        """
        check_is_fitted(self)
        X, _ = self._one_matrix(X, reset=False)
        if not split:
            return predict_from(X, self.coef_, self.intercept_, WHERE)
        refuse_non_finite(X, "X", WHERE)
        parts = []
        for band in range(len(self.bands_)):
            columns = np.flatnonzero(self._column_bands == band)
            parts.append(predict_from(X[:, columns], self.coef_[columns], 0 * self.intercept_, WHERE))
        return torch.stack(parts) if isinstance(parts[0], torch.Tensor) else np.stack(parts)

    def unique_variance(self, X: Any, y: Any, groups: npt.ArrayLike | None = None, sample_weight: Any = None) -> Any:
        """Cross-validated score of all bands, less the score without each band in turn.

        Each smaller model is searched anew, with the same draws rescaled to the bands that are left; one is fitted for
        each band.

        Parameters
        ----------
        X, y, groups, sample_weight
            What this estimator was fitted to.

        Returns
        -------
        array of shape (bands, t), or (bands,)
            Of the kind of ``cv_scores_``. What only this band explains; may be a little negative by chance.
        """
        check_is_fitted(self)
        matrix, _ = self._one_matrix(X, reset=False)
        if len(self.bands_) < 2:
            raise ValueError(f"[{WHERE}] there must be two bands or more, so that one can be left out; got one")
        rows = []
        for band in range(len(self.bands_)):
            columns = np.flatnonzero(self._column_bands != band)
            gammas = np.delete(self.gammas_, band, axis=1)
            total = gammas.sum(1, keepdims=True)
            gammas = np.unique((gammas / np.where(total > 0, total, 1))[total[:, 0] > 0].round(12), axis=0)
            model = clone(self).set_params(
                bands=self._column_bands[columns], alphas=np.asarray(self.alphas_), n_iter=gammas, keep_path=False
            )
            with warnings.catch_warnings():  # the edges of the grid were told of by the fit itself
                warnings.filterwarnings("ignore", message=".*the grid of alphas")
                model.fit(matrix[:, columns], y, groups, sample_weight)
            rows.append(self.cv_scores_ - model.cv_scores_)
        return torch.stack(rows) if isinstance(rows[0], torch.Tensor) else np.stack(rows)

    def _draws(self, bands: int) -> npt.NDArray[np.float64]:
        if isinstance(self.n_iter, (int, np.integer)) and not isinstance(self.n_iter, bool):
            return dirichlet_gammas(int(self.n_iter), bands, self.concentration, self.random_state)
        gammas = np.array(self.n_iter, dtype=float, order="C")
        if gammas.ndim != 2 or gammas.shape[1] != bands:
            raise ValueError(
                f"[{WHERE}] n_iter must be a number of draws, or an array (draws, {bands}) for {bands} bands; got "
                f"shape {gammas.shape}"
            )
        return gammas

    def _one_matrix(self, X: Any, reset: bool) -> tuple[Any, npt.NDArray[Any]]:
        """All bands side by side, and the label of each column's band."""
        many = isinstance(X, Sequence) and all(isinstance(x, (np.ndarray, torch.Tensor)) and x.ndim == 2 for x in X)
        if many:
            if self.bands is not None:
                raise ValueError(f"[{WHERE}] bands must be None for a list of arrays, which are the bands; got labels")
            if not X or len({len(x) for x in X}) > 1:
                raise ValueError(
                    f"[{WHERE}] the arrays of X must have equal rows; got shapes {[tuple(x.shape) for x in X]}"
                )
            labels = np.repeat(np.arange(len(X)), [x.shape[1] for x in X])
            if not reset and not np.array_equal(labels, self._column_bands):
                raise ValueError(
                    f"[{WHERE}] X must have the bands of the fit, of {np.bincount(self._column_bands).tolist()} "
                    f"columns; got shapes {[tuple(x.shape) for x in X]}"
                )
            X = torch.cat(list(X), 1) if isinstance(X[0], torch.Tensor) else np.hstack(X)
        X = check_features(self, X, WHERE, reset=reset)
        if many:
            return X, labels
        labels = np.zeros(X.shape[1], np.int64) if self.bands is None else np.asarray(self.bands)
        if labels.shape != (X.shape[1],) and (self.bands is not None):
            raise ValueError(
                f"[{WHERE}] bands must hold a label for each column of X; got shape {labels.shape} for X of shape "
                f"{tuple(X.shape)}"
            )
        return X, labels
