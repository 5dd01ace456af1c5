"""Cross-validation for ridge regression: what scikit-learn calls ``cv``, as the rows that each fold names."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import GroupKFold, KFold  # type: ignore[import-untyped]

__all__ = ["held_out_rows", "train_test_rows"]

_Rows = npt.NDArray[np.int64]


def train_test_rows(
    cv: Any, rows: int, groups: npt.ArrayLike | None = None, y: Any = None, where: str = "ridge"
) -> list[tuple[_Rows, _Rows]]:
    """Rows that each fold trains on, and rows that it holds out.

    Parameters
    ----------
    cv : int, scikit-learn splitter, or iterable of (train, test)
        An integer k is ``KFold(k)``, with groups ``GroupKFold(k)``. Train and test are indices, of which negative ones
        count from the end, or masks of shape (rows,); a fold may leave rows out of both.
    rows : int
        Rows of X.
    groups : array-like of shape (rows,), optional
        Rows of a group (a run, a clip) are held out together.
    y : array, optional
        For splitters that look at targets.
    where : str
        Who asks; signs errors.

    Returns
    -------
    list of (train, test), arrays of int64, increasing

    Raises
    ------
    ValueError
        If groups do not fit, or a fold names rows that there are not, a row twice, or a row in train and test.
    """
    labels = _labels(groups, rows, where)
    if cv is None:
        cv = 5
    if isinstance(cv, (int, np.integer)) and not isinstance(cv, bool):
        cv = _k_folds(int(cv), rows, labels, where)
    if hasattr(cv, "split"):
        splits = cv.split(np.zeros((rows, 1)), y, labels)
    elif isinstance(cv, Iterable) and not isinstance(cv, str):
        splits = cv
    else:
        raise ValueError(
            f"[{where}] cv must be an integer, a splitter of scikit-learn or (train, test) pairs; got {cv!r}"
        )
    folds = [_fold(split, rows, number, where) for number, split in enumerate(splits)]
    if not folds:
        raise ValueError(
            f"[{where}] cv must give a fold or more; got none from {type(cv).__name__} (a generator gives its folds "
            "once: list(...) keeps them)"
        )
    return folds


def held_out_rows(
    cv: Any, rows: int, groups: npt.ArrayLike | None = None, y: Any = None, where: str = "ridge"
) -> list[npt.NDArray[np.int64]]:
    """Rows that each fold holds out, where it trains on all others.

    Parameters
    ----------
    cv, rows, groups, y, where
        As for :func:`train_test_rows`.

    Returns
    -------
    list of arrays of int64, increasing

    Raises
    ------
    ValueError
        If groups do not fit, or a fold does not train on all rows that it does not hold out.
    """
    folds = train_test_rows(cv, rows, groups, y, where)
    for number, (train, test) in enumerate(folds):
        if len(train) + len(test) < rows:
            left_out = np.delete(np.arange(rows), np.concatenate([train, test]))
            raise ValueError(
                f"[{where}] a fold must train on all rows that it does not hold out; got row {left_out[0]} neither "
                f"trained on nor held out in fold {number}"
            )
    return [test for _, test in folds]


def _labels(groups: npt.ArrayLike | None, rows: int, where: str) -> npt.NDArray[Any] | None:
    """Return the group of each row."""
    labels = None if groups is None else np.asarray(groups)
    if labels is not None and labels.shape != (rows,):
        raise ValueError(f"[{where}] groups must hold one label per row; got shape {labels.shape} for {rows} rows")
    if labels is not None and labels.dtype.kind in "fOcmM":
        # A group that is not known could be any of the others.
        missing = np.array([label is None or label != label for label in labels.tolist()], bool)
        if missing.any():
            raise ValueError(
                f"[{where}] groups must name the group of every row; got {int(missing.sum())} rows without, row "
                f"{int(np.argmax(missing))} the first"
            )
    return labels


def _k_folds(folds: int, rows: int, labels: npt.NDArray[Any] | None, where: str) -> Any:
    """Return a splitter for a number of folds."""
    if folds < 2:
        raise ValueError(f"[{where}] cv must be two folds or more; got {folds}")
    if labels is not None and len(np.unique(labels)) < folds:
        raise ValueError(
            f"[{where}] cv must be at most the number of groups; got {folds} folds of {len(np.unique(labels))}"
        )
    if labels is None and rows < 2 * folds:
        # scikit-learn's checks look for "n_samples"
        raise ValueError(f"[{where}] every fold must hold out two rows or more; got n_samples={rows} for {folds} folds")
    return KFold(folds) if labels is None else GroupKFold(folds)


def _fold(split: Any, rows: int, number: int, where: str) -> tuple[_Rows, _Rows]:
    """Return the rows of one fold."""
    try:
        train, test = split
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"[{where}] a fold must be a pair (train, test); got {split!r:.60} for fold {number}"
        ) from error
    trained_on, held_out = (_indices(part, rows, number, where) for part in (train, test))
    both = np.intersect1d(trained_on, held_out)
    if len(both):
        raise ValueError(
            f"[{where}] a fold must not train on rows that it holds out; got row {both[0]} in both parts of fold "
            f"{number}"
        )
    return trained_on, held_out


def _indices(part: Any, rows: int, number: int, where: str) -> _Rows:
    """Return train or test as increasing indices."""
    if isinstance(part, slice):
        return np.sort(np.arange(rows)[part])
    given = part.cpu().numpy() if isinstance(part, torch.Tensor) else np.asarray(part)
    if given.dtype == bool and given.shape == (rows,):
        return np.flatnonzero(given)
    if given.size == 0 and given.ndim == 1:
        return np.empty(0, np.int64)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ValueError(
            f"[{where}] train and test must be indices, or masks of shape ({rows},); got {given.dtype} of shape "
            f"{given.shape} in fold {number}"
        )
    index = given.astype(np.int64)
    missing = (index < -rows) | (index >= rows)
    if missing.any():
        raise ValueError(
            f"[{where}] a fold must name rows from 0 to {rows - 1}; got row {index[missing][0]} in fold {number}"
        )
    named, times = np.unique(np.where(index < 0, index + rows, index), return_counts=True)
    if (times > 1).any():
        raise ValueError(
            f"[{where}] a fold must name a row once; got row {named[times > 1][0]} {times.max()} times in fold {number}"
        )
    return named
