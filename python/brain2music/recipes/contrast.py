"""Training of the embedder: each clip is to find its caption among those of other clips, and each caption its clip."""

import os
from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.recipes.excerpts import CLIP, Excerpts, draw_clips, heard
from brain2music.recipes.towers import MusicTower, TextTower, words
from brain2music.recipes.training import mixed, train

__all__ = ["Contrast", "known_words", "train_embedder"]

#: Pairs a step.
_BATCH = 48


class Contrast(nn.Module):
    """Both towers, and the temperature of their comparison.

    Parameters
    ----------
    known : list of str
        Words that have a vector of their own.
    tags : list of str
        What the music tower is also to tell while it learns; dropped afterwards. May be empty.
    """

    def __init__(self, known: list[str], tags: list[str]) -> None:
        super().__init__()
        self.music, self.text = MusicTower(), TextTower(known)
        self.tags = nn.Linear(5 * self.music.width, len(tags)) if tags else None
        self.scale = nn.Parameter(torch.tensor(2.3))


def known_words(excerpts: Excerpts, least: int = 5) -> list[str]:
    """Words that the captions use so often or more, in the order of the alphabet."""
    counts = Counter(word for about in excerpts for _, _, text in about.captions for word in words(text))
    return sorted(word for word, count in counts.items() if count >= least)


def train_embedder(
    network: Contrast,
    tags: list[str],
    training: Excerpts,
    validation: Excerpts,
    checkpoint: str | os.PathLike[str],
    *,
    steps: int,
    seed: int = 0,
    dtype: str = "float32",
    stop_after: float | None = None,
    progress: bool = True,
) -> bool:
    """Train both towers; see :func:`brain2music.recipes.training.train`.

    The loss is the symmetric cross-entropy of CLIP and MuLan; where excerpts have tags, telling them is added. Excerpts
    without captions are passed over.
    """
    device = network.scale.device
    captioned, followed = _captioned(training), _captioned(validation)
    if not captioned or not followed:
        raise ValueError(
            "[recipes.train_embedder] there must be captions of excerpts to learn from and of excerpts to follow the "
            f"learning on; got {len(captioned)} and {len(followed)} excerpts with captions"
        )

    def pairs(
        excerpts: Excerpts, rows: list[int], generator: torch.Generator
    ) -> tuple[Tensor, list[str], list[tuple[str, ...]]]:
        sound, drawn = draw_clips(excerpts, rows, lambda about: about.captions, CLIP, generator)
        names = [
            tuple(
                name for first, last, names in excerpts[row].tags if first <= start and stop <= last for name in names
            )
            for row, (start, stop, _) in zip(rows, drawn, strict=True)
        ]
        return sound.to(device), [text for _, _, text in drawn], names

    def loss(_: int, generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randperm(len(captioned), generator=generator)[:_BATCH].tolist()
        sound, texts, names = pairs(training, [captioned[row] for row in rows], generator)
        with mixed(dtype, device):
            pooled = network.music.pooled(sound)
        pooled = pooled.float()
        first = functional.normalize(network.music.leave(pooled), dim=-1)
        scores = network.scale.exp().clamp(max=50.0) * first @ network.text(texts).t()
        same = torch.arange(len(rows), device=device)
        contrast = (functional.cross_entropy(scores, same) + functional.cross_entropy(scores.t(), same)) / 2
        if network.tags is None:
            return {"loss": contrast, "contrast": contrast}
        told = _told(network.tags(pooled), heard(names, tags).to(device), [bool(row) for row in names])
        return {"loss": contrast + told, "contrast": contrast, "tags": told}

    def evaluate() -> dict[str, float]:
        generator = torch.Generator().manual_seed(0)
        sound, texts, _ = pairs(validation, followed, generator)
        music = torch.cat([network.music(some) for some in torch.split(sound, 25)])
        ranks = (music @ network.text(texts).t()).t().argsort(1, descending=True)
        hits = ranks == torch.arange(len(texts), device=device)[:, None]
        return {
            "held_out_r10": float(hits[:, :10].any(1).float().mean()),
            "held_out_r1": float(hits[:, 0].float().mean()),
        }

    return train(
        network,
        loss,
        checkpoint,
        steps=steps,
        peak=1e-3,
        seed=seed,
        evaluate=evaluate,
        stop_after=stop_after,
        progress=progress,
    )


def _captioned(excerpts: Excerpts) -> list[int]:
    return [row for row, about in enumerate(excerpts) if about.captions]


def _told(logits: Tensor, true: Tensor, known: list[bool]) -> Tensor:
    """Error of telling tags, of the rows whose tags are known."""
    if not any(known):
        return logits.sum() * 0
    if not all(known):
        rows = torch.tensor([row for row, tagged in enumerate(known) if tagged], device=logits.device)
        logits, true = logits[rows], true[rows]
    return functional.binary_cross_entropy_with_logits(logits, true)
