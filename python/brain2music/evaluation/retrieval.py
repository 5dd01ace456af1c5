"""How well music is retrieved from a library by decoded embeddings."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music.evaluation.items import (
    ClipTable,
    Figure,
    Items,
    averaged_target,
    check_clips,
    figures,
    significance,
    stage_name,
    to_double,
)
from brain2music.evaluation.rows import Row
from brain2music.metrics.chance import library_pool

__all__ = ["Retrieved", "evaluate_retrieval", "track_genre"]


@dataclass(frozen=True, eq=False)
class Retrieved:
    """Tracks found for n clips, best first.

    Parameters
    ----------
    ids : array of shape (n, k), str
    values : array of shape (n, k, d)
        Their embeddings.
    """

    ids: npt.NDArray[np.str_]
    values: Any


def track_genre(track: str) -> str | None:
    """Return the genre that a track of GTZAN has in its name: ``blues`` of ``blues.00017`` or ``x/blues.00017.wav``."""
    match = re.fullmatch(r"(?:.*/)?([a-z-]+)\.[0-9]{5}(?:\..*)?", track)
    return match[1] if match else None


def evaluate_retrieval(
    subject: str,
    embedding: str,
    target: Any,
    clips: ClipTable,
    retrieved: Retrieved,
    oracle: Retrieved,
    corpus_values: Any,
    corpus_ids: npt.ArrayLike,
    *,
    split: str = "test",
    genres: Mapping[str, str] | None = None,
    n_permutations: int = 1000,
    repeats: int = 100,
    seed: int = 0,
) -> list[Row]:
    """Evaluate what decoded embeddings find in a music library.

    The embedding of the best track stands in for the prediction: how well does it tell the clip from others, and
    correlate with the clip's own? Where the library's genres are known, how many tracks are of the clip's genre?

    Parameters
    ----------
    subject, embedding : str
    target : array of shape (n, r, d) or (n, d)
        True embeddings of the clips; windows are averaged.
    clips : Clips
        Ids and genres of the n clips.
    retrieved : Retrieved
        What the predicted embeddings found.
    oracle : Retrieved
        What the true embeddings found, as many tracks each.
    corpus_values : array of shape (N, d) or (N, r, d)
        Embeddings of the library's tracks, for chance: a random pick.
    corpus_ids : array-like of shape (N,), str
    split : {"train", "test", "heldout"}
        Goes into the stage: ``retrieve-test``.
    genres : mapping from str to str, optional
        Genre of each track by id. By default ids say it, as GTZAN's do (``blues.00017``); if any does not, there are no
        rows about genres.
    n_permutations, repeats, seed
        As for :func:`evaluate_decoding`.

    Returns
    -------
    list of Row

    Raises
    ------
    ValueError
        If shapes do not fit, a value is NaN or Inf, or a retrieved track is not in the library.

    References
    ----------
    Denk, Takagi et al. (2023), *Brain2Music*, sections 3.3 and 4.1.
    """
    where = "evaluation.evaluate_retrieval"
    truth = averaged_target(target, where)
    check_clips(clips, len(truth), where)
    stage = stage_name("retrieve", split, where)
    ids = np.asarray(corpus_ids)
    if ids.shape != (len(corpus_values),):
        raise ValueError(
            f"[{where}] corpus_ids must name the {len(corpus_values)} rows of corpus_values; got {ids.shape}"
        )
    pool = library_pool(corpus_values, truth.shape[1], np.random.default_rng(seed), where)
    best = [
        _best(found, name, truth.shape, ids, where) for name, found in (("retrieved", retrieved), ("oracle", oracle))
    ]
    n = len(truth)
    items = Items(best[0], best[1], truth, np.arange(n), np.asarray(clips.genre), np.full(n, True))
    found = [*figures(items, pool, repeats, seed), *significance(items, n_permutations, seed)]
    found += _genre_hits(retrieved, oracle, ids, items.genre, genres, where)
    return [figure.row(subject, stage, embedding) for figure in found]


def _best(
    found: Retrieved, name: str, shape: tuple[int, ...], ids: npt.NDArray[Any], where: str
) -> npt.NDArray[np.float64]:
    """Check what was found, and return the embedding of each clip's best track."""
    n, d = shape
    names = np.asarray(found.ids)
    if names.ndim != 2 or len(names) != n or names.shape[1] < 1:
        raise ValueError(f"[{where}] {name}.ids must be ({n}, k); got shape {names.shape}")
    values = to_double(found.values, f"{name}.values", (*names.shape, d), where)
    unknown = ~np.isin(names, ids)
    if unknown.any():
        raise ValueError(f"[{where}] {name}.ids must be tracks of the library; got {names[unknown][0]}")
    return np.ascontiguousarray(values[:, 0])


def _genre_hits(
    retrieved: Retrieved,
    oracle: Retrieved,
    ids: npt.NDArray[Any],
    genre: npt.NDArray[np.str_],
    genres: Mapping[str, str] | None,
    where: str,
) -> Iterator[Figure]:
    known = {
        str(track): track_genre(str(track)) if genres is None else genres.get(str(track)) for track in ids.tolist()
    }
    nameless = next((track for track, of in known.items() if of is None), None)
    if nameless is not None:
        if genres is not None:
            raise ValueError(
                f"[{where}] genres must name the genre of every track of the library; got none for {nameless}"
            )
        return
    library = np.array([known[str(track)] for track in ids.tolist()])
    hits = [
        np.array([[known[str(track)] for track in row] for row in np.asarray(found.ids).tolist()]) == genre[:, None]
        for found in (retrieved, oracle)
    ]
    if hits[0].shape != hits[1].shape:
        raise ValueError(f"[{where}] the oracle must retrieve as many tracks; got {hits[1].shape} for {hits[0].shape}")
    for name in ["all", *np.unique(genre).tolist()]:
        rows = np.full(len(genre), True) if name == "all" else genre == name
        chance = float(np.mean([np.mean(library == own) for own in genre[rows]]))
        n = int(rows.sum())
        for metric, k in (("genre_first", 1), ("genre_share", hits[0].shape[1])):
            value, best = (float(found[rows, :k].mean()) for found in hits)
            yield Figure(name, metric, value, chance, best, n)
