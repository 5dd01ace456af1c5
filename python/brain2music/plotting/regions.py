"""Scores of voxels, region by region."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from brain2music.plotting.style import CHANCE, INK, TWO_COLUMNS, house_style, new_figure

__all__ = ["RegionScore", "plot_regions"]

_BLUE = "#22577a"


@dataclass(frozen=True)
class RegionScore:
    """A region's voxels, of one subject and one feature space.

    Parameters
    ----------
    region, features, subject : str
    voxels, significant : int
        How many were tested, and how many of these are significant.
    mean : float
        Mean score of the voxels tested.
    ceiling : float
        Mean noise ceiling; NaN where there is none.
    """

    region: str
    features: str
    subject: str
    voxels: int
    significant: int
    mean: float
    ceiling: float = float("nan")


@house_style
def plot_regions(scores: Sequence[RegionScore], shown: int = 16) -> Figure:
    """Draw the mean score of each region's voxels, the best regions first.

    Parameters
    ----------
    scores : sequence of RegionScore
        Of one feature space; a dot for each subject, a bar for their mean.
    shown : int, default 16
        How many regions, chosen by their mean over subjects.

    Returns
    -------
    matplotlib.figure.Figure
        Two columns wide: the mean score beside chance (0) and the mean noise ceiling, and the share of voxels that are
        significant.

    Raises
    ------
    ValueError
        If there is no score, or scores are of several feature spaces.
    """
    scores = list(scores)
    spaces = sorted({one.features for one in scores})
    if len(spaces) != 1:
        raise ValueError(
            f"[plotting.plot_regions] scores must be of one feature space; got {', '.join(spaces) or 'none'}"
        )
    by_region: dict[str, list[RegionScore]] = {}
    for one in scores:
        if one.voxels and np.isfinite(one.mean):
            by_region.setdefault(one.region, []).append(one)
    means = {region: float(np.mean([one.mean for one in own])) for region, own in by_region.items()}
    best = sorted(means, key=lambda region: -means[region])[:shown]
    if not best:
        raise ValueError("[plotting.plot_regions] a region must have a voxel that was tested; got none")
    figure = new_figure(TWO_COLUMNS, 0.75 + 0.16 * len(best))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.6, 1))
    places = np.arange(len(best))
    left.barh(places, [means[region] for region in best], color=_BLUE, height=0.7)
    for place, region in enumerate(best):
        own = by_region[region]
        if len(own) > 1:
            left.plot([one.mean for one in own], np.full(len(own), place), "o", color=INK, markersize=2, clip_on=False)
        ceilings = [one.ceiling for one in own if np.isfinite(one.ceiling)]
        if ceilings:
            left.plot([np.mean(ceilings)] * 2, [place - 0.35, place + 0.35], color="#bf5b17", linewidth=1.4)
        share = [one.significant / one.voxels for one in own]
        right.barh(place, np.mean(share), color=_BLUE, height=0.7)
    left.axvline(0, color=CHANCE, linestyle=(0, (2.5, 1.5)), linewidth=1.0)
    left.set_yticks(places, best)
    left.invert_yaxis()
    known = any(np.isfinite(one.ceiling) for region in best for one in by_region[region])
    left.set_xlabel(f"mean r over voxels (dashed: chance, 0{'; orange: noise ceiling' if known else ''})")
    right.set_xlabel("share of voxels significant")
    right.set_xlim(0, 1)
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.spines.left.set_visible(False)
    return figure
