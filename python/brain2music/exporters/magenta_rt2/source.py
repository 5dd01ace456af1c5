"""What the codes of a frame's 144 input channels become: the vector that the temporal network attends to."""

import torch
from torch import Tensor, nn

from brain2music.exporters.magenta_rt2.temporal import EPSILON

__all__ = ["STYLES", "STYLE_CODES", "SourceNetwork"]

#: Channels of the style, and how many codes each has.
STYLES, STYLE_CODES = 12, 1024
#: Rows of a channel's table before that of code 0: six reserved ones and, last, one for "masked".
MASKED = 7
#: The scales of guidance are never masked, so that their tables lack that row (``dropout_prob=None`` in magenta-rt's
#: ``config.py``). Its ``export.py`` counts 6 rows for them, its ``system.py`` 7 as for all others: of the two, 6 fits
#: the tables. With 7, the highest scale would be the first row of the next table.
UNMASKED = 6
#: Codes of the other channels and rows before them: 128 notes, the drums, the scales of guidance by style, notes and
#: drums.
OTHERS = (*[(4, MASKED)] * 128, (2, MASKED), (41, UNMASKED), (41, UNMASKED), (9, UNMASKED))


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
    """

    def __init__(self, size: int, embedding: int, rows: int) -> None:
        super().__init__()
        self.style = nn.Embedding(STYLES * (STYLE_CODES + MASKED), embedding)
        self.project = nn.Linear(embedding, size, bias=False)
        self.other = nn.Embedding(rows, size)
        self.norm = nn.LayerNorm(size, EPSILON)
        self.styles = STYLES
        self.channels = STYLES + len(OTHERS)
        #: The row of code 0 of each channel.
        self.style_rows: Tensor
        self.other_rows: Tensor
        starts = [before + sum(sum(table) for table in OTHERS[:i]) for i, (_, before) in enumerate(OTHERS)]
        self.register_buffer("style_rows", MASKED + torch.arange(STYLES) * (STYLE_CODES + MASKED), persistent=False)
        self.register_buffer("other_rows", torch.tensor(starts), persistent=False)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the source of frames; a code is -1 where its channel is masked."""
        style = self.project(self.style(codes[..., : self.styles] + self.style_rows).sum(-2))
        other = self.other(codes[..., self.styles :] + self.other_rows).mean(-2)
        source: Tensor = self.norm((style + other) / 2)
        return source
