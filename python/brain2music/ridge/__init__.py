"""Ridge regression with cross-validation: scikit-learn estimators for many targets and many problems."""

from brain2music.ridge.batched import BatchedRidgeCV
from brain2music.ridge.estimator import RidgeCV
from brain2music.ridge.folds import held_out_rows

__all__ = ["BatchedRidgeCV", "RidgeCV", "held_out_rows"]
