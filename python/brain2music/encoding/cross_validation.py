"""Cross-validation over all clips: every clip is predicted by an encoder that did not see it."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone  # type: ignore[import-untyped]
from sklearn.model_selection import GroupKFold  # type: ignore[import-untyped]

from brain2music.encoding.maps import real_numbers
from brain2music.encoding.rates import benjamini_hochberg
from brain2music.encoding.rows import Rows, as_rows
from brain2music.encoding.significance import RARE, Significance
from brain2music.encoding.voxelwise_encoder import VoxelwiseEncoder

__all__ = ["CrossValidated", "cross_validate"]

_WHERE = "encoding.cross_validate"

#: Fewer orders make P too coarse to be added up over folds.
_FEWEST = 99


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """What cross-validation over all clips found.

    Attributes
    ----------
    labels : array of shape (k,)
        What was held out together: a number, or the label given (a genre).
    scores : array of shape (k, t)
        Pearson's r over the clips of each fold.
    p : array of shape (k, t)
        P of each fold by itself.
    significance : Significance
        Over all folds: the mean r, and P of all folds together.
    """

    labels: npt.NDArray[Any]
    scores: npt.NDArray[np.float64]
    p: npt.NDArray[np.float64]
    significance: Significance


def cross_validate(
    encoder: VoxelwiseEncoder,
    features: Any,
    responses: Any,
    groups: npt.ArrayLike | None = None,
    *,
    held_out: int | npt.ArrayLike | None = None,
    permutations: int = 1000,
    tail: bool = True,
    random_state: int | None = None,
    progress: bool = False,
) -> CrossValidated:
    """Score an encoder on all clips: each fold is held out, and nothing is chosen by it.

    For each fold a copy of the encoder is fitted to all other clips, penalties included, and tested on the fold by
    orders of its clips. Predictions of different folds are correlated, since each fold helps to predict the others; on
    noise their sum varies at most twice as much as if they were independent. So P over all folds is that of Stouffer's
    sum of the folds' z with twice its variance.

    Parameters
    ----------
    encoder : VoxelwiseEncoder
        Its parameters are used; it need not be fitted, and stays as it is.
    features, responses, groups
        As for :meth:`VoxelwiseEncoder.fit`, of clips of windows.
    held_out : int, or array-like of shape (n,), optional
        Number of folds, of whole runs where ``groups`` are given; by default five, or as many as there are runs. Or a
        label for each clip, such as its genre: clips of one label are predicted by an encoder that never saw that
        label.
    permutations, tail, random_state
        As for :meth:`VoxelwiseEncoder.significance`.
    progress : bool, default False
        Show a bar, a step a fold.

    Returns
    -------
    CrossValidated

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than two folds, or a fold has fewer than three clips.

    References
    ----------
    Stouffer et al. (1949) for the sum of z. The bound: let ``v[g, f]`` be the variance that the training clips of fold
    g add to the score of fold f. Only the pairs (g, f) and (f, g) are correlated, so the correlations of the folds'
    scores, added over all pairs, are at most the number of folds (Cauchy-Schwarz, then the mean of two terms).

    Examples
    --------
    >>> import brain2music as b2m, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> music, brain = rng.standard_normal((50, 4, 6)), rng.standard_normal((50, 4, 20))
    >>> brain[..., :10] += music @ rng.standard_normal((6, 10))
    >>> found = b2m.encoding.cross_validate(
    ...     b2m.VoxelwiseEncoder(), music, brain, groups=np.repeat(np.arange(10), 5), random_state=0
    ... )
    >>> found.scores.shape, int(found.significance.significant().sum())
    ((5, 20), 10)
    """
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    if isinstance(permutations, bool) or not isinstance(permutations, int | np.integer) or permutations < _FEWEST:
        raise ValueError(f"[{_WHERE}] permutations must be a whole number from {_FEWEST}; got {permutations!r}")
    if random_state is not None and not isinstance(random_state, int | np.integer):
        raise ValueError(f"[{_WHERE}] random_state must be a whole number or None; got {random_state!r}")
    rows = as_rows(features, responses, None, None, encoder.tr, _WHERE)
    if np.ndim(responses) == 2:
        raise ValueError(f"[{_WHERE}] features and responses must be of clips, (clips, windows, ...); got rows")
    runs, labels = (_kept(values, rows, name) for values, name in ((groups, "groups"), (held_out, "held_out")))
    x = rows.features.reshape(rows.clips, rows.windows, -1)
    y = rows.responses.reshape(rows.clips, rows.windows, -1)
    folds = _folds(rows.clips, runs, labels, held_out)
    parts, orders = [], []
    for number, (label, held) in enumerate(tqdm(folds, unit="fold", disable=not progress)):
        own: VoxelwiseEncoder = clone(encoder)
        own.fit(x[~held], y[~held], groups=None if runs is None else runs[~held])
        seed = None if random_state is None else int(random_state) + number
        tested = own.significance(x[held], y[held], permutations=permutations, tail=tail, random_state=seed)
        orders.append(tested.permutations)
        parts.append((label, *(real_numbers(values, _WHERE) for values in (tested.score, tested.p, tested.p_max))))
    names, scores, p, largest = (np.array(each) for each in zip(*parts, strict=True))
    together = _combined(p, np.array(orders))
    untested = int(np.isnan(together).sum())
    notes = rows.notes
    if untested:
        notes = (*notes, f"{untested} voxels do not vary, in a fold or its predictions, and were not tested.")
    # Where all orders of a fold's few clips were compared, P has a smallest value.
    sizes = [int(held.sum()) for _, held in folds]
    bounded = all(math.factorial(min(size, 20)) == count for size, count in zip(sizes, orders, strict=True))
    least = float(_combined(1 / np.array(orders, float)[:, None], np.array(orders))[0]) if bounded else 0.0
    if least > RARE:
        notes = (*notes, f"Folds of {min(sizes)} to {max(sizes)} clips have few orders: no P can be below {least:.2g}.")
    significance = Significance(
        score=np.where(np.isnan(together), np.nan, scores.mean(axis=0)),
        p=together,
        q=benjamini_hochberg(together),
        # Bonferroni over folds, which holds whatever their correlation.
        p_max=np.where(np.isnan(together), np.nan, np.minimum(1, len(parts) * np.fmin.reduce(largest, axis=0))),
        in_tail=None,
        null="clips",
        permutations=permutations,
        notes=notes,
    )
    return CrossValidated(names, scores, p, significance)


def _combined(p: npt.NDArray[np.float64], orders: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return Stouffer's P of folds (k, t), each of so many orders, with twice the variance of independent folds."""
    from scipy.stats import norm  # type: ignore[import-untyped]

    # P of permutations can be 1, and P of a tail can round to 0: neither may outweigh all other folds.
    z = norm.isf(p.clip(1e-300, (orders / (orders + 1))[:, None]))
    return np.asarray(norm.sf(z.sum(axis=0) / np.sqrt(2 * len(p))), np.float64)


