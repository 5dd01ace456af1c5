"""Sums over the rows that each fold holds out: all that ridge regression needs to know of a study."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brain2music import _core
from brain2music.ridge.folds import held_out_rows
from brain2music.ridge.options import weights_of_rows

__all__ = ["FoldStatistics"]

_FIELDS = ("x_offset", "y_offset", "gram", "cross", "y_squares")


class FoldStatistics:
    """Products of features and targets, summed over the rows that each fold holds out.

    Gathered in one pass, from arrays, memory maps, or run by run; statistics of different rows add up (``a + b``,
    ``a += b``), so parts of a study may be gathered on different machines. :meth:`RidgeCV.fit_statistics` fits from
    them. Sums are taken about provisional means, so that data whose mean is many standard deviations keep their digits.

    Parameters
    ----------
    n_folds : int, default 5
        How many folds there are.

    Attributes
    ----------
    gram_ : tensor of shape (folds + 1, p + 1, p + 1), float64
        ``[X, 1]'[X, 1]`` of the rows held out in each fold, about ``x_offset_``; last: of all rows.
    cross_ : tensor of shape (folds + 1, p + 1, t), float64
        ``[X, 1]'Y`` likewise, Y about ``y_offset_``.
    y_squares_ : tensor of shape (folds + 1, t), float64
    x_offset_ : tensor of shape (p,), float64
    y_offset_ : tensor of shape (t,), float64

    Notes
    -----
    Memory is 8 (folds + 1) (p + 1) (p + 1 + t) bytes: less than Y itself where there are more rows than features times
    folds.

    Examples
    --------
    >>> import brain2music as b2m, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> runs = [(rng.standard_normal((40, 3)), rng.standard_normal((40, 7))) for _ in range(6)]
    >>> statistics = b2m.ridge.FoldStatistics(n_folds=3)
    >>> for number, (X, Y) in enumerate(runs):
    ...     statistics.update(X, Y, fold=number % 3)
    >>> b2m.ridge.RidgeCV(alphas=[1.0, 10.0]).fit_statistics(statistics).coef_.shape
    (3, 7)
    """

    def __init__(self, n_folds: int = 5) -> None:
        if isinstance(n_folds, bool) or n_folds < 2:
            raise ValueError(f"[ridge.FoldStatistics] n_folds must be two or more; got {n_folds}")
        self.n_folds = int(n_folds)
        self._sums: Any = None
        self._numpy = True

    @classmethod
    def gather(
        cls,
        X: Any,
        Y: Any,
        cv: Any = 5,
        groups: npt.ArrayLike | None = None,
        sample_weight: Any = None,
    ) -> "FoldStatistics":
        """Gather the statistics of all rows.

        Parameters
        ----------
        X : array of shape (n, p)
            Also a memory map.
        Y : array of shape (n, t)
        cv : int, scikit-learn splitter, or iterable of (train, test), default 5
            Statistics know the rows that a fold holds out, so that it must train on all others: no gaps, and no
            ``TimeSeriesSplit``.
        groups : array-like of shape (n,), optional
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        FoldStatistics
        """
        where = "ridge.FoldStatistics"
        held_out = held_out_rows(cv, len(X), groups, Y, where)
        statistics = cls(len(held_out))
        statistics._gather(X, Y, held_out, sample_weight)
        return statistics

    @classmethod
    def from_runs(cls, runs: Iterable[tuple[Any, Any]], n_folds: int = 5) -> "FoldStatistics":
        """Gather the statistics of runs that come one after the other; run i is held out in fold ``i % n_folds``.

        Parameters
        ----------
        runs : iterable of (X, Y)
            Of shapes (n_i, p) and (n_i, t); each is let go of before the next is asked for.
        n_folds : int, default 5

        Returns
        -------
        FoldStatistics
        """
        statistics = cls(n_folds)
        iterator, number = iter(runs), 0
        while (run := next(iterator, None)) is not None:
            statistics.update(*run, fold=number % n_folds)
            number += 1
            del run  # before the next one is made
        return statistics

    def update(self, X: Any, Y: Any, fold: int | npt.ArrayLike, sample_weight: Any = None) -> None:
        """Add rows.

        Parameters
        ----------
        X : array of shape (n, p)
        Y : array of shape (n, t)
        fold : int, or array-like of shape (n,)
            Number of the fold that holds out all rows, or each; -1: none does.
        sample_weight : array-like of shape (n,), optional

        Raises
        ------
        ValueError
            On other shapes, folds that there are not, NaN or Inf (named by row and column).
        """
        where = "ridge.FoldStatistics"
        number = np.asarray(fold)
        if number.ndim == 0:
            number = np.full(len(X), number)
        if number.shape != (len(X),) or number.dtype.kind not in "iu":
            raise ValueError(
                f"[{where}] fold must be an integer, or one for each row; got shape {number.shape} of {number.dtype} "
                f"for {len(X)} rows"
            )
        if len(number) and not -1 <= number.min() <= number.max() < self.n_folds:
            raise ValueError(
                f"[{where}] fold must lie between -1 and {self.n_folds - 1}; got {number.min()} to {number.max()}"
            )
        self._gather(X, Y, [np.flatnonzero(number == k) for k in range(self.n_folds)], sample_weight)

    def _gather(self, X: Any, Y: Any, held_out: list[npt.NDArray[np.int64]], sample_weight: Any) -> None:
        weights = None if sample_weight is None else weights_of_rows(sample_weight, len(X), "ridge.FoldStatistics")
        sums = _core.ridge.fold_statistics(X, Y, held_out, weights)
        if self._sums is None:
            self._sums = sums
            self._numpy = not isinstance(Y, torch.Tensor)
        else:
            self._sums.add(sums)

    def __iadd__(self, other: "FoldStatistics") -> "FoldStatistics":
        if other.n_folds != self.n_folds:
            raise ValueError(
                f"[ridge.FoldStatistics] statistics that are added must have equal folds, features and targets; got "
                f"{self.n_folds} and {other.n_folds} folds"
            )
        if other._sums is not None:
            if self._sums is None:
                self._sums, self._numpy = _copy(other._sums), other._numpy
            else:
                self._sums.add(other._sums)
        return self

    def __add__(self, other: "FoldStatistics") -> "FoldStatistics":
        result = FoldStatistics(self.n_folds)
        result += self
        result += other
        return result

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state["_sums"] = None if self._sums is None else [getattr(self._sums, name) for name in _FIELDS]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._sums is not None:
            self._sums = _core.ridge.FoldStatistics(*self._sums)

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_") and name[:-1] in _FIELDS:
            return getattr(self._gathered(), name[:-1])
        raise AttributeError(f"'FoldStatistics' object has no attribute {name!r}")

    def _gathered(self) -> Any:
        if self._sums is None:
            raise ValueError("[ridge.FoldStatistics] rows must have been gathered; got none")
        return self._sums

    def save(self, path: str | Path) -> None:
        """Write a ``.safetensors`` file, whole or not at all."""
        sums = self._gathered()
        described = json.dumps({"version": 1, "kind": "FoldStatistics", "numpy": self._numpy})
        _core.io.save_safetensors(path, {name: getattr(sums, name) for name in _FIELDS}, {"brain2music": described})

    @classmethod
    def load(cls, path: str | Path) -> "FoldStatistics":
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If the file holds something else.
        """
        try:
            tensors, metadata = _core.io.load_safetensors(path)
            described = json.loads(metadata["brain2music"])
            if described["kind"] != "FoldStatistics" or described["version"] != 1:
                raise ValueError(f"it holds a {described['kind']!r} of version {described['version']}")
            fields = [tensors[name] for name in _FIELDS]
            statistics = cls(len(tensors["gram"]) - 1)
            slots, p, t = len(tensors["gram"]), len(tensors["x_offset"]), len(tensors["y_offset"])
            shapes = [(p,), (t,), (slots, p + 1, p + 1), (slots, p + 1, t), (slots, t)]
            found = [(tuple(x.shape), x.dtype) for x in fields]
            if found != [(shape, torch.float64) for shape in shapes]:
                raise ValueError(f"its tensors must be float64 of shapes {shapes}, not {found}")
            statistics._sums = _core.ridge.FoldStatistics(*fields)
            statistics._numpy = bool(described["numpy"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"[ridge.FoldStatistics] a file that FoldStatistics.save wrote is expected; got {path}: {error}"
            ) from error
        return statistics


def _copy(sums: Any) -> Any:
    return _core.ridge.FoldStatistics(*(getattr(sums, name).clone() for name in _FIELDS))
