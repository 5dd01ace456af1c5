"""Ridge regression by himalaya and by scikit-learn, each as fast as its own settings make it."""

from typing import Any

import numpy as np
import torch
from himalaya.backend import set_backend
from himalaya.ridge import GroupRidgeCV, RidgeCV
from himalaya.scoring import r2_score
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score as sklearn_r2
from sklearn.model_selection import KFold

from benchmarks.ridge.fits import Fit
from benchmarks.ridge.problem import Shape

#: How himalaya can be told to go through the targets: all at once is its default; a thousand at a time is its fastest
#: while nothing else runs (1.3 to 1.9 times, on both backends), slower beside other work, and takes less memory.
BATCHES = {"": None, ", 1,000 targets at a time": 1_000}


def backends(device: torch.device) -> list[str]:
    return ["numpy", "torch"] if device.type == "cpu" else ["torch_cuda"]


def settings(backends: list[str], targets: int) -> dict[str, tuple[str, int | None]]:
    """Ways to run himalaya on so many targets, as backend and batch."""
    return {
        f"{backend}{how}": (backend, batch)
        for backend in backends
        for how, batch in BATCHES.items()
        if batch is None or batch < targets
    }


def to_backend(backend: str, x: np.ndarray) -> Any:
    return x if backend == "numpy" else torch.from_numpy(x).to("cuda" if backend == "torch_cuda" else "cpu")


def himalaya(backend: str, X: Any, Y: Any, shape: Shape, batch: int | None = None) -> RidgeCV:
    """X and Y are the backend's own arrays, float32, and so is all that follows."""
    set_backend(backend)
    options = {"score_func": r2_score, "n_targets_batch": batch}
    return RidgeCV(alphas=shape.alphas, cv=shape.folds, fit_intercept=False, solver_params=options).fit(X, Y)


def himalaya_banded(
    backend: str, X: Any, Y: Any, shape: Shape, bands: np.ndarray, gammas: np.ndarray, batch: int | None = None
) -> GroupRidgeCV:
    set_backend(backend)
    options = {
        "n_iter": gammas.astype(np.float32),
        "alphas": shape.alphas,
        "score_func": r2_score,
        "n_targets_batch": batch,
        "progress_bar": False,
    }
    model = GroupRidgeCV(groups=bands, solver="random_search", cv=shape.folds, solver_params=options)
    return model.fit(X, Y)


def sklearn_by_cholesky(X: np.ndarray, Y: np.ndarray, shape: Shape) -> Fit:
    """A fit for each fold and penalty; then one for each penalty that was chosen, of those who chose it."""

    def scores(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        x, y, x_test, y_test = X[train], Y[train], X[test], Y[test]
        fits = (Ridge(alpha, fit_intercept=False, solver="cholesky").fit(x, y) for alpha in shape.alphas)
        return np.stack([sklearn_r2(y_test, fit.predict(x_test), multioutput="raw_values") for fit in fits])

    path = np.mean([scores(*fold) for fold in KFold(shape.folds).split(X)], axis=0)
    best = path.argmax(0)
    coef = np.empty((X.shape[1], Y.shape[1]), Y.dtype)
    for penalty in np.unique(best):
        model = Ridge(shape.alphas[penalty], fit_intercept=False, solver="cholesky").fit(X, Y[:, best == penalty])
        coef[:, best == penalty] = np.atleast_2d(model.coef_).T  # of one target it is a vector
    return Fit(shape.alphas[best], coef, path.max(0), path)


def sklearn_by_svd(X: np.ndarray, Y: np.ndarray, shape: Shape) -> Fit:
    """A fit for each fold: penalties may differ between targets, so a target stands there once for each penalty."""
    alphas, targets = shape.alphas, Y.shape[1]

    def scores(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        model = Ridge(np.repeat(alphas, targets), fit_intercept=False, solver="svd")
        model.fit(X[train], np.tile(Y[train], len(alphas)))
        predicted = model.predict(X[test])
        return sklearn_r2(np.tile(Y[test], len(alphas)), predicted, multioutput="raw_values").reshape(-1, targets)

    path = np.mean([scores(*fold) for fold in KFold(shape.folds).split(X)], axis=0)
    best = alphas[path.argmax(0)]
    return Fit(best, Ridge(best, fit_intercept=False, solver="svd").fit(X, Y).coef_.T, path.max(0), path)
