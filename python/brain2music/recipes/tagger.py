"""The tagger: genre, instruments and mood of a clip. It shares nothing with the embedder, so that it can judge it."""

import os

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.recipes.blocks import Block
from brain2music.recipes.excerpts import CLIP, Excerpts, draw_clips, heard
from brain2music.recipes.spectra import LogMel
from brain2music.recipes.training import mixed, train

__all__ = ["Tagger", "train_tagger"]

#: Clips a step.
_BATCH = 32


class Tagger(nn.Module):
    """``tag``: (B, samples) at 16 kHz to (B, classes) probabilities.

    Parameters
    ----------
    groups : list of int
        Classes of each group, one group after the other. Classes of a group whose number is negative shut each other
        out: their probabilities sum to 1.
    width, blocks : int
        d of the frames, and how many blocks.
    """

    def __init__(self, groups: list[int], width: int = 96, blocks: int = 4) -> None:
        super().__init__()
        self.groups = groups
        self.mel = LogMel(16_000, 1024, 400, 64)
        self.enter = nn.Conv1d(64, width, 6, stride=2, padding=2)
        self.blocks = nn.Sequential(*[Block(width, 3 * width) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(2 * width, sum(abs(count) for count in groups))

    def logits(self, wave: Tensor) -> Tensor:
        """Map (B, samples) to (B, classes)."""
        mel = self.mel(wave)
        x = self.blocks(self.enter((mel - mel.mean([1, 2], keepdim=True)) / 3))
        x = self.norm(x.transpose(1, 2))
        logits: Tensor = self.leave(torch.cat([x.mean(1), x.std(1)], 1))
        return logits

    @torch.jit.export
    def tag(self, wave: Tensor) -> Tensor:
        """Tag windows."""
        logits = self.logits(wave)
        parts: list[Tensor] = []
        first = 0
        for count in self.groups:
            part = logits[:, first : first + abs(count)]
            parts.append(torch.softmax(part, 1) if count < 0 else torch.sigmoid(part))
            first += abs(count)
        return torch.cat(parts, 1)


def train_tagger(
    network: Tagger,
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
    """Train the tagger; see :func:`brain2music.recipes.training.train`. Excerpts without tags are passed over."""
    device = network.leave.weight.device
    tagged, followed = _tagged(training), _tagged(validation)

    def batch(excerpts: Excerpts, rows: list[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        sound, drawn = draw_clips(excerpts, rows, lambda about: about.tags, CLIP, generator)
        return sound.to(device), heard([names for _, _, names in drawn], tags).to(device)

    def error(logits: Tensor, true: Tensor) -> Tensor:
        total = torch.zeros((), device=device)
        first = 0
        for count in network.groups:
            part, wanted = logits[:, first : first + abs(count)], true[:, first : first + abs(count)]
            if count < 0:
                total = total + functional.cross_entropy(part, wanted)
            else:
                total = total + functional.binary_cross_entropy_with_logits(part, wanted)
            first += abs(count)
        return total

    def loss(_: int, generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(tagged), (_BATCH,), generator=generator).tolist()
        sound, true = batch(training, [tagged[row] for row in rows], generator)
        with mixed(dtype, device):
            logits = network.logits(sound)
        return {"loss": error(logits.float(), true)}

    def evaluate() -> dict[str, float]:
        if not followed:
            return {}
        sound, true = batch(validation, followed, torch.Generator().manual_seed(0))
        logits = torch.cat([network.logits(some) for some in torch.split(sound, 25)])
        figures = {"held_out": float(error(logits, true))}
        if network.groups[0] < 0:
            first = -network.groups[0]
            right = logits[:, :first].argmax(1) == true[:, :first].argmax(1)
            figures["genre"] = float(right.float().mean())
        return figures

    return train(
        network,
        loss,
        checkpoint,
        steps=steps,
        peak=2e-3,
        seed=seed,
        evaluate=evaluate,
        stop_after=stop_after,
        progress=progress,
    )


def _tagged(excerpts: Excerpts) -> list[int]:
    return [row for row, about in enumerate(excerpts) if about.tags]
