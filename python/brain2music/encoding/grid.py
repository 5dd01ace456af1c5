"""Feature spaces on one grid of windows, so that their predictions can be compared row by row."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from brain2music.bundles import Embeddings
from brain2music.study.windows import Windows

__all__ = ["on_grid", "one_hot"]


def on_grid(embeddings: Embeddings, window: float = 10.0, hop: float = 1.5, clip: float = 15.0) -> Embeddings:
    """Bring embeddings of any windows onto one grid.

    Parameters
    ----------
    embeddings : Embeddings
        Windows shorter than the grid's are averaged, over those that lie inside. Longer ones are repeated: a window of
        the grid takes the mean of those that it lies inside.
    window, hop, clip : float
        Seconds: of the grid, and of a clip. By default four windows of 10 s, as MuLan's in the paper.

    Returns
    -------
    Embeddings
        ``values`` of shape (n, r, d); without a stated space, since no network gave them. A window of the grid that
        needs one which a shorter clip lacks is NaN.

    Raises
    ------
    ValueError
        If a window of the grid holds no window of the embeddings, and lies inside none.
    """
    windows = Windows(window, hop, clip)
    begins = np.arange(windows.count) * hop
    starts = np.arange(embeddings.values.shape[1]) * embeddings.hop
    ends, slack = starts + embeddings.window, 1e-6
    inside = (starts >= begins[:, None] - slack) & (ends <= begins[:, None] + window + slack)
    around = (starts <= begins[:, None] + slack) & (ends >= begins[:, None] + window - slack)
    taken = np.where(inside.any(axis=1, keepdims=True), inside, around)
    if not taken.any(axis=1).all():
        raise ValueError(
            f"[encoding.on_grid] every window of {window} s must hold a window of the embeddings, or lie inside one; "
            f"got windows of {embeddings.window} s every {embeddings.hop} s"
        )
    weights = (taken / taken.sum(axis=1, keepdims=True)).astype(np.float32)
    values = np.einsum("gr,nrd->ngd", weights, np.nan_to_num(embeddings.values))
    lacking = (taken[None] & ~embeddings.present[:, None]).any(axis=2)
    values[lacking] = np.nan
    return Embeddings(values, embeddings.clip_ids, window, hop)


def one_hot(
    labels: Sequence[str], clip_ids: Sequence[str], window: float = 10.0, hop: float = 1.5, clip: float = 15.0
) -> Embeddings:
    """Return a column for each label, 1 in the clips that carry it: the paper's control is genre.

    Parameters
    ----------
    labels, clip_ids : sequence of str
        Of each clip.
    window, hop, clip : float
        The grid, in seconds, as for :func:`on_grid`.

    Returns
    -------
    Embeddings
        ``values`` of shape (n, r, labels), labels in the order of the alphabet.
    """
    names: npt.NDArray[np.str_] = np.unique(np.asarray(labels, str))
    columns = (np.asarray(labels, str)[:, None] == names).astype(np.float32)
    count = Windows(window, hop, clip).count
    return Embeddings(np.repeat(columns[:, None], count, axis=1), tuple(clip_ids), window, hop)
