"""Training of the embedder: each clip is to find its caption among those of other clips, and each caption its clip."""

import os
from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.recipes.excerpts import Excerpts
from brain2music.recipes.towers import MusicTower, TextTower, words
from brain2music.recipes.training import mixed, train

__all__ = ["Contrast", "known_words", "train_embedder"]

#: Seconds of music of a pair, and pairs a step.
_CLIP, _BATCH = 10.0, 48


class Contrast(nn.Module):
    """Both towers, and the temperature of their comparison.

    Parameters
    ----------
    known : list of str
        Words that have a vector of their own.
    tags : list of str
        What the music tower is also to tell while it learns; dropped afterwards.
    """

    def __init__(self, known: list[str], tags: list[str]) -> None:
        super().__init__()
        self.music, self.text = MusicTower(), TextTower(known)
        self.tags = nn.Linear(5 * self.music.width, len(tags))
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

    The loss is the symmetric cross-entropy of CLIP and MuLan; where excerpts have tags, telling them is added.
    """
    column = {name: i for i, name in enumerate(tags)}

    def pairs(excerpts: Excerpts, rows: list[int], generator: torch.Generator) -> tuple[Tensor, list[str], Tensor]:
        sound, texts, heard = [], [], torch.zeros(len(rows), len(tags))
        for i, row in enumerate(rows):
            about = excerpts[row]
            start, stop, text = about.captions[int(torch.randint(len(about.captions), (), generator=generator))]
            late = float(torch.rand((), generator=generator)) * max(stop - start - _CLIP, 0.0)
            sound.append(torch.from_numpy(excerpts.sound(row, start + late, _CLIP)))
            texts.append(text)
            for first, last, names in about.tags:
                if (first, last) == (start, stop):
                    heard[i, [column[name] for name in names if name in column]] = 1
        return torch.stack(sound), texts, heard

    def loss(_: int, generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randperm(len(training), generator=generator)[:_BATCH].tolist()
        sound, texts, heard = pairs(training, rows, generator)
        with mixed(dtype):
            pooled = network.music.pooled(sound)
        pooled = pooled.float()
        first = functional.normalize(network.music.leave(pooled), dim=-1)
        scores = network.scale.exp().clamp(max=50.0) * first @ network.text(texts).t()
        same = torch.arange(len(rows))
        contrast = (functional.cross_entropy(scores, same) + functional.cross_entropy(scores.t(), same)) / 2
        told = functional.binary_cross_entropy_with_logits(network.tags(pooled), heard)
        return {"loss": contrast + told, "contrast": contrast, "tags": told}

    def evaluate() -> dict[str, float]:
        generator = torch.Generator().manual_seed(0)
        sound, texts, _ = pairs(validation, list(range(len(validation))), generator)
        music = torch.cat([network.music(some) for some in torch.split(sound, 25)])
        ranks = (music @ network.text(texts).t()).t().argsort(1, descending=True)
        hits = ranks == torch.arange(len(texts))[:, None]
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
