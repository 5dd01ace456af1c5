"""What the codes of a frame's 144 input channels become: the vector that the temporal network attends to."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from brain2music.exporters.magenta_rt2.temporal import EPSILON

__all__ = ["OFFSET", "OTHERS", "STYLES", "STYLE_CODES", "SourceNetwork"]

#: Channels of the style, and how many codes each has.
STYLES, STYLE_CODES = 12, 1024
#: Rows of a channel's table before that of code 0: six reserved ones and one for "masked", the code -1.
OFFSET = 7
#: Rows of the other channels' tables: 128 notes, the drums, two scales of guidance (style, notes), that of the drums.
#: The tables of the scales have one row less than their codes need: the row of the highest is the next table's first.
OTHERS = (*[4 + OFFSET] * 128, 2 + OFFSET, 41 + OFFSET - 1, 41 + OFFSET - 1, 9 + OFFSET - 1)


class SourceNetwork(nn.Module):
    """Codes of all channels to the source, (B, T, channels) to (B, T, size).

    The style is the sum of one row of ``style`` for each of its channels, then a linear map; the other channels are
    the mean of one row of ``other`` for each. The mean of both is normalised.

    Parameters
    ----------
    size : int
        The size of the source.
    embedding : int
        The size of the style's embedding.
    rows : int
        Rows of the table of the other channels.
    others : sequence of int
        How many rows each of the other channels has.
    """

    def __init__(self, size: int, embedding: int, rows: int, others: Sequence[int] = OTHERS) -> None:
        super().__init__()
        self.style = nn.Embedding(STYLES * (STYLE_CODES + OFFSET), embedding)
        self.project = nn.Linear(embedding, size, bias=False)
        self.other = nn.Embedding(rows, size)
        self.norm = nn.LayerNorm(size, EPSILON)
        self.styles = STYLES
        self.channels = STYLES + len(others)
        #: The row of code 0 of each channel.
        self.style_rows: Tensor
        self.other_rows: Tensor
        starts = [sum(others[:i]) for i in range(len(others))]
        self.register_buffer("style_rows", OFFSET + torch.arange(STYLES) * (STYLE_CODES + OFFSET), persistent=False)
        self.register_buffer("other_rows", OFFSET + torch.tensor(starts), persistent=False)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the source of frames; a code is -1 where its channel is masked."""
        style = self.project(self.style(codes[..., : self.styles] + self.style_rows).sum(-2))
        other = self.other(codes[..., self.styles :] + self.other_rows).mean(-2)
        source: Tensor = self.norm((style + other) / 2)
        return source
