"""
Operations that LibTorch lacks, on CPU and CUDA.
"""
from __future__ import annotations
import collections.abc
import typing
__all__: list[str] = ['cosine_sketch', 'cosine_top_k', 'fold_scores', 'median_filter', 'permutation_null', 'sample_tokens', 'standardize']
def cosine_sketch(items: typing.Any) -> typing.Any:
    """
    What makes repeated searches of the same items faster on the CPU.
    """
def cosine_top_k(queries: typing.Any, items: typing.Any, k: typing.SupportsInt, sketch: typing.Any | None = None) -> tuple:
    """
    Items of greatest cosine with each query: (scores, indices), each (queries, k), equal scores by index.
    """
def fold_scores(products: typing.Any, weights: typing.Any) -> typing.Any:
    """
    Held-out sums that ridge scores are made of: (3, penalties, targets).
    """
def median_filter(x: typing.Any, size: typing.SupportsInt, run_lengths: collections.abc.Sequence[typing.SupportsInt] = [], residual: bool = False, kept: typing.Any | None = None) -> typing.Any:
    """
    Running median of (scans, voxels) along the scans, edges reflected; or the input minus it.
    """
def permutation_null(predicted: typing.Any, observed: typing.Any, permutations: typing.Any, slack: typing.SupportsFloat = 0.0) -> tuple:
    """
    Scores of blocks in other orders: how many reach that of their own order, and the largest of each order.
    """
def sample_tokens(logits: typing.Any, ranges: typing.Any, streams: typing.Any, step: typing.Any, seed: typing.SupportsInt, temperature: typing.SupportsFloat = 1.0, top_k: typing.SupportsInt = 0, top_p: typing.SupportsFloat = 1.0) -> typing.Any:
    """
    Ids drawn from rows of logits (n, vocabulary), each from its range: (n,); -1 where nothing can be drawn.
    """
def standardize(x: typing.Any, run_lengths: collections.abc.Sequence[typing.SupportsInt] = []) -> typing.Any:
    """
    Columns of (scans, voxels) to mean 0 and standard deviation 1 within each run.
    """
