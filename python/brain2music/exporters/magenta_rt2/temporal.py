"""The temporal network: once a frame, from the codes of the frame before and the source to one vector."""

from torch import Tensor, nn

from brain2music.exporters.cached_attention import Places
from brain2music.exporters.magenta_rt2.windowed_attention import (
    WindowedCrossAttention,
    WindowedSelfAttention,
    sink_places,
)

__all__ = ["TemporalNetwork", "feed_forward"]

EPSILON = 1e-6


def feed_forward(dimension: int, hidden: int) -> nn.Sequential:
    """Make the feed-forward network of a layer: GELU in the form with tanh, both linear maps with a bias."""
    return nn.Sequential(nn.Linear(dimension, hidden), nn.GELU("tanh"), nn.Linear(hidden, dimension))


class TemporalLayer(nn.Module):
    """Self-attention, attention to the source and a feed-forward network, each normalised before and after."""

    def __init__(self, dimension: int, source: int, heads: int, head_dimension: int, hidden: int, window: int) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(dimension, EPSILON)
        self.attention = WindowedSelfAttention(dimension, heads, head_dimension, window)
        self.attention_post_norm = nn.RMSNorm(dimension, EPSILON)
        self.source_norm = nn.RMSNorm(dimension, EPSILON)
        self.source_attention = WindowedCrossAttention(dimension, source, heads, head_dimension, window)
        self.source_post_norm = nn.RMSNorm(dimension, EPSILON)
        self.feed_forward_norm = nn.RMSNorm(dimension, EPSILON)
        self.feed_forward = feed_forward(dimension, hidden)
        self.feed_forward_post_norm = nn.RMSNorm(dimension, EPSILON)

    def init_state(self, batch: int, length: int) -> list[Tensor]:
        """Make the layer's four caches."""
        return self.attention.init_state(batch, length) + self.source_attention.init_state(batch, length)

    def extend(self, x: Tensor, source: Tensor, places: Places, state: list[Tensor], first: int) -> Tensor:
        """Map new frames (B, T, d) to (B, T, d); the layer's tensors lie at ``first`` in the state."""
        attended = self.attention.extend(self.attention_norm(x), places, state[first], state[first + 1])
        x = x + self.attention_post_norm(attended)
        attended = self.source_attention.extend(self.source_norm(x), source, places, state[first + 2], state[first + 3])
        x = x + self.source_post_norm(attended)
        out: Tensor = x + self.feed_forward_post_norm(self.feed_forward(self.feed_forward_norm(x)))
        return out


class TemporalNetwork(nn.Module):
    """Layers over frames.

    Parameters
    ----------
    layers : int
        How many layers.
    dimension : int
        d.
    source : int
        The size of the source.
    heads, head_dimension : int
        The number of heads, and the size of each.
    hidden : int
        The width of the feed-forward networks.
    window : int
        How many frames a query sees, its own included.
    """

    def __init__(
        self, layers: int, dimension: int, source: int, heads: int, head_dimension: int, hidden: int, window: int
    ) -> None:
        super().__init__()
        stack = [TemporalLayer(dimension, source, heads, head_dimension, hidden, window) for _ in range(layers)]
        self.layers = nn.ModuleList(stack)
        #: How many tensors of the state belong to the layers, four to each.
        self.tensors = 4 * layers

    def init_state(self, batch: int, length: int) -> list[Tensor]:
        """Make the caches of all layers."""
        state: list[Tensor] = []
        for layer in self.layers:
            state = state + layer.init_state(batch, length)  # type: ignore[operator]
        return state

    def extend(self, x: Tensor, source: Tensor, position: Tensor, state: list[Tensor], first: int) -> Tensor:
        """Map new frames (B, T, d) and their source (B, T, size) to (B, T, d); the tensors lie at ``first``."""
        places = sink_places(position, x.size(1), state[first])
        for i, layer in enumerate(self.layers):
            x = layer.extend(x, source, places, state, first + 4 * i)  # type: ignore[operator]
        return x
