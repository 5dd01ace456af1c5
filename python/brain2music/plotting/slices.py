"""Axial slices of a volume, right side right: what is drawn where no template's brain may be."""

from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

__all__ = ["draw_slices", "upright"]


def upright(volume: npt.NDArray[Any], affine: Any) -> nib.nifti1.Nifti1Image:
    """Turn a volume so that its axes run to the right, to the front and up."""
    image = nib.nifti1.Nifti1Image(volume, affine)  # type: ignore[no-untyped-call]
    return nib.funcs.as_closest_canonical(image)  # type: ignore[no-any-return, no-untyped-call]


def draw_slices(
    figure: Figure,
    place: SubplotSpec,
    image: nib.nifti1.Nifti1Image,
    background: Any,
    norm: Normalize,
    colours: str | Colormap,
    where: str,
    grey: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Draw up to eight slices, from bottom to top.

    Parameters
    ----------
    figure, place
        Where to draw.
    image : nibabel image
        Upright; NaN is not drawn.
    background : nibabel image or path, optional
        Drawn in grey under the slices, of the same grid.
    norm, colours
        From numbers to colours.
    where : str
        Who draws; signs errors.
    grey : array of the image's shape, bool, optional
        Voxels drawn in grey in place of a colour.
    """
    volume = np.asarray(image.dataobj)
    under = None
    if background is not None:
        loaded: Any = nib.load(background) if not hasattr(background, "dataobj") else background
        under = np.asarray(upright(np.asanyarray(loaded.dataobj).astype(np.float64), loaded.affine).dataobj)
        if under.shape != volume.shape:
            raise ValueError(f"[{where}] background must have the grid of labels, {volume.shape}; got {under.shape}")
    grey = np.zeros(volume.shape, bool) if grey is None else grey
    known = ~np.isnan(volume) | grey
    held = np.flatnonzero(known.any(axis=(0, 1)))
    sides = [np.flatnonzero(known.any(axis=axes))[[0, -1]] + (-2.5, 2.5) for axes in ((1, 2), (0, 2))]
    chosen = np.unique(np.linspace(held[0], held[-1], 10).round().astype(int)[1:-1]) if len(held) > 2 else held
    parts = place.subgridspec(1, len(chosen))
    for number, z in enumerate(chosen.tolist()):
        axes = figure.add_subplot(parts[number])
        axes.axis("off")
        if under is not None:
            axes.imshow(under[:, :, z].T, origin="lower", cmap="gray", vmin=np.min(under), vmax=np.max(under))
        part, shade = volume[:, :, z].T, grey[:, :, z].T
        axes.imshow(np.ma.masked_where(~shade, np.ones(part.shape)), origin="lower", cmap="gray_r", vmin=0, vmax=5)
        axes.imshow(np.ma.masked_where(np.isnan(part) | shade, part), origin="lower", cmap=colours, norm=norm)
        axes.set(xlim=sides[0], ylim=sides[1])
        height = float(nib.affines.apply_affine(image.affine, [0, 0, z])[2])  # type: ignore[no-untyped-call]
        axes.set_title(f"{height:.0f} mm", fontsize=6.5)
        if number == 0:
            for x, side in ((0.0, "L"), (1.0, "R")):
                axes.text(x, -0.02, side, transform=axes.transAxes, ha="center", va="top", fontsize=6.5)
