"""Additions and multiplications that a fit of ours is for, with n rows, p features, t targets, h rows held out.

All need X'X, half of which will do since it is symmetric, X'Y, and from there the coefficients of all rows.
Eigenvectors and what it takes to see which precision suffices are left out: the share of a machine's rate that comes of
these counts is one of useful work.
"""

from collections.abc import Callable

from benchmarks.ridge.problem import Shape


def eigenbasis(shape: Shape, draws: int = 1) -> float:
    """For each draw and fold three products with all targets: X'Y of training and of held-out rows into the basis, N.

    With fewer rows held out than there are features, one of the three can be by those rows.
    """
    p, t = shape.features, shape.targets
    fold = t * (2 * 2 * p**2 + 2 * p * min(p, shape.held_out))
    return _shared(shape) + draws * shape.folds * fold


#: Penalties that are solved for where there are as many or more: their sums make those of the others. With the grid and
#: the regions of the benchmark it takes six to eight.
SOLVED = 7


def cholesky(shape: Shape) -> float:
    """For each fold and penalty solved for a factor, solutions, and their squared predictions.

    These are by the held-out rows, or by half of their symmetric Gram matrix.
    """
    p, t = shape.features, shape.targets
    fit = p**3 / 3 + t * (2 * p**2 + p * min(p, 2 * shape.held_out))
    return _shared(shape) + shape.folds * min(shape.penalties, SOLVED) * fit


def _shared(shape: Shape) -> float:
    n, p, t = shape.rows, shape.features, shape.targets
    return n * p**2 + 2 * n * p * t + 2 * p**2 * t


#: By ``solver_`` of a fitted model.
OF_SOLVER: dict[str, Callable[[Shape], float]] = {"eigenbasis": eigenbasis, "cholesky": cholesky}
