"""Blocks of targets: how many, what a worker does with one, and how they are put together."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from brain2music.distributed.arrays import Tensor, mapped, packed, unpacked
from brain2music.distributed.estimators import attributes, unfitted
from brain2music.distributed.notices import Notices, recorded

__all__ = ["Block", "Fitted", "Joined", "Shared", "bounds", "fit_block"]


class Shared(NamedTuple):  # a tuple, whose size Dask sees
    """What all tasks need.

    Attributes
    ----------
    matrix : packed array, list of them, or path
        What the tasks have in common: X where targets are split, Y where problems are.
    folds : list of (train, test), arrays of int64
        Rows that each fold trains on, and rows that it holds out.
    sample_weight : array of shape (n,) or None
    """

    matrix: Any
    folds: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
    sample_weight: npt.NDArray[Any] | None

    def fit(self, estimator: Any, x: Any, y: Any) -> tuple[Any, Notices]:
        """Return the estimator, fitted with these folds and weights, and what it warned of."""
        model = unfitted(estimator, cv=self.folds)
        weight = {} if self.sample_weight is None else {"sample_weight": self.sample_weight}
        with recorded() as notices:
            model.fit(x, y, **weight)
        return model, notices


@dataclass(frozen=True)
class Block:
    """Which columns of a Y of which shape, and which attributes are wanted: all, for None."""

    first: int
    last: int
    shape: tuple[int, ...]
    names: tuple[str, ...] | None = None


class Fitted(NamedTuple):
    """What comes back of a block.

    Attributes
    ----------
    attributes : dict
        All that were wanted of the first block; of the others those that hold targets along their last axis.
    shapes : dict
        Of all arrays.
    features : list of str
        Attributes that are X itself, which stays where it is.
    notices : list of (category, text)
        Warnings.
    """

    attributes: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    features: list[str]
    notices: Notices


def bounds(targets: int, at_once: int) -> list[tuple[int, int]]:
    """Return (first, last) of blocks that differ by two targets at most, but are not all equal.

    An axis that is as long as every block is then one of targets, whatever its array is called.
    """
    count = max(1, -(-targets // at_once))
    widths = [targets // count + (number < targets % count) for number in range(count)]
    if count > 1 and targets % count == 0:
        widths[0] += 1
        widths[-1] -= 1
    ends = np.cumsum(widths).tolist()
    return [(end - width, end) for end, width in zip(ends, widths, strict=True) if width or targets == 0]


def fit_block(shared: Shared, estimator: Any, block: Block, sent: Any) -> Fitted:
    """Fit the targets of a block: what a worker does."""
    x, y = unpacked(shared.matrix), _columns(sent, block)
    _refuse_non_finite(y, block.first, type(estimator).__name__)
    model, notices = shared.fit(estimator, x, y)
    found = {name: value for name, value in attributes(model).items() if block.names is None or name in block.names}
    features = [name for name, value in found.items() if _is_same(value, x)]
    found = {name: packed(value) for name, value in found.items() if name not in features}
    shapes = {name: array.shape for name, value in found.items() if (array := _array(value)) is not None}
    if block.first > 0:  # what has to do with X alone comes back once
        width = block.last - block.first
        found = {name: found[name] for name, shape in shapes.items() if shape[-1:] == (width,)}
    return Fitted(found, shapes, features, notices)


def _columns(sent: Any, block: Block) -> Any:
    if not isinstance(sent, Path):
        return unpacked(sent)
    y = mapped(sent)
    if y.shape != block.shape:
        raise ValueError(
            f"[distributed] a file must be the same on all machines; got {sent} of shape {y.shape}, not {block.shape}"
        )
    # A copy: the fit reads its targets more than once, and in the file their rows lie far apart.
    return np.array(y if y.ndim == 1 else y[:, block.first : block.last])


def _refuse_non_finite(y: Any, first: int, name: str) -> None:
    """Raise as the fit would, which does not know how many targets lie before the block."""
    y = np.asarray(y)
    finite = np.isfinite(y)
    if finite.all():
        return
    place = np.argwhere(~finite)[0]
    raise ValueError(
        f"[ridge.{name}] Y must be finite, without NaN or infinity; got {y[tuple(place)]} at row {place[0]}, "
        f"column {first + place[1:].sum()}"
    )


def _is_same(value: Any, x: Any) -> bool:
    """Whether a fitted attribute is X, or a view of all of it."""
    if isinstance(value, np.ndarray) and isinstance(x, np.ndarray):
        return value.shape == x.shape and np.may_share_memory(value, x)
    return value is x


def _array(value: Any) -> npt.NDArray[Any] | None:
    if isinstance(value, Tensor):
        return value.array
    return value if isinstance(value, np.ndarray) else None


class Joined:
    """Attributes of all targets, put together block by block, in any order.

    Parameters
    ----------
    targets : int
    blocks : list of (first, last)
    """

    def __init__(self, targets: int, blocks: list[tuple[int, int]]) -> None:
        self._targets = targets
        self._blocks = blocks
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._of_first: dict[str, Any] = {}
        self._features: list[str] = []
        self._shapes: list[dict[str, tuple[int, ...]]] = [{} for _ in blocks]
        self._notices: list[Notices] = [[] for _ in blocks]

    def add(self, number: int, part: Fitted) -> None:
        """Put the results of a block in their place."""
        first, last = self._blocks[number]
        self._shapes[number], self._notices[number], self._features = part.shapes, part.notices, part.features
        if number == 0:
            self._of_first = part.attributes
        for name, value in part.attributes.items():
            array = _array(value)
            if len(self._blocks) > 1 and array is not None and array.shape[-1:] == (last - first,):
                if name not in self._arrays:
                    self._arrays[name] = np.empty((*array.shape[:-1], self._targets), array.dtype)
                self._arrays[name][..., first:last] = array

    def attributes(self, where: str, X: Any, device: Any) -> dict[str, Any]:
        """Return the attributes, once all blocks are there, tensors on the device given."""
        result = dict(self._of_first)
        for name, shape in self._shapes[0].items():
            shapes = [shapes.get(name) for shapes in self._shapes]
            of_targets = [(*shape[:-1], last - first) for first, last in self._blocks]
            if len(shapes) > 1 and shapes == of_targets:
                joined = self._arrays[name]
                result[name] = Tensor(joined) if isinstance(result[name], Tensor) else joined
            elif any(other != shape for other in shapes):
                raise ValueError(
                    f"[{where}] fitted arrays must hold targets along their last axis, or be the same for all; got "
                    f"{name} of shapes {shapes}"
                )
        result = {name: unpacked(value, device) for name, value in result.items()}
        return result | dict.fromkeys(self._features, X)

    def take_over(self, other: "Joined", names: list[str]) -> None:
        """Have the attributes of these names from elsewhere."""
        for name in names:
            self._of_first[name] = other._of_first[name]
            self._arrays |= {name: other._arrays[name]} if name in other._arrays else {}
            for shapes, others in zip(self._shapes, other._shapes, strict=True):
                shapes[name] = others[name]

    def notices(self) -> Iterator[tuple[int, Notices]]:
        """Return the warnings of each block, beside its number of targets."""
        for (first, last), notices in zip(self._blocks, self._notices, strict=True):
            yield last - first, notices
