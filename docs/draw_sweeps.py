"""One figure of how the time of ridge regression grows with each size of the problem, from kept benchmark results."""

import statistics
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patheffects import Normal, Stroke

from brain2music.plotting.style import INK, TWO_COLUMNS, house_style, new_figure, save

PREFIX = "sweep, "

_LABELS = {
    "rows": "rows",
    "features": "features",
    "targets": "targets",
    "penalties": "penalties in the grid",
    "folds": "folds",
}
_TIMES = "\N{MULTIPLICATION SIGN}"
_OURS, _THEIRS = "#22577a", "#bf5b17"


def sweeps_of(cases: dict[str, dict]) -> list[dict]:
    return [case for name, case in cases.items() if name.startswith(PREFIX)]


def base_of(sweeps: list[dict]) -> dict[str, int]:
    """The sizes that stay as they are while another varies: of each, the most frequent."""
    return {size: statistics.mode(case["shape"][size] for case in sweeps) for size in _LABELS}


@house_style
def draw(sweeps: list[dict], stem: Path) -> Path:
    """Write STEM.png and STEM.svg; returns the first."""
    base = base_of(sweeps)
    figure = new_figure(TWO_COLUMNS, 3.9)
    panels = figure.subplots(2, 3, sharey=True)
    for number, (size, axes) in enumerate(zip(_LABELS, panels.flat, strict=False)):
        _panel(axes, sweeps, base, size)
        axes.set_title("abcde"[number], loc="left", fontweight="bold")
        if number % 3 == 0:
            axes.set_ylabel("seconds")
            axes.tick_params(labelleft=True)
    last = panels.flat[-1]
    last.axis("off")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    last.legend(handles, labels, loc="upper left", borderaxespad=0, handlelength=2, labelspacing=0.8)
    words = f"{_TIMES} says how many times as fast\nbrain2music is.\n\nDotted: what a size is\nwhile another varies."
    last.text(0.03, 0.68, words, va="top", transform=last.transAxes, fontsize=6.5, linespacing=1.35)
    return save(figure, stem)[0]


def _panel(axes: Axes, sweeps: list[dict], base: dict[str, int], size: str) -> None:
    others = [name for name in base if name != size]
    along = [case for case in sweeps if all(case["shape"][name] == base[name] for name in others)]
    along.sort(key=lambda case: case["shape"][size])
    places = [case["shape"][size] for case in along]
    ours = [case["contenders"]["brain2music"]["seconds"] for case in along]
    theirs = [_fastest_rival(case) for case in along]
    _line(axes, places, theirs, _THEIRS, "s", "himalaya, RidgeCV on torch")
    _line(axes, places, ours, _OURS, "o", "brain2music")
    for place, our, their in zip(places, ours, theirs, strict=True):
        ratio = statistics.median(their) / statistics.median(our)
        axes.annotate(
            f"{ratio:.0f}{_TIMES}" if ratio >= 9.5 else f"{ratio:.1f}{_TIMES}",
            (place, max(*our, *their)),
            (-2, 5),
            textcoords="offset points",
            ha="center",
            fontsize=6,
            color=INK,
            path_effects=[Stroke(linewidth=1.5, foreground="white"), Normal()],  # where it crosses a line
        )
    axes.axvline(base[size], color=INK, linestyle=(0, (1, 2)), linewidth=0.6, zorder=0, alpha=0.7)
    axes.set(xscale="log", yscale="log", xlabel=_LABELS[size])
    axes.set_xticks(places, [f"{place:,}" for place in places])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")
    axes.margins(x=0.12, y=0.14)


def _fastest_rival(case: dict) -> list[float]:
    """Seconds of each round, of the settings that are the fastest here."""
    rivals = [case["contenders"][name]["seconds"] for name in case["times_as_fast_as"]]
    return min(rivals, key=statistics.median)


def _line(axes: Axes, places: list[int], seconds: list[list[float]], colour: str, marker: str, label: str) -> None:
    """Medians of the rounds; a bar from the fastest to the slowest."""
    middle = [statistics.median(rounds) for rounds in seconds]
    below = [m - min(rounds) for m, rounds in zip(middle, seconds, strict=True)]
    above = [max(rounds) - m for m, rounds in zip(middle, seconds, strict=True)]
    axes.errorbar(
        places, middle, yerr=[below, above], color=colour, marker=marker, markersize=3, elinewidth=0.8, label=label
    )
