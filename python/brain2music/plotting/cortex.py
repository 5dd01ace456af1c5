"""Maps of the cortex: a number for each voxel or vertex, on FreeSurfer's average brain."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from brain2music.encoding import on_template, to_fsaverage5, to_nifti
from brain2music.encoding.maps import real_numbers
from brain2music.plotting.slices import draw_slices, upright
from brain2music.plotting.style import TWO_COLUMNS, house_style, new_figure
from brain2music.study import Surface

__all__ = ["draw_inflated", "flags_of", "fsaverage5", "plot_cortex"]

#: Hemispheres and sides of the inflated surface, as a journal shows them.
_VIEWS = (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral"))

#: How much larger than its place the axes of a view are, and a view in its axes.
_WIDER, _ZOOM = 1.6, 1.22

OWN_SPACE = "These voxels do not lie in MNI 152: slices are drawn, in place of an average brain's cortex."
NO_MESH = "There is no mesh of {space} here to draw on: bring the data to fsaverage5 or MNI 152."


@house_style
def plot_cortex(
    values: Any,
    where: Any,
    significant: Any = None,
    *,
    kind: str = "inflated",
    label: str = "r",
    vmax: float | None = None,
    background: Any = None,
) -> Figure:
    """Draw a number for each voxel or vertex on the cortex of fsaverage5.

    Parameters
    ----------
    values : array of shape (v,)
        Such as ``tested.score``; NaN is not drawn.
    where : nibabel image, path, or Surface
        ``brain.mask`` or ``brain.surface``. A mask in MNI 152 (its header says so) is projected by
        :func:`brain2music.encoding.to_fsaverage5`; of any other mask slices are drawn, and the figure says why.
    significant : array of shape (v,), bool, optional
        Which are drawn, such as ``tested.significant()``; all by default. A vertex is drawn where half of what it takes
        its value from is significant.
    kind : {"inflated", "flat"}, default "inflated"
        The surface: swollen up, seen from both sides; or cut and laid flat.
    label : str, default "r"
        Of the colour bar, with its unit.
    vmax : float, optional
        End of the colours; by default the largest value drawn. Larger values take the last colour, and the bar ends in
        an arrow.
    background : nibabel image or path, optional
        Under slices, on the grid of the mask.

    Returns
    -------
    matplotlib.figure.Figure
        Two columns wide. Colours run from 0 up; if there are values below 0, they run from blue over white to red.

    Raises
    ------
    ValueError
        If shapes do not fit, or vertices lie on a mesh that is not here. Where nothing is significant, the cortex is
        drawn without a colour.
    """
    name = "plotting.plot_cortex"
    if kind not in ("inflated", "flat"):
        raise ValueError(f"[{name}] kind must be 'inflated' or 'flat'; got {kind!r}")
    array = real_numbers(values, f"[{name}] values")
    if array.ndim != 1:
        raise ValueError(f"[{name}] values must be of shape (v,); got {array.shape}")
    drawn = np.isfinite(array) & flags_of(significant, array.shape, name)
    template = on_template(where)
    if isinstance(where, Surface) and not template:
        raise ValueError(f"[{name}] {NO_MESH.format(space=where.space)[:-1]}; got {where}")
    norm, colours, ends = _colours(array[drawn], vmax, name)
    height = {"inflated": 1.95, "flat": 3.4}[kind] if template else 1.9
    figure = new_figure(TWO_COLUMNS, height)
    # The parts have places of their own: no layout engine knows how much of its box a surface fills.
    figure.set_layout_engine("none")
    bottom, top = 0.55 / height, 1 - 0.2 / height
    if template:
        sides = _projected(array, drawn, where)
        (draw_inflated if kind == "inflated" else _flat)(figure, bottom, top, sides, norm, colours)
    else:
        grid = figure.add_gridspec(1, 1, left=0.02, right=0.98, bottom=bottom, top=top - 0.2 / height)
        _slices(figure, grid[0], array, drawn, where, background, norm, colours, name)
    bar = figure.add_axes((0.35, 0.36 / height, 0.3, 0.09 / height))
    figure.colorbar(ScalarMappable(norm, colours), cax=bar, orientation="horizontal", label=label, extend=ends)
    return figure


def flags_of(significant: Any, shape: tuple[int, ...], name: str) -> npt.NDArray[np.bool_]:
    """Return which voxels are drawn; all where nothing is said."""
    if significant is None:
        return np.ones(shape, bool)
    flags = np.asarray(significant.detach().cpu() if isinstance(significant, torch.Tensor) else significant)
    if flags.shape != shape or flags.dtype != bool:
        raise ValueError(
            f"[{name}] significant must be of shape {shape}, bool; got {flags.dtype} of shape {flags.shape}"
        )
    return flags


def _colours(drawn: npt.NDArray[np.float64], vmax: float | None, name: str) -> tuple[Normalize, Colormap, str]:
    """Return norm, colours, and the ends of the bar that values lie beyond."""
    largest = float(np.abs(drawn).max()) if len(drawn) else 1.0
    if vmax is not None and (not isinstance(vmax, int | float | np.number) or not 0 < vmax < np.inf):
        raise ValueError(f"[{name}] vmax must be above 0; got {vmax!r}")
    top = vmax if vmax is not None else largest or 1.0
    below = bool(len(drawn)) and bool(drawn.min() < 0)
    ends = {(False, False): "neither", (True, False): "max", (False, True): "min", (True, True): "both"}[
        bool(len(drawn)) and bool(drawn.max() > top), below and bool(drawn.min() < -top)
    ]
    return Normalize(-top if below else 0, top), colormaps["RdBu_r" if below else "viridis"], ends


def _projected(array: npt.NDArray[np.float64], drawn: npt.NDArray[np.bool_], where: Any) -> list[npt.NDArray[Any]]:
    """Return both hemispheres, NaN where nothing is drawn."""
    shown = to_fsaverage5(np.where(np.isfinite(array), drawn, np.nan), where)
    sides = to_fsaverage5(array, where)
    return [np.where(share >= 0.5, side, np.nan) for share, side in zip(shown, sides, strict=True)]


def fsaverage5() -> tuple[Any, Any]:
    """Return the surfaces of fsaverage5 by name, and the depth of their furrows by side."""
    from nilearn import datasets  # type: ignore[import-untyped]  # takes a second to import

    depth = datasets.load_fsaverage_data(mesh="fsaverage5", data_type="sulcal", mesh_type="inflated")
    return datasets.load_fsaverage("fsaverage5"), depth.data.parts


def draw_inflated(
    figure: Figure, bottom: float, top: float, sides: Sequence[npt.NDArray[Any]], norm: Normalize, colours: Colormap
) -> None:
    """Draw four views of the inflated surface side by side, between two heights of the figure.

    Parameters
    ----------
    figure : Figure
    bottom, top : float
        Shares of the figure's height.
    sides : (left, right)
        A number for each vertex of fsaverage5; NaN is not drawn.
    norm, colours
        From numbers to colours.
    """
    from nilearn import plotting

    meshes, depth = fsaverage5()
    for number, (side, view) in enumerate(_VIEWS):
        # nilearn leaves a wide margin; axes that are larger than their place, and overlap, cut nothing off.
        width, height = 1 / len(_VIEWS), top - bottom
        left, low = (number - (_WIDER - 1) / 2) * width, bottom - (_WIDER - 1) / 2 * height
        axes: Any = figure.add_axes((left, low, _WIDER * width, _WIDER * height), projection="3d")
        shown = sides[side == "right"]
        empty = not np.isfinite(shown).any()
        plotting.plot_surf_stat_map(
            stat_map=np.zeros(len(shown)) if empty else shown,  # nilearn looks for the smallest number of a map
            surf_mesh=meshes["inflated"].parts[side],
            bg_map=depth[side],
            hemi=side,
            view=view,
            figure=figure,
            axes=axes,
            colorbar=False,
            cmap=colours,
            vmin=norm.vmin,
            vmax=norm.vmax,
            threshold=norm.vmax if empty else None,
            avg_method=_furthest,
        )
        for collection in axes.collections:
            collection.set_rasterized(True)  # forty thousand faces would make an SVG of 15 MB
        axes.set_box_aspect(None, zoom=_ZOOM)
        axes.patch.set_visible(False)  # it would hide what lies beside
        figure.text((number + 0.5) / len(_VIEWS), top, f"{side}, {view}", ha="center", va="bottom")


def _furthest(corners: npt.NDArray[Any]) -> Any:
    """Give a face the value of its corner that is furthest from 0: nilearn's mean is NaN where one corner is."""
    return corners[np.argmax(np.where(np.isnan(corners), -1, np.abs(corners)))]


