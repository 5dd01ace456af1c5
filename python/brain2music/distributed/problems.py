"""Many X, one Y: regions of interest over a cluster."""

from functools import partial
from typing import Any

import distributed
import numpy.typing as npt

from brain2music.distributed.arrays import packed, prepared, unpacked
from brain2music.distributed.blocks import Shared
from brain2music.distributed.cluster import Job, as_finished, client_or_current, threads
from brain2music.distributed.estimators import attributes, checked_weight, sendable, unfitted
from brain2music.distributed.notices import Notices, warn_once
from brain2music.ridge.arrays import check_targets
from brain2music.ridge.folds import train_test_rows
from brain2music.ridge.options import told_of_progress

__all__ = ["fit_problems"]

WHERE = "distributed.fit_problems"

# Tasks a thread: enough that all threads end at about the same time, and few enough that small problems share one.
_TASKS_A_THREAD = 4


def fit_problems(
    estimator: Any,
    Xs: Any,
    Y: Any,
    *,
    groups: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    client: distributed.Client | None = None,
) -> Any:
    """Fit many ridge regressions of the same targets on a Dask cluster: a region of the brain each.

    The result is that of ``estimator.fit(Xs, Y, groups)``, up to rounding. Large problems are sent first, small ones
    several to a task.

    Parameters
    ----------
    estimator : BatchedRidgeCV
        It is left as it is.
    Xs : list of arrays of shape (n, p_i), or paths of ``.npy`` files
        An array is sent to the worker that fits it.
    Y : array of shape (n, t) or (n,), or path of a ``.npy`` file
        An array is sent once to every worker.
    groups : array-like of shape (n,), optional
        Rows of a group (a run, a clip) are held out together.
    sample_weight : array-like of shape (n,), optional
        How much each row counts.
    client : distributed.Client, optional
        By default Dask's current one.

    Returns
    -------
    BatchedRidgeCV
        A new estimator of the same class and parameters, fitted.

    Raises
    ------
    ValueError
        If shapes do not fit, before anything is sent; what the estimator's ``fit`` raises.
    RuntimeError
        If there is no client, or a task's workers end again and again.
    """
    if not isinstance(Xs, (list, tuple)) or not Xs:
        raise ValueError(f"[{WHERE}] Xs must be a list of one matrix or more; got {type(Xs).__name__}")
    y, y_path = prepared(Y)
    y = check_targets(y, WHERE)
    xs = []
    shapes: list[tuple[int, int]] = []
    for number, (x, path) in enumerate(prepared(X) for X in Xs):
        if x.ndim != 2 or len(x) != len(y):
            raise ValueError(
                f"[{WHERE}] every X must have the {len(y)} rows of Y; got shape {tuple(x.shape)} in problem {number}"
            )
        xs.append(path or packed(x))
        shapes.append(x.shape)
    weight = checked_weight(estimator, sample_weight, len(y), WHERE)
    folds = train_test_rows(estimator.get_params(deep=False)["cv"], len(y), groups, y, WHERE)
    client = client_or_current(client, WHERE)

    targets = 1 if y.ndim == 1 else int(y.shape[1])
    tasks = _packed(
        [_cost(rows, features, targets) for rows, features in shapes], _TASKS_A_THREAD * threads(client, WHERE)
    )
    sent = sendable(estimator)
    jobs = [Job((sent,), partial(_chosen, xs, numbers)) for numbers in tasks]
    shared = Shared(y_path or packed(y), folds, weight)
    model = unfitted(estimator)
    lists: dict[str, list[Any]] = {}
    notices: list[tuple[int, Notices]] = []
    done = 0
    with told_of_progress(estimator.progress, "problems", "problem") as tell:
        for task, (found, said) in as_finished(client, _fit, shared, jobs, WHERE):
            for name, value in found.items():
                if not isinstance(value, list):
                    setattr(model, name, value)
                    continue
                for number, item in zip(tasks[task], unpacked(value, getattr(y, "device", None)), strict=True):
                    lists.setdefault(name, [None] * len(xs))[number] = item
            notices.append((len(tasks[task]) * targets, said))
            done += len(tasks[task])
            if tell is not None:
                tell(done, len(xs))
    vars(model).update(lists)
    model.n_features_in_ = sum(features for _, features in shapes)
    warn_once(notices, len(xs) * targets, stacklevel=3)
    return model


def _cost(rows: int, features: int, targets: int) -> float:
    """Operations, about: products of X with itself, or its rows, and with Y."""
    return float(rows) * features * (min(rows, features) + targets)


def _packed(costs: list[float], tasks: int) -> list[list[int]]:
    """Return problems task by task, the most costly first; about as many tasks as are wanted."""
    share = sum(costs) / tasks
    packed: list[list[int]] = []
    filled = 0.0
    for number in sorted(range(len(costs)), key=lambda number: -costs[number]):
        if not packed or filled + costs[number] > share:
            packed.append([])
            filled = 0.0
        packed[-1].append(number)
        filled += costs[number]
    return packed


def _chosen(xs: list[Any], numbers: list[int]) -> list[Any]:
    return [xs[number] for number in numbers]


def _fit(shared: Shared, estimator: Any, xs: list[Any]) -> tuple[dict[str, Any], Notices]:
    """Fit some problems: what a worker does."""
    model, notices = shared.fit(estimator, unpacked(xs), unpacked(shared.matrix))
    return {name: packed(value) for name, value in attributes(model).items()}, notices
