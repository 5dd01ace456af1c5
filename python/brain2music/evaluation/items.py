"""Items (clips, or windows of clips) and all their figures, for all genres and each."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from brain2music import _core
from brain2music.evaluation.rows import Row
from brain2music.metrics.chance import p_value, pair_scores, permutation_null, pick_scores

__all__ = [
    "ClipTable",
    "Figure",
    "Items",
    "averaged_target",
    "check_clips",
    "figures",
    "significance",
    "stage_name",
    "to_double",
]

Floats = npt.NDArray[np.float64]

SPLITS = ("train", "test", "heldout")

#: A correlation over fewer items says nothing: over two it is 1 or -1.
FEWEST = 3


class ClipTable(Protocol):
    """Ids and genres of clips, as :class:`brain2music.study.Clips` has them."""

    @property
    def ids(self) -> npt.NDArray[np.str_]:
        """Shape (n,)."""

    @property
    def genre(self) -> npt.NDArray[np.str_]:
        """Shape (n,)."""


@dataclass(frozen=True, eq=False)
class Items:
    """Predictions, targets and what the oracle would have predicted, (m, d) in float64, clip by clip.

    ``clip`` (m,) numbers the clip of each row and ``genre`` (m,) names its genre; ``complete`` (m,) is False for the
    windows of clips that lack one, which chance is not taken from.
    """

    predicted: Floats
    oracle: Floats
    target: Floats
    clip: npt.NDArray[np.int64]
    genre: npt.NDArray[np.str_]
    complete: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Figure:
    """A figure of a genre with its chance and oracle."""

    genre: str
    metric: str
    value: float
    chance: float
    oracle: float
    n: int

    def row(self, subject: str, stage: str, embedding: str) -> Row:
        """Say whose figure it is."""
        return Row(subject, stage, embedding, self.genre, self.metric, self.value, self.chance, self.oracle, self.n)


def stage_name(name: str, split: str, where: str) -> str:
    """Return e.g. ``decode-test``."""
    if split not in SPLITS:
        raise ValueError(f"[{where}] split must be one of {', '.join(SPLITS)}; got {split!r}")
    return f"{name}-{split}"


def check_clips(clips: ClipTable, n: int, where: str) -> None:
    """Check that there are n clips of different ids, none of genre ``all``."""
    ids, genre = np.asarray(clips.ids), np.asarray(clips.genre)
    if ids.shape != (n,) or genre.shape != (n,):
        raise ValueError(f"[{where}] clips must be the {n} of predicted; got {ids.shape} ids and {genre.shape} genres")
    values, counts = np.unique(ids, return_counts=True)
    if counts.max(initial=1) > 1:
        raise ValueError(f"[{where}] a clip must be there once; got {values[counts.argmax()]} {counts.max()} times")
    if "all" in genre:
        raise ValueError(f"[{where}] no genre can be called 'all', the name of all of them")


def to_double(array: Any, name: str, shape: tuple[int, ...] | None, where: str) -> Floats:
    """Return an array or tensor of real numbers as float64 on the host, of a given shape."""
    values = array.detach().cpu().numpy() if isinstance(array, torch.Tensor) else np.asarray(array)
    if np.ma.is_masked(array) or values.dtype.kind not in "fiu":
        raise ValueError(f"[{where}] {name} must be real numbers, none masked; got {values.dtype}")
    if shape is not None and values.shape != shape:
        raise ValueError(f"[{where}] {name} must have shape {shape}; got {values.shape}")
    return np.ascontiguousarray(values, dtype=np.float64)


def averaged_target(target: Any, where: str) -> Floats:
    """Return true embeddings of clips as (n, d) in float64: (n, r, d) is averaged over windows."""
    truth = to_double(target, "target", None, where)
    if truth.ndim not in (2, 3) or 0 in truth.shape:
        raise ValueError(
            f"[{where}] target must be (clips, windows, dimensions) or (clips, dimensions); got {truth.shape}"
        )
    return truth.mean(axis=1) if truth.ndim == 3 else truth


def figures(items: Items, pool: torch.Tensor | None, repeats: int, seed: int, suffix: str = "") -> Iterator[Figure]:
    """Score items against chance and oracle.

    Parameters
    ----------
    items : Items
    pool : tensor of shape (K, d), optional
        Embeddings to pick from at random; without them predictions are permuted over clips.
    repeats : int
        Random picks for each clip, where chance is no mean over single picks.
    seed : int
    suffix : str
        Ends the names of the metrics.

    Yields
    ------
    Figure
        Of all genres and of each.
    """
    per_item = {
        "identification": tuple(_identified(guess, items) for guess in (items.predicted, items.oracle)),
        "correlation_item": tuple(
            _core.metrics.pearson_correlation(guess, items.target, 1) for guess in (items.predicted, items.oracle)
        ),
    }
    chances = {
        name: _chance_per_item(items, pool, "correlation_dimensions" if name == "correlation_item" else name)
        for name in per_item
    }
    genres = np.unique(items.genre).tolist()
    still, few = [], []
    for genre in ("all", *genres):
        rows = np.full(len(items.clip), True) if genre == "all" else items.genre == genre
        n = int(rows.sum())
        for name, (value, oracle) in per_item.items():
            chance = chances[name][rows & items.complete]
            if not len(chance):  # no clip of this genre has all its windows
                chance = chances[name][items.complete]
            yield Figure(
                genre, name + suffix, float(value[rows].mean()), float(chance.mean()), float(oracle[rows].mean()), n
            )
        if len(np.unique(items.clip[rows])) < FEWEST:
            few.append(genre)
            continue
        moving = _varies(items.target[rows])
        if not moving.all():
            still.append(f"{genre} ({len(moving) - moving.sum()} of {len(moving)})")
        if not moving.any():
            continue
        part = _taken(items, rows, moving)
        value, oracle = (_dimension_correlation(guess, part.target) for guess in (part.predicted, part.oracle))
        chosen = None if pool is None else pool.numpy()[:, moving]
        yield Figure(genre, "correlation" + suffix, value, _chance_correlation(part, chosen, repeats, seed), oracle, n)
    if still:
        warnings.warn(
            "[evaluation] dimensions in which the target does not vary over a genre's clips are left out of "
            f"correlation{suffix}: {', '.join(still)}",
            stacklevel=4,
        )
    if few:
        warnings.warn(
            f"[evaluation] correlation{suffix} takes {FEWEST} clips or more; left out for {', '.join(few)}",
            stacklevel=4,
        )


def significance(items: Items, n_permutations: int, seed: int) -> Iterator[Figure]:
    """P of the headline figures of clips, under predictions permuted over them; of the oracle likewise."""
    for name, metric in (("identification", "identification"), ("correlation", "correlation_items")):
        value, oracle = (
            _p(guess, items.target, metric, n_permutations, seed) for guess in (items.predicted, items.oracle)
        )
        yield Figure("all", f"{name}_p", value, 0.5, oracle, len(items.clip))


def _p(guess: Floats, target: Floats, metric: str, n_permutations: int, seed: int) -> float:
    if metric == "correlation_items":
        moving = _varies(guess) & _varies(target)
        if not moving.any():
            return 1.0  # a constant is as good under any permutation
        guess, target = guess[:, moving], target[:, moving]
    value = float(np.diagonal(pair_scores(guess, target, metric)).mean())
    return p_value(value, permutation_null(guess, target, metric, n_permutations, seed))


def _identified(guess: Floats, items: Items) -> Floats:
    result: Floats = _core.metrics.identification_accuracy(guess, items.target, items.clip)
    return result


def _chance_per_item(items: Items, pool: torch.Tensor | None, metric: str) -> Floats:
    """Average each item's score over a pool's tracks, or over all clips' predictions; NaN for incomplete clips."""
    result = np.full(len(items.clip), np.nan)
    target = _blocks(items, items.target)
    if pool is not None:
        scores = pick_scores(pool, target, metric).mean(0)
    else:
        # Prediction a, window w in the place of prediction b, window w.
        n, windows, _ = target.shape
        guess = _blocks(items, items.predicted).reshape(n * windows, -1)
        every = pick_scores(guess, target, metric).reshape(n, windows, n, windows)
        scores = every.diagonal(dim1=1, dim2=3).mean(0)
    result[items.complete] = scores.reshape(-1).numpy()
    return result


