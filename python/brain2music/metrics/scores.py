"""The metrics themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import numpy.typing as npt
import torch

from brain2music import _core
from brain2music.metrics.arrays import Array, average_windows, checked, checked_pair, group_numbers, rows

__all__ = ["Agreement", "Identification", "class_agreement", "correlation", "identification_accuracy", "r2_score"]


@dataclass(frozen=True, eq=False)
class Identification(Generic[Array]):
    """How well items are told apart by their predictions.

    Parameters
    ----------
    mean : float
        Mean over items; chance is 0.5.
    per_item : array of shape (n,), or (n, r) over windows
        Share of the distractors that an item's own target beats.
    correlations : array of shape (items, items), or None
        Pearson correlation of each predicted row with each target row, on request.
    """

    mean: float
    per_item: Array
    correlations: Array | None = None


@dataclass(frozen=True, eq=False)
class Agreement(Generic[Array]):
    """Top-n class agreement of one group of classes: mean over items, and per item, shape (n,)."""

    mean: float
    per_item: Array


def identification_accuracy(
    predicted: Array, target: Array, clips: npt.ArrayLike | None = None, correlations: bool = False
) -> Identification[Array]:
    r"""Share of other targets that a prediction correlates with less than with its own.

    With :math:`C_{ij}` the Pearson correlation of row i of ``predicted`` and row j of ``target``,

    .. math:: \mathrm{acc}_i = \frac{1}{|D_i|} \sum_{j \in D_i} [C_{ii} > C_{ij}],

    where :math:`D_i` are all items but i, or all items of other clips. Ties (correlations within 1e-12 of each other,
    which is rounding) count one half.

    Parameters
    ----------
    predicted, target : arrays of shape (n, d) or (n, r, d)
        NumPy arrays or torch tensors of any real type; tensors may lie on a CUDA device. Of (n, r, d) the windows are
        averaged first, and items are clips; unless ``clips`` are given.
    clips : array-like of shape (n,), optional
        Ids of the clips that rows belong to: rows of one clip are no distractors of each other. With (n, r, d), the
        items are then the windows.
    correlations : bool, default False
        Return :math:`C` too.

    Returns
    -------
    Identification
        ``mean``, ``per_item`` and ``correlations``, arrays in float64.

    Raises
    ------
    ValueError
        If shapes or ``clips`` do not fit, there is NaN or Inf, a row has no variance (it is named), or an item has no
        distractors.

    References
    ----------
    Denk, Takagi et al. (2023), *Brain2Music*, section 4.1.

    Examples
    --------
    >>> import brain2music as b2m, numpy as np
    >>> target = np.random.default_rng(0).standard_normal((60, 4, 128))
    >>> b2m.metrics.identification_accuracy(target, target).mean
    1.0
    """
    where = "metrics.identification_accuracy"
    predicted, target = checked_pair(predicted, target, where)
    windows = predicted.shape[1] if predicted.ndim == 3 and clips is not None else None
    if clips is None:
        predicted, target, groups = average_windows(predicted), average_windows(target), None
    else:
        numbers = np.repeat(group_numbers(clips, len(predicted), where), windows or 1)
        groups = torch.from_numpy(numbers)
        if isinstance(target, torch.Tensor):
            groups = groups.to(target.device)
        predicted, target = rows(predicted), rows(target)
    per_item = _core.metrics.identification_accuracy(predicted, target, groups)
    matrix = _core.metrics.correlation_matrix(predicted, target) if correlations else None
    mean = float(per_item.mean())
    return Identification(mean, per_item.reshape(-1, windows) if windows else per_item, matrix)


def correlation(predicted: Array, target: Array, over: str = "items") -> Array:
    """Pearson correlation of predictions with their targets.

    Parameters
    ----------
    predicted, target : arrays of shape (n, d) or (n, r, d)
        Of any real type. Of (n, r, d) the windows are averaged first; to take windows as items, hand in
        ``array.reshape(-1, d)``.
    over : {"items", "dimensions"}
        ``"items"``: how each dimension follows its target from item to item. ``"dimensions"``: how well each item's
        whole embedding is met; embeddings that share a mean give values above 0 by chance.

    Returns
    -------
    array of shape (d,) or (n,), float64
        As :func:`scipy.stats.pearsonr`; of the kind of ``predicted``, on its device.

    Raises
    ------
    ValueError
        If shapes do not fit, there is NaN or Inf, fewer than two values to correlate, or a row or column has no
        variance (it is named).
    """
    where = "metrics.correlation"
    if over not in ("items", "dimensions"):
        raise ValueError(f"[{where}] over must be 'items' or 'dimensions'; got {over!r}")
    predicted, target = (average_windows(array) for array in checked_pair(predicted, target, where))
    result: Array = _core.metrics.pearson_correlation(predicted, target, 0 if over == "items" else 1)
    return result


def r2_score(predicted: Array, target: Array) -> Array:
    """Coefficient of determination of each dimension over the items.

    Parameters
    ----------
    predicted, target : arrays of shape (n, d) or (n, r, d)
        Of any real type. Of (n, r, d) the windows are averaged first.

    Returns
    -------
    array of shape (d,), float64
        As ``sklearn.metrics.r2_score(target, predicted, multioutput="raw_values")``; of the kind of ``predicted``.

    Raises
    ------
    ValueError
        If shapes do not fit, there is NaN or Inf, fewer than two items, or a dimension of ``target`` does not vary.
    """
    predicted, target = (average_windows(array) for array in checked_pair(predicted, target, "metrics.r2_score"))
    result: Array = _core.metrics.r2_score(predicted, target)
    return result


def class_agreement(
    original: Array, reconstructed: Array, groups: Mapping[str, Sequence[int]], n: Mapping[str, int]
) -> dict[str, Agreement[Array]]:
    """Compare a tagger's judgement of originals and reconstructions: overlap of the n most likely classes of a group.

    Parameters
    ----------
    original, reconstructed : arrays of shape (items, classes)
        Class probabilities, or scores that rise with them.
    groups : mapping from str to sequence of int
        Columns of each group, as :func:`group_indices` finds them. Of equal probabilities the class listed first wins.
    n : mapping from str to int
        How many classes count, for each group; the paper's are ``TOP_N``.

    Returns
    -------
    dict from str to Agreement
        Share of the n classes that both have, for each group, mean and per item. Two unrelated judgements of a group
        of k classes reach n / k on average if all classes are equally likely; real ones are not, so let
        :func:`permutation_null` say.

    Raises
    ------
    ValueError
        If shapes or groups do not fit, or there is NaN or Inf.

    References
    ----------
    Denk, Takagi et al. (2023), *Brain2Music*, section 4.1; genres (n = 2), instruments (n = 2), moods (n = 1).
    """
    where = "metrics.class_agreement"
    if groups.keys() != n.keys() or not groups:
        raise ValueError(f"[{where}] n must have the groups' names; got {sorted(groups)} and {sorted(n)}")
    result: dict[str, Agreement[Array]] = {}
    pair: tuple[Any, Any] = checked(original, "original", where), checked(reconstructed, "reconstructed", where)
    for name, classes in groups.items():
        per_item = _core.metrics.class_agreement(*pair, [int(column) for column in classes], n[name])
        result[name] = Agreement(float(per_item.mean()), per_item)
    return result
