"""How well music that was generated from brain activity matches what was heard."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music import metrics
from brain2music.evaluation.items import (
    ClipTable,
    Figure,
    Floats,
    Items,
    averaged_target,
    check_clips,
    figures,
    significance,
    stage_name,
    to_double,
)
from brain2music.evaluation.rows import Row

__all__ = ["Tagged", "evaluate_generation"]

_WHERE = "evaluation.evaluate_generation"


@dataclass(frozen=True, eq=False)
class Tagged:
    """What a tagger says of music.

    Parameters
    ----------
    original : array of shape (n, classes)
        The tags of the clips that were heard.
    generated, oracle : arrays of shape (n, s, classes)
        The tags of the music made from decoded embeddings, and of the music made from true ones.
    groups : mapping from str to sequence of int
        Columns of the groups to compare: "genres", "instruments" and "moods", or some of them.
    """

    original: Any
    generated: Any
    oracle: Any
    groups: Mapping[str, Sequence[int]]


def evaluate_generation(
    subject: str,
    embedding: str,
    generated: Any,
    oracle: Any,
    target: Any,
    clips: ClipTable,
    *,
    way: str = "",
    tagged: Tagged | None = None,
    split: str = "test",
    n_permutations: int = 1000,
    repeats: int = 100,
    seed: int = 0,
) -> list[Row]:
    """Evaluate generated music by what is heard in it: identification, correlations, classes; all genres and each.

    The embedding of the generated music stands in for the prediction: how well does it tell the clip from others, and
    correlate with the clip's own? Chance is music that was generated for another clip.

    Parameters
    ----------
    subject, embedding : str
    generated : array of shape (n, s, d)
        Embeddings of s pieces of music for each of n clips, windows averaged.
    oracle : array of shape (n, s, d)
        The embeddings of music that was generated from true embeddings.
    target : array of shape (n, r, d) or (n, d)
        True embeddings of the clips; windows are averaged.
    clips : Clips
        Ids and genres of the n clips.
    way : str
        How the music was conditioned; goes into the stage: ``generate_track-test``.
    tagged : Tagged, optional
        The tags of originals and generated music. They give rows ``agreement_genres`` and so on.
    split : {"train", "test", "heldout"}
    n_permutations, repeats, seed
        As for :func:`evaluate_decoding`.

    Returns
    -------
    list of Row

    Raises
    ------
    ValueError
        If shapes do not fit, or a value is NaN or Inf.

    References
    ----------
    Denk, Takagi et al. (2023), *Brain2Music*, sections 3.3 and 4.1.
    """
    truth = averaged_target(target, _WHERE)
    n, d = truth.shape
    check_clips(clips, n, _WHERE)
    made = to_double(generated, "generated", None, _WHERE)
    if made.ndim != 3 or made.shape[::2] != (n, d) or made.shape[1] < 1:
        raise ValueError(f"[{_WHERE}] generated must be ({n}, samples, {d}); got {made.shape}")
    best = to_double(oracle, "oracle", made.shape, _WHERE)
    for name, values in (("generated", made), ("oracle", best), ("target", truth)):
        odd = np.argwhere(~np.isfinite(values))
        if odd.size:
            raise ValueError(
                f"[{_WHERE}] {name} must be finite; got NaN or Inf for clip {np.asarray(clips.ids)[odd[0, 0]]}"
            )
    stage = stage_name(f"generate_{way}" if way else "generate", split, _WHERE)
    genre = np.asarray(clips.genre)
    samples = made.shape[1]
    # Pieces of one clip are no distractors of each other, as windows are not.
    number = np.repeat(np.arange(n), samples)
    pieces = Items(
        made.reshape(-1, d),
        best.reshape(-1, d),
        np.repeat(truth, samples, axis=0),
        number,
        genre[number],
        np.full(len(number), True),
    )
    means = Items(made.mean(axis=1), best.mean(axis=1), truth, np.arange(n), genre, np.full(n, True))
    found = [*figures(pieces, None, repeats, seed), *significance(means, n_permutations, seed)]
    if tagged is not None:
        found += _agreements(tagged, genre, samples)
    return [figure.row(subject, stage, embedding) for figure in found]


def _agreements(tagged: Tagged, genre: npt.NDArray[np.str_], samples: int) -> Iterator[Figure]:
    """Compare what the tagger says, group by group."""
    n = len(genre)
    original = to_double(tagged.original, "tagged.original", None, _WHERE)
    if original.ndim != 2 or len(original) != n:
        raise ValueError(f"[{_WHERE}] tagged.original must be ({n}, classes); got {original.shape}")
    shape = (n, samples, original.shape[1])
    for group, columns in tagged.groups.items():
        if group not in metrics.TOP_N:
            raise ValueError(f"[{_WHERE}] tagged.groups must be among {', '.join(metrics.TOP_N)}; got {group!r}")
        count = metrics.TOP_N[group]
        scores = {}
        for name in ("generated", "oracle"):
            values = to_double(getattr(tagged, name), f"tagged.{name}", shape, _WHERE)
            scores[name] = _every_pair(original, values, columns, count)
        for one in ("all", *np.unique(genre).tolist()):
            rows = np.full(n, True) if one == "all" else genre == one
            value, oracle = (float(scores[name].diagonal()[rows].mean()) for name in ("generated", "oracle"))
            chance = float(scores["generated"][rows].mean())
            yield Figure(one, f"agreement_{group}", value, chance, oracle, int(rows.sum()) * samples)


def _every_pair(original: Floats, made: Floats, columns: Sequence[int], count: int) -> Floats:
    """Agreement of each original with the music made for each clip, mean over its pieces: (n, n)."""
    n, samples, _ = made.shape
    result: Floats = np.zeros((n, n))
    for sample in range(samples):
        for shift in range(n):
            order = np.roll(np.arange(n), -shift)
            found = metrics.class_agreement(original, made[order, sample], {"": columns}, {"": count})
            result[np.arange(n), order] += found[""].per_item
    result /= samples
    return result
