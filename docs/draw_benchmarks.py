"""Writes the kept benchmark results as tables and figures for performance.rst: python docs/draw_benchmarks.py OUT.rst.

Figures lie beside OUT.rst.
"""

import json
import os
import statistics
import sys
from pathlib import Path

import draw_sweeps

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results"


def section(stem: str, cases: dict[str, dict], out: Path) -> list[str]:
    lines = [stem, "-" * len(stem), ""]
    for name, case in cases.items():
        if not name.startswith(draw_sweeps.PREFIX):
            lines += table(name, case)
    sweeps = draw_sweeps.sweeps_of(cases)
    return lines + (sweep_figure(sweeps, out.with_name(f"{stem}-sweeps")) if sweeps else [])


def table(name: str, case: dict) -> list[str]:
    memory = case.get("times_less_memory_than")
    heads = ["contender", f"{case['unit']}/s", "we are ... times as fast", "required"]
    on_gpu = any("peak_device_mib" in figures for figures in case["contenders"].values())
    peaks = ("peak_mib", "peak_device_mib" if on_gpu else "peak_private_mib")
    if memory:
        heads += ["memory, MiB", "on the GPU, MiB" if on_gpu else "of it private", "we take ... times less", "required"]
    lines = [name, "~" * len(name), "", measured_on(case["machine"]), ""]
    lines += [".. list-table::", "   :header-rows: 1", "", *row(heads)]
    for contender, figures in case["contenders"].items():
        cells = [contender, f"{figures['items_per_second']:,}"]
        cells += ratio(case["times_as_fast_as"], case["required"], contender)
        if memory:
            cells += [f"{statistics.median(figures[peak]):,.0f}" for peak in peaks]
            cells += ratio(memory, case["required_memory"], contender)
        lines += row(cells)
    lines.append("")
    if not case["times_as_fast_as"]:  # without a rival, what counts is how long it takes
        ours = next(iter(case["contenders"].values()))
        seconds = statistics.median(ours["seconds"])
        lines += [f"{ours['items']:,} {case['unit']} in {seconds:,.{0 if seconds >= 10 else 2}f} s.", ""]
    if "least_rate" in case:
        lines += [f"At least {case['least_rate']:g} {case['unit']} a second are required.", ""]
    if "memory_within_mib" in case:
        most = max(next(iter(case["contenders"].values()))["peak_private_mib"])
        lines += [f"At most {case['memory_within_mib']:,} MiB are allowed; {most:,.0f} MiB were taken.", ""]
    if products := case.get("products"):
        lines += [
            f"Useful operations: {products['gflops']:,.0f} Gflop/s, {100 * products['share']:.0f} % of the "
            f"{products['machine_gflops']:,.0f} Gflop/s of this machine's own float32 products of matrices.",
            "",
        ]
    return lines


def sweep_figure(sweeps: list[dict], stem: Path) -> list[str]:
    drawn = draw_sweeps.draw(sweeps, stem)
    base = ", ".join(f"{value:,} {size}" for size, value in draw_sweeps.base_of(sweeps).items())
    title = "By the size of the problem"
    return [
        title,
        "~" * len(title),
        "",
        *(f"| {line}" for line in dict.fromkeys(measured_on(case["machine"]) for case in sweeps)),
        "",
        f".. figure:: {os.path.relpath(drawn, DOCS / 'explanation')}",
        "   :width: 100%",
        "   :alt: Seconds of a fit by brain2music and himalaya against rows, features, targets, penalties and folds.",
        "",
        f"   Seconds of a fit, one size varied at a time; the others stay at {base} (dotted). himalaya runs RidgeCV on",
        "   torch, on all targets at once or a thousand at a time, whichever is faster. Points are medians of rounds,",
        "   bars go from the fastest to the slowest, numbers say how many times as fast brain2music is.",
        "",
    ]


def measured_on(machine: dict) -> str:
    packages = list(machine)[list(machine).index("torch") :]
    versions = ", ".join(f"{package} {machine[package]}" for package in packages)
    where = machine["gpu"] or f"{machine['processor']}, {machine['cores']} cores"
    return f"{where}; {versions}; {machine['date'][:10]}, commit {machine['commit']}."


def row(cells: list[str]) -> list[str]:
    return [f"   {'  ' if number else '* '}- {cell}".rstrip() for number, cell in enumerate(cells)]


def ratio(measured: dict[str, float], required: dict[str, float], contender: str) -> list[str]:
    return [f"{measured[contender]:.1f}" if contender in measured else "", str(required.get(contender, ""))]


def main(out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    kept = {path.stem: json.loads(path.read_text())["cases"] for path in sorted(RESULTS.glob("*.json"))}
    if not any(draw_sweeps.sweeps_of(cases) for cases in kept.values()):
        print("benchmarks/results holds no sweeps, so their figure is left out: python -m benchmarks ridge:sweep")
    out.write_text("\n".join(line for stem, cases in kept.items() for line in section(stem, cases, out)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
