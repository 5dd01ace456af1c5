"""Measures a trained bundle against its goals: ``python examples/train_bundle/measure.py WORK [BUNDLE]``.

The shipped bundle is measured where none is named; nothing is trained. WORK is a new folder, or the one that
``train_bundle.py`` trained in. The study of ``goals.json`` is simulated there, and the networks never saw its music or
its brains. The training excerpts are composed there too (half an hour on two cores), for the bigrams and for what may
have been learned by heart. Each figure stands beside chance and an oracle. The figures go into WORK/figures.json, and
from there into the model cards (``train_bundle.py --figures``).
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import rows
from material import Material

GOALS = json.loads((Path(__file__).parent / "goals.json").read_text(encoding="utf-8"))


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path, metavar="WORK", help="folder of excerpts, checkpoints and curves")
    parser.add_argument("bundle", type=Path, nargs="?", metavar="BUNDLE", help="the bundle (default: the shipped one)")
    parser.add_argument("--musicnn", type=Path, help="what 'brain2music bundle export musicnn' wrote, for its rows")
    parser.add_argument("--subjects", type=int, default=2, help="simulated brains")
    parser.add_argument("--row", action="append", choices=[*rows.ROWS], help="measure this alone; may be repeated")
    options = parser.parse_args()
    material = Material(options.work, options.bundle, options.musicnn, GOALS, options.subjects)
    out = options.work / "figures.json"
    found = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    networks = {name: entry["sha256"] for name, entry in {**material.bundle.roles, **material.bundle.stages}.items()}
    if found.get("networks") != networks:
        found = {"networks": networks, "rows": {}}
    for name in options.row or rows.ROWS:
        measured = rows.ROWS[name](material)
        goal = GOALS["rows"][name]
        if measured is None:
            print(f"{name}: not measured, it takes --musicnn", flush=True)
            continue
        found["rows"][name] = {**measured, "goal": goal["goal"], "of": goal["of"]}
        if goal.get("at_most"):
            found["rows"][name]["at_most"] = True
        out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        print(*said(name, found["rows"][name]), flush=True)
    return 0


def said(name: str, row: dict[str, float]) -> list[str]:
    """One line of the table."""
    value, goal = row["value"], row["goal"]
    met = value <= goal if row.get("at_most") else value >= goal
    shown = partial("{:.3f}".format)
    beside = [f"{key} {shown(row[key])}" for key in ("chance", "oracle") if key in row]
    return [f"{name}: {shown(value)}", f"goal {shown(goal)} {'met' if met else 'MISSED'}", *beside]


if __name__ == "__main__":
    sys.exit(main())
