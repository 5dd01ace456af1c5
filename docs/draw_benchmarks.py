"""Writes the kept benchmark results as tables for benchmarks.rst: python docs/draw_benchmarks.py OUT.rst."""

import json
import statistics
import sys
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def table(name: str, case: dict) -> list[str]:
    memory = case.get("times_less_memory_than")
    heads = ["contender", f"{case['unit']}/s", "we are ... times as fast", "required"]
    heads += ["memory, MiB", "of it private", "we take ... times less", "required"] if memory else []
    lines = [name, "~" * len(name), "", ".. list-table::", "   :header-rows: 1", "", *row(heads)]
    for contender, figures in case["contenders"].items():
        cells = [contender, f"{figures['items_per_second']:,}"]
        cells += ratio(case["times_as_fast_as"], case["required"], contender)
        if memory:
            cells += [f"{statistics.median(figures[peak]):,.0f}" for peak in ("peak_mib", "peak_private_mib")]
            cells += ratio(memory, case["required_memory"], contender)
        lines += row(cells)
    return [*lines, ""]


def row(cells: list[str]) -> list[str]:
    return [f"   {'  ' if number else '* '}- {cell}".rstrip() for number, cell in enumerate(cells)]


def ratio(measured: dict[str, float], required: dict[str, float], contender: str) -> list[str]:
    return [f"{measured[contender]:.1f}" if contender in measured else "", str(required.get(contender, ""))]


def main(out: Path) -> None:
    lines: list[str] = []
    for path in sorted(RESULTS.glob("*.json")):
        measured = json.loads(path.read_text())
        machine = measured["machine"]
        packages = list(machine)[list(machine).index("torch") :]
        versions = ", ".join(f"{package} {machine[package]}" for package in packages)
        where = machine["gpu"] or f"{machine['processor']}, {machine['cores']} cores"
        lines += [
            path.stem,
            "-" * len(path.stem),
            "",
            f"{where}; {versions}; {machine['date'][:10]}, commit {machine['commit']}.",
            "",
        ]
        for name, case in measured["cases"].items():
            lines += table(name, case)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
