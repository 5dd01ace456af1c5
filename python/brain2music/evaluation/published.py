"""Published results on the same data, to stand beside one's own."""

from dataclasses import dataclass

__all__ = ["PUBLISHED", "Published"]

_PAPER = "Denk, Takagi et al. 2023, arXiv 2307.11078"
_SUCCESSOR = "Ciferri, Ferrante, Toschi 2025, doi 10.1038/s41598-025-26095-w"


@dataclass(frozen=True)
class Published:
    """Mean and standard deviation over the five subjects of ds003720."""

    source: str
    stage: str
    embedding: str
    metric: str
    mean: float
    sd: float


_FIGURES = (
    ("decode-test", "soundstream-avg", (0.674, 0.016), (0.184, 0.020)),
    ("decode-test", "w2v-bert-avg", (0.837, 0.005), (0.113, 0.003)),
    ("decode-test", "mulan-text", (0.817, 0.014), (0.181, 0.012)),
    ("decode-test", "mulan-music", (0.876, 0.015), (0.307, 0.016)),
    ("decode-train", "mulan-music", (0.992, 0.003), (0.538, 0.023)),
)

#: Brain2Music on test and training clips; and the later result with CLAP embeddings, subjects functionally aligned.
PUBLISHED: tuple[Published, ...] = (
    *(Published(_PAPER, stage, name, "identification", *figure) for stage, name, figure, _ in _FIGURES),
    *(Published(_PAPER, stage, name, "correlation", *figure) for stage, name, _, figure in _FIGURES),
    Published(_SUCCESSOR, "decode-test", "clap", "identification", 0.914, 0.019),
)
