"""Cross-validation for ridge regression: what scikit-learn calls ``cv``, as the rows that each fold holds out."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold, KFold  # type: ignore[import-untyped]

__all__ = ["held_out_rows"]


def held_out_rows(
    cv: Any, rows: int, groups: npt.ArrayLike | None = None, y: Any = None, where: str = "ridge"
) -> list[npt.NDArray[np.int64]]:
    """Rows that each fold holds out, and trains on the others.

    Parameters
    ----------
    cv : int, scikit-learn splitter, or iterable of (train, test)
        An integer k is ``KFold(k)``, with groups ``GroupKFold(k)``.
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
    list of arrays of int64, increasing

    Raises
    ------
    ValueError
        If groups do not fit, or a fold does not train on all rows that it does not hold out.
    """
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
    if cv is None:
        cv = 5
    if isinstance(cv, (int, np.integer)) and not isinstance(cv, bool):
        if cv < 2:
            raise ValueError(f"[{where}] cv must be two folds or more; got {cv}")
        if labels is not None and len(np.unique(labels)) < cv:
            raise ValueError(
                f"[{where}] cv must be at most the number of groups; got {cv} folds of {len(np.unique(labels))}"
            )
        if labels is None and rows < 2 * cv:
            # scikit-learn's checks look for "n_samples"
            raise ValueError(
                f"[{where}] every fold must hold out two rows or more; got n_samples={rows} for {cv} folds"
            )
        cv = KFold(int(cv)) if labels is None else GroupKFold(int(cv))
    if hasattr(cv, "split"):
        splits = cv.split(np.zeros((rows, 1)), y, labels)
    elif isinstance(cv, Iterable) and not isinstance(cv, str):
        splits = cv
    else:
        raise ValueError(
            f"[{where}] cv must be an integer, a splitter of scikit-learn or (train, test) pairs; got {cv!r}"
        )
    return [_held_out(train, test, rows, number, where) for number, (train, test) in enumerate(splits)]


def _held_out(train: Any, test: Any, rows: int, number: int, where: str) -> npt.NDArray[np.int64]:
    index = np.arange(rows)
    held_out, trained_on = np.zeros(rows, bool), np.zeros(rows, bool)
    held_out[index[np.asarray(test)]] = True
    trained_on[index[np.asarray(train)]] = True
    if (held_out == trained_on).any():
        row = int(np.flatnonzero(held_out == trained_on)[0])
        state = "both trained on and held out" if held_out[row] else "neither trained on nor held out"
        raise ValueError(
            f"[{where}] a fold must train on all rows that it does not hold out; got row {row} {state} in fold {number}"
        )
    result: npt.NDArray[np.int64] = np.flatnonzero(held_out).astype(np.int64)
    return result
