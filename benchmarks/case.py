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
    unit: str  # what items are
    #: The first is compared with the rivals.
    ours: dict[str, Contender]
    rivals: dict[str, Contender]
    #: At least so many times as fast as the rival, per item; from the project's requirements.
    required: dict[str, float]
    #: Raises unless the results agree.
    compare: Callable[[], None]
    packages: list[str]
    #: The rival takes at least so many times our memory; both in processes of their own.
    required_memory: dict[str, float] = field(default_factory=dict)
    #: We never take more.
    memory_within_mib: float | None = None
    #: We do at least so many items a second.
    least_rate: float | None = None
    #: Additions and multiplications that a call of ours cannot do without; asked for once results were compared.
    operations: Callable[[], float] | None = None
    #: Sizes of the problem, to draw by.
    shape: dict[str, int] = field(default_factory=dict)
    #: For calls of a minute, which vary less.
    most_rounds: int | None = None
    #: `compare` runs all contenders as they are timed, so that they need not warm up again.
    compare_warms: bool = False
    #: Called at the end, however it ends.
    close: Callable[[], None] = lambda: None


def measure(case: Case, rounds: int) -> dict[str, object]:
    """Warm up, compare the results, then time all contenders in turn, `rounds` times.

    Ratios are taken within a round, so that a machine that slows down slows both, and their median is reported.
    """
    rounds = min(rounds, case.most_rounds or rounds)
    contenders = {**case.ours, **case.rivals}
    best = next(iter(case.ours))
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    products = _products(contenders[best].on_gpu) if case.operations else None
    product_rates: list[float] = []
    try:
        case.compare()
        for contender in contenders.values():
            if not contender.own_process and not case.compare_warms:
                _seconds(contender)
        if products:
            _seconds(products)
        for _ in range(rounds):
            for name, contender in contenders.items():
                costs[name].append(_cost(contender))
                if name == best and products:
                    product_rates.append(products.items / _seconds(products))
    finally:
        case.close()
    rates = {name: [contender.items / c.seconds for c in costs[name]] for name, contender in contenders.items()}
    memory = {
        name: [c.peak_device_mib if contenders[name].on_gpu else c.peak_private_mib for c in costs[name]]
        for name in contenders
        if contenders[name].own_process
    }
    faster = {rival: _median_ratio(rates[best], rates[rival]) for rival in case.rivals}
    smaller = {rival: _median_ratio(memory[rival], memory[best]) for rival in case.rivals if rival in memory}
    return {
        "unit": case.unit,
        **({"shape": case.shape} if case.shape else {}),
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "contenders": {
            name: {
                "items": contender.items,
                "seconds": [round(c.seconds, 6) for c in costs[name]],
                "items_per_second": _rounded(statistics.median(rates[name])),
                **(_memory(costs[name]) if name in memory else {}),
            }
            for name, contender in contenders.items()
        },
        "times_as_fast_as": {rival: round(ratio, 2) for rival, ratio in faster.items()},
        "required": case.required,
        "times_less_memory_than": {rival: round(ratio, 2) for rival, ratio in smaller.items()},
        "required_memory": case.required_memory,
        **({"memory_within_mib": round(case.memory_within_mib)} if case.memory_within_mib else {}),
        **({"least_rate": case.least_rate} if case.least_rate else {}),
        **({"products": _share(case.operations(), costs[best], product_rates)} if case.operations else {}),
        "met": all(faster[rival] >= factor for rival, factor in case.required.items())
        and all(smaller[rival] >= factor for rival, factor in case.required_memory.items())
        and (case.least_rate is None or statistics.median(rates[best]) >= case.least_rate)
        and (case.memory_within_mib is None or max(memory[best]) <= case.memory_within_mib),
    }


def _products(on_gpu: bool) -> Contender:
    """Products of large float32 matrices, the most that a machine can do; items are additions and multiplications."""
    size, times = (8192, 10) if on_gpu else (2048, 3)
    a, b = torch.randn(2, size, size, device="cuda" if on_gpu else "cpu")
    out = torch.empty_like(a)

    def run() -> None:
        for _ in range(times):
            torch.mm(a, b, out=out)

    return Contender(run, times * 2 * size**3, on_gpu)


def _share(operations: float, costs: list[Cost], product_rates: list[float]) -> dict[str, float]:
    """How near useful operations come to the rate of products, measured in the same round."""
    rates = [operations / cost.seconds for cost in costs]
    return {
        "operations": operations,
        "gflops": round(statistics.median(rates) / 1e9, 2),
        "machine_gflops": round(statistics.median(product_rates) / 1e9, 2),
        "share": round(_median_ratio(rates, product_rates), 3),
    }


def _median_ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _rounded(rate: float) -> float:
    """Whole, unless there are few: a region or a draw may take seconds."""
    return round(rate) if rate >= 100 else round(rate, 3)


def _memory(costs: list[Cost]) -> dict[str, list[float]]:
    return {
        "peak_mib": [round(cost.peak_mib, 1) for cost in costs],
        "peak_private_mib": [round(cost.peak_private_mib, 1) for cost in costs],
        **({"peak_device_mib": [round(c.peak_device_mib, 1) for c in costs]} if costs[0].peak_device_mib else {}),
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
