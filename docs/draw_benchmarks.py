"""Writes the kept benchmark results as tables for benchmarks.rst: python docs/draw_benchmarks.py OUT.rst."""

import json
import sys
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def table(name: str, case: dict) -> list[str]:
    lines = [name, "~" * len(name), "", ".. list-table::", "   :header-rows: 1", ""]
    lines += ["   * - contender", f"     - {case['unit']}/s", "     - we are ... times as fast", "     - required"]
    for contender, figures in case["contenders"].items():
        ratio = case["times_as_fast_as"].get(contender)
        lines += [
            f"   * - {contender}",
            f"     - {figures['items_per_second']:,}",
            f"     - {'' if ratio is None else f'{ratio:.1f}'}",
            f"     - {case['required'].get(contender, '')}",
        ]
    return [*lines, ""]


def main(out: Path) -> None:
    lines: list[str] = []
    for path in sorted(RESULTS.glob("*.json")):
        measured = json.loads(path.read_text())
        machine = measured["machine"]
        packages = list(machine)[list(machine).index("torch") :]  # torch, numpy, the rivals
        where = machine["gpu"] or f"{machine['processor']}, {machine['cores']} cores"
        lines += [
            path.stem,
            "-" * len(path.stem),
            "",
            f"{where}; {', '.join(f'{name} {machine[name]}' for name in packages)}; {machine['date'][:10]}, commit "
            f"{machine['commit']}.",
            "",
        ]
        for name, case in measured["cases"].items():
            lines += table(name, case)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
