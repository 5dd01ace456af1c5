"""Attention that remembers: keys and values of earlier positions lie in preallocated caches and are written in place.

The blocks are ``torch.nn`` modules that ``torch.jit.script`` takes and ``torch.jit.freeze`` leaves alone. A cache has
one slot for each position of the sequence, or, where attention is windowed, one slot for each position of the window:
a ring, in which a new position takes the slot of the one that has left the window.

Whatever depends on where the sequence has come to is computed from ``position``, an int64 tensor of no dimension on
the device of the network. Nothing reads its value (no ``item``, ``int`` or ``bool``), so that a captured CUDA graph can
be replayed at the next position. All attention is one ``scaled_dot_product_attention`` with an additive mask.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Places", "Rotary", "SelfAttention", "band_mask", "cache_places", "split_heads", "turned"]


class Places(NamedTuple):
    """Where T new tokens stand, in the sequence and in the caches. All layers of one width of window share it."""

    #: (T,) int64: positions in the sequence.
    positions: Tensor
    #: (min(T, slots),) int64: slots that the new keys are written to; of more than fit, the last ones are kept.
    slots: Tensor
    #: (T, keys), the caches' type: 0 where a query sees a key, -Inf elsewhere. The keys are the slots of the cache; in
    #: a ring, where T > 1, the T new keys come after them.
    mask: Tensor


def cache_places(position: Tensor, new: int, keys: Tensor, ring: bool) -> Places:
    """Say where new tokens stand.

    Parameters
    ----------
    position : Tensor of shape (), int64
        Position of the first new token, on the device of the network.
    new : int
        T, how many tokens are new.
    keys : Tensor of shape (B, heads, slots, head_dimension)
        A cache of the layers that will use the result, as :meth:`SelfAttention.init_state` made it.
    ring : bool
        Whether the slots are a ring, i.e. whether attention is windowed. Else slot i holds position i.

    Returns
    -------
    Places
    """
    slots = keys.size(2)
    positions = position + torch.arange(new, device=position.device)
    held = torch.arange(slots, device=position.device)
    if ring:
        # One new key is written before its query looks at the ring. Of several, the first would be gone by then.
        last = position if new == 1 else position - 1
        held = last - (last - held) % slots  # the last position that took each slot, negative where none has
        if new > 1:
            held = torch.cat([held, positions])
    age = positions.unsqueeze(1) - held
    hidden = age < 0
    if ring:
        hidden = hidden | (held < 0) | (age >= slots)
    mask = torch.zeros([new, held.size(0)], dtype=keys.dtype, device=position.device)
    written = positions[max(0, new - slots) :] % slots if ring else positions
    return Places(positions, written, mask.masked_fill(hidden, float("-inf")))


def band_mask(length: int, window: int | None, like: Tensor) -> Tensor:
    """Make the additive mask of a whole sequence, as training needs it.

    Parameters
    ----------
    length : int
        Positions of the sequence.
    window : int, optional
        How many positions each query sees, its own included; None for all before it.
    like : Tensor
        A tensor of the type and on the device that the mask gets.

    Returns
    -------
    Tensor of shape (length, length)
        0 where a query (row) sees a key (column), -Inf elsewhere.
    """
    positions = torch.arange(length, device=like.device)
    age = positions.unsqueeze(1) - positions
    hidden = age < 0
    if window is not None:
        hidden = hidden | (age >= window)
    return torch.zeros([length, length], dtype=like.dtype, device=like.device).masked_fill(hidden, float("-inf"))


class Rotary(nn.Module):
    """Rotary positions: pairs of a head's dimensions turn by an angle that grows with the position.

    Dimension i of the first half and dimension i of the second half of a head turn by ``position * base ** (-2 i / D)``
    (Su et al., *RoFormer*, 2021, in the layout of Llama). The angles are computed from the positions at each step.

    Parameters
    ----------
    head_dimension : int
        D, even.
    base : float
        The larger the base, the slower the turn.

    Raises
    ------
    ValueError
        If D is odd.
    """

    def __init__(self, head_dimension: int, base: float = 10_000.0) -> None:
        super().__init__()
        if head_dimension % 2:
            raise ValueError(f"[exporters.Rotary] head_dimension must be even; got {head_dimension}")
        self.head_dimension = head_dimension
        self.base = base

    def forward(self, positions: Tensor) -> Tensor:
        """Return what turns heads at positions (T,): (2, T, D) float32, cosines and signed sines of the angles."""
        pairs = torch.arange(0, self.head_dimension, 2, device=positions.device).to(torch.float32)
        angles = positions.to(torch.float32).unsqueeze(1) * (1.0 / self.base ** (pairs / self.head_dimension))
        cosine, sine = angles.cos(), angles.sin()
        return torch.stack([torch.cat([cosine, cosine], dim=1), torch.cat([-sine, sine], dim=1)])


def turned(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn heads (B, heads, T, D) by what :class:`Rotary` made of their positions, in the type of x."""
    return torch.addcmul(x * rotation[0], x.roll(x.size(3) // 2, 3), rotation[1])


class SelfAttention(nn.Module):
    """Causal self-attention with a cache, over the whole past or a window of it.

    Queries, keys and values are one ``Linear`` (``project``): rows of the queries' heads first, then keys', then
    values'. Several heads of queries may share one head of keys and values (grouped-query attention): queries' head h
    looks at keys' head ``h // (heads / key_heads)``.

    Parameters
    ----------
    dimension : int
        d of the input and the output.
    heads : int
        The number of heads of the queries.
    key_heads : int, optional
        The number of heads of keys and values, a divisor of ``heads``; by default as many.
    head_dimension : int, optional
        D, the size of a head; by default ``dimension / heads``.
    window : int, optional
        How many positions a query sees, its own included. The cache is then a ring of that many slots, which does not
        grow with the sequence. By default a query sees all positions before it.
    bias : bool
        Whether both linear maps have a bias.
    scale : float, optional
        Factor of the scores; by default ``1 / sqrt(D)``.

    Raises
    ------
    ValueError
        If the sizes do not divide each other, or the window is below 1.
    """

    def __init__(
        self,
        dimension: int,
        heads: int,
        *,
        key_heads: int | None = None,
        head_dimension: int | None = None,
        window: int | None = None,
        bias: bool = False,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.head_dimension = split_heads("SelfAttention", dimension, heads, head_dimension)
        self.key_heads = heads if key_heads is None else key_heads
        if self.key_heads < 1 or heads % self.key_heads:
            raise ValueError(
                f"[exporters.SelfAttention] heads must be a multiple of key_heads; got {heads} of {key_heads}"
            )
        if window is not None and window < 1:
            raise ValueError(f"[exporters.SelfAttention] window must be 1 or more; got {window}")
        self.window = window
        self.scale = scale
        self.grouped = self.key_heads != heads
        self.project = nn.Linear(dimension, (heads + 2 * self.key_heads) * self.head_dimension, bias=bias)
        self.out = nn.Linear(heads * self.head_dimension, dimension, bias=bias)

    def init_state(self, batch: int, length: int) -> list[Tensor]:
        """Make empty caches.

        Parameters
        ----------
        batch : int
            B, the number of sequences side by side.
        length : int
            The positions of a sequence, at most.

        Returns
        -------
        list of Tensor
            Keys and values, each (B, key_heads, slots, D), of the weights' type.
        """
        slots = length if self.window is None else min(length, self.window)
        weight = self.project.weight
        shape = [batch, self.key_heads, slots, self.head_dimension]
        keys = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        return [keys, torch.zeros_like(keys)]

    def extend(self, x: Tensor, places: Places, rotation: Tensor | None, keys: Tensor, values: Tensor) -> Tensor:
        """Let new tokens attend to what the caches hold and to each other, and write them into the caches.

        Parameters
        ----------
        x : Tensor of shape (B, T, d)
            The new tokens.
        places : Places
            From :func:`cache_places`, with ``ring`` where there is a window.
        rotation : Tensor, optional
            From :class:`Rotary`, of ``places.positions``, in the type of x.
        keys, values : Tensor
            The caches; written in place.

        Returns
        -------
        Tensor of shape (B, T, d)
        """
        queries, new_keys, new_values = self._projected(x, rotation)
        seen_keys, seen_values = keys, values
        if self.window is not None and x.size(1) > 1:  # copies: the first new queries still see what is overwritten
            seen_keys = torch.cat([keys, new_keys], dim=2)
            seen_values = torch.cat([values, new_values], dim=2)
        kept = places.slots.size(0)
        keys.index_copy_(2, places.slots, new_keys.narrow(2, x.size(1) - kept, kept))
        values.index_copy_(2, places.slots, new_values.narrow(2, x.size(1) - kept, kept))
        return self._attended(queries, seen_keys, seen_values, places.mask)

    @torch.jit.ignore  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor, mask: Tensor, rotation: Tensor | None = None) -> Tensor:
        """Attend within a whole sequence, without a cache: for training.

        Parameters
        ----------
        x : Tensor of shape (B, T, d)
            The sequence.
        mask : Tensor of shape (T, T)
            From :func:`band_mask`.
        rotation : Tensor, optional
            From :class:`Rotary`, of positions 0 to T - 1, in the type of x.

        Returns
        -------
        Tensor of shape (B, T, d)
        """
        queries, keys, values = self._projected(x, rotation)
        return self._attended(queries, keys, values, mask)

    def _projected(self, x: Tensor, rotation: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        heads = self.project(x).view(x.size(0), x.size(1), -1, self.head_dimension).transpose(1, 2)
        turning, values = heads.split([self.heads + self.key_heads, self.key_heads], dim=1)
        if rotation is not None:
            turning = turned(turning, rotation)
        queries, keys = turning.split([self.heads, self.key_heads], dim=1)
        return queries, keys, values

    def _attended(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        attended = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, scale=self.scale, enable_gqa=self.grouped
        )
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out


def split_heads(where: str, dimension: int, heads: int, head_dimension: int | None) -> tuple[int, int]:
    """Return how many heads there are and how many dimensions each has, D; raise ValueError where they do not fit."""
    if heads < 1 or (head_dimension is None and dimension % heads):
        raise ValueError(f"[exporters.{where}] dimension must be a multiple of heads; got {dimension} of {heads}")
    return heads, dimension // heads if head_dimension is None else head_dimension
