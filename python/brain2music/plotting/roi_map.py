"""Which regions of interest predict the embedding."""

from collections.abc import Mapping, Sequence
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from brain2music.plotting.style import CHANCE, TWO_COLUMNS, house_style, new_figure

__all__ = ["plot_roi_map"]

#: NIfTI's code for coordinates of the MNI 152 template.
MNI = 4

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
) -> Figure:
    """Draw the mean cross-validated correlation of each region: on the brain, and as bars for the best.

    Parameters
    ----------
    roi_scores : mapping from int to float
        ``BrainDecoder.roi_scores_``: mean cross-validated r by label. Chance is 0; regions at or below it are not
        drawn on a glass brain, and grey in slices.
    labels : nibabel image or path
        Three-dimensional, the label of each voxel, 0 outside; as ``roi_scores`` numbers them.
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
    image: Any = nib.load(labels) if not hasattr(labels, "dataobj") else labels
    values = np.asanyarray(image.dataobj)
    if values.ndim != 3:
        raise ValueError(f"[{where}] labels must be three-dimensional; got shape {values.shape}")
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

    figure = new_figure(TWO_COLUMNS, 1.9 + 0.14 * min(shown, len(scores)))
    grid = figure.add_gridspec(2, 1, height_ratios=(1.2, 0.14 * min(shown, len(scores))))
    norm = Normalize(0, max(max(scores.values()), 1e-6))
    _bars(figure.add_subplot(grid[1]), scores, selected, names or {}, norm, shown)
    if _in_mni(image) if mni is None else mni:
        _glass_brain(figure, grid[0], volume, image, norm)
    else:
        _slices(figure, grid[0], _upright(volume, image.affine), background, norm, where)
    return figure


def _in_mni(image: Any) -> bool:
    header = image.header
    codes = [int(header[code]) for code in ("sform_code", "qform_code") if code in getattr(header, "keys", list)()]
    return MNI in codes


def _glass_brain(
    figure: Figure, place: SubplotSpec, volume: npt.NDArray[np.float64], image: Any, norm: Normalize
) -> None:
    from nilearn import plotting  # type: ignore[import-untyped]  # takes a second to import

    found = nib.nifti1.Nifti1Image(np.nan_to_num(volume).clip(0), image.affine)  # type: ignore[no-untyped-call]
    # nilearn cuts its axes into parts of its own, where no layout follows: so the layout is made first, and kept.
    axes = figure.add_subplot(place)
    axes.axis("off")
    figure.set_layout_engine("constrained", w_pad=0.1)  # room for text that is wider when printed than on a screen
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    drawn = plotting.plot_glass_brain(
        found,
        figure=figure,
        axes=axes,
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


def _upright(volume: npt.NDArray[np.float64], affine: Any) -> nib.nifti1.Nifti1Image:
    """Turn a volume so that its axes run to the right, to the front and up."""
    image = nib.nifti1.Nifti1Image(volume, affine)  # type: ignore[no-untyped-call]
    return nib.funcs.as_closest_canonical(image)  # type: ignore[no-any-return, no-untyped-call]


def _slices(
    figure: Figure,
    place: SubplotSpec,
    image: nib.nifti1.Nifti1Image,
    background: Any,
    norm: Normalize,
    where: str,
) -> None:
    volume = np.asarray(image.dataobj)
    under = None
    if background is not None:
        loaded: Any = nib.load(background) if not hasattr(background, "dataobj") else background
        under = np.asarray(_upright(np.asanyarray(loaded.dataobj).astype(np.float64), loaded.affine).dataobj)
        if under.shape != volume.shape:
            raise ValueError(f"[{where}] background must have the grid of labels, {volume.shape}; got {under.shape}")
    known = ~np.isnan(volume)
    held = np.flatnonzero(known.any(axis=(0, 1)))
    sides = [np.flatnonzero(known.any(axis=axes))[[0, -1]] + (-2.5, 2.5) for axes in ((1, 2), (0, 2))]
    chosen = np.unique(np.linspace(held[0], held[-1], 10).round().astype(int)[1:-1]) if len(held) > 2 else held
    parts = place.subgridspec(1, len(chosen))
    for number, z in enumerate(chosen.tolist()):
        axes = figure.add_subplot(parts[number])
        axes.axis("off")
        part = volume[:, :, z].T
        if under is not None:
            axes.imshow(under[:, :, z].T, origin="lower", cmap="gray", vmin=np.min(under), vmax=np.max(under))
        axes.imshow(  # regions at or below chance
            np.ma.masked_where(~(part <= 0), np.ones(part.shape)), origin="lower", cmap="gray_r", vmin=0, vmax=5
        )
        axes.imshow(np.ma.masked_where(~(part > 0), part), origin="lower", cmap=_COLOURS, norm=norm)
        axes.set(xlim=sides[0], ylim=sides[1])
        height = float(nib.affines.apply_affine(image.affine, [0, 0, z])[2])  # type: ignore[no-untyped-call]
        axes.set_title(f"{height:.0f} mm", fontsize=6.5)
        if number == 0:
            for x, side in ((0.0, "L"), (1.0, "R")):
                axes.text(x, -0.02, side, transform=axes.transAxes, ha="center", va="top", fontsize=6.5)


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