def _folds(
    clips: int, runs: npt.NDArray[Any] | None, labels: npt.NDArray[Any] | None, held_out: Any
) -> list[tuple[Any, npt.NDArray[np.bool_]]]:
    """Return which clips are held out together."""
    if labels is not None:
        if labels.dtype.kind == "O" and len({type(label) for label in labels.tolist()}) > 1:
            raise ValueError(
                f"[{_WHERE}] held_out must hold labels of one kind; got {sorted(map(str, set(labels)))[:5]}"
            )
        folds = [(label, labels == label) for label in np.unique(labels).tolist()]
    else:
        together = np.arange(clips) if runs is None else runs
        most = len(np.unique(together))
        held_out = min(5, most) if held_out is None else held_out
        whole = isinstance(held_out, int | np.integer) and not isinstance(held_out, bool)
        if not whole or not 2 <= held_out <= most:
            raise ValueError(f"[{_WHERE}] held_out must be a number of folds from 2 to {most}; got {held_out!r}")
        split = GroupKFold(int(held_out)).split(together, groups=together)
        folds = [(number, np.isin(np.arange(clips), held)) for number, (_, held) in enumerate(split)]
    few = [(label, int(held.sum())) for label, held in folds if held.sum() < 3]
    if len(folds) < 2 or few:
        raise ValueError(
            f"[{_WHERE}] held_out must make two folds or more of three clips or more; got {len(folds)} folds"
            + "".join(f", {count} clips in {label!r}" for label, count in few[:3])
        )
    return folds


def _kept(values: Any, rows: Rows, name: str) -> npt.NDArray[Any] | None:
    """Return labels of the clips that were kept; None for a number."""
    if values is None or (name == "held_out" and np.ndim(values) == 0):
        return None
    labels = np.asarray(values)
    if labels.shape != rows.whole.shape:
        raise ValueError(
            f"[{_WHERE}] {name} must hold a label for each of {len(rows.whole)} clips; got shape {labels.shape}"
        )
    return labels[rows.whole]
