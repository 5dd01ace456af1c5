"""
Features of music to voxels, and where they are significant.
"""
from __future__ import annotations
import typing
__all__: list[str] = ['permutation_test']
def permutation_test(predicted: typing.Any, observed: typing.Any, permutations: typing.Any, coef: typing.Any = None, all_orders: bool = False, tail: bool = True) -> dict:
    """
    Tests correlations against orders of the clips. With coef, predicted are features and predictions are made.
    """
