"""What all ridge estimators do with a fit: keep it, predict from it, score it, warn of it."""

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin  # type: ignore[import-untyped]
from sklearn.metrics import r2_score  # type: ignore[import-untyped]

from brain2music.ridge.arrays import refuse_non_finite

__all__ = ["FittedRidge", "check_rows", "predict_from", "warn_of_edges"]


class FittedRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A ridge regression of one problem: what its fits keep does not depend on how they were computed."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R2 on given data, averaged over targets."""
        arrays = (v.cpu().numpy() if isinstance(v, torch.Tensor) else v for v in (y, self.predict(X)))
        return float(r2_score(*arrays, sample_weight=sample_weight))

    def _keep(self, result: dict[str, Any], one_target: bool, coef: str = "coef_") -> None:
        self.alphas_ = result["alphas"]
        self.best_alphas_ = result["best_alphas"]
        self.cv_scores_ = result["cv_scores"]
        self.cv_correlations_ = result["correlations"]
        setattr(self, coef, result["coef"][:, 0] if one_target else result["coef"])
        self.intercept_ = result["intercept"][0] if one_target else result["intercept"]
        if "cv_path" in result:
            self.cv_scores_path_ = result["cv_path"]
        if "predictions" in result:
            self.cv_predictions_ = result["predictions"][:, 0] if one_target else result["predictions"]


def predict_from(X: Any, coef: Any, intercept: Any, where: str) -> Any:
    """``X @ coef + intercept``, of the kind and type of ``coef``."""
    refuse_non_finite(X, "X", where)
    predicted: Any
    if isinstance(coef, torch.Tensor):
        predicted = torch.as_tensor(X, dtype=coef.dtype, device=coef.device) @ coef
    else:
        predicted = np.asarray(X, dtype=coef.dtype) @ coef
    predicted += intercept  # in place: nothing else of its size is made
    return predicted


def check_rows(xs: list[Any], y: Any, where: str) -> None:
    """Raise ValueError unless all X have the rows of y."""
    for X in xs:
        if len(X) != len(y):
            raise ValueError(
                f"[{where}] X and y must have equal rows; got inconsistent numbers of samples: {tuple(X.shape)} and "
                f"{tuple(y.shape)}"
            )


def warn_of_edges(results: list[dict[str, Any]], where: str) -> None:
    """Warn of targets whose best penalty lies at an edge of the grid."""
    lower = sum(result["at_lower_edge"] for result in results)
    upper = sum(result["at_upper_edge"] for result in results)
    if lower or upper:
        targets = sum(len(result["best_alphas"]) for result in results)
        warnings.warn(
            f"[{where}] the grid of alphas should reach beyond the best; got {lower} of {targets} targets at its "
            f"smallest, {upper} at its largest alpha, better there than one step inside",
            stacklevel=4,
        )
