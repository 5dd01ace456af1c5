"""The depth network: within a frame, level by level, from the temporal network's vector to logits."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.exporters.magenta_rt2.temporal import EPSILON, feed_forward

__all__ = ["DepthNetwork"]


class LevelAttention(nn.Module):
    """Causal self-attention over the levels of one frame. Queries come out of ``project`` scaled."""

    def __init__(self, dimension: int, heads: int, head_dimension: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_dimension = head_dimension
        self.project = nn.Linear(dimension, 3 * heads * head_dimension, bias=False)
        self.out = nn.Linear(heads * head_dimension, dimension, bias=False)

    def extend(self, x: Tensor, level: int, keys: Tensor, values: Tensor) -> Tensor:
        """Map a level's input (B, d) to (B, d), and write its key and value into the caches (B, heads, levels, D)."""
        query, key, value = self.project(x).view(x.size(0), 3, self.heads, self.head_dimension).unbind(1)
        keys.select(2, level).copy_(key)
        values.select(2, level).copy_(value)
        attended = functional.scaled_dot_product_attention(
            query.unsqueeze(2), keys.narrow(2, 0, level + 1), values.narrow(2, 0, level + 1), scale=1.0
        )
        out: Tensor = self.out(attended.flatten(1))
        return out


class DepthLayer(nn.Module):
    """Attention over levels and a feed-forward network, each normalised before and after."""

    def __init__(self, dimension: int, heads: int, head_dimension: int, hidden: int) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(dimension, EPSILON)
        self.attention = LevelAttention(dimension, heads, head_dimension)
        self.attention_post_norm = nn.RMSNorm(dimension, EPSILON)
        self.feed_forward_norm = nn.RMSNorm(dimension, EPSILON)
        self.feed_forward = feed_forward(dimension, hidden)
        self.feed_forward_post_norm = nn.RMSNorm(dimension, EPSILON)

    def extend(self, x: Tensor, level: int, keys: Tensor, values: Tensor) -> Tensor:
        """Map a level's input (B, d) to (B, d)."""
        x = x + self.attention_post_norm(self.attention.extend(self.attention_norm(x), level, keys, values))
        out: Tensor = x + self.feed_forward_post_norm(self.feed_forward(self.feed_forward_norm(x)))
        return out


class DepthNetwork(nn.Module):
    """Layers over the levels of a frame, and a head for each level.

    Parameters
    ----------
    layers : int
        How many layers.
    given : int
        The size of the vectors that go in: the temporal network's.
    dimension : int
        d.
    heads, head_dimension : int
        The number of heads, and the size of each.
    hidden : int
        The width of the feed-forward networks.
    levels, codes : int
        How many levels a frame has, and how many codes each.
    cap : float
        Logits are bent into (-cap, cap): ``cap * tanh(logits / cap)``.
    """

    def __init__(
        self,
        layers: int,
        given: int,
        dimension: int,
        heads: int,
        head_dimension: int,
        hidden: int,
        levels: int,
        codes: int,
        cap: float = 30.0,
    ) -> None:
        super().__init__()
        self.adapter = nn.Linear(given, dimension, bias=False)
        self.layers = nn.ModuleList(DepthLayer(dimension, heads, head_dimension, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(dimension, EPSILON)
        #: One for each level, so that its weights are constants of a frozen script.
        self.heads = nn.ModuleList(nn.Linear(dimension, codes) for _ in range(levels))
        #: Of a cache, without the batch.
        self.shape = (heads, levels, head_dimension)
        self.cap = cap

    def init_state(self, batch: int) -> list[Tensor]:
        """Make the caches of all layers. Each frame overwrites what the frame before left in them."""
        weight = self.adapter.weight
        state: list[Tensor] = []
        for _ in range(2 * len(self.layers)):
            state.append(torch.zeros([batch, *self.shape], dtype=weight.dtype, device=weight.device))
        return state

    def extend(self, x: Tensor, level: int, state: list[Tensor], first: int) -> Tensor:
        """Map a level's input (B, given) to logits (B, codes); the tensors lie at ``first`` in the state."""
        x = self.adapter(x)
        for i, layer in enumerate(self.layers):
            x = layer.extend(  # type: ignore[operator]
                x, level, state[first + 2 * i], state[first + 2 * i + 1]
            )
        x = self.norm(x)
        logits = x
        for i, head in enumerate(self.heads):
            if i == level:
                logits = head(x)
        return torch.tanh(logits / self.cap) * self.cap
