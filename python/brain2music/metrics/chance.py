"""What chance reaches: predictions permuted over clips, and random picks from a music library.

All metrics here are means over clips of a score of one prediction and one target, so the scores of every pair are
computed once, and a permutation or a pick is a matter of looking up.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brain2music import _core
from brain2music.metrics.arrays import Array, average_windows, checked, checked_pair, group_numbers

__all__ = ["METRICS", "Metric", "p_value", "pair_scores", "permutation_null", "random_pick"]

#: The mean of :func:`identification_accuracy`, and of :func:`correlation` over items and over dimensions.
METRICS = ("identification", "correlation_items", "correlation_dimensions")

#: One of ``METRICS``, or a function of (predicted, target), in their given shape, that returns a number.
Metric = str | Callable[[Any, Any], float]

#: Rows of a library that random picks are taken from: enough for a mean to three digits, however large the library.
POOL = 1000


def permutation_null(
    predicted: Array,
    target: Array,
    metric: Metric = "identification",
    n_permutations: int = 1000,
    seed: int = 0,
    clips: npt.ArrayLike | None = None,
) -> Array:
    """Values of a metric for predictions that belong to other clips: the null of no relation to the stimulus.

    Clips are permuted whole. Windows of a clip overlap, so they are not independent: permuting them singly, or taking
    the null of as many independent rows, calls pure noise significant several times too often.

    Parameters
    ----------
    predicted, target : arrays of shape (n, d) or (n, r, d)
        Of (n, r, d) the windows are averaged first, unless ``clips`` are given.
    metric : {"identification", "correlation_items", "correlation_dimensions"} or callable
        The mean of :func:`identification_accuracy` or :func:`correlation`; or a function of (predicted, target), called
        for every permutation with arrays of the given shape.
    n_permutations : int, default 1000
    seed : int, default 0
        Of :func:`numpy.random.default_rng`.
    clips : array-like of shape (n,), optional
        Ids of the clips that rows belong to, equally many rows each; those of a clip stay together, in their order.
        With (n, r, d), the items are then the windows.

    Returns
    -------
    array of shape (n_permutations,), float64
        Of the kind of ``predicted``.

    Raises
    ------
    ValueError
        As the metric does; if clips have unequal numbers of rows, or there are fewer than two.

    References
    ----------
    Block permutation is this library's own; the paper takes the null of independent Gaussian vectors.
    """
    where = "metrics.permutation_null"
    _check_count(n_permutations, "n_permutations", where)
    rng = np.random.default_rng(seed)
    if callable(metric):
        order = _block_order(predicted, clips, where)
        values = np.empty(n_permutations)
        drawn = (each for some in _permutations(rng, len(order), n_permutations) for each in some)
        for i, permutation in enumerate(drawn):
            moved = np.empty(order.size, dtype=np.int64)
            moved[order.ravel()] = order[permutation].ravel()
            taken = predicted[torch.from_numpy(moved)] if isinstance(predicted, torch.Tensor) else predicted[moved]
            values[i] = metric(taken, target)
    else:
        scores = torch.as_tensor(pair_scores(predicted, target, metric, clips)).cpu().numpy()
        own = np.arange(len(scores))
        looked_up = [scores[some, own].mean(1) for some in _permutations(rng, len(scores), n_permutations)]
        values = np.concatenate(looked_up)
    result: Array = _like(values, predicted)
    return result


def random_pick(
    corpus_values: Array,
    target: Array,
    metric: Metric = "identification",
    clips: npt.ArrayLike | None = None,
    repeats: int = 100,
    seed: int = 0,
) -> Array:
    """Values of a metric when each clip's prediction is a track picked from the library at random: the paper's chance.

    Parameters
    ----------
    corpus_values : array of shape (N, d) or (N, r, d)
        Embeddings of the library's tracks; windows are averaged. Picks are made, with replacement, from at most 1,000
        of them, themselves drawn at random.
    target : array of shape (n, d) or (n, r, d)
        As for :func:`permutation_null`; every window of a clip gets the same pick.
    metric, clips, seed
        As for :func:`permutation_null`.
    repeats : int, default 100

    Returns
    -------
    array of shape (repeats,), float64
        Of the kind of ``target``.

    Raises
    ------
    ValueError
        As the metric does; if the library has another number of dimensions, or no track.

    References
    ----------
    Denk, Takagi et al. (2023), *Brain2Music*, section 4.1.
    """
    where = "metrics.random_pick"
    _check_count(repeats, "repeats", where)
    rng = np.random.default_rng(seed)
    truth = checked(target, "target", where)
    pool = library_pool(corpus_values, truth.shape[-1], rng, where)
    order = _block_order(truth, clips, where)
    picks = rng.integers(len(pool), size=(repeats, len(order)))
    if callable(metric):
        values = np.array([metric(_picked(pool, picked, order, truth), target) for picked in picks], dtype=np.float64)
    elif metric == "correlation_items":
        blocks = blocks_of(truth, clips, where)
        flat, windows = blocks.reshape(-1, blocks.shape[2]), blocks.shape[1]
        values = np.empty(repeats)
        for i, picked in enumerate(picks):
            guess = pool[torch.from_numpy(picked)].to(flat.device).repeat_interleave(windows, dim=0)
            values[i] = float(_core.metrics.pearson_correlation(guess, flat, 0).mean())
    else:
        scores = pick_scores(pool, blocks_of(truth, clips, where), metric).mean(2).cpu().numpy()
        values = scores[picks, np.arange(len(order))].mean(1)
    result: Array = _like(values, target)
    return result


def p_value(value: float, null: npt.ArrayLike) -> float:
    """One-sided P of a value against draws from its null: ``(1 + #{null >= value}) / (1 + len(null))``.

    Parameters
    ----------
    value : float
    null : array-like of shape (draws,)

    Returns
    -------
    float
        Never 0: with 1,000 draws at least 0.000999 (Phipson and Smyth, 2010).
    """
    draws = np.asarray(torch.as_tensor(null).cpu() if isinstance(null, torch.Tensor) else null, dtype=np.float64)
    if draws.ndim != 1 or draws.size == 0 or not np.isfinite(draws).all() or not np.isfinite(value):
        raise ValueError(f"[metrics.p_value] a value and draws must be finite; got {value} and shape {draws.shape}")
    # What is equal but for rounding is as large.
    return float((1 + np.count_nonzero(draws >= value - 1e-12)) / (1 + draws.size))


def pair_scores(predicted: Array, target: Array, metric: str, clips: npt.ArrayLike | None = None) -> Array:
    """Score of every clip's prediction with every clip's target.

    Parameters
    ----------
    predicted, target, clips
        As for :func:`permutation_null`.
    metric : {"identification", "correlation_items", "correlation_dimensions"}

    Returns
    -------
    array of shape (clips, clips), float64
        The mean of the diagonal is the metric; the mean over k of ``[permutation[k], k]`` is the metric for predictions
        permuted over clips; the mean of all is what random permutations reach on average. Rows and columns are clips in
        the order of their first appearance.
    """
    where = "metrics.pair_scores"
    if metric not in METRICS:
        raise ValueError(f"[{where}] metric must be one of {', '.join(METRICS)}; got {metric!r}")
    pair = checked_pair(predicted, target, where)
    guess, truth = (blocks_of(array, clips, where) for array in pair)
    n, windows, d = truth.shape
    if n < 2:
        raise ValueError(f"[{where}] there must be two clips or more; got {n}")
    guess, truth = guess.reshape(-1, d), truth.reshape(-1, d)
    if metric == "identification":
        scores = _core.metrics.identification_scores(guess, truth, windows)
        scores = scores.reshape(n, windows, n, windows).diagonal(dim1=1, dim2=3).mean(2)
    else:
        axis = 0 if metric == "correlation_items" else 1
        _core.metrics.pearson_correlation(guess, truth, axis)  # refuses what has no correlation
        product = unit(guess, axis).reshape(n, -1) @ unit(truth, axis).reshape(n, -1).T
        scores = product * n / d if axis == 0 else product / windows
    result: Array = _like(scores, predicted)
    return result


def library_pool(corpus_values: Any, dimensions: int, rng: np.random.Generator, where: str) -> torch.Tensor:
    """Draw at most ``POOL`` rows of a library, in float64 on the host; only those are read of a memory map."""
    corpus = checked(corpus_values, "corpus_values", where)
    if len(corpus) == 0 or corpus.shape[-1] != dimensions:
        raise ValueError(
            f"[{where}] corpus_values must be tracks of {dimensions} dimensions; got shape {tuple(corpus.shape)}"
        )
    chosen = np.sort(rng.choice(len(corpus), min(len(corpus), POOL), replace=False))
    pool = corpus[torch.from_numpy(chosen)] if isinstance(corpus, torch.Tensor) else corpus[chosen]
    drawn = _double(average_windows(pool)).cpu()
    bad = ~torch.isfinite(drawn).all(1) | (drawn.amax(1) == drawn.amin(1))
    if bool(bad.any()):
        row = int(torch.nonzero(bad)[0])
        raise ValueError(
            f"[{where}] an embedding of the library must be finite and vary over its dimensions; got "
            f"{drawn[row, :3].tolist()} ... in row {chosen[row]} of corpus_values"
        )
    return drawn


def pick_scores(pool: torch.Tensor, blocks: torch.Tensor, metric: str) -> torch.Tensor:
    """Score of every track of a pool (K, d) as the prediction of every window of blocks (B, w, d): (K, B, w)."""
    n, windows, d = blocks.shape
    truth = blocks.reshape(-1, d)
    pool = pool.to(truth.device)
    if metric == "identification":
        scores = _core.metrics.identification_scores(pool, truth, windows)
    elif metric == "correlation_dimensions":
        scores = _core.metrics.correlation_matrix(pool, truth)
    else:
        raise ValueError(f"[metrics.random_pick] metric must be one of {', '.join(METRICS)}; got {metric!r}")
    result: torch.Tensor = scores.reshape(len(pool), n, windows)
    return result


def blocks_of(array: Any, clips: npt.ArrayLike | None, where: str) -> torch.Tensor:
    """Return clips as (clips, windows, d) in float64: averaged windows without ``clips``, all of them with."""
    if clips is None:
        return _double(average_windows(array))[:, None]
    order = torch.from_numpy(_block_order(array, clips, where))
    values = _double(array)
    gathered = values[order.to(values.device)]
    return gathered.reshape(len(order), -1, array.shape[-1])


def unit(matrix: torch.Tensor, axis: int) -> torch.Tensor:
    """Centre and scale along an axis to a norm of 1."""
    centred = matrix - matrix.mean(axis, keepdim=True)
    centred = centred / centred.abs().amax(axis, keepdim=True)
    scaled: torch.Tensor = centred / torch.linalg.vector_norm(centred, dim=axis, keepdim=True)
    return scaled


def _block_order(array: Any, clips: npt.ArrayLike | None, where: str) -> npt.NDArray[np.int64]:
    """Places of each clip's entries along the first axis: (clips, entries)."""
    if clips is None:
        return np.arange(len(array))[:, None]
    numbers = group_numbers(clips, len(array), where)
    counts = np.bincount(numbers)
    if len(counts) == 0 or counts.min() != counts.max():
        sizes = f"{counts.min()} to {counts.max()}" if len(counts) else "none"
        raise ValueError(f"[{where}] clips must have equally many rows, to be permuted whole; got {sizes}")
    return np.argsort(numbers, kind="stable").reshape(len(counts), counts[0])


def _permutations(rng: np.random.Generator, n: int, count: int) -> Iterator[npt.NDArray[np.int64]]:
    """Draw permutations, some at a time, one a row: one by one takes longer than what is done with them."""
    for first in range(0, count, POOL):
        yield rng.permuted(np.tile(np.arange(n), (min(POOL, count - first), 1)), axis=1)


def _picked(
    pool: torch.Tensor, picked: npt.NDArray[np.int64], order: npt.NDArray[np.int64], target: Any
) -> torch.Tensor | npt.NDArray[np.float64]:
    """Lay picks out in the shape of the target, one pick for all entries of a clip."""
    tracks = np.empty(order.size, dtype=np.int64)
    tracks[order.ravel()] = np.repeat(picked, order.shape[1])
    guess = pool[torch.from_numpy(tracks)]
    if target.ndim == 3:
        guess = guess[:, None].expand(-1, target.shape[1], -1)
    return guess.to(target.device) if isinstance(target, torch.Tensor) else guess.numpy()


def _double(array: Any) -> torch.Tensor:
    if isinstance(array, torch.Tensor):
        return array.detach().to(torch.float64)
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))


def _like(values: Any, array: Any) -> Any:
    """Convert a result to the kind of an argument."""
    if isinstance(array, torch.Tensor):
        return torch.as_tensor(values, device=array.device)
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _check_count(count: int, name: str, where: str) -> None:
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise ValueError(f"[{where}] {name} must be a positive integer; got {count!r}")
