"""One comparison: a way of ours and the ways of others to compute the same thing, timed in turn."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from benchmarks.fresh import Cost


@dataclass
class Contender:
    """Something that computes the case's result for so many `items` (voxels, problems, queries) a call."""

    run: Callable[[], object]
    items: int
    #: On CUDA: what runs is queued, so the clock waits for the device.
    on_gpu: bool = False
    #: `run` returns the Cost of a process of its own, which warms up by itself and whose memory counts too.
    own_process: bool = False


@dataclass
class Case:
    name: str
    unit: str  # what items are
    ours: dict[str, Contender]
    rivals: dict[str, Contender]
    #: At least so many times as fast as the rival, per item; from the project's requirements.
    required: dict[str, float]
    #: Raises unless the results agree.
    compare: Callable[[], None]
    packages: list[str]
    #: The rival takes at least so many times our memory; both in processes of their own.
    required_memory: dict[str, float] = field(default_factory=dict)
    #: Called at the end, however it ends.
    close: Callable[[], None] = lambda: None


def measure(case: Case, rounds: int) -> dict[str, object]:
    """Warm up, compare the results, then time all contenders in turn, `rounds` times.

    Ratios are taken within a round, so that a machine that slows down slows both, and their median is reported.
    """
    contenders = {**case.ours, **case.rivals}
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    try:
        case.compare()
        for contender in contenders.values():
            if not contender.own_process:
                _seconds(contender)
        for _ in range(rounds):
            for name, contender in contenders.items():
                costs[name].append(_cost(contender))
    finally:
        case.close()
    rates = {name: [contender.items / c.seconds for c in costs[name]] for name, contender in contenders.items()}
    memory = {name: [c.peak_private_mib for c in costs[name]] for name in contenders if contenders[name].own_process}
    best = next(iter(case.ours))
    faster = {rival: _median_ratio(rates[best], rates[rival]) for rival in case.rivals}
    smaller = {rival: _median_ratio(memory[rival], memory[best]) for rival in case.rivals if rival in memory}
    return {
        "unit": case.unit,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "contenders": {
            name: {
                "items": contender.items,
                "seconds": [round(c.seconds, 6) for c in costs[name]],
                "items_per_second": round(statistics.median(rates[name])),
                **(_memory(costs[name]) if name in memory else {}),
            }
            for name, contender in contenders.items()
        },
        "times_as_fast_as": {rival: round(ratio, 2) for rival, ratio in faster.items()},
        "required": case.required,
        "times_less_memory_than": {rival: round(ratio, 2) for rival, ratio in smaller.items()},
        "required_memory": case.required_memory,
        "met": all(faster[rival] >= factor for rival, factor in case.required.items())
        and all(smaller[rival] >= factor for rival, factor in case.required_memory.items()),
    }


def _median_ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _memory(costs: list[Cost]) -> dict[str, list[float]]:
    return {
        "peak_mib": [round(cost.peak_mib, 1) for cost in costs],
        "peak_private_mib": [round(cost.peak_private_mib, 1) for cost in costs],
    }


def _cost(contender: Contender) -> Cost:
    if not contender.own_process:
        return Cost(_seconds(contender))
    measured = contender.run()
    assert isinstance(measured, Cost)
    return measured


def _seconds(contender: Contender) -> float:
    time.sleep(0.02)  # threads of the contender before spin for a while, each library's its own
    if contender.on_gpu:
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        contender.run()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000
    begin = time.perf_counter()
    contender.run()
    return time.perf_counter() - begin
