"""Embeddings that know nothing of the music: what an encoder scores by them is no credit to the features."""

import numpy as np

from brain2music.bundles import Embeddings

__all__ = ["mean_embedding", "random_embedding"]


def mean_embedding(embeddings: Embeddings) -> Embeddings:
    """Give every clip the mean of all clips, window by window.

    Parameters
    ----------
    embeddings : Embeddings

    Returns
    -------
    Embeddings
        They have the same shape. They only know how far into a clip a window lies: an encoder that scores with them
        has learnt the response to the beginning of a clip, whatever the clip.
    """
    total = np.nansum(embeddings.values, axis=0, keepdims=True, dtype=np.float64)
    mean = total / np.maximum(embeddings.present.sum(axis=0), 1)[:, None]  # a window may be missing in all clips
    values = np.broadcast_to(mean, embeddings.values.shape).astype(embeddings.values.dtype)
    values[~embeddings.present] = np.nan
    return Embeddings(values, embeddings.clip_ids, embeddings.window, embeddings.hop)


def random_embedding(embeddings: Embeddings, random_state: int | None = None) -> Embeddings:
    """Draw Gaussian embeddings at random, of the mean and the variance of real ones.

    Parameters
    ----------
    embeddings : Embeddings
    random_state : int, optional
        Seeds the draw.

    Returns
    -------
    Embeddings
        They have the same shape. A clip has a number of its own in each dimension, and each of its windows another
        beside it: they vary between clips, and within a clip, as the real ones do.
    """
    values = embeddings.values.astype(np.float64)
    random = np.random.default_rng(random_state)
    clips, windows, dimensions = values.shape
    means = np.nanmean(values, axis=1)
    between = means.std(axis=0) * random.standard_normal((clips, 1, dimensions))
    within = random.standard_normal((clips, windows, dimensions))
    within -= within.mean(axis=1, keepdims=True)
    within *= np.nanstd(values - means[:, None], axis=(0, 1)) * np.sqrt(windows / max(windows - 1, 1))
    drawn = (np.nanmean(values, axis=(0, 1)) + between + within).astype(embeddings.values.dtype)
    drawn[~embeddings.present] = np.nan
    return Embeddings(drawn, embeddings.clip_ids, embeddings.window, embeddings.hop)
