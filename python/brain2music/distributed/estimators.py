"""What an estimator takes along to a worker, and what a fit of it has set."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state  # type: ignore[import-untyped]
from sklearn.utils.validation import has_fit_parameter  # type: ignore[import-untyped]

__all__ = ["attributes", "checked_weight", "sendable", "unfitted"]


def unfitted(estimator: Any, **changed: Any) -> Any:
    """Return an estimator with the same parameters, some of them changed, that knows nothing of a fit.

    The parameters are shared, not copied as scikit-learn's ``clone`` does: ``cv`` may be a generator.
    """
    return type(estimator)(**{**estimator.get_params(deep=False), **changed})


def sendable(estimator: Any) -> Any:
    """Return the estimator that all tasks get.

    Without folds, which travel beside the data, and without a bar; ``random_state`` is one integer.
    """
    parameters = estimator.get_params(deep=False)
    changed: dict[str, Any] = {"cv": None}
    if "progress" in parameters:
        changed["progress"] = False
    if "random_state" in parameters:
        changed["random_state"] = _seed(parameters["random_state"])
    return unfitted(estimator, **changed)


def _seed(state: Any) -> int:
    if isinstance(state, (int, np.integer)):
        return int(state)
    if isinstance(state, np.random.Generator):
        return int(state.integers(2**31))
    return int(check_random_state(state).randint(2**31 - 1))


def checked_weight(estimator: Any, weight: npt.ArrayLike | None, rows: int, where: str) -> npt.NDArray[Any] | None:
    """Return weights of rows as an array, refused where the estimator's fit takes none."""
    if weight is None:
        return None
    if not has_fit_parameter(estimator, "sample_weight"):
        raise ValueError(f"[{where}] sample_weight must be None for {type(estimator).__name__}, whose fit takes none")
    weights = np.asarray(weight, dtype=float)
    if weights.shape != (rows,):
        raise ValueError(
            f"[{where}] sample_weight must hold a number for each row; got shape {weights.shape} for {rows} rows"
        )
    return weights


def attributes(model: Any) -> dict[str, Any]:
    """Return what a fit has set."""
    parameters = model.get_params(deep=False)
    return {name: value for name, value in vars(model).items() if name not in parameters}
