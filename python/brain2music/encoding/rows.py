"""What goes into an encoder, laid out as rows: a window of a clip each, or a scan."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brain2music.encoding.delays import delayed
from brain2music.study.windows import average_windows, members_of

__all__ = ["Rows", "as_rows", "values_of"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a regression.

    Attributes
    ----------
    features : array of shape (m, p), or None
    responses : array of shape (m, t), or None
    groups : array of shape (m,) or None
        The run of each row.
    clips, windows : int
        m is their product; windows is 1 where a row stands by itself.
    notes : tuple of str
        What was left out.
    whole : array, bool
        Which of the clips, or rows, given were kept.
    """

    features: Any
    responses: Any
    groups: npt.NDArray[Any] | None
    clips: int
    windows: int
    notes: tuple[str, ...]
    whole: npt.NDArray[np.bool_]

    def expanded(self, folds: Sequence[tuple[npt.NDArray[np.int64], ...]]) -> list[tuple[npt.NDArray[np.int64], ...]]:
        """Turn folds of the clips, or rows, that were given into folds of the rows that were kept."""
        number = np.cumsum(self.whole) - 1
        windows = np.arange(self.windows)
        return [
            tuple((number[part[self.whole[part]], None] * self.windows + windows).ravel() for part in fold)
            for fold in folds
        ]


def as_rows(
    features: Any,
    responses: Any,
    groups: npt.ArrayLike | None,
    delays: Sequence[int] | None,
    tr: float,
    where: str,
) -> Rows:
    """Lay features and responses out.

    Parameters
    ----------
    features : array of shape (m, p) or (n, r, p), or Embeddings
        Embeddings average the scans of their windows, where responses hold scans.
    responses : array of shape (m, t), (n, r, t), or with Embeddings (n, s, t); or None
        A clip with a window that holds NaN in all voxels, or scans that were not measured, is left out; so is a row
        that is a scan. Windows that a shorter clip lacks (NaN in its features) are left out of all clips. Voxels that
        are NaN throughout are taken as 0.
    groups : array-like of shape (m,) or (n,), optional
    delays : sequence of int, optional
        For rows that are scans.
    tr : float
        Seconds from scan to scan.
    where : str
        Who asks; signs errors.
    """
    length, hop = getattr(features, "window", None), getattr(features, "hop", None)
    x = _plain(values_of(features), "features", where)
    y = None if responses is None else _plain(responses, "responses", where)
    if x.ndim not in (2, 3) or (y is not None and y.ndim != x.ndim):
        raise ValueError(
            f"[{where}] features and responses must both be (rows, ...) or both (clips, windows, ...); got shapes "
            f"{tuple(x.shape)} and {None if y is None else tuple(y.shape)}"
        )
    y, notes = (None, ()) if y is None else _without_empty(y)
    if isinstance(x, torch.Tensor) != isinstance(y, torch.Tensor) and y is not None:  # of one kind, that of responses
        x = torch.as_tensor(x, device=y.device) if isinstance(y, torch.Tensor) else x.cpu().numpy()
    if x.ndim == 2:
        if y is not None and len(x) != len(y):
            raise ValueError(f"[{where}] features and responses must have equal rows; got {len(x)} and {len(y)}")
        labels = _labels(groups, len(x), where)
        if delays is not None:
            x = delayed(x, delays, labels)
        return _measured_scans(x, y, labels, notes)
    if delays is not None:
        raise ValueError(
            f"[{where}] delays are for rows that are scans, (m, p); got clips of windows, {tuple(x.shape)}"
        )
    if y is not None and y.shape[1] != x.shape[1] and length is not None and hop is not None:
        members = members_of(length, hop, x.shape[1], y.shape[1], tr, "features", where)
        averaged = average_windows(y.cpu().numpy() if isinstance(y, torch.Tensor) else y, members)
        y = torch.from_numpy(averaged).to(y.device) if isinstance(y, torch.Tensor) else averaged
    if y is not None and y.shape[:2] != x.shape[:2]:
        raise ValueError(
            f"[{where}] features and responses must have equal clips and windows; got {tuple(x.shape)} and "
            f"{tuple(y.shape)}"
        )
    labels = _labels(groups, len(x), where)
    whole = np.ones(len(x), bool)
    if y is not None:
        x, y, left_out = _common_windows(x, y, where)
        notes += left_out
        whole = ~torch.as_tensor(y).isnan().all(dim=2).any(dim=1).cpu().numpy()
        if not whole.all():
            missing = np.flatnonzero(~whole)
            notes = (
                *notes,
                f"{len(missing)} clips have a window without a scan and were left out: {', '.join(map(str, missing))}.",
            )
            x, y = x[whole], y[whole]
            labels = None if labels is None else labels[whole]
    rows = None if labels is None else np.repeat(labels, x.shape[1])
    flat = None if y is None else y.reshape(-1, y.shape[2])
    return Rows(x.reshape(-1, x.shape[2]), flat, rows, len(x), x.shape[1], notes, whole)


