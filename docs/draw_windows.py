"""Draws a clip, its scans and its windows for explanation/windows.rst: python docs/draw_windows.py OUT.svg."""

import sys
from pathlib import Path

import numpy as np

from brain2music.plotting.style import INK, TWO_COLUMNS, house_style, new_figure, save
from brain2music.study import EMBEDDING_WINDOWS

TR, SCANS, DELAY = 1.5, 10, 3
MUSIC, PALE, BRAIN, MEAN = "#bf5b17", "#e6c3ab", "#22577a", "#38a3a5"


@house_style
def draw(stem: Path) -> None:
    windows = EMBEDDING_WINDOWS["mulan-music"]
    members = windows.scans(SCANS, TR)
    figure = new_figure(TWO_COLUMNS, 3.4)
    axes = figure.subplots()
    clip = SCANS * TR

    def bar(
        row: float, start: float, length: float, colour: str, text: str = "", alpha: float = 1.0, height: float = 0.7
    ) -> None:
        axes.barh(row, length, height, start, color=colour, edgecolor="white", linewidth=0.8)
        axes.text(start + length / 2, row, text, ha="center", va="center", color="white", fontsize=6.5)

    bar(0, 0, clip, MUSIC, "music of the clip, 15 s")
    for number in range(SCANS):
        bar(1, (number + DELAY) * TR, TR, BRAIN, f"scan {number}")
    axes.annotate("", (DELAY * TR, 1), (0, 1), arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 0.8})
    axes.text(DELAY * TR / 2, 0.72, "delay: 3 scans", ha="center", va="center", fontsize=6.5)
    for window in range(windows.count):
        row = 2.5 + 1.25 * window
        bar(row - 0.33, window * windows.hop, windows.length, PALE, height=0.4)
        scans = np.flatnonzero(members[window])
        start = (scans[0] + DELAY) * TR
        bar(
            row + 0.18,
            start,
            len(scans) * TR,
            MEAN,
            height=0.6,
            text=f"window {window}: mean of scans {scans[0]} to {scans[-1]}",
        )
    axes.set_ylim(7.0, -0.6)
    axes.set_xlim(-0.2, (SCANS + DELAY) * TR + 0.2)
    axes.set_yticks([0, 1, 4.4], ["heard", "measured", "windows\n(music, response)"])
    axes.set_xticks(np.arange(0, (SCANS + DELAY) * TR + 0.1, 3))
    axes.set_xlabel("seconds from the start of the clip")
    axes.tick_params(left=False)
    for side in ("left", "top", "right"):
        axes.spines[side].set_visible(False)
    save(figure, stem)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    draw(out.with_suffix(""))
