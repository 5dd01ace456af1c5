"""The report's section on encoding: where each feature of music lives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps

from brain2music import plotting
from brain2music import report as pages
from brain2music.encoding import on_template, to_fsaverage5
from brain2music.pipeline.context import Context
from brain2music.pipeline.encoding import CONTROLS, LEVEL, Encoded, Tested, features_of
from brain2music.pipeline.figures import Writer
from brain2music.pipeline.tables import number
from brain2music.plotting.cortex import NO_MESH, OWN_SPACE, fsaverage5
from brain2music.study import Surface

__all__ = ["encoding_section"]

_CONTROL_NAMES = {"genre": "genre, a column each", "mean": "mean of all clips", "random": "random numbers"}
_TESTS = {"test": "test clips", "all": "all clips, other runs", "genre": "all clips, other genres"}

#: Subjects whose maps are drawn: as many as the paper has.
_DRAWN = 5

#: Subjects whose maps the page can turn: some 250 kB each with seven feature spaces.
_TURNED = 12


def encoding_section(context: Context, encoded: Sequence[Encoded]) -> pages.Section:
    """Show what was encoded: every subject from every feature space."""
    spaces = features_of(context)
    found = {(one.subject, one.features): one for one in encoded}
    first = [found[subject, spaces[0]] for subject in context.subjects]
    names = {name: _name(context, name) for name in spaces}
    draw = Writer(context.out / "figures")
    where = first[0].where
    figures = _maps(draw, first, names) if _drawable(where) else ()
    figures += _densities(draw, [found[context.subjects[0], name] for name in spaces], names)
    regions = [score for one in first for score in one.regions]
    if regions:
        figures += (draw.regions(plotting.plot_regions(regions), regions, names[spaces[0]]),)
    why = ""
    if not on_template(where):
        why = "\n\n" + (NO_MESH.format(space=where.space) if isinstance(where, Surface) else OWN_SPACE)
    return pages.Section(
        title="Where each feature of music lives",
        text="The inverse question: how well do features of the music predict the response of each voxel? A ridge "
        "regression for each voxel is fitted to the training clips, and scored by Pearson's r on the test clips. "
        "Chance is 0. The noise ceiling says how well any model could do, by what the repeats of a clip have in common."
        "\n\nA voxel is significant where few of 1,000 other orders of the test clips score as well, at a false "
        f"discovery rate of {LEVEL}. Three controls know nothing of the music beyond genre or time: they should do "
        f"worse.{why}",
        figures=figures,
        tables=(_table([row for one in found.values() for row in one.rows], names),),
        cortex=_cortex([found[subject, name] for subject in context.subjects for name in spaces], names)
        if on_template(where)
        else None,
    )


def _drawable(where: Any) -> bool:
    return not isinstance(where, Surface) or on_template(where)


def _name(context: Context, features: str) -> str:
    return _CONTROL_NAMES[features] if features in CONTROLS else context.card(features)[0]


def _maps(draw: Writer, first: Sequence[Encoded], names: dict[str, str]) -> tuple[pages.Figure, ...]:
    """Draw significant voxels of up to five subjects: by the test clips; of the first one by all clips, laid flat."""
    figures = []
    for one in first[:_DRAWN]:
        voxels = one.voxels
        ways = [("", "inflated", "test clips")]
        if one is first[0] and "r-all" in voxels:
            ways.append(("-all", "flat" if on_template(one.where) else "inflated", "all clips, each held out"))
        for ending, kind, clips in ways:
            r, significant = voxels[f"r{ending}"], voxels[f"q{ending}"] <= LEVEL
            label = f"Pearson's r on {clips}, {names[one.features]}"
            drawn = plotting.plot_cortex(r, one.where, significant, kind=kind, label=label)
            what = "vertices" if isinstance(one.where, Surface) else "voxels"
            figures.append(draw.cortex(drawn, one.subject, clips, r, significant, what, on_template(one.where)))
    return tuple(figures)


def _densities(draw: Writer, own: Sequence[Encoded], names: dict[str, str]) -> tuple[pages.Figure, ...]:
    """Draw the first feature space against others of one subject, voxel by voxel."""
    one, *others = own
    voxels = one.voxels
    figures = []
    for other in others:
        if other.features in ("mean", "random"):
            continue
        theirs = other.voxels
        either = (voxels["q"] <= LEVEL) | (theirs["q"] <= LEVEL)
        if (either & np.isfinite(voxels["r"]) & np.isfinite(theirs["r"])).any():
            labels = (names[other.features], names[one.features])
            drawn = plotting.plot_density(theirs["r"], voxels["r"], either, labels)
            figures.append(draw.density(drawn, one.subject, other.features, labels))
    return tuple(figures)


def _table(rows: Sequence[Tested], names: dict[str, str]) -> pages.Table:
    cells = []
    for features, name in names.items():
        for test, clips in _TESTS.items():
            own = [row for row in rows if (row.features, row.test) == (features, test)]
            if own:
                shares = [row.fdr / row.voxels for row in own if row.voxels]
                largest = [row.max / row.voxels for row in own if row.voxels]
                means = (_over(own, key) for key in ("r_mean", "r_largest", "ceiling_mean"))
                cells.append((name, clips, _share(shares), _share(largest), *means))
    columns = (
        pages.Column("Features", "What responses are predicted from", "left"),
        pages.Column("Clips", "On which predictions are scored; they had no part in the fit", "left"),
        pages.Column("Significant", f"Share of voxels at a false discovery rate of {LEVEL}", "right"),
        pages.Column("By the largest score", f"Share of voxels at {LEVEL} by the largest score of any voxel", "right"),
        pages.Column("r", "Mean over all voxels; over subjects mean ± standard deviation", "right"),
        pages.Column("Best voxel", "The largest r of a voxel", "right"),
        pages.Column(
            "Noise ceiling", "Mean over all voxels of the largest r that is possible on the test clips", "right"
        ),
    )
    return pages.Table(
        "Encoding, all feature spaces",
        "Means over subjects. Each feature space is averaged onto one grid: windows of 10 s, one every 1.5 s.",
        columns,
        tuple(cells),
    )


def _over(rows: Sequence[Tested], key: str) -> str:
    values = [value for row in rows if (value := getattr(row, key)) is not None]
    if not values:
        return "none"
    return number(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def _share(values: Sequence[float]) -> str:
    return f"{np.mean(values):.1%}" if values else "none"


def _cortex(found: Sequence[Encoded], names: dict[str, str]) -> pages.Cortex:
    surfaces, depth = fsaverage5()
    meshes = surfaces["inflated"].parts
    sides = ("left", "right")
    subjects = list(dict.fromkeys(one.subject for one in found))
    maps, regions = [], {}
    region_names: dict[str, dict[int, str]] = {}
    for one in found:
        if one.subject not in subjects[:_TURNED]:
            continue
        voxels, where = one.voxels, one.where
        for ending, clips in (("", ""), ("-all", ", all clips")):
            if f"r{ending}" not in voxels:
                continue
            scores = np.concatenate(to_fsaverage5(voxels[f"r{ending}"], where))
            q = voxels[f"q{ending}"]
            share = np.concatenate(to_fsaverage5(np.where(np.isfinite(q), q <= LEVEL, np.nan), where))
            maps.append(pages.CortexMap(one.subject, names[one.features] + clips, scores, share >= 0.5))
        if one.subject not in regions and voxels["region"].any():
            labels = np.concatenate(to_fsaverage5(voxels["region"], where, discrete=True))
            regions[one.subject] = np.nan_to_num(labels).astype(int)
            region_names[one.subject] = one.region_names
    vertices = isinstance(found[0].where, Surface)
    taken = "" if vertices else " A vertex takes the mean of the voxels between white matter and the brain's surface."
    left_out = f" Shown are {_TURNED} of {len(subjects)} subjects." if len(subjects) > _TURNED else ""
    return pages.Cortex(
        title="The cortex, to turn",
        caption="Pearson's r on test clips, or on all clips by cross-validation, on the inflated cortex of fsaverage5; "
        f"furrows are dark grey. Significant: at a false discovery rate of {LEVEL}. A click on the cortex shows the "
        f"scores of all feature spaces there.{taken}{left_out}",
        mesh=pages.CortexMesh(
            coordinates=tuple(meshes[side].coordinates for side in sides),
            faces=tuple(meshes[side].faces for side in sides),
            depth=tuple(depth[side] for side in sides),
        ),
        maps=tuple(maps),
        colours=(255 * colormaps["viridis"](np.arange(256))[:, :3]).round().astype(np.uint8),
        regions=regions,
        region_names=region_names,
    )
