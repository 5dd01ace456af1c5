"""The stages: semantic tokens from an embedding, and codes of the codec from semantic tokens and the embedding."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.exporters import EmbeddingCondition, TransformerStage
from brain2music.recipes.tokens import HOP, WINDOW, Tokens
from brain2music.recipes.towers import DIMENSION
from brain2music.recipes.training import mixed, train

__all__ = ["AcousticLanguage", "SemanticLanguage", "bigram_losses", "held_out_loss", "train_language"]

#: Seconds of music of a sequence, and of which the next sequence is given as its beginning.
SEQUENCE, OVERLAP = 15.0, 5.0

#: Share of sequences that are trained without a condition, and the spread of the noise that is added to it.
_UNCONDITIONAL, _NOISE = 0.1, 0.3


class Direction(nn.Module):
    """Keeps the direction of an embedding (B, d), whatever its length; an embedding of zeros stays zeros."""

    def forward(self, embedding: Tensor) -> Tensor:
        """Scale to length 1."""
        return functional.normalize(embedding, dim=-1)


class SemanticLanguage(nn.Module):
    """The family ``tokens``: a token that begins, then one token a frame.

    Parameters
    ----------
    clusters : int
        Tokens of the semantic encoder.
    dimension, layers, heads : int
        Of the transformer.
    """

    def __init__(self, clusters: int = 512, dimension: int = 224, layers: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.clusters = clusters
        self.stage = TransformerStage(
            dimension=dimension,
            layers=layers,
            heads=heads,
            feed_forward=4 * dimension,
            vocabulary=clusters + 1,
            condition="embedding",
            condition_dimension=DIMENSION,
        )
        self.stage.condition = EmbeddingCondition(Direction())

    def loss(self, semantic: Tensor, acoustic: Tensor, condition: Tensor) -> Tensor:
        """Cross-entropy of each token (B, frames), in nats."""
        begin = torch.full_like(semantic[:, :1], self.clusters)
        logits = self.stage(torch.cat([begin, semantic[:, :-1]], 1), condition)
        losses = functional.cross_entropy(logits.flatten(0, 1), semantic.flatten(), reduction="none")
        return losses.view(semantic.shape)

    def layout(self, frame_rate: float) -> dict[str, Any]:
        """Return the manifest's entry, without file and card."""
        return {
            "name": "semantic",
            "family": "tokens",
            "frame_rate": frame_rate,
            "codes": [self.clusters],
            "vocabulary": self.clusters + 1,
            "max_length": round(SEQUENCE * frame_rate) + 1,
            "window": SEQUENCE,
            "overlap": OVERLAP,
            "condition": {"from": "embedding", "unconditional": 0},
            "special_tokens": {"begin": self.clusters},
            "layout": {"prefix": [{"token": "begin"}], "order": "frames", "offsets": [0]},
        }


