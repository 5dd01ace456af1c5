"""Captions: what a listener would write of a clip, out of what is true of it."""

import re
from collections.abc import Sequence

import numpy as np

from brain2music.simulation.music.annotation import Truth, truth
from brain2music.simulation.music.score import Score
from brain2music.simulation.music.vocabulary import (
    ADJECTIVES,
    BANDS,
    BUSY,
    DRUMMED,
    ENDINGS,
    GENRE_NAMES,
    GROOVES,
    HARMONIES,
    HARMONY_CHANCE,
    MOODS,
    NO_DRUMS,
    NO_SOLOS,
    OPENINGS,
    PLACES,
    SOLOS,
    TEMPI,
)

__all__ = ["captions"]


def captions(scores: Sequence[Score], spans: Sequence[tuple[float, float]] | None = None, seed: int = 0) -> list[str]:
    """Write one caption a clip, no two alike.

    Parameters
    ----------
    scores : sequence of Score
        The track of each clip; a track may come more than once.
    spans : sequence of (start, stop), optional
        Seconds of each clip in its track; the whole track by default.
    seed : int, default 0
        Draws the wording.

    Returns
    -------
    list of str
        A few sentences each: genre, instruments, rhythm, mood; all of it true of the clip.

    Raises
    ------
    ValueError
        If there are not as many spans as scores.
    """
    if spans is None:
        spans = [(0.0, score.seconds) for score in scores]
    if len(spans) != len(scores):
        raise ValueError(f"[simulation.music.captions] one span a score; got {len(spans)} spans, {len(scores)} scores")
    rng = np.random.default_rng(seed)
    written: dict[str, None] = {}
    for score, (start, stop) in zip(scores, spans, strict=True):
        facts = truth(score, start, stop)
        text = _caption(rng, facts)
        while text in written:
            text = _caption(rng, facts)
        written[text] = None
    return list(written)


def _caption(rng: np.random.Generator, facts: Truth) -> str:
    mood, adjectives = MOODS[_sign(facts.valence), _sign(facts.arousal)], ADJECTIVES[_sign(facts.arousal)]
    first, second = rng.choice(mood, 2, replace=False)
    words = {
        "genre": _pick(rng, GENRE_NAMES[facts.genre]),
        "tempo": _pick(rng, next(words for limit, words in TEMPI if facts.tempo_bpm < limit)),
        "adjective": _pick(rng, adjectives),
        "place": _pick(rng, PLACES[facts.genre]),
        "first": first,
        "second": second,
    }
    sentences = [_pick(rng, OPENINGS), _melody(rng, facts), _rhythm(rng, facts)]
    if rng.random() < HARMONY_CHANCE:
        sentences.append(_pick(rng, HARMONIES["minor" if facts.minor else "major"]))
    sentences.append(_pick(rng, ENDINGS))
    return " ".join(_sentence(sentence.format(**words)) for sentence in sentences)


def _melody(rng: np.random.Generator, facts: Truth) -> str:
    parts = dict(facts.instruments)
    lead = parts.pop("lead", None)
    parts.pop("drums", None)
    others = list(dict.fromkeys(name for name in parts.values() if name != lead))[: 2 + int(rng.random() < 0.3)]
    band = _listed([_article(name) for name in others])
    if lead is None:
        return _pick(rng, NO_SOLOS).format(band=band)
    kind = "rap" if facts.genre == "hiphop" and "voice" in lead else "sung" if "voice" in lead else "played"
    solo = _pick(rng, SOLOS[kind]).format(lead=_article(lead))
    return f"{solo}{_pick(rng, BANDS).format(band=band)}" if others else f"{solo}, alone with itself"


def _rhythm(rng: np.random.Generator, facts: Truth) -> str:
    kit = dict(facts.instruments).get("drums")
    groove = _pick(rng, GROOVES[facts.feel])
    if kit is None:
        return _pick(rng, NO_DRUMS).format(groove=groove)
    busy = _pick(rng, BUSY[int(np.digitize(facts.drum_density, (4.0, 9.0)))])
    return _pick(rng, DRUMMED).format(kit=_article(f"{busy} {kit}"), groove=groove)


def _sign(value: float) -> int:
    """-1, 0 or 1: low, middling or high."""
    return int(np.digitize(value, (-0.3, 0.3))) - 1


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _article(name: str) -> str:
    return name if name.endswith(("strings", "drums")) else f"a {name}"


def _sentence(text: str) -> str:
    an = re.sub(r"\b([Aa]) (?=(?!one\b)[aeiou]|FM\b|808\b)", r"\1n ", text)
    return f"{an[0].upper()}{an[1:]}."


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]
