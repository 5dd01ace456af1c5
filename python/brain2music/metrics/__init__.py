"""How well predictions fit, and what chance and the truth itself would reach.

Rows are items (clips, or windows of them), columns the dimensions of an embedding. Of three-dimensional arrays
``(n, r, d)`` the ``r`` windows of a clip are averaged first, unless ``clips`` are given. Everything is computed in
float64; NumPy arrays and torch tensors go in, and arrays of that kind come out.
"""

from brain2music.metrics.audioset import CLASS_GROUPS, TOP_N, group_indices
from brain2music.metrics.chance import p_value, pair_scores, permutation_null, random_pick
from brain2music.metrics.scores import (
    Agreement,
    Identification,
    class_agreement,
    correlation,
    identification_accuracy,
    r2_score,
)
from brain2music.plain_arrays import guard

__all__ = [
    "CLASS_GROUPS",
    "TOP_N",
    "Agreement",
    "Identification",
    "class_agreement",
    "correlation",
    "group_indices",
    "identification_accuracy",
    "p_value",
    "pair_scores",
    "permutation_null",
    "r2_score",
    "random_pick",
]

guard(__name__)
