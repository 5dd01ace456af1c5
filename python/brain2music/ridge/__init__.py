"""Ridge regression with cross-validation: scikit-learn estimators for many targets and many problems."""

from brain2music.plain_arrays import guard
from brain2music.ridge.banded import BandedRidgeCV, dirichlet_gammas
from brain2music.ridge.batched import BatchedRidgeCV
from brain2music.ridge.estimator import RidgeCV
from brain2music.ridge.folds import held_out_rows
from brain2music.ridge.kernel import KernelRidgeCV
from brain2music.ridge.statistics import FoldStatistics

__all__ = [
    "BandedRidgeCV",
    "BatchedRidgeCV",
    "FoldStatistics",
    "KernelRidgeCV",
    "RidgeCV",
    "dirichlet_gammas",
    "held_out_rows",
]

guard(__name__)
