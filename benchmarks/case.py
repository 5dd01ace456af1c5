"""One comparison: a way of ours and the ways of others to compute the same thing, timed in turn."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass
class Contender:
    """Something that computes the case's result for so many `items` (voxels, problems, queries) a call."""

    run: Callable[[], object]
    items: int
    #: On CUDA: what runs is queued, so the clock waits for the device.
    on_gpu: bool = False


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


def measure(case: Case, rounds: int) -> dict[str, object]:
    """Warm up, compare the results, then time all contenders in turn, `rounds` times.

    Ratios are taken within a round, so that a machine that slows down slows both, and their median is reported.
    """
    case.compare()
    contenders = {**case.ours, **case.rivals}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        _seconds(contender)
    for _ in range(rounds):
        for name, contender in contenders.items():
            seconds[name].append(_seconds(contender))
    rates = {name: [contender.items / taken for taken in seconds[name]] for name, contender in contenders.items()}
    best = next(iter(case.ours))
    ratios = {
        rival: statistics.median(a / b for a, b in zip(rates[best], rates[rival], strict=True)) for rival in case.rivals
    }
    return {
        "unit": case.unit,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "contenders": {
            name: {
                "items": contender.items,
                "seconds": [round(taken, 6) for taken in seconds[name]],
                "items_per_second": round(statistics.median(rates[name])),
            }
            for name, contender in contenders.items()
        },
        "times_as_fast_as": {rival: round(ratio, 2) for rival, ratio in ratios.items()},
        "required": case.required,
        "met": all(ratios[rival] >= factor for rival, factor in case.required.items()),
    }


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