def _flat(
    figure: Figure, bottom: float, top: float, sides: Sequence[npt.NDArray[Any]], norm: Normalize, colours: Colormap
) -> None:
    meshes, depth = fsaverage5()
    for number, side in enumerate(("left", "right")):
        axes = figure.add_axes((number / 2, bottom, 0.5, top - bottom))
        mesh = meshes["flat"].parts[side]
        x, y = mesh.coordinates[:, 0], mesh.coordinates[:, 1]
        used = np.unique(mesh.faces)  # the cut leaves vertices that belong to no face
        shade = np.where(depth[side] > 0, 0.55, 0.8)
        _triangles(axes, x, y, mesh.faces, shade[mesh.faces].mean(axis=1), Normalize(0, 1), colormaps["gray"])
        values = sides[number]
        corners = values[mesh.faces]
        faces = mesh.faces[np.isfinite(corners).any(axis=1)]
        if len(faces):
            best = np.apply_along_axis(_furthest, 1, values[faces])
            _triangles(axes, x, y, faces, best, norm, colours)
        axes.set(aspect="equal", xlim=(x[used].min(), x[used].max()), ylim=(y[used].min(), y[used].max()))
        axes.axis("off")
        figure.text((number + 0.5) / 2, top, side, ha="center", va="bottom")


def _triangles(axes: Axes, x: Any, y: Any, faces: Any, values: Any, norm: Normalize, colours: Colormap) -> None:
    axes.tripcolor(x, y, faces, facecolors=values, norm=norm, cmap=colours, rasterized=True)


def _slices(
    figure: Figure,
    place: SubplotSpec,
    array: npt.NDArray[np.float64],
    drawn: npt.NDArray[np.bool_],
    where: Any,
    background: Any,
    norm: Normalize,
    colours: Colormap,
    name: str,
) -> None:
    if not len(array):
        raise ValueError(f"[{name}] the mask must hold a voxel; got none")
    image: Any = to_nifti(np.where(drawn, array, np.nan), where)
    inside: Any = to_nifti(np.ones(len(array)), where)
    volume = upright(np.asarray(image.dataobj), image.affine)
    brain = np.asarray(upright(np.asarray(inside.dataobj), inside.affine).dataobj) == 1
    figure.suptitle(OWN_SPACE, fontsize=7, y=0.99)
    draw_slices(figure, place, volume, background, norm, colours, name, brain & np.isnan(np.asarray(volume.dataobj)))
