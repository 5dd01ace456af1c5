"""Runs benchmarks beside their rivals and keeps what was measured as JSON."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks import encoding, generation, retrieval, ridge, signal, study
from benchmarks.case import Case, measure
from benchmarks.kept import RESULTS, keep
from benchmarks.machine import describe

#: Set on some machines for old OpenBLAS builds; they slow NumPy, and a rival runs at its best or not at all.
SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

MODULES = {
    "encoding": encoding,
    "generation": generation,
    "retrieval": retrieval,
    "ridge": ridge,
    "signal": signal,
    "study": study,
}
#: Those with nothing to run on a GPU.
CPU_ONLY = {"study"}

HELP = """\
NAME is a benchmark, or NAME:PART those of its cases whose names contain PART:
  python -m benchmarks ridge:decoding 'ridge:encoding, 128' signal
Each case is kept as soon as it is measured, in a file that holds others already: measured again, it takes the place of
what was there. The exit status is 1 if a requirement was missed."""


def select(asked: Sequence[str], device: torch.device) -> dict[str, dict[str, Callable[[], Case]]]:
    """What makes each case asked for, by benchmark and name; ValueError says what there is.

    Nothing is made yet: a case may take gigabytes.
    """
    without_gpu = CPU_ONLY if device.type != "cpu" else set()
    chosen: dict[str, dict[str, Callable[[], Case]]] = {}
    for one in asked or [name for name in MODULES if name not in without_gpu]:
        name, _, part = one.partition(":")
        if name not in MODULES:
            raise ValueError(f"unknown benchmark {name}; there are {', '.join(MODULES)}")
        if name in without_gpu:
            raise ValueError(f"{name} runs on the CPU alone; got --device {device}")
        there = MODULES[name].cases(device)
        found = {case: make for case, make in there.items() if part in case}
        if not found:
            raise ValueError(f"no case of {name} contains {part!r}; --list says which there are")
        chosen[name] = {**chosen.get(name, {}), **found}
    return chosen


def report(name: str, case: Case, figures: dict) -> None:
    print(f"\n{name} ({figures['threads']} threads, median of {figures['rounds']} rounds)")
    for contender, its in figures["contenders"].items():
        ratio = figures["times_as_fast_as"].get(contender)
        required = figures["required"].get(contender)
        beside = "" if ratio is None else f"   we are {ratio:.1f} x as fast"
        beside += "" if required is None else f" (required {required:g} x)"
        print(f"  {contender:<50} {its['items_per_second']:>12,} {case.unit}/s{beside}")
    for contender, ratio in figures["times_less_memory_than"].items():
        required = figures["required_memory"].get(contender)
        beside = "" if required is None else f" (required {required:g} x)"
        print(f"  {contender:<50} {ratio:>12.1f} x our memory{beside}")
    if case.memory_within_mib is not None:
        most = max(figures["contenders"][next(iter(case.ours))]["peak_private_mib"])
        print(f"  our memory: {most:,.0f} MiB at most (allowed {case.memory_within_mib:,.0f} MiB)")
    if case.least_rate is not None:
        print(f"  our speed: at least {case.least_rate:g} {case.unit}/s are required")
    if products := figures.get("products"):
        print(
            f"  useful operations: {products['gflops']:,.0f} Gflop/s, {products['share']:.0%} of the "
            f"{products['machine_gflops']:,.0f} Gflop/s of float32 products of matrices here"
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(MODULES)}; default: all")
    parser.add_argument("--list", action="store_true", help="say which cases there are, and run none")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; without a GPU, cuda is a dry run on fake tensors")
    parser.add_argument("--rounds", type=int, default=7, help="default 7; cases whose calls take long do fewer")
    parser.add_argument(
        "--json", type=Path, help="file to keep results in; default: benchmarks/results/NAME-DEVICE.json"
    )
    arguments = parser.parse_args(argv)
    if any(name in os.environ for name in SLOWING):  # read when NumPy is loaded, so only a new process forgets them
        environment = {name: value for name, value in os.environ.items() if name not in SLOWING}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *(argv or sys.argv[1:])], environment)
    device = torch.device(arguments.device)
    try:
        chosen = select(arguments.names, device)
    except ValueError as error:
        parser.error(str(error))
    if arguments.list:
        for benchmark, cases in chosen.items():
            for name in cases:
                print(f"{benchmark}:{name}")
        return 0
    if device.type == "cuda" and not torch.cuda.is_available():
        for benchmark in chosen:
            with FakeTensorMode():
                MODULES[benchmark].dry_run(device)
            print(f"{benchmark}: dry run on fake {device} tensors passed; no GPU here, so nothing was timed")
        return 0

    met = True
    for benchmark, cases in chosen.items():
        path = arguments.json or RESULTS / f"{benchmark}-{device.type}.json"
        for name, make in cases.items():
            case = make()
            figures = measure(case, arguments.rounds)
            keep(path, name, {"machine": describe(case.packages), **figures})
            report(name, case, figures)
            met = met and bool(figures["met"])
        print(f"\nkept in {path}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
