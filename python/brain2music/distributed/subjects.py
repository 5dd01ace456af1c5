"""Subjects over a cluster."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

import distributed

from brain2music.distributed.cluster import Job, as_finished, client_or_current

__all__ = ["map_subjects"]

WHERE = "distributed.map_subjects"

Subject = TypeVar("Subject", bound=Hashable)
Result = TypeVar("Result")


def map_subjects(
    function: Callable[..., Result],
    subjects: Iterable[Subject],
    *args: Any,
    client: distributed.Client | None = None,
    **kwargs: Any,
) -> dict[Subject, Result]:
    """Call a function for each subject, on a Dask cluster.

    Parameters
    ----------
    function : function
        Called as ``function(subject, *args, **kwargs)``. It may be called again if its worker ends, so it should write
        files whole or not at all. It must not call on the cluster itself: it would wait for the thread that it holds.
    subjects : iterable of hashable
        No subject twice.
    *args, **kwargs
        Sent once to every worker.
    client : distributed.Client, optional
        By default Dask's current one.

    Returns
    -------
    dict
        From subject to what the function returned, in the order of ``subjects``.

    Raises
    ------
    ValueError
        If a subject is given twice.
    RuntimeError
        If the function raises: names the subject, and is raised from what the function raised. If there is no client,
        or a task's workers end again and again.

    Examples
    --------
    >>> import brain2music as b2m
    >>> def voxels(subject, study):
    ...     return b2m.Study(study).responses(subject).train.shape[-1]
    >>> b2m.distributed.map_subjects(voxels, ["001", "002"], "/data/ds003720")  # doctest: +SKIP
    {'001': 60784, '002': 53927}
    """
    order = list(subjects)
    if len(set(order)) < len(order):
        twice = next(subject for subject in order if order.count(subject) > 1)
        raise ValueError(f"[{WHERE}] subjects must be given once each; got {twice!r} twice")
    client = client_or_current(client, WHERE)
    jobs = [Job((function, subject)) for subject in order]

    def named(number: int, error: Exception) -> Exception:
        failure = RuntimeError(
            f"[{WHERE}] the function must succeed for every subject; got '{type(error).__name__}: {error}' for subject "
            f"{order[number]!r}"
        )
        failure.__cause__ = error
        return failure

    shared = (args, kwargs)
    # Not tried again when it raises: an hour's work would most likely raise again.
    results = dict(as_finished(client, _call, shared, jobs, WHERE, retries=0, named=named))
    return {subject: results[number] for number, subject in enumerate(order)}


def _call(shared: tuple[Any, Any], function: Callable[..., Result], subject: Hashable) -> Result:
    args, kwargs = shared
    return function(subject, *args, **kwargs)
