"""Attention to the last frames and to one learned key and value that every query sees: the sink."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.exporters.cached_attention import Places, cache_places

__all__ = ["WindowedCrossAttention", "WindowedSelfAttention", "sink_places"]


def sink_places(position: Tensor, new: int, keys: Tensor) -> Places:
    """Say where new frames stand in caches whose slot 0 holds the sink and whose other slots are a ring.

    Parameters
    ----------
    position : Tensor of shape (), int64
        Position of the first new frame, on the device of the network.
    new : int
        T, how many frames are new.
    keys : Tensor of shape (B, heads, 1 + slots, D)
        A cache.

    Returns
    -------
    Places
        As of :func:`~brain2music.exporters.cache_places`, for queries that see the sink first.
    """
    ring = cache_places(position, new, keys.narrow(2, 1, keys.size(2) - 1), True)
    return Places(ring.positions, ring.slots + 1, functional.pad(ring.mask, [1, 0]))


class _Windowed(nn.Module):
    """What both kinds of attention share: the caches, the sink and the map of the heads to the output.

    Queries come out of their linear map already scaled: the scale of each dimension is part of the weights. Only the
    sink's score is not scaled (sequence-layers multiplies the sink's key with the query as it was): the sink's key is
    divided by the scale.
    """

    def __init__(self, dimension: int, heads: int, head_dimension: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_dimension = head_dimension
        #: How many frames a query sees, its own included.
        self.window = window
        #: Key and value, (2, heads, D).
        self.sink = nn.Parameter(torch.zeros(2, heads, head_dimension))
        self.out = nn.Linear(heads * head_dimension, dimension, bias=False)

    def init_state(self, batch: int, length: int) -> list[Tensor]:
        """Make empty caches of keys and values, (B, heads, 1 + slots, D); slot 0 holds the sink."""
        shape = [batch, self.heads, 1 + min(length, self.window), self.head_dimension]
        keys = torch.zeros(shape, dtype=self.sink.dtype, device=self.sink.device)
        values = torch.zeros_like(keys)
        keys.select(2, 0).copy_(self.sink[0])
        values.select(2, 0).copy_(self.sink[1])
        return [keys, values]

    def _split(self, x: Tensor) -> Tensor:
        """Turn (B, T, n * heads * D) into (B, n * heads, T, D)."""
        return x.view(x.size(0), x.size(1), -1, self.head_dimension).transpose(1, 2)

    def _attended(
        self, queries: Tensor, new_keys: Tensor, new_values: Tensor, places: Places, keys: Tensor, values: Tensor
    ) -> Tensor:
        new = queries.size(2)
        seen_keys, seen_values = keys, values
        if new > 1:  # copies: the first new queries still see what is overwritten
            seen_keys = torch.cat([keys, new_keys], dim=2)
            seen_values = torch.cat([values, new_values], dim=2)
        kept = places.slots.size(0)
        keys.index_copy_(2, places.slots, new_keys.narrow(2, new - kept, kept))
        values.index_copy_(2, places.slots, new_values.narrow(2, new - kept, kept))
        attended = functional.scaled_dot_product_attention(
            queries, seen_keys, seen_values, attn_mask=places.mask, scale=1.0
        )
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out


class WindowedSelfAttention(_Windowed):
    """Causal self-attention to a window of frames and the sink.

    Parameters
    ----------
    dimension : int
        d of the input and the output.
    heads, head_dimension : int
        The number of heads, and the size of each, D.
    window : int
        How many frames a query sees, its own included.
    """

    def __init__(self, dimension: int, heads: int, head_dimension: int, window: int) -> None:
        super().__init__(dimension, heads, head_dimension, window)
        self.project = nn.Linear(dimension, 3 * heads * head_dimension, bias=False)

    def extend(self, x: Tensor, places: Places, keys: Tensor, values: Tensor) -> Tensor:
        """Map new frames (B, T, d) to (B, T, d), and write their keys and values into the caches."""
        queries, new_keys, new_values = self._split(self.project(x)).chunk(3, dim=1)
        return self._attended(queries, new_keys, new_values, places, keys, values)


class WindowedCrossAttention(_Windowed):
    """Causal attention of frames to the source of the same frames, to a window of it and the sink.

    Parameters
    ----------
    dimension : int
        d of the input and the output.
    source : int
        The size of the source.
    heads, head_dimension : int
        The number of heads, and the size of each, D.
    window : int
        How many frames of the source a query sees, that of its own frame included.
    """

    def __init__(self, dimension: int, source: int, heads: int, head_dimension: int, window: int) -> None:
        super().__init__(dimension, heads, head_dimension, window)
        self.query = nn.Linear(dimension, heads * head_dimension, bias=False)
        self.remember = nn.Linear(source, 2 * heads * head_dimension, bias=False)

    def extend(self, x: Tensor, source: Tensor, places: Places, keys: Tensor, values: Tensor) -> Tensor:
        """Map new frames (B, T, d) and their source (B, T, size) to (B, T, d), and write the source into the caches."""
        new_keys, new_values = self._split(self.remember(source)).chunk(2, dim=1)
        return self._attended(self._split(self.query(x)), new_keys, new_values, places, keys, values)
