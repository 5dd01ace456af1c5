"""One X, many targets: blocks of targets over a cluster."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import distributed
import numpy as np
import numpy.typing as npt
import torch

from brain2music.distributed.arrays import packed, prepared
from brain2music.distributed.blocks import Block, Joined, Shared, bounds, fit_block
from brain2music.distributed.cluster import Job, as_finished, client_or_current
from brain2music.distributed.estimators import checked_weight, sendable, unfitted
from brain2music.distributed.notices import Notices, recorded, warn_once
from brain2music.ridge import BatchedRidgeCV
from brain2music.ridge.arrays import check_features, check_targets
from brain2music.ridge.fitted import warn_of_edges
from brain2music.ridge.folds import train_test_rows
from brain2music.ridge.options import told_of_progress

__all__ = ["fit_targets"]

WHERE = "distributed.fit_targets"

# A penalty at an edge of the grid is worth a word only if it is better than its neighbour by this: as RidgeCV says.
_EDGE_GAIN = 1e-3


def fit_targets(
    estimator: Any,
    X: Any,
    Y: Any,
    *,
    groups: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    client: distributed.Client | None = None,
    targets_at_once: int = 8192,
) -> Any:
    """Fit an estimator on a Dask cluster, block of targets by block of targets.

    The result is that of ``estimator.fit(X, Y, groups)``, up to rounding.

    Parameters
    ----------
    estimator : ridge estimator
        :class:`brain2music.ridge.RidgeCV`, ``KernelRidgeCV``, ``BandedRidgeCV``, or another whose fit of a target does
        not depend on the other targets and whose fitted arrays hold targets along their last axis. It is left as it is.
    X : array of shape (n, p), path of a ``.npy`` file, or what else the estimator takes: a list of bands
        An array is sent once to every worker.
    Y : array of shape (n, t) or (n,), or path of a ``.npy`` file
        Blocks of an array are sent as workers come free. A file has to be seen by every machine under the same path;
        each maps it itself and reads its blocks of columns, so that only their bounds travel.
    groups : array-like of shape (n,), optional
        Rows of a group (a run, a clip) are held out together.
    sample_weight : array-like of shape (n,), optional
        For estimators whose ``fit`` takes it.
    client : distributed.Client, optional
        By default Dask's current one.
    targets_at_once : int, default 8192
        Targets of a task, at most one more. Every task repeats the work on ``X`` alone, which many targets pay for; a
        thread of a worker holds two blocks of n times ``targets_at_once`` numbers, and what the fit of one takes.

    Returns
    -------
    estimator
        A new estimator of the same class and parameters, fitted.

    Raises
    ------
    ValueError
        If shapes do not fit, before anything is sent; what the estimator's ``fit`` raises, columns counted in all of
        ``Y``.
    RuntimeError
        If there is no client, or a task's workers end again and again.

    Notes
    -----
    Folds are drawn once, and so is the seed of an estimator with ``random_state``. With ``alpha_per_target=False``
    there are two rounds: scores of all penalties, block by block, then fits with the penalty that is best on average.
    ``solver="auto"`` counts the operations of a block: ``solver_`` may be another than for all targets at once.
    Warnings of blocks are said once, their counts added up.

    Examples
    --------
    >>> import brain2music as b2m
    >>> from distributed import Client, LocalCluster
    >>> client = Client(LocalCluster(n_workers=2, threads_per_worker=1))  # doctest: +SKIP
    >>> model = b2m.distributed.fit_targets(b2m.ridge.RidgeCV(), X, "responses.npy")  # doctest: +SKIP
    """
    if isinstance(estimator, BatchedRidgeCV):
        raise ValueError(f"[{WHERE}] the estimator must fit one problem; got BatchedRidgeCV, which is for fit_problems")
    if targets_at_once < 1:
        raise ValueError(f"[{WHERE}] targets_at_once must be one target or more; got {targets_at_once}")
    parameters = estimator.get_params(deep=False)
    model = unfitted(estimator)
    x, features = _checked_features(model, X)
    y, y_path = prepared(Y)
    y = check_targets(y, WHERE)
    for matrix in x if isinstance(x, list) else [x]:
        if len(matrix) != len(y):
            shapes = f"{tuple(matrix.shape)} and {tuple(y.shape)}"
            raise ValueError(f"[{WHERE}] X and Y must have equal rows; got shapes {shapes}")
    weight = checked_weight(estimator, sample_weight, len(y), WHERE)
    folds = train_test_rows(parameters["cv"], len(y), groups, y, WHERE)
    client = client_or_current(client, WHERE)

    targets = 1 if y.ndim == 1 else int(y.shape[1])
    blocks = bounds(targets, targets_at_once)
    shared = Shared(features, folds, weight)
    progress = bool(parameters.get("progress", False))

    def fit(estimator: Any, names: tuple[str, ...] | None = None) -> Joined:
        jobs = []
        for first, last in blocks:
            arguments = (estimator, Block(first, last, tuple(y.shape), names))
            if y_path is not None:
                jobs.append(Job((*arguments, y_path)))
            else:
                jobs.append(Job(arguments, partial(_columns, y, first, last)))
        joined, done = Joined(targets, blocks), 0
        with told_of_progress(progress, "targets", "target") as tell:
            for number, part in as_finished(client, fit_block, shared, jobs, WHERE):
                joined.add(number, part)
                done += blocks[number][1] - blocks[number][0]
                if tell is not None:
                    tell(done, targets)
        return joined

    sent = sendable(estimator)
    if parameters.get("alpha_per_target", True) or len(blocks) == 1:
        joined, edges = fit(sent), Notices()
    else:
        joined, edges = _fit_with_one_penalty(sent, fit)
    vars(model).update(joined.attributes(WHERE, x, getattr(y, "device", None)))
    warn_once([*joined.notices(), (targets, edges)], targets, stacklevel=3)
    return model


def _checked_features(model: Any, X: Any) -> tuple[Any, Any]:
    """Return X, or a list of bands, to check and to send; the model learns the names of features."""
    if isinstance(X, (list, tuple)) and all(hasattr(x, "ndim") or isinstance(x, (str, os.PathLike)) for x in X):
        pairs = [prepared(x) for x in X]
        return [x for x, _ in pairs], [path or packed(x) for x, path in pairs]
    x, path = prepared(X)
    x = check_features(model, x, WHERE, reset=True)
    return x, path or packed(x)


def _columns(y: Any, first: int, last: int) -> Any:
    if y.ndim == 1:
        return packed(y)
    columns = y[:, first:last]  # in one piece, which is sent without another copy
    return packed(columns.contiguous() if isinstance(columns, torch.Tensor) else np.ascontiguousarray(columns))


def _fit_with_one_penalty(estimator: Any, fit: Callable[..., Joined]) -> tuple[Joined, Notices]:
    """Score all penalties, then fit with the one that is best on average over all targets."""
    names = ("alphas_", "cv_scores_path_", "solver_")
    scored = fit(unfitted(estimator, alpha_per_target=True, keep_path=True, keep_predictions=False), names)
    found = scored.attributes(WHERE, None, None)
    grid, path = (np.asarray(found[name]) for name in ("alphas_", "cv_scores_path_"))
    best = int(path.mean(axis=1, dtype=float).argmax())

    same = {"solver": found["solver_"]} if "solver_" in found else {}
    joined = fit(unfitted(estimator, alphas=[float(grid[best])], keep_path=False, **same))
    joined.take_over(scored, ["alphas_", "cv_scores_path_"] if estimator.keep_path else ["alphas_"])
    with recorded() as edges:
        warn_of_edges([_at_edges(grid, path, best)], f"ridge.{type(estimator).__name__}")
    return joined, edges


def _at_edges(grid: npt.NDArray[Any], path: npt.NDArray[Any], best: int) -> dict[str, Any]:
    """Count the targets for which a grid that goes on might have been better."""

    def count(edge: int, neighbour: int) -> int:
        if len(grid) < 2 or best != edge % len(grid):
            return 0
        return int(((path[edge] - path[neighbour] > _EDGE_GAIN) & (path[edge] > 0)).sum())

    at_first, at_last = count(0, 1), count(-1, -2)
    lower, upper = (at_first, at_last) if grid[-1] > grid[0] else (at_last, at_first)
    return {"at_lower_edge": lower, "at_upper_edge": upper, "best_alphas": path[best]}  # of these, only their number
