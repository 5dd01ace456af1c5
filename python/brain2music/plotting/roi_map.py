"""Which regions of interest predict the embedding."""

from collections.abc import Mapping, Sequence
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.transforms import Bbox

from brain2music.encoding import on_template, to_fsaverage5
from brain2music.plotting.cortex import draw_inflated
from brain2music.plotting.slices import draw_slices, upright
from brain2music.plotting.style import CHANCE, TWO_COLUMNS, house_style, new_figure
from brain2music.study import Surface
from brain2music.study.volumes import in_mni

__all__ = ["plot_roi_map"]

_COLOURS = "viridis"


@house_style
def plot_roi_map(
    roi_scores: Mapping[int, float],
    labels: Any,
    background: Any = None,
    selected: Sequence[int] = (),
    names: Mapping[int, str] | None = None,
    mni: bool | None = None,
    shown: int = 12,
    surface: Surface | None = None,
) -> Figure:
    """Draw the mean cross-validated correlation of each region: on the brain, and as bars for the best.

    Parameters
    ----------
    roi_scores : mapping from int to float
        ``BrainDecoder.roi_scores_``: mean cross-validated r by label. Chance is 0; regions at or below it are not
        drawn on a glass brain or a cortex, and grey in slices.
    labels : nibabel image or path, or array of shape (vertices,)
        Three-dimensional, the label of each voxel, 0 outside; or the label of each vertex. As ``roi_scores`` numbers
        them.
    background : nibabel image or path, optional
        Drawn under plain slices, e.g. an anatomical image on the grid of ``labels``.
    selected : sequence or array of int, optional
        Labels of the regions that the decoder uses, set off from the others.
    names : mapping from int to str, optional
        Names of the regions, e.g. ``RegionLabels.names``.
    mni : bool, optional
        Whether ``labels`` lie in MNI space: then a glass brain is drawn, otherwise slices. By default as the image's
        header says (``sform_code`` or ``qform_code`` 4). Right is right in both.
    shown : int, default 12
        How many bars.
    surface : Surface, optional
        Of labels of vertices. On fsaverage5 and finer meshes the cortex is drawn; of any other, the bars alone.

    Returns
    -------
    matplotlib.figure.Figure
        Two columns wide.

    Raises
    ------
    ValueError
        If there is no score, a score is not finite, or none of its labels is in the image.
    """
    where = "plotting.plot_roi_map"
    image: Any = None
    if shown < 1:
        raise ValueError(f"[{where}] shown must be 1 or more; got {shown}")
    if surface is None and isinstance(labels, np.ndarray):
        raise ValueError(f"[{where}] labels of vertices need their surface; got an array of {labels.shape} alone")
    if surface is None:
        image = nib.load(labels) if not hasattr(labels, "dataobj") else labels
    values = np.asarray(labels) if image is None else np.asanyarray(image.dataobj)
    if values.ndim != 3 and image is not None:
        raise ValueError(f"[{where}] labels must be three-dimensional; got shape {values.shape}")
    if surface is not None and values.shape != surface.shape:
        raise ValueError(f"[{where}] labels must be of the vertices of {surface}; got shape {values.shape}")
    scores = {int(label): float(score) for label, score in roi_scores.items()}
    if not scores or not np.isfinite(list(scores.values())).all():
        raise ValueError(f"[{where}] roi_scores must be finite, one or more; got {scores}")
    volume = np.full(values.shape, np.nan)
    for label, score in scores.items():
        volume[values == label] = score
    if np.isnan(volume).all():
        raise ValueError(f"[{where}] roi_scores must be of labels in the image; got {sorted(scores)[:5]} ...")
    selected = [int(label) for label in selected]
    unknown = set(selected) - set(scores)
    if unknown:
        raise ValueError(f"[{where}] selected must be labels of roi_scores; got {sorted(unknown)}")

    bars = 0.14 * min(shown, len(scores))
    bare = surface is not None and not on_template(surface)
    figure = new_figure(TWO_COLUMNS, (0.7 if bare else 1.9) + bars)
    grid = figure.add_gridspec(2, 1, height_ratios=(0.01 if bare else 1.2, bars))
    norm = Normalize(0, max(max(scores.values()), 1e-6))
    _bars(figure.add_subplot(grid[1]), scores, selected, names or {}, norm, shown)
    if bare:
        return figure
    if surface is not None:
        box = _place(figure, grid[0])
        above = np.where(volume > 0, volume, np.nan)
        room = 0.15 / figure.get_figheight()  # for the names of the views
        draw_inflated(figure, box.y0, box.y1 - room, to_fsaverage5(above, surface), norm, colormaps[_COLOURS])
    elif in_mni(image) if mni is None else mni:
        _glass_brain(figure, grid[0], volume, image, norm)
    else:
        brain = upright(volume, image.affine)
        chance = np.asarray(brain.dataobj) <= 0
        draw_slices(figure, grid[0], brain, background, norm, _COLOURS, where, grey=chance)
    return figure


def _glass_brain(
    figure: Figure, place: SubplotSpec, volume: npt.NDArray[np.float64], image: Any, norm: Normalize
) -> None:
    from nilearn import plotting  # type: ignore[import-untyped]  # takes a second to import

    found = nib.nifti1.Nifti1Image(np.nan_to_num(volume).clip(0), image.affine)  # type: ignore[no-untyped-call]
    _place(figure, place)
    drawn = plotting.plot_glass_brain(
        found,
        figure=figure,
        axes=figure.axes[-1],
        display_mode="lyrz",
        cmap=_COLOURS,
        vmin=0,
        vmax=norm.vmax,
        threshold=1e-9,
        colorbar=False,
        plot_abs=False,
        annotate=False,
    )
    drawn.annotate(size=7, positions=False)


def _place(figure: Figure, place: SubplotSpec) -> Bbox:
    """Keep a place, and lay the figure out for good: no layout follows into the axes that nilearn cuts up."""
    axes = figure.add_subplot(place)
    axes.axis("off")
    figure.set_layout_engine("constrained", w_pad=0.1)  # room for text that is wider when printed than on a screen
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return axes.get_position()


def _bars(
    axes: Axes,
    scores: Mapping[int, float],
    selected: Sequence[int],
    names: Mapping[int, str],
    norm: Normalize,
    shown: int,
) -> None:
    best = sorted(scores, key=lambda label: -scores[label])[:shown]
    colours = ScalarMappable(norm, _COLOURS).to_rgba(np.array([scores[label] for label in best]))
    axes.barh(range(len(best)), [scores[label] for label in best], color=colours, height=0.72)
    axes.axvline(0, color=CHANCE, linestyle=(0, (2.5, 1.5)), linewidth=1.0)
    axes.set_yticks(range(len(best)), [names.get(label, str(label)) for label in best])
    for tick, label in zip(axes.get_yticklabels(), best, strict=True):
        if label in selected:
            tick.set_fontweight("bold")
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.spines.left.set_visible(False)
    chosen = "; bold: used by the decoder" if selected else ""
    axes.set_xlabel(f"mean cross-validated r (colours as on the brain; dashed: chance, 0{chosen})")
