"""The block that the recipe's networks are built of."""

import torch
from torch import Tensor, nn

__all__ = ["Block"]


class Block(nn.Module):
    """A ConvNeXt block over time: (B, d, T) to (B, d, T).

    Each channel is filtered along time, then every moment goes through two linear maps (Liu et al., *A ConvNet for the
    2020s*, 2022, in one dimension as in Vocos). The sound of a moment depends on ``kernel // 2`` moments on either
    side.

    Parameters
    ----------
    dimension : int
        d.
    hidden : int
        Width between the two linear maps.
    kernel : int, default 7
        Moments that the filter sees, an odd number.
    """

    def __init__(self, dimension: int, hidden: int, kernel: int = 7) -> None:
        super().__init__()
        self.filter = nn.Conv1d(dimension, dimension, kernel, padding=kernel // 2, groups=dimension)
        self.norm = nn.LayerNorm(dimension)
        self.rise = nn.Linear(dimension, hidden)
        self.fall = nn.Linear(hidden, dimension)
        self.scale = nn.Parameter(torch.full((dimension,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """Add what the block computes to its input."""
        y = self.norm(self.filter(x).transpose(1, 2))
        y = self.scale * self.fall(nn.functional.gelu(self.rise(y)))
        out: Tensor = x + y.transpose(1, 2)
        return out
