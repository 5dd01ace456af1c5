"""Tasks on a Dask cluster: sent a few at a time, and again when a worker ends with their data."""

import asyncio
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, TypeAlias

import dask
import distributed

__all__ = ["Job", "as_finished", "client_or_current", "threads"]

Future: TypeAlias = "distributed.Future[Any]"


@dataclass(frozen=True)
class Job:
    """What one task gets besides what all share.

    Attributes
    ----------
    arguments : tuple
        Small things, which travel with the task.
    data : function without arguments, optional
        Makes the task's own arrays, its last argument, when they are sent: they travel to one worker and are let go
        with the task.
    """

    arguments: tuple[Any, ...] = ()
    data: Callable[[], Any] | None = None


def client_or_current(client: distributed.Client | None, where: str) -> distributed.Client:
    """Return the client given, or else Dask's current one."""
    if client is None:
        try:
            client = distributed.get_client()
        except ValueError:
            raise RuntimeError(
                f"[{where}] a Dask client must be given or current: client = distributed.Client(cluster), for example "
                "of distributed.LocalCluster(threads_per_worker=1); got none"
            ) from None
    if client.asynchronous:
        raise ValueError(f"[{where}] the client must not be asynchronous; got {client}")
    return client


def threads(client: distributed.Client, where: str) -> int:
    """How many tasks run at once: one a thread of each worker. Waits for a first worker."""
    while not (found := sum(client.nthreads().values())):  # type: ignore[no-untyped-call]
        try:
            client.wait_for_workers(1, timeout=60)
        except (TimeoutError, asyncio.TimeoutError):
            warnings.warn(f"[{where}] there must be a worker; got none for a minute, waiting on", stacklevel=2)
    return found


def as_finished(
    client: distributed.Client,
    task: Callable[..., Any],
    shared: Any,
    jobs: Sequence[Job],
    where: str,
    *,
    retries: int = 1,
    named: Callable[[int, Exception], Exception] = lambda number, error: error,
) -> Iterator[tuple[int, Any]]:
    """Run ``task(shared, *job.arguments[, data])`` for each job; yield (number, result) as they finish.

    Parameters
    ----------
    client : distributed.Client
    task : function
        Pure: it may run more than once.
    shared : object
        Sent once to every worker.
    jobs : sequence of Job
        Sent in this order, two for each thread: one to work on, one on its way.
    where : str
        Who asks; signs errors.
    retries : int
        How often a task that raises is run again.
    named : function of (number, exception), optional
        Makes the exception to raise, from what a task raised.

    Raises
    ------
    Exception
        What a task raised.
    RuntimeError
        If a job's data was lost with its workers more often than ``distributed.scheduler.allowed-failures``.
    """
    allowed = int(dask.config.get("distributed.scheduler.allowed-failures"))
    waiting, losses = deque(range(len(jobs))), Counter[int]()
    running: dict[Future, tuple[int, Any]] = {}  # keeps a job's data alive as long as its task
    finished = distributed.as_completed(loop=client.loop)  # type: ignore[no-untyped-call]
    common = future = data = None
    try:
        while waiting or running:
            while waiting and len(running) < 2 * threads(client, where):
                if common is None or common.status != "finished":  # all workers that held it may have ended
                    common = _scatter(client, shared, where, broadcast=True)
                number = waiting.popleft()
                data = [] if (make := jobs[number].data) is None else [_scatter(client, make(), where)]
                future = client.submit(task, common, *jobs[number].arguments, *data, pure=False, retries=retries)
                running[future] = (number, data)
                finished.add(future)  # type: ignore[no-untyped-call]
            future = next(finished)
            number, data = running.pop(future)
            result, error = _outcome(future)
            if error is None:
                yield number, result
            elif isinstance(error, CancelledError) and losses[number] < allowed:
                # Dask runs a task again when its worker ends, but cannot bring back what was scattered to it.
                losses[number] += 1
                waiting.appendleft(number)
            else:
                raise named(number, _explained(error, where))
    finally:
        if running:
            client.cancel(list(running))  # type: ignore[no-untyped-call]
        running.clear()
        common = future = data = None  # else the traceback of an exception would keep them in the cluster


def _outcome(future: Future) -> tuple[Any, Exception | None]:
    """Return a task's result, or what it raised."""
    try:
        return future.result(), None
    except Exception as error:
        return None, error


def _explained(error: Exception, where: str) -> Exception:
    if not isinstance(error, CancelledError):
        return error
    failure = RuntimeError(
        f"[{where}] a task's worker must live until it is done (has it the memory?); got '{error}' again and again"
    )
    failure.__cause__ = error
    return failure


def _scatter(client: distributed.Client, data: Any, where: str, broadcast: bool = False) -> Future:
    """Send data to one worker, or to all."""
    for last in (False, False, True):
        try:
            # A list of one, for Dask takes lists and dictionaries apart; hashing would read all of it once more.
            found: list[Future] = client.scatter([data], broadcast=broadcast, hash=False)  # type: ignore[no-untyped-call]
        except (OSError, asyncio.TimeoutError):  # a worker that ended while it was sent to
            if last:
                raise
            threads(client, where)
        else:
            return found[0]
    raise AssertionError