def _blocks(items: Items, rows: Floats) -> torch.Tensor:
    """Lay rows of complete clips out as (clips, windows, d)."""
    clips = len(np.unique(items.clip[items.complete]))
    return torch.from_numpy(rows[items.complete]).reshape(clips, -1, rows.shape[1])


def _taken(items: Items, rows: npt.NDArray[np.bool_], columns: npt.NDArray[np.bool_]) -> Items:
    place = np.ix_(rows, columns)
    return Items(
        items.predicted[place],
        items.oracle[place],
        items.target[place],
        items.clip[rows],
        items.genre[rows],
        items.complete[rows],
    )


def _varies(rows: Floats) -> npt.NDArray[np.bool_]:
    result: npt.NDArray[np.bool_] = rows.max(axis=0) != rows.min(axis=0)
    return result


def _dimension_correlation(guess: Floats, target: Floats) -> float:
    """Mean over dimensions; one in which the guess does not vary counts 0."""
    moving = _varies(guess)
    if not moving.any():
        return 0.0
    each = _core.metrics.pearson_correlation(guess[:, moving], target[:, moving], 0)
    return float(each.sum() / len(moving))


def _chance_correlation(items: Items, pool: Floats | None, repeats: int, seed: int) -> float:
    """Correlation over items of random picks, one for all windows of a clip; or of predictions permuted over clips."""
    target = items.target
    numbers = np.unique(items.clip, return_inverse=True)[1]
    if pool is not None:
        rng = np.random.default_rng(seed)
        picks = rng.integers(len(pool), size=(repeats, numbers.max() + 1))
        return float(np.mean([_dimension_correlation(pool[picked][numbers], target) for picked in picks]))
    if not items.complete.any():
        return 0.0
    # The mean over all permutations, window by window: what is left of it once every column is centred.
    unit_target, unit_guess = (_unit_columns(array)[items.complete] for array in (target, items.predicted))
    clips = len(np.unique(items.clip[items.complete]))
    sums = (array.reshape(clips, -1, array.shape[1]).sum(axis=0) for array in (unit_target, unit_guess))
    return float(np.sum(np.multiply(*sums)) / clips / target.shape[1])


def _unit_columns(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)
    result: Floats = np.divide(centred, norm, out=np.zeros_like(centred), where=_varies(rows) & (norm > 0))
    return result
