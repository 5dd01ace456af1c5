"""
Ridge regression with cross-validation.
"""
from __future__ import annotations
import collections.abc
import torch
import typing
__all__: list[str] = ['FoldStatistics', 'banded_ridge_cv', 'batched_ridge_cv', 'default_alphas', 'fold_statistics', 'group_folds', 'kernel_ridge_cv', 'ridge_cv', 'ridge_cv_of_statistics']
class FoldStatistics:
    """
    Sums over the rows that each fold holds out.
    """
    def __init__(self, x_offset: torch.Tensor, y_offset: torch.Tensor, gram: torch.Tensor, cross: torch.Tensor, y_squares: torch.Tensor) -> None:
        ...
    def add(self, other: FoldStatistics) -> None:
        """
        Add statistics of other rows, in place.
        """
    @property
    def cross(self) -> torch.Tensor:
        ...
    @property
    def gram(self) -> torch.Tensor:
        ...
    @property
    def x_offset(self) -> torch.Tensor:
        ...
    @property
    def y_offset(self) -> torch.Tensor:
        ...
    @property
    def y_squares(self) -> torch.Tensor:
        ...
def banded_ridge_cv(x: typing.Any, bands: typing.Any, gammas: typing.Any, y: typing.Any, folds: collections.abc.Sequence[typing.Any], options: dict) -> dict:
    """
    Ridge regression with a penalty for each band of features.
    """
def batched_ridge_cv(xs: collections.abc.Sequence[typing.Any], y: typing.Any, folds: collections.abc.Sequence[typing.Any], options: dict) -> list[dict]:
    """
    Many ridge regressions that share their targets.
    """
def default_alphas() -> list[float]:
    """
    Default penalties, relative to the mean eigenvalue of X'X.
    """
def fold_statistics(x: typing.Any, y: typing.Any, held_out: collections.abc.Sequence[typing.Any], sample_weight: typing.Any = None) -> FoldStatistics:
    """
    Statistics of (n, p) features and (n, t) targets.
    """
def group_folds(groups: collections.abc.Sequence[typing.SupportsInt], folds: typing.SupportsInt) -> list[typing.Any]:
    """
    Rows that each fold holds out: whole groups.
    """
def kernel_ridge_cv(kernel: typing.Any, y: typing.Any, folds: collections.abc.Sequence[typing.Any], options: dict) -> dict:
    """
    Ridge regression of (n, t) targets from (n, n) inner products.
    """
def ridge_cv(x: typing.Any, y: typing.Any, folds: collections.abc.Sequence[typing.Any], options: dict) -> dict:
    """
    Ridge regression of (n, t) targets on (n, p) features.
    """
def ridge_cv_of_statistics(statistics: FoldStatistics, like: typing.Any, options: dict) -> dict:
    """
    Ridge regression from statistics; arrays of the kind of `like`.
    """
