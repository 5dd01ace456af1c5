"""Sizes and data of the ridge benchmarks."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shape:
    """By default an embedding to all voxels of the study, the same grid and folds as everywhere here."""

    rows: int = 1_920
    features: int = 128
    targets: int = 60_000
    penalties: int = 10
    folds: int = 5

    @property
    def alphas(self) -> np.ndarray:
        return np.logspace(-2, 4, self.penalties, dtype=np.float32)

    @property
    def held_out(self) -> float:
        """Rows of a fold."""
        return self.rows / self.folds


def features_of(shape: Shape) -> np.ndarray:
    X = np.random.default_rng(0).standard_normal((shape.rows, shape.features), dtype=np.float32)
    return X - X.mean(0)


def write_targets(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Fill (rows, targets) with what X explains 4 % of, a block of rows at a time: Y may be a file."""
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((X.shape[1], Y.shape[1]), dtype=np.float32)
    weights *= np.float32(0.2 / np.sqrt(X.shape[1]))
    for first in range(0, len(Y), 96):
        rows = slice(first, first + 96)
        noise = rng.standard_normal((len(Y[rows]), Y.shape[1]), dtype=np.float32)
        Y[rows] = noise + X[rows] @ weights
    return Y


def encoding_data(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    X = features_of(shape)
    return X, write_targets(X, np.empty((shape.rows, shape.targets), np.float32))


def decoding_data(shapes: list[Shape]) -> tuple[list[np.ndarray], np.ndarray]:
    """Voxels of each region, all of which know a little of the targets."""
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((shapes[0].rows, shapes[0].targets), dtype=np.float32)
    Y -= Y.mean(0)
    xs = []
    for shape in shapes:
        X = rng.standard_normal((shape.rows, shape.features), dtype=np.float32)
        X += Y @ rng.standard_normal((shape.targets, shape.features), dtype=np.float32) * np.float32(0.1)
        xs.append(X - X.mean(0))
    return xs, Y
