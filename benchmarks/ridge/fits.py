"""Fits by brain2music, and whether those of others agree."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import brain2music as b2m
from benchmarks.ridge.problem import Shape


def ours(estimator: str, X: Any, Y: Any, shape: Shape, **more: object) -> Any:
    """A fitted estimator of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of targets at an edge of the grid, which is the same for all contenders
        made = getattr(b2m.ridge, estimator)(alphas=shape.alphas, cv=shape.folds, fit_intercept=False, **more)
        return made.fit(X, Y)


@dataclass(frozen=True)
class Fit:
    alphas: np.ndarray  # (t,) chosen
    coef: np.ndarray  # (p, t)
    scores: np.ndarray  # (t,) with the chosen penalty
    path: np.ndarray | None = None  # (penalties, t)
    gammas: np.ndarray | None = None  # (bands, t) chosen, where there are bands


def fit_of(model: Any, region: int | None = None) -> Fit:
    """What was fitted by an estimator of ours or of himalaya; one region of many, where there are many."""
    if isinstance(model, Fit):
        return model

    def values(name: str) -> np.ndarray | None:
        x = getattr(model, name, None)
        x = x if x is None or region is None else x[region]
        return x.cpu().numpy() if isinstance(x, torch.Tensor) else x

    gammas, scores = values("best_gammas_"), values("cv_scores_")
    if gammas is None and hasattr(model, "deltas_"):  # himalaya's: log(gamma / alpha), and scores of all draws
        gammas, scores = np.exp(values("deltas_")) * values("best_alphas_"), scores.max(0)
    return Fit(values("best_alphas_"), values("coef_"), scores, values("cv_scores_path_"), gammas)


#: By how much coefficients may differ in norm, by device: on a GPU, himalaya's decompositions in float32 leave some
#: 0.0003 of 1,024 features. Ours are held against a closed form as well.
ROUNDING = {"cpu": 1e-4, "cuda": 1e-3}


def agree(ours: Fit, theirs: Fit, shape: Shape, rounding: float = ROUNDING["cpu"]) -> None:
    """The same best scores; the same choices, but where another is as good; the same coefficients where they are.

    Either's choice is looked up in the scores of the other, if the other has kept them.
    """
    same = np.isclose(ours.alphas, theirs.alphas, rtol=1e-3)
    if ours.gammas is not None and theirs.gammas is not None:
        same &= np.isclose(ours.gammas, theirs.gammas, rtol=1e-3, atol=1e-6).all(0)
    apart = np.abs(ours.scores - theirs.scores).max()
    for one, other in ((ours, theirs), (theirs, ours)):
        if one.path is not None:
            chosen = np.abs(np.log(shape.alphas)[:, None] - np.log(other.alphas)).argmin(0)
            apart = max(apart, (one.path.max(0) - one.path[chosen, np.arange(len(chosen))]).max())
    if apart > rounding / 10:
        raise AssertionError(f"scores differ by up to {apart:.1e}")
    if same.mean() < 0.99:
        raise AssertionError(f"{(~same).sum()} of {len(same)} choices differ")
    same_coefficients(ours.coef[:, same], theirs.coef[:, same], rounding)


def same_coefficients(ours: np.ndarray, theirs: np.ndarray, rounding: float = ROUNDING["cpu"]) -> None:
    error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    if not error <= rounding:
        raise AssertionError(f"coefficients differ by {error:.1e} in norm")


def assert_exact(fit: Fit, X: np.ndarray, Y: np.ndarray, targets: int = 256) -> None:
    """The coefficients of the first targets are those of the closed form in float64, with the penalties chosen."""
    X, alphas = X.astype(float), fit.alphas[:targets].astype(float)
    gram, cross = X.T @ X, X.T @ Y[:, :targets].astype(float)
    coef = np.empty_like(cross)
    for alpha in np.unique(alphas):
        coef[:, alphas == alpha] = np.linalg.solve(gram + alpha * np.eye(len(gram)), cross[:, alphas == alpha])
    same_coefficients(fit.coef[:, :targets], coef, 1e-5)
