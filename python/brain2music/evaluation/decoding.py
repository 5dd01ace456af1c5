"""How well embeddings are decoded from brain activity."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music.evaluation.items import ClipTable, Items, check_clips, figures, significance, stage_name, to_double
from brain2music.evaluation.rows import Row
from brain2music.metrics.chance import library_pool

__all__ = ["evaluate_decoding"]


def evaluate_decoding(
    subject: str,
    embedding: str,
    predicted: Any,
    target: Any,
    clips: ClipTable,
    *,
    split: str = "test",
    present: npt.ArrayLike | None = None,
    corpus_values: Any = None,
    n_permutations: int = 1000,
    repeats: int = 100,
    seed: int = 0,
) -> list[Row]:
    """Evaluate predicted embeddings: identification and correlations, over clips and windows, for all genres and each.

    Parameters
    ----------
    subject, embedding : str
    predicted, target : arrays of shape (n, r, d)
        NumPy arrays or torch tensors of any real type.
    clips : Clips
        Ids and genres of the n clips.
    split : {"train", "test", "heldout"}
        Goes into the stage: ``decode-test``. For ``heldout``, predictions of each clip come from a decoder that was
        trained without the clip's genre, so that correlations over clips mix predictions of several decoders.
    present : array of shape (n, r), bool, optional
        Windows that were measured; all, by default. Values of others do not count, nor do their targets, and chance is
        taken from clips that have all windows.
    corpus_values : array of shape (N, d) or (N, r, d), optional
        Embeddings of the music library; chance is then a random pick of its tracks. Without them (the library has no
        such embedding) chance is that of predictions permuted over clips.
    n_permutations : int, default 1000
        For the rows ``identification_p`` and ``correlation_p``.
    repeats : int, default 100
        Random picks a clip, where chance takes sampling.
    seed : int, default 0

    Returns
    -------
    list of Row
        Metrics and chance as in :data:`METRICS`. Where a clip has one window, windows are clips, and only rows of clips
        are returned.

    Raises
    ------
    ValueError
        If shapes do not fit, a measured value is NaN or Inf, or a clip has no window.

    Warns
    -----
    UserWarning
        If metrics over windows are left out, since fewer than two clips have all windows to take chance from; if
        correlations are left out for a genre of fewer than three clips, or for dimensions in which the target does
        not vary over a genre's clips.

    References
    ----------
    Denk, Takagi et al. (2023), *Brain2Music*, sections 4.1 and 4.2.
    """
    where = "evaluation.evaluate_decoding"
    truth = to_double(target, "target", None, where)
    if truth.ndim != 3 or 0 in truth.shape:
        raise ValueError(f"[{where}] target must be (clips, windows, dimensions); got shape {truth.shape}")
    guess = to_double(predicted, "predicted", truth.shape, where)
    check_clips(clips, len(truth), where)
    stage = stage_name("decode", split, where)
    there = _present(present, guess, truth, clips, where)
    rng = np.random.default_rng(seed)
    pool = None if corpus_values is None else library_pool(corpus_values, truth.shape[2], rng, where)

    genre = np.asarray(clips.genre)
    means = _mean_windows(guess, there), _mean_windows(truth, there)
    numbers = np.arange(len(truth))
    by_clip = Items(means[0], means[1], means[1], numbers, genre, np.full(len(truth), True))
    found = [*figures(by_clip, pool, repeats, seed), *significance(by_clip, n_permutations, seed)]
    if truth.shape[1] > 1 and there.all(axis=1).sum() < 2:
        warnings.warn(
            "[evaluation] metrics over windows are left out: fewer than two clips have all windows to take chance from",
            stacklevel=2,
        )
    elif truth.shape[1] > 1:
        clip = np.nonzero(there)[0]
        by_window = Items(guess[there], truth[there], truth[there], clip, genre[clip], np.all(there, axis=1)[clip])
        found += figures(by_window, pool, repeats, seed, "_windows")
    return [figure.row(subject, stage, embedding) for figure in found]


def _present(present: Any, guess: Any, truth: Any, clips: ClipTable, where: str) -> npt.NDArray[np.bool_]:
    shape = truth.shape[:2]
    there = np.full(shape, True) if present is None else np.asarray(present)
    if there.shape != shape or there.dtype != np.bool_:
        raise ValueError(f"[{where}] present must be bool of shape {shape}; got {there.dtype} of shape {there.shape}")
    for name, array in (("predicted", guess), ("target", truth)):
        bad = there & ~np.isfinite(array).all(axis=2)
        if bad.any():
            clip, window = np.argwhere(bad)[0].tolist()
            raise ValueError(
                f"[{where}] {name} must be finite in windows that are present; got NaN or Inf for clip "
                f"{np.asarray(clips.ids)[clip]}, window {window}"
            )
    if not there.any(axis=1).all():
        clip = int(np.flatnonzero(~there.any(axis=1))[0])
        raise ValueError(f"[{where}] every clip must have a window; got none for {np.asarray(clips.ids)[clip]}")
    return there


def _mean_windows(array: npt.NDArray[np.float64], there: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    weights = there / there.sum(axis=1, keepdims=True)
    result: npt.NDArray[np.float64] = np.einsum("nr,nrd->nd", weights, np.where(there[..., None], array, 0.0))
    return result