class AcousticLanguage(nn.Module):
    """The family ``parallel``: all levels at once, each a frame later than the one before; the semantic token beside.

    Parameters
    ----------
    clusters : int
        Tokens of the semantic encoder.
    levels, codes : int
        Of the codec.
    dimension, layers, heads : int
        Of the transformer.
    """

    def __init__(
        self,
        clusters: int = 512,
        levels: int = 8,
        codes: int = 512,
        dimension: int = 224,
        layers: int = 4,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.levels, self.codes, self.pad = levels, codes, max(clusters, codes)
        self.stage = TransformerStage(
            dimension=dimension,
            layers=layers,
            heads=heads,
            feed_forward=4 * dimension,
            vocabulary=[codes] * levels,
            family="parallel",
            given=[clusters],
            condition="embedding",
            condition_dimension=DIMENSION,
        )
        self.stage.condition = EmbeddingCondition(Direction())

    def grid(self, semantic: Tensor, acoustic: Tensor) -> Tensor:
        """Lay out tokens (B, frames) and codes (B, levels, frames): (B, 1 + levels, frames + levels)."""
        batch, levels, frames = acoustic.shape
        grid = acoustic.new_full((batch, 1 + levels, frames + levels), self.pad)
        grid[:, 0, :frames] = semantic
        for level in range(levels):
            grid[:, 1 + level, 1 + level : 1 + level + frames] = acoustic[:, level]
        return grid

    def loss(self, semantic: Tensor, acoustic: Tensor, condition: Tensor) -> Tensor:
        """Cross-entropy of each code (B, levels, frames), in nats."""
        levels, frames = acoustic.shape[1:]
        grid = self.grid(semantic, acoustic)
        logits = self.stage(grid[:, :, :-1], condition)
        true = grid[:, 1:, 1:]
        losses = functional.cross_entropy(
            logits.reshape(-1, self.codes), true.reshape(-1), reduction="none", ignore_index=self.pad
        ).view(true.shape)
        return torch.stack([losses[:, level, level : level + frames] for level in range(levels)], 1)

    def layout(self, frame_rate: float) -> dict[str, Any]:
        """Return the manifest's entry, without file and card."""
        return {
            "name": "acoustic",
            "family": "parallel",
            "frame_rate": frame_rate,
            "codes": [self.codes] * self.levels,
            "vocabulary": self.codes,
            "max_length": round(SEQUENCE * frame_rate) + self.levels,
            "window": SEQUENCE,
            "overlap": OVERLAP,
            "condition": {"from": "embedding", "unconditional": 0},
            "codec_levels": list(range(self.levels)),
            "layout": {
                "given": [{"from": "semantic", "delay": 0}],
                "delays": list(range(self.levels)),
                "pad": self.pad,
            },
        }


def train_language(
    network: SemanticLanguage | AcousticLanguage,
    training: Tokens,
    validation: Tokens,
    checkpoint: str | os.PathLike[str],
    *,
    steps: int,
    batch: int = 12,
    seed: int = 0,
    dtype: str = "float32",
    stop_after: float | None = None,
    progress: bool = True,
) -> bool:
    """Train a stage on spans of 15 s; see :func:`brain2music.recipes.training.train`."""
    device = next(network.parameters()).device

    def loss(_: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        rows = torch.randint(len(training.semantic), (batch,), generator=generator)
        semantic, acoustic, condition = _spans(training, rows, generator)
        size = _NOISE * torch.rand(batch, 1, generator=generator)
        noise = torch.randn(condition.shape, generator=generator) * DIMENSION**-0.5
        condition = functional.normalize(condition + size * noise, dim=-1)
        condition = condition * (torch.rand(batch, 1, generator=generator) >= _UNCONDITIONAL)
        with mixed(dtype, device):
            losses = network.loss(semantic.to(device), acoustic.to(device), condition.to(device))
            return {"loss": losses.mean()}

    def evaluate() -> Mapping[str, float]:
        return {"held_out": held_out_loss(network, validation)}

    return train(
        network,
        loss,
        checkpoint,
        steps=steps,
        peak=1.5e-3,
        seed=seed,
        weight_decay=0.05,
        evaluate=evaluate,
        stop_after=stop_after,
        progress=progress,
    )


@torch.no_grad()
def held_out_loss(network: SemanticLanguage | AcousticLanguage, tokens: Tokens) -> float:
    """Loss in nats a code, over a span of 15 s of each excerpt, under its own embedding."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.arange(len(tokens.semantic))
    device = next(network.parameters()).device
    parts = []
    for some in torch.split(rows, 20):
        semantic, acoustic, condition = (part.to(device) for part in _spans(tokens, some, generator))
        parts.append(network.loss(semantic, acoustic, condition).flatten())
    return float(torch.cat(parts).mean())


def _spans(tokens: Tokens, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a span of 15 s of each row: tokens, codes, and the mean embedding of the windows inside."""
    rate = tokens.semantic.size(1) / (WINDOW + HOP * (tokens.embeddings.size(1) - 1))
    frames = round(SEQUENCE * rate)
    last = tokens.semantic.size(1) - frames
    starts = torch.randint(last + 1, (len(rows),), generator=generator)
    columns = starts[:, None] + torch.arange(frames)
    semantic = tokens.semantic[rows].gather(1, columns).long()
    levels = tokens.acoustic.size(1)
    acoustic = tokens.acoustic[rows].gather(2, columns[:, None].expand(-1, levels, -1)).long()
    first = (starts / rate / HOP).ceil().long()
    windows = first[:, None] + torch.arange(round((SEQUENCE - WINDOW) / HOP))
    windows = windows.clamp(max=tokens.embeddings.size(1) - 1)
    condition = tokens.embeddings[rows[:, None], windows].mean(1)
    return semantic, acoustic, functional.normalize(condition, dim=-1)


def bigram_losses(training: Tensor, validation: Tensor, codes: int) -> dict[str, float]:
    """Held-out loss, in nats a code, of guessing from the frame before and from the level before.

    Parameters
    ----------
    training, validation : Tensor
        (n, levels, frames), or (n, frames) for one level.
    codes : int
        Codes of a level.

    Returns
    -------
    dict of float
        "frame", and with several levels "level". Counts are smoothed: a tenth is added to each.
    """
    first, second = (
        tokens.long() if tokens.dim() == 3 else tokens.long().unsqueeze(1) for tokens in (training, validation)
    )
    losses = {"frame": _bigram(first[..., :-1], first[..., 1:], second[..., :-1], second[..., 1:], codes)}
    if first.size(1) > 1:
        losses["level"] = _bigram(first[:, :-1], first[:, 1:], second[:, :-1], second[:, 1:], codes)
    return losses


def _bigram(before: Tensor, after: Tensor, before_held: Tensor, after_held: Tensor, codes: int) -> float:
    losses = []
    for level in range(before.size(1)):
        pairs = (before[:, level] * codes + after[:, level]).flatten()
        counts = torch.bincount(pairs, minlength=codes * codes).view(codes, codes) + 0.1
        log = (counts / counts.sum(1, keepdim=True)).log()
        losses.append(-log[before_held[:, level], after_held[:, level]].mean())
    return float(torch.stack(losses).mean())
