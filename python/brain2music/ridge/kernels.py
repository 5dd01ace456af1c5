"""Inner products of rows in feature spaces that are never formed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

__all__ = ["KERNELS", "pairwise_kernel"]


def _linear(x: torch.Tensor, y: torch.Tensor, gamma: float, degree: float, coef0: float) -> torch.Tensor:
    return x @ y.T


def _polynomial(x: torch.Tensor, y: torch.Tensor, gamma: float, degree: float, coef0: float) -> torch.Tensor:
    return (gamma * (x @ y.T) + coef0) ** degree


def _sigmoid(x: torch.Tensor, y: torch.Tensor, gamma: float, degree: float, coef0: float) -> torch.Tensor:
    return torch.tanh(gamma * (x @ y.T) + coef0)


def _rbf(x: torch.Tensor, y: torch.Tensor, gamma: float, degree: float, coef0: float) -> torch.Tensor:
    squares = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * (x @ y.T)
    return torch.exp(-gamma * squares.clamp_min(0))


def _cosine(x: torch.Tensor, y: torch.Tensor, gamma: float, degree: float, coef0: float) -> torch.Tensor:
    def unit(rows: torch.Tensor) -> torch.Tensor:
        norm = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        return rows / torch.where(norm == 0, 1.0, norm)

    return unit(x) @ unit(y).T


#: By the names that scikit-learn and himalaya give them, with their formulas.
KERNELS: dict[str, Callable[[torch.Tensor, torch.Tensor, float, float, float], torch.Tensor]] = {
    "linear": _linear,
    "polynomial": _polynomial,
    "poly": _polynomial,
    "rbf": _rbf,
    "sigmoid": _sigmoid,
    "cosine": _cosine,
}


def pairwise_kernel(X: Any, Y: Any, name: str, gamma: float | None, degree: float, coef0: float, where: str) -> Any:
    """Return the kernel of all pairs of rows of ``X`` (n, p) and ``Y`` (m, p): (n, m) float64, of the kind of ``X``."""
    if name not in KERNELS:
        raise ValueError(f"[{where}] kernel must be 'precomputed' or one of {', '.join(KERNELS)}; got {name!r}")
    x, y = (v.double() if isinstance(v, torch.Tensor) else torch.from_numpy(np.array(v, dtype=float)) for v in (X, Y))
    kernel = KERNELS[name](x, y.to(x.device), 1 / x.shape[1] if gamma is None else float(gamma), degree, coef0)
    return kernel if isinstance(X, torch.Tensor) else kernel.numpy()
