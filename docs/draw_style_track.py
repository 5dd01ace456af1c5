"""Draws what examples/style_track found, for explanation/generation.rst: python docs/draw_style_track.py OUT.svg."""

import json
import sys
from pathlib import Path

import numpy as np

from brain2music.plotting.style import INK, TWO_COLUMNS, house_style, new_figure, save

FOUND = Path(__file__).parents[1] / "examples" / "style_track" / "results.json"
LINES = {
    "track of true embeddings": ("track of true embeddings", "#bf5b17"),
    "decoded track": ("track decoded from the brain", "#22577a"),
    "one embedding, the mean of two decoded ones": ("one embedding: the mean of both clips, decoded", "#8a8a8a"),
}


@house_style
def draw(stem: Path) -> None:
    found = json.loads(FOUND.read_text(encoding="utf-8"))["shipped"]
    middles = np.array(found["middles"])
    figure = new_figure(TWO_COLUMNS, 2.6)
    axes = figure.subplots()
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.axvline(found["change"], color=INK, linewidth=0.8, linestyle="--")
    axes.text(found["change"] + 0.4, 0.78, "the track changes", fontsize=6.5, va="center")
    for name, (label, colour) in LINES.items():
        low, high = np.array(found[name]["interval_95"])
        axes.fill_between(middles, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(middles, found[name]["difference"], color=colour, marker="o", markersize=2.5, label=label)
    axes.set_xlim(0, found["seconds"])
    axes.set_ylim(-0.9, 0.9)
    axes.set_xlabel("middle of a window of 10 s of the generated music (s)")
    axes.set_ylabel("r with the first clip\nless r with the second")
    axes.legend(loc="lower left", frameon=False, fontsize=6.5)
    save(figure, stem)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    draw(out.with_suffix(""))
