"""Excerpts of the composer: a stream of tracks that no simulated study can contain."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brain2music.recipes.excerpts import RATE, SECONDS, Excerpt, Excerpts, write_excerpts
from brain2music.recipes.source import TagGroup

__all__ = [
    "FIRST_SEED",
    "TRAINING_STREAM",
    "VALIDATION_STREAM",
    "Composer",
    "composed_excerpt",
    "stream_seed",
    "tags_of",
]

#: Streams of the composer (:func:`stream_seed`).
TRAINING_STREAM, VALIDATION_STREAM = 1, 2

#: Seeds of the stream begin here: those of a simulated study (``music.track_seed``) are numbers of 32 bits.
FIRST_SEED = 2**32

#: Spans that are captioned, in seconds of the excerpt.
_SPANS = ((0.0, 15.0), (5.0, 20.0), (10.0, 25.0), (15.0, 30.0))
_WORDINGS = 2


class Composer:
    """Music of the composer as the source of a recipe: tracks that no simulated study can contain.

    Parameters
    ----------
    training, validation : int
        Excerpts of 30 s to learn from, and to follow the learning on.
    """

    identity = "composer"

    def __init__(self, training: int = 3000, validation: int = 100) -> None:
        self.training, self.validation = training, validation

    def excerpts(
        self, folder: str | os.PathLike[str], processes: int | None = None, progress: bool = True
    ) -> tuple[Excerpts, Excerpts]:
        """Compose and play the excerpts that are not there yet.

        Parameters
        ----------
        folder : path
            A recipe's folder; excerpts go into ``training`` and ``validation``.
        processes : int, optional
            As many as there are cores by default.
        progress : bool, default True
            Show a bar.

        Returns
        -------
        tuple of Excerpts
            Those to learn from, and those to follow the learning on.
        """
        made = []
        for name, count, stream in (
            ("validation", self.validation, VALIDATION_STREAM),
            ("training", self.training, TRAINING_STREAM),
        ):
            make, identity = partial(composed_excerpt, stream), f"composer, stream {stream}"
            made.append(write_excerpts(Path(folder) / name, count, make, identity, processes, progress))
        return made[1], made[0]

    def groups(self, tags: Sequence[str]) -> list[TagGroup]:
        """Sort tags into genres and moods, of which a clip has one each, and instruments."""
        from brain2music.simulation.music import GENRES

        genres = tuple(tag for tag in tags if tag in GENRES)
        moods = tuple(tag for tag in tags if " " in tag)
        instruments = tuple(tag for tag in tags if tag not in genres and tag not in moods)
        return [
            TagGroup("genres", genres, True),
            TagGroup("instruments", instruments, False),
            TagGroup("moods", moods, True),
        ]


def stream_seed(stream: int, number: int) -> int:
    """Seed that composes track ``number`` of a stream; streams share no track with each other or with any study.

    Parameters
    ----------
    stream : int
        The key: one for training, another for validation.
    number : int
        From 0.

    Returns
    -------
    int
        At least 2 ** 32.
    """
    if not 0 <= stream < 2**20 or not 0 <= number < 2**20:
        raise ValueError(
            f"[recipes.stream_seed] stream and number must be from 0 to 2 ** 20 - 1; got {stream}, {number}"
        )
    return FIRST_SEED + (stream << 20 | number)


def composed_excerpt(stream: int, number: int) -> tuple[Excerpt, npt.NDArray[np.float32]]:
    """Compose and play track ``number`` of a stream; genres take turns.

    Returns
    -------
    Excerpt
        With captions and tags of four spans of 15 s.
    array of shape (480000,), float32
        30 s at 16 kHz.
    """
    import torch

    from brain2music import _core
    from brain2music.simulation import music

    genre = music.GENRES[number % len(music.GENRES)]
    seed = stream_seed(stream, number)
    score = music.compose(genre, seed, SECONDS)
    sound = _core.audio.resample(torch.from_numpy(music.render(score)), music.RATE, RATE).numpy()
    spans = [span for span in _SPANS for _ in range(_WORDINGS)]
    texts = music.captions([score] * len(spans), spans, seed=seed)
    about = Excerpt(
        f"{genre}.{seed}",
        tuple((start, stop, text) for (start, stop), text in zip(spans, texts, strict=True)),
        genre,
        tuple((start, stop, tags_of(music.truth(score, start, stop))) for start, stop in _SPANS),
    )
    return about, sound[: round(SECONDS * RATE)]


def tags_of(truth: "music.Truth") -> tuple[str, ...]:  # type: ignore[name-defined]  # noqa: F821
    """Say what is heard: the genre, the families of the instruments that play, the mood."""
    from brain2music.simulation.music.instruments import FAMILIES, KITS

    of = {name: family for family, names in FAMILIES.items() for name in names}
    families = {of[name] for _, name in truth.instruments if name in of}
    if any(name in KITS for _, name in truth.instruments):
        families.add("drums")
    valence = "sad" if truth.valence < -0.3 else "happy" if truth.valence > 0.3 else "neutral"
    arousal = "calm" if truth.arousal < -0.3 else "excited" if truth.arousal > 0.3 else "steady"
    return (truth.genre, *sorted(families), f"{valence} {arousal}")
