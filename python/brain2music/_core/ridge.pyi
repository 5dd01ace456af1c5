"""
Ridge regression with cross-validation.
"""
from __future__ import annotations
import collections.abc
import typing
__all__: list[str] = ['batched_ridge_cv', 'default_alphas', 'group_folds', 'ridge_cv']
def batched_ridge_cv(xs: collections.abc.Sequence[typing.Any], y: typing.Any, held_out: collections.abc.Sequence[typing.Any], options: dict) -> list[dict]:
    """
    Many ridge regressions that share their targets.
    """
def default_alphas() -> list[float]:
    """
    Default penalties, relative to the mean eigenvalue of X'X.
    """
def group_folds(groups: collections.abc.Sequence[typing.SupportsInt], folds: typing.SupportsInt) -> list[typing.Any]:
    """
    Rows that each fold holds out: whole groups.
    """
def ridge_cv(x: typing.Any, y: typing.Any, held_out: collections.abc.Sequence[typing.Any], options: dict) -> dict:
    """
    Ridge regression of (n, t) targets on (n, p) features.
    """
