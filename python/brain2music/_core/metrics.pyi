"""
How well predictions fit.
"""
from __future__ import annotations
import collections.abc
import typing
__all__: list[str] = ['class_agreement', 'correlation_matrix', 'identification_accuracy', 'identification_scores', 'pearson_correlation', 'r2_score']
def class_agreement(original: typing.Any, reconstructed: typing.Any, classes: collections.abc.Sequence[typing.SupportsInt], n: typing.SupportsInt) -> typing.Any:
    """
    Per item, the share of the n most likely classes that two judgements have in common.
    """
def correlation_matrix(predicted: typing.Any, target: typing.Any) -> typing.Any:
    """
    Correlation of every row of predicted with every row of target.
    """
def identification_accuracy(predicted: typing.Any, target: typing.Any, groups: typing.Any | None = None) -> typing.Any:
    """
    Per item, the share of other targets that correlate less with its prediction than its own does.
    """
def identification_scores(predicted: typing.Any, target: typing.Any, windows: typing.SupportsInt = 1) -> typing.Any:
    """
    The identification accuracy of each prediction, were each target its own.
    """
def pearson_correlation(predicted: typing.Any, target: typing.Any, dim: typing.SupportsInt) -> typing.Any:
    """
    Correlation of each column over the rows (dim 0) or of each row over the columns (dim 1).
    """
def r2_score(predicted: typing.Any, target: typing.Any) -> typing.Any:
    """
    Coefficient of determination of each column.
    """
