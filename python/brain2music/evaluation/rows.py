"""A row of the evaluation, and its summary over subjects."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["METRICS", "Row", "Summary", "summarise"]

#: What a row may hold, and how it reads. Chance is a random pick from the music library; without one, or for an
#: embedding that the library does not have, predictions permuted over clips. The oracle puts the true embedding in the
#: place of the predicted one.
METRICS: dict[str, str] = {
    "identification": "Identification accuracy over clips, windows averaged (headline): share of other clips' "
    "embeddings that correlate less with the prediction than the clip's own, ties one half, mean over clips. For a "
    "genre: of its clips among all.",
    "correlation": "Pearson correlation of each dimension over clips, windows averaged, mean over dimensions "
    "(headline). Dimensions in which the target does not vary are left out, those in which the prediction does not "
    "count 0. For a genre: over its clips alone.",
    "correlation_item": "Pearson correlation of each clip's whole embedding, windows averaged, mean over clips. "
    "Embeddings that share a mean exceed 0 by chance.",
    "identification_windows": "Identification accuracy over windows; windows of one clip are no distractors of each "
    "other.",
    "correlation_windows": "Pearson correlation of each dimension over windows, mean over dimensions; the rest as for "
    "correlation.",
    "correlation_item_windows": "Pearson correlation of each window's whole embedding, mean over windows.",
    "identification_p": "One-sided P of identification under predictions permuted over clips. Its chance is one half, "
    "what P is on average where there is nothing to find.",
    "correlation_p": "One-sided P of correlation under predictions permuted over clips; chance as for "
    "identification_p.",
    "genre_first": "Share of clips whose best retrieved track is of their genre. Chance is a random pick from the "
    "library.",
    "genre_share": "Share of all retrieved tracks that are of their clip's genre. Chance is a random pick from the "
    "library.",
    "agreement_genres": "Share of the two genres that a tagger finds most likely for what was heard that are also its "
    "two for what was generated. Chance is music generated for another clip.",
    "agreement_instruments": "As agreement_genres, for two instruments.",
    "agreement_moods": "As agreement_genres, for one mood.",
}


@dataclass(frozen=True)
class Row:
    """One figure, with its chance and its oracle: none can be built without them.

    Parameters
    ----------
    subject, stage, embedding, genre, metric : str
    value, chance, oracle : float
        Finite. Every metric so far has both chance and oracle, so there is no ``n/a``.
    n : int
        Clips or windows that the figure is taken over.

    Raises
    ------
    ValueError
        If the metric is not in ``METRICS``, a name is empty or breaks a table, or a number is not finite.
    """

    subject: str
    stage: str
    embedding: str
    genre: str
    metric: str
    value: float
    chance: float
    oracle: float
    n: int

    def __post_init__(self) -> None:
        for name in ("subject", "stage", "embedding", "genre"):
            text = getattr(self, name)
            if not text or any(sign in text for sign in "\t\r\n"):
                raise ValueError(f"[evaluation.Row] {name} must be a name without tab or line end; got {text!r}")
        if self.metric not in METRICS:
            raise ValueError(f"[evaluation.Row] metric must be one of {', '.join(METRICS)}; got {self.metric!r}")
        for name in ("value", "chance", "oracle"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(
                    f"[evaluation.Row] {name} must be finite; got {getattr(self, name)} for {self.metric} of "
                    f"{self.genre}, {self.embedding}, {self.stage}, subject {self.subject}"
                )
        if self.n < 1:
            raise ValueError(f"[evaluation.Row] n must be positive; got {self.n}")


@dataclass(frozen=True)
class Summary:
    """Rows of all subjects in one.

    Parameters
    ----------
    stage, embedding, genre, metric : str
    mean, chance, oracle : float
        Means over subjects.
    sd : float or None
        Standard deviation of the value over subjects, the paper's error; None for a single subject.
    subjects : int
    """

    stage: str
    embedding: str
    genre: str
    metric: str
    mean: float
    sd: float | None
    chance: float
    oracle: float
    subjects: int


def summarise(rows: Iterable[Row], ddof: int = 1) -> list[Summary]:
    """Average over subjects.

    Parameters
    ----------
    rows : iterable of Row
    ddof : int, default 1
        Of the standard deviation: 1 estimates that of the population the subjects come from. The paper does not say
        which it took; with five subjects its figures would be 11 % smaller with 0.

    Returns
    -------
    list of Summary
        In the order in which their rows first appear.

    Raises
    ------
    ValueError
        If a subject has two rows of one kind.
    """
    grouped: dict[tuple[str, str, str, str], dict[str, Row]] = {}
    for row in rows:
        subjects = grouped.setdefault((row.stage, row.embedding, row.genre, row.metric), {})
        if row.subject in subjects:
            raise ValueError(
                f"[evaluation.summarise] a subject must have one row of a kind; got two of {row.metric} of "
                f"{row.genre}, {row.embedding}, {row.stage}, subject {row.subject}"
            )
        subjects[row.subject] = row
    result = []
    for key, found in grouped.items():
        values = [row.value for row in found.values()]
        count = len(values)
        mean = math.fsum(values) / count
        sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - ddof)) if count > ddof else None
        chance, oracle = (
            math.fsum(getattr(row, name) for row in found.values()) / count for name in ("chance", "oracle")
        )
        result.append(Summary(*key, mean, sd if count > 1 else None, chance, oracle, count))
    return result
