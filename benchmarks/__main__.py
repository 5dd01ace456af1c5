"""Runs benchmarks beside their rivals and keeps what was measured as JSON."""

import argparse
import json
import os
import sys
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks import retrieval, ridge, signal, study
from benchmarks.case import Case, measure
from benchmarks.machine import describe

#: Set on some machines for old OpenBLAS builds; they slow NumPy, and a rival runs at its best or not at all.
SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

MODULES = {"retrieval": retrieval, "ridge": ridge, "signal": signal, "study": study}
#: Those with nothing to run on a GPU.
CPU_ONLY = {"study"}
RESULTS = Path(__file__).parent / "results"


def report(case: Case, figures: dict) -> None:
    print(f"\n{case.name} ({figures['threads']} threads, median of {figures['rounds']} rounds)")
    for name, contender in figures["contenders"].items():
        ratio = figures["times_as_fast_as"].get(name)
        required = figures["required"].get(name)
        beside = "" if ratio is None else f"   we are {ratio:.1f} x as fast"
        beside += "" if required is None else f" (required {required:g} x)"
        print(f"  {name:<42} {contender['items_per_second']:>12,} {case.unit}/s{beside}")
    for name, ratio in figures["times_less_memory_than"].items():
        required = figures["required_memory"].get(name)
        beside = "" if required is None else f" (required {required:g} x)"
        print(f"  {name:<42} {ratio:>12.1f} x our memory{beside}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODULES)}; default: all")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; without a GPU, cuda is a dry run on fake tensors")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file to write; default: benchmarks/results/NAME-DEVICE.json")
    arguments = parser.parse_args()
    if any(name in os.environ for name in SLOWING):  # read when NumPy is loaded, so only a new process forgets them
        environment = {name: value for name, value in os.environ.items() if name not in SLOWING}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]], environment)
    unknown = set(arguments.names) - set(MODULES)
    if unknown:
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")
    device = torch.device(arguments.device)
    without_gpu = CPU_ONLY if device.type != "cpu" else set()
    if without_gpu & set(arguments.names):
        parser.error(f"{', '.join(sorted(without_gpu))} runs on the CPU alone; got --device {device}")
    modules = {name: MODULES[name] for name in arguments.names or MODULES if name not in without_gpu}

    if device.type == "cuda" and not torch.cuda.is_available():
        for name, module in modules.items():
            with FakeTensorMode():
                module.dry_run(device)
            print(f"{name}: dry run on fake {device} tensors passed; no GPU here, so nothing was timed")
        return 0

    met = True
    for name, module in modules.items():
        cases = module.cases(device)
        measured = {"machine": describe(sorted({package for case in cases for package in case.packages})), "cases": {}}
        for case in cases:
            figures = measure(case, arguments.rounds)
            report(case, figures)
            measured["cases"][case.name] = figures
            met = met and bool(figures["met"])
        path = arguments.json or RESULTS / f"{name}-{device.type}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(measured, indent=2) + "\n")
        temporary.replace(path)
        print(f"\nkept in {path}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
