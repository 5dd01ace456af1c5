"""The two towers of the embedder: music and captions into one space, where a clip lies near what is written of it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.recipes.blocks import Block
from brain2music.recipes.spectra import LogMel

__all__ = ["DIMENSION", "MusicTower", "TextTower", "words"]

#: Dimensions of the space, as MuLan's.
DIMENSION = 128


class MusicTower(nn.Module):
    """``embed``: (B, samples) at 16 kHz to (B, 128) of length 1.

    Log-mel frames, 50 a second, relative to the clip's mean; 25 a second after the first layer; blocks over time; the
    mean and an attended mean of all moments.

    Parameters
    ----------
    width : int
        d of the frames.
    blocks : int
        How many.
    """

    RATE, HOP, BANDS = 16_000, 320, 64

    def __init__(self, width: int = 192, blocks: int = 6) -> None:
        super().__init__()
        self.width = width
        self.mel = LogMel(self.RATE, 1024, self.HOP, self.BANDS)
        self.enter = nn.Conv1d(self.BANDS, width, 6, stride=2, padding=2)
        self.blocks = nn.ModuleList([Block(width, 3 * width) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.attend = nn.Linear(width, 4)
        self.leave = nn.Linear(5 * width, DIMENSION)

    def frames(self, wave: Tensor, depth: int) -> Tensor:
        """Map (B, samples) to what so many blocks make of it, (B, width, frames), 25 frames a second."""
        mel = self.mel(wave)
        x: Tensor = self.enter((mel - mel.mean([1, 2], keepdim=True)) / 3)
        for i, block in enumerate(self.blocks):
            if i < depth:
                x = block(x)
        return x

    def pooled(self, wave: Tensor) -> Tensor:
        """Map (B, samples) to (B, 5 width): means of all moments, plain and attended."""
        x = self.norm(self.frames(wave, len(self.blocks)).transpose(1, 2))
        weights = torch.softmax(self.attend(x), 1)
        attended = torch.matmul(weights.transpose(1, 2), x).flatten(1)
        return torch.cat([x.mean(1), attended], 1)

    def forward(self, wave: Tensor) -> Tensor:
        """Embed, for training."""
        return functional.normalize(self.leave(self.pooled(wave)), dim=-1)

    @torch.jit.export
    def embed(self, wave: Tensor) -> Tensor:
        """Embed windows."""
        return self.forward(wave)


def words(text: str) -> list[str]:
    """Split a text: letters from A to Z and digits, in lower case; everything else is space."""
    letters: list[str] = []
    for letter in text:  # bytes in a script: what is not ASCII must be the same as in Python
        known = "a" <= letter <= "z" or "A" <= letter <= "Z" or "0" <= letter <= "9"
        letters.append(letter if known else " ")
    return "".join(letters).lower().split()


class TextTower(nn.Module):
    """``embed``: texts to (B, 128) of length 1.

    A word is its own vector, if it is known, and the mean of the vectors of its trigrams, which other words share
    (Bojanowski et al., *Enriching word vectors with subword information*, 2017).

    Parameters
    ----------
    known : list of str
        Words that have a vector of their own.
    width : int
        d of the words.
    blocks : int
        Blocks over neighbouring words.
    buckets : int
        Vectors that trigrams share.
    """

    known: dict[str, int]

    def __init__(self, known: list[str], width: int = 128, blocks: int = 3, buckets: int = 1024) -> None:
        super().__init__()
        self.known = {word: i for i, word in enumerate(known)}
        self.count, self.buckets = len(known), buckets
        self.own = nn.Embedding(len(known) + 1, width)
        self.parts = nn.Embedding(buckets, width)
        self.blocks = nn.ModuleList([Block(width, 3 * width, 5) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.attend = nn.Linear(width, 2)
        self.leave = nn.Linear(3 * width, DIMENSION)

    def ids(self, text: str) -> tuple[list[int], list[list[int]]]:
        """Return each word's own vector, and its trigrams'."""
        own: list[int] = []
        parts: list[list[int]] = []
        for word in words(text):
            own.append(self.known.get(word, self.count))
            marked = "<" + word + ">"
            inside: list[int] = []
            for i in range(len(marked) - 2):
                total = 0
                for letter in marked[i : i + 3]:
                    total = (total * 131 + ord(letter)) % 1_000_003
                inside.append(total % self.buckets)
            parts.append(inside)
        if len(own) == 0:  # a text without words is one unknown word
            own.append(self.count)
            parts.append([0])
        return own, parts

    def vectors(self, text: str) -> Tensor:
        """Map a text to its words' vectors (words, width)."""
        own, parts = self.ids(text)
        device = self.own.weight.device
        flat: list[int] = []
        rows: list[int] = []
        shares: list[float] = []
        for row, inside in enumerate(parts):
            for part in inside:
                flat.append(part)
                rows.append(row)
                shares.append(1.0 / len(inside))
        x = self.own(torch.tensor(own, device=device))
        trigrams = self.parts(torch.tensor(flat, device=device))
        weights = torch.tensor(shares, device=device).to(x.dtype).unsqueeze(1)
        summed: Tensor = x.index_add(0, torch.tensor(rows, device=device), trigrams * weights)
        return summed

    def forward(self, texts: list[str]) -> Tensor:
        """Embed, for training: as each text alone."""
        rows = [self.vectors(text) for text in texts]
        lengths = [row.size(0) for row in rows]
        x = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = (torch.arange(x.size(1), device=x.device)[None] < torch.tensor(lengths, device=x.device)[:, None])[
            ..., None
        ]
        keep = mask.to(x.dtype)
        x = x.transpose(1, 2)
        for block in self.blocks:
            x = block(x) * keep.transpose(1, 2)
        y = self.norm(x.transpose(1, 2))
        weights = torch.softmax(self.attend(y).masked_fill(~mask, float("-inf")), 1)
        attended = torch.matmul(weights.transpose(1, 2), y).flatten(1)
        mean = (y * keep).sum(1) / keep.sum(1)
        embedded: Tensor = self.leave(torch.cat([mean, attended], 1))
        unit: Tensor = functional.normalize(embedded, dim=-1)
        return unit

    @torch.jit.export
    def embed(self, texts: list[str]) -> Tensor:
        """Embed texts."""
        return self.forward(texts)
