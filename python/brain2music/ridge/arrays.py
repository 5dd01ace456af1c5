"""What goes into the estimators: NumPy arrays, through scikit-learn's checks, and torch tensors, as they are."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_array, validate_data  # type: ignore[import-untyped]

__all__ = ["check_features", "check_targets", "refuse_non_finite"]


def refuse_non_finite(x: Any, name: str, where: str) -> None:
    """Raise ValueError that names row and column unless all of a matrix is finite."""
    isfinite: Any = torch.isfinite if isinstance(x, torch.Tensor) else np.isfinite
    finite = isfinite(x)
    if bool(finite.all()):
        return
    row, column = (int(i) for i in np.argwhere(~np.asarray(finite.cpu() if isinstance(x, torch.Tensor) else finite))[0])
    raise ValueError(
        f"[{where}] {name} must be finite, without NaN or infinity; got {float(x[row, column])} at row {row}, "
        f"column {column}"
    )


def _refuse_complex(x: torch.Tensor, name: str, where: str) -> None:
    if x.dtype.is_complex:
        raise ValueError(f"[{where}] {name} must be real numbers; got {x.dtype}")


def check_features(estimator: Any, x: Any, where: str, reset: bool) -> Any:
    """Check X (n, p) and remember, or compare, its number of features."""
    if not isinstance(x, torch.Tensor):
        return validate_data(estimator, x, reset=reset, ensure_all_finite=False)
    if x.ndim != 2:
        raise ValueError(f"[{where}] X must have two dimensions, rows first; got shape {tuple(x.shape)}")
    _refuse_complex(x, "X", where)
    if reset:
        estimator.n_features_in_ = x.shape[1]
    elif x.shape[1] != estimator.n_features_in_:
        raise ValueError(f"[{where}] X must have {estimator.n_features_in_} features; got shape {tuple(x.shape)}")
    return x


def check_targets(y: Any, where: str) -> Any:
    """Check Y (n, t) or (n,)."""
    if y is None:
        raise ValueError(f"[{where}] requires y to be passed, but the target y is None")
    if not isinstance(y, torch.Tensor):
        y = check_array(y, ensure_2d=False, ensure_all_finite=False, input_name="y")
    else:
        _refuse_complex(y, "Y", where)
    if y.ndim not in (1, 2):
        raise ValueError(f"[{where}] Y must be (rows, targets) or (rows,); got shape {tuple(y.shape)}")
    return y