def _without_empty(y: Any) -> tuple[Any, tuple[str, ...]]:
    """Take voxels that are NaN throughout as 0, and say so: some programs mark the medial wall's vertices so.

    A voxel that is 0 does not vary. It is not tested, and keeps its place.
    """
    tensor = isinstance(y, torch.Tensor)
    isnan: Any = torch.isnan if tensor else np.isnan
    rows = (row for part in y for row in part.reshape(-1, y.shape[-1]))
    first = next((missing for missing in map(isnan, rows) if not missing.all()), None)
    if first is None or not first.any():
        return y, ()
    apart = tuple(range(y.ndim - 1))
    empty = np.flatnonzero(first.cpu() if tensor else first)
    empty = empty[np.asarray(isnan(y[..., empty]).all(apart).cpu() if tensor else isnan(y[..., empty]).all(apart))]
    if not len(empty):
        return y, ()
    filled = y.clone() if tensor else y.copy()
    measured = ~isnan(y).all(-1)  # what is NaN in all voxels stays so: it was not measured
    for voxel in empty.tolist():
        filled[..., voxel][measured] = 0
    return filled, (f"{len(empty)} voxels are NaN throughout: 0 there.",)


def _measured_scans(x: Any, y: Any, labels: npt.NDArray[Any] | None, notes: tuple[str, ...]) -> Rows:
    """Leave out scans that were not measured, NaN in all voxels; their features count in the delayed ones."""
    whole = np.ones(len(x), bool)
    if y is None or not np.isnan(_column(y)).any():
        return Rows(x, y, labels, len(x), 1, notes, whole)
    whole = ~torch.as_tensor(y).isnan().all(dim=1).cpu().numpy()
    if whole.all():  # that voxel alone has none
        return Rows(x, y, labels, len(x), 1, notes, whole)
    notes += (f"{int((~whole).sum())} of {len(whole)} scans were not measured and were left out.",)
    kept = torch.as_tensor(whole, device=y.device) if isinstance(y, torch.Tensor) else whole
    return Rows(x[kept], y[kept], None if labels is None else labels[whole], int(whole.sum()), 1, notes, whole)


def _column(y: Any) -> npt.NDArray[Any]:
    """Return the first voxel, which tells quickly whether a scan may be missing."""
    first = y[:, :1]
    return first.cpu().numpy() if isinstance(first, torch.Tensor) else np.asarray(first)


def _common_windows(x: Any, y: Any, where: str) -> tuple[Any, Any, tuple[str, ...]]:
    """Leave out windows that a clip lacks: orders of the clips need windows that all have."""
    lacking = torch.as_tensor(x).isnan().all(dim=2).any(dim=0).cpu().numpy()
    if not lacking.any():
        return x, y, ()
    if lacking.all():
        raise ValueError(f"[{where}] there must be a window that all clips have; got none")
    kept = np.flatnonzero(~lacking)
    note = f"{int(lacking.sum())} of {len(lacking)} windows are not there in all clips and were left out."
    return x[:, kept], y[:, kept], (note,)


def values_of(features: Any) -> Any:
    """Return the array of embeddings, or an array itself; a tensor has a method of that name."""
    plain = isinstance(features, (np.ndarray, torch.Tensor, list, tuple))
    return features if plain else getattr(features, "values", features)


def _plain(values: Any, name: str, where: str) -> Any:
    """Return a tensor or array of float32 or float64."""
    if isinstance(values, torch.Tensor):
        if values.dtype.is_complex:
            raise ValueError(f"[{where}] {name} must hold real numbers; got {values.dtype}")
        return values if values.dtype in (torch.float32, torch.float64) else values.float()
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"[{where}] {name} must hold real numbers; got {values.dtype}")
    if not values.size:
        raise ValueError(f"[{where}] {name} must not be empty; got shape {values.shape}")
    if any(stride < 0 for stride in values.strides):  # PyTorch knows none
        values = values.copy()
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)


def _labels(groups: npt.ArrayLike | None, rows: int, where: str) -> npt.NDArray[Any] | None:
    if groups is None:
        return None
    labels = np.asarray(groups)
    if labels.shape != (rows,):
        raise ValueError(f"[{where}] groups must hold one label for each of {rows}; got shape {labels.shape}")
    if labels.dtype.kind in "fO":
        missing = np.array([label is None or label != label for label in labels.tolist()], bool)
        if missing.any():
            raise ValueError(
                f"[{where}] groups must hold one label for each of {rows}; got {int(missing.sum())} without, number "
                f"{int(np.argmax(missing))} the first"
            )
    return labels
