"""Writes what a type of weights costs, for explanation/performance.rst: python docs/draw_weight_types.py OUT.rst."""

import json
import sys
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).parents[1] / "examples" / "train_bundle" / "weight_types.json"
ROWS = {
    "generated_identifies_condition": "identifies its embedding",
    "generated_genre_acoustic": "genre, acoustic statistics",
    "generated_identifies_caption": "identifies its caption",
    "generated_from_brain": "identifies the clip that was heard",
}
SOURCES = {"true": "true embeddings", "captions": "captions", "brains": "simulated brains"}


def cell(column: dict[str, Any]) -> str:
    low, high = column["interval"]
    return f"{column['difference']:+.3f} ({low:+.3f} to {high:+.3f})"


def table(measured: dict[str, Any]) -> list[str]:
    columns = [*next(iter(measured["rows"].values()))["columns"]]
    lines = [
        f".. list-table:: Differences to float32, and their 95 % intervals; pieces of {measured['seconds']:g} s",
        "   :header-rows: 1",
        "   :widths: 22 8 8 10 20 20 20",
        "",
    ]
    lines += row("row", "inputs", "pieces of each", *columns)
    for name, found in measured["rows"].items():
        first, *others = found["columns"].values()
        numbers = (str(found["n"]), str(found["samples"]), f"{first['mean']:.3f}")
        lines += row(ROWS.get(name, name), *numbers, *map(cell, others))
    return [*lines, ""]


def row(*cells: str) -> list[str]:
    return [f"   * - {cells[0]}", *(f"     - {each}" for each in cells[1:])]


def same_codes(measured: dict[str, Any]) -> list[str]:
    lines = ["Pieces that have the same codes as in float32:", ""]
    for source, shares in measured["same_codes"].items():
        told = ", ".join(f"{100 * share:.0f} % in {column}" for column, share in shares.items() if "seed" not in column)
        lines.append(f"- from {SOURCES.get(source, source)}: {told}")
    return [*lines, ""]


def main(out: Path) -> None:
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join([*table(measured), *same_codes(measured)]), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
