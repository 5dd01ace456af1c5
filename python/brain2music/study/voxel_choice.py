"""Which voxels of a subject are read, and the regions that they belong to."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music.study.layout import Layout, Run
from brain2music.study.masks import load_mask
from brain2music.study.names import entities, fetched
from brain2music.study.regions import label_names, load_labels
from brain2music.study.subject import RunData
from brain2music.study.surfaces import Surface, vertex_labels
from brain2music.study.volumes import Grid

__all__ = ["VoxelChoice"]


class VoxelChoice:
    """Chooses voxels and regions as :class:`brain2music.Study` was told to; its docstring explains the parameters."""

    def __init__(
        self,
        layout: Layout,
        rois: str | Path | Sequence[str | Path] | None,
        mask: Any,
        threshold: float | None,
        assume_aligned: bool,
        same_grid: bool,
        fewest: int,
    ) -> None:
        self._layout, self._rois, self._mask = layout, rois, mask
        self.assume_aligned, self.same_grid = assume_aligned, same_grid
        if isinstance(fewest, bool) or not isinstance(fewest, int) or fewest < 1:
            raise ValueError(f"[study.Study] min_regions must be a whole number from 1; got {fewest!r}")
        self._fewest = fewest
        self._threshold = self._checked(threshold)

    @property
    def reads_brain_masks(self) -> bool:
        """Whether the brain masks beside preprocessed BOLD choose the voxels."""
        return self._mask is None and self._rois is None

    def labels(
        self, subject: str, run: Run, grid: Grid
    ) -> tuple[npt.NDArray[np.int32] | None, dict[int, str], list[str]]:
        """Read the labels of a subject onto the BOLD's grid.

        Returns
        -------
        labels : array of shape (x, y, z), int32, or None
            None where no regions were asked for.
        names : dict
            From label to name.
        notes : list of str
        """
        if self._rois is None:
            return None, {}, []
        names = None
        if isinstance(self._rois, tuple | list):
            if len(self._rois) != 2:
                raise ValueError(
                    f"[study.Study] rois must be one image, or an image and its table of names; got {self._rois!r}"
                )
            image, table = (_for_subject(path, subject) for path in self._rois)
            names = label_names(image, table, fewest=self._fewest)
        elif self._rois == "destrieux":
            image = self._layout.destrieux(subject)
        else:
            image = _for_subject(self._rois, subject)
        # FreeSurfer's volumes lie where the subject's T1-weighted image does.
        space = "T1w" if image.name.startswith("aparc.a2009s+aseg") else entities(image).get("space")
        if not self.assume_aligned and space is not None and space != run.space:
            raise ValueError(
                f"[study.Study] labels must lie in the space of the BOLD, {run.space or 'native'}; got space {space} "
                f"of {image} (choose the BOLD's with space=, or say assume_aligned=True)"
            )
        if names is None:
            roots = [
                folder for folder in (*self._layout.pipelines(subject), self._layout.root) if folder in image.parents
            ]
            names = label_names(image, root=roots[0] if roots else None, fewest=self._fewest)
        labels, notes = load_labels(fetched(image), names, grid, same_grid=self.same_grid)
        return labels, names, notes

    def vertices(self, subject: str, surface: Surface) -> tuple[npt.NDArray[np.int32] | None, dict[int, str]]:
        """Read the regions of a surface's vertices; no vertex is left out, so there is no mask.

        Returns
        -------
        labels : array of shape (vertices,), int32, or None
            None where no regions were asked for.
        names : dict
            From label to name.
        """
        if self._mask is not None:
            raise ValueError(
                f"[study.Study] mask is for volumes: every vertex of a surface is kept; got a mask beside {surface}"
            )
        if self._rois is None:
            return None, {}
        if isinstance(self._rois, tuple | list):
            given = [_for_subject(path, subject) for path in self._rois]
            if len(given) != 2:
                raise ValueError(
                    f"[study.Study] rois of a surface must be two files, left and right; got {len(given)}: {self._rois}"
                )
            left, right = given
        elif self._rois == "destrieux":
            left, right = self._layout.destrieux_of(surface.space, subject)
        else:
            raise ValueError(
                "[study.Study] rois of a surface must be 'destrieux' or two files, left and right, .annot or "
                f".label.gii; got {self._rois} beside {surface}"
            )
        return vertex_labels((fetched(left), fetched(right)), surface)

    def mask(
        self, subject: str, runs: list[RunData], grid: Grid, labels: npt.NDArray[np.int32] | None
    ) -> tuple[npt.NDArray[np.bool_], list[str]]:
        """Choose the voxels to keep: by the mask given, else those in a region, else those in all brain masks.

        Returns
        -------
        inside : array of shape (x, y, z), bool
        notes : list of str
        """
        load = partial(load_mask, grid=grid, threshold=self._threshold, same_grid=self.same_grid)
        if self._mask is not None:
            mask = _for_subject(self._mask, subject) if isinstance(self._mask, str | Path) else self._mask
            return load(mask)
        if labels is not None:
            return np.not_equal(labels, 0), []
        masks = [item.run.mask for item in runs]
        found = [mask for mask in masks if mask is not None]
        if len(found) < len(masks):
            raise FileNotFoundError(
                "[study.Study] voxels must be chosen by mask=, rois= or a *_desc-brain_mask of every run; got "
                f"{len(found)} brain masks for {len(masks)} runs of sub-{subject}"
            )
        common, notes = load(fetched(found[0]))
        for path in found[1:]:
            inside, told = load(fetched(path))
            common &= inside
            notes += told
        return common, notes

    def _checked(self, threshold: float | None) -> float | None:
        if threshold is None:
            return None
        number = isinstance(threshold, int | float | np.number) and not isinstance(threshold, bool)
        if not number or not np.isfinite(threshold):
            raise ValueError(f"[study.Study] mask_threshold must be a finite number; got {threshold!r}")
        if self._mask is None and self._rois is not None:
            raise ValueError(
                f"[study.Study] mask_threshold needs mask=, where voxels are chosen by rois; got {threshold!r}"
            )
        return float(threshold)


def _for_subject(path: Any, subject: str) -> Path:
    return Path(str(path).replace("{subject}", subject))
