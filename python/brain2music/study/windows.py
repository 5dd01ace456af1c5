"""From scans to the windows of an embedding: which scans count, their mean, and the rows of a regression."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music import _core

__all__ = ["EMBEDDING_WINDOWS", "WindowRows", "Windows", "average_windows", "members_of", "window_rows"]


@dataclass(frozen=True)
class Windows:
    """Windows that move over a clip: ``length`` and ``hop`` in seconds, ``count`` of them."""

    length: float
    hop: float = 1.5
    clip: float = 15.0

    def __post_init__(self) -> None:
        if not (0 < self.length <= self.clip < math.inf and 0 < self.hop < math.inf):
            raise ValueError(
                "[study.Windows] length must be positive and at most clip, hop positive; got "
                f"{self.length}, {self.clip}, {self.hop} s"
            )

    @property
    def count(self) -> int:
        """How many windows fit into the clip (r); one that ends after it by at most a tenth of a hop counts."""
        return _core.embedding.window_count(self.clip, self.length, self.hop)

    def scans(self, n_scans: int = 10, tr: float = 1.5) -> npt.NDArray[np.bool_]:
        """Return which of a clip's scans fall in which window: every scan that starts inside it.

        Parameters
        ----------
        n_scans : int
            Scans a clip.
        tr : float
            Seconds from scan to scan.

        Returns
        -------
        array of shape (count, n_scans), bool
        """
        starts = np.arange(n_scans) * tr
        begins = np.arange(self.count)[:, None] * self.hop
        inside: npt.NDArray[np.bool_] = (starts > begins - 1e-6) & (starts < begins + self.length - 1e-6)
        if not inside.any(axis=1).all():
            raise ValueError(
                f"[study.Windows] a scan must start inside every window; got none in windows of {self.length} s every "
                f"{self.hop} s at {n_scans} scans of {tr} s"
            )
        return inside


#: Table 1 of Denk, Takagi et al. (2023), with 10, 7, 4 and 1 windows a clip.
EMBEDDING_WINDOWS = {
    "soundstream-avg": Windows(1.5),
    "w2v-bert-avg": Windows(5.0),
    "mulan-music": Windows(10.0),
    "mulan-text": Windows(15.0),
}


@dataclass(frozen=True, eq=False)
class WindowRows:
    """Rows of a regression, one for each window of each clip that holds a scan.

    Parameters
    ----------
    responses : array of shape (m, v)
        Mean of the scans present in the window.
    clip, window : arrays of shape (m,), int
        Which clip and which window a row is: ``targets[clip, window]`` are its targets, ``groups[clip]`` its group.
    left_out : tuple of (int, int)
        Clips and windows without any scan.
    """

    responses: npt.NDArray[np.float32]
    clip: npt.NDArray[np.int64]
    window: npt.NDArray[np.int64]
    left_out: tuple[tuple[int, int], ...]


def members_of(
    length: float, hop: float, count: int, scans: int, tr: float, name: str, where: str
) -> npt.NDArray[np.bool_]:
    """Return which scans fall in which window, for an array that holds so many windows of a clip.

    Parameters
    ----------
    length, hop, tr : float
        Seconds: of the windows, and from scan to scan.
    count, scans : int
        Windows that the array holds, and scans of a clip.
    name, where : str
        What the array is called, and who asks; for the error.

    Returns
    -------
    array of shape (count, scans), bool

    Raises
    ------
    ValueError
        If another number of windows fits into the scans.
    """
    windows = Windows(length, hop, clip=scans * tr)
    if windows.count != count:
        raise ValueError(
            f"[{where}] {name} must hold the windows that fit into {scans} scans of {tr} s; got {count} in place of "
            f"{windows.count} windows of {length} s every {hop} s"
        )
    return windows.scans(scans, tr)


def average_windows(responses: npt.NDArray[Any], members: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Average the scans of each window.

    Parameters
    ----------
    responses : array of shape (n, s, v)
        Clips, scans, voxels. A missing scan is NaN in all its voxels.
    members : array of shape (r, s), bool
        Which scans fall in which window, as :meth:`Windows.scans` returns.

    Returns
    -------
    array of shape (n, r, v), float32
        Mean over the scans that are present; NaN where none is.

    Raises
    ------
    ValueError
        If shapes do not fit, or a scan is NaN in some voxels only.
    """
    if responses.ndim != 3 or members.ndim != 2 or members.shape[1] != responses.shape[1]:
        raise ValueError(
            "[study.average_windows] responses must be (clips, scans, voxels) and members (windows, scans); got "
            f"{responses.shape} and {members.shape}"
        )
    result = np.empty((len(responses), len(members), responses.shape[2]), dtype=np.float32)
    for number, scans in enumerate(responses):  # clip by clip: no second array of the responses' size
        missing = np.isnan(scans)
        present = ~missing.any(axis=1)
        if not missing[~present].all():
            scan = int(np.flatnonzero(missing.any(axis=1) & ~missing.all(axis=1))[0])
            raise ValueError(
                f"[study.average_windows] a missing scan must be NaN in all voxels; got {int(missing[scan].sum())} of "
                f"{missing.shape[1]} at clip {number}, scan {scan}"
            )
        counted = members & present
        total = counted.sum(axis=1, dtype=np.float64)[:, None]
        weights = np.divide(counted, total, out=np.full(counted.shape, np.nan), where=total > 0)
        result[number] = weights[:, present] @ scans[present] if present.any() else np.nan
    return result


def window_rows(responses: npt.NDArray[Any], members: npt.NDArray[np.bool_]) -> WindowRows:
    """Average the scans of each window and lay the windows out as rows; those without any scan are left out and listed.

    Parameters
    ----------
    responses : array of shape (n, s, v)
    members : array of shape (r, s), bool

    Returns
    -------
    WindowRows
        At most n * r rows, clip by clip.
    """
    averaged = average_windows(responses, members)
    present = (members & ~np.isnan(responses[:, None, :, 0])).any(axis=2) if averaged.shape[2] else members.any(axis=1)
    present = np.broadcast_to(present, averaged.shape[:2])
    clip, window = np.nonzero(present)
    empty = tuple((int(i), int(j)) for i, j in zip(*np.nonzero(~present), strict=True))
    return WindowRows(averaged[present], clip, window, empty)
