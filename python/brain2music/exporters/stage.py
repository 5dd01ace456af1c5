"""A stage of generation: embeddings, layers and a head, with the two methods that a bundle calls."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from brain2music.exporters.cached_attention import Places, Rotary, SelfAttention, band_mask, cache_places
from brain2music.exporters.condition import ConditionTerm, CrossAttention

__all__ = ["DecoderLayer", "GatedFeedForward", "Stage"]


class GatedFeedForward(nn.Module):
    """``down(activation(gate(x)) * up(x))``, where gate and up are one ``Linear`` (``rise``), the gate's rows first.

    Parameters
    ----------
    dimension : int
        d of the input and the output.
    feed_forward : int
        The width of the middle.
    activation : Module
        It is applied to the gate.
    bias : bool
        Whether the linear maps have a bias.
    """

    def __init__(self, dimension: int, feed_forward: int, activation: nn.Module, *, bias: bool = False) -> None:
        super().__init__()
        self.rise = nn.Linear(dimension, 2 * feed_forward, bias=bias)
        self.activation = activation
        self.down = nn.Linear(feed_forward, dimension, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., d) to (..., d)."""
        gate, up = self.rise(x).chunk(2, dim=-1)
        out: Tensor = self.down(self.activation(gate) * up)
        return out


class DecoderLayer(nn.Module):
    """A layer that normalises first: attention, the condition, and a feed-forward network, each added to its input.

    Parameters
    ----------
    dimension : int
        d, the size of the norms.
    attention : SelfAttention
        The layer's attention.
    feed_forward : Module
        It maps (B, T, d) to (B, T, d).
    norm : callable
        Makes a norm from d and ``eps``: ``torch.nn.LayerNorm``, ``torch.nn.RMSNorm``.
    eps : float
        The norms' epsilon.
    condition : ConditionTerm or CrossAttention, optional
        How the condition reaches the layer; cross-attention gets a norm of its own.
    """

    def __init__(
        self,
        dimension: int,
        attention: SelfAttention,
        feed_forward: nn.Module,
        *,
        norm: Callable[[int, float], nn.Module] = nn.LayerNorm,
        eps: float = 1e-5,
        condition: ConditionTerm | CrossAttention | None = None,
    ) -> None:
        super().__init__()
        self.attention_norm = norm(dimension, eps)
        self.attention = attention
        self.condition_norm = norm(dimension, eps) if isinstance(condition, CrossAttention) else nn.Identity()
        self.condition = condition
        self.feed_forward_norm = norm(dimension, eps)
        self.feed_forward = feed_forward
        #: How many tensors of the state belong to the layer.
        self.tensors = 2 + (0 if condition is None else condition.tensors)

    def init_state(self, batch: int, length: int, condition: Tensor | None) -> list[Tensor]:
        """Return the layer's part of :meth:`Stage.init_state`."""
        state = self.attention.init_state(batch, length)
        if self.condition is not None and condition is not None:
            state = state + self.condition.init_state(condition)
        return state

    def extend(self, x: Tensor, places: Places, rotation: Tensor | None, state: list[Tensor], first: int) -> Tensor:
        """Map new tokens (B, T, d) to (B, T, d); the layer's tensors lie at ``first`` in the state."""
        x = x + self.attention.extend(self.attention_norm(x), places, rotation, state[first], state[first + 1])
        if self.condition is not None:
            x = x + self.condition.extend(self.condition_norm(x), state, first + 2)
        out: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return out

    @torch.jit.ignore  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor, mask: Tensor, rotation: Tensor | None, condition: Tensor | None) -> Tensor:
        """Map a whole sequence (B, T, d) to (B, T, d), for training; mask (T, T), condition (B, S, size) or None."""
        x = x + self.attention(self.attention_norm(x), mask, rotation)
        if self.condition is not None and condition is not None:
            x = x + self.condition.extend(self.condition_norm(x), self.condition.init_state(condition), 0)
        out: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return out


class Stage(nn.Module):
    """A stage put together from its parts; the exporters of public models fill one with the model's weights.

    Parameters
    ----------
    embeddings : iterable of Embedding
        One for each level that goes in, added up: one level for the family ``tokens``; the given levels, then the
        stage's own, for the family ``parallel``.
    layers : iterable of DecoderLayer
        The layers, all with one window.
    norm : Module
        It comes before the head.
    head : Linear
        It maps d to the logits of all levels, (levels * V), level by level.
    levels : int, optional
        L, levels that come out, for the family ``parallel``; None for the family ``tokens``.
    positions : Module, optional
        It maps positions (T,) to what is added to the embeddings, (T, d).
    rotary : Rotary, optional
        It turns queries and keys of all layers.
    condition : Module, optional
        It maps the condition to vectors (B, S, size) for the layers: :class:`EmbeddingCondition` or
        :class:`CodesCondition`.
    max_length : int, optional
        How many positions ``positions`` knows.

    Raises
    ------
    ValueError
        If the layers' windows differ, or the head does not fit the levels.

    Examples
    --------
    A small Llama, with a window:

    >>> from torch import nn
    >>> from brain2music.exporters import DecoderLayer, GatedFeedForward, Rotary, SelfAttention, Stage, script_stage
    >>> def layer():
    ...     attention = SelfAttention(32, heads=4, key_heads=2, window=64)
    ...     return DecoderLayer(32, attention, GatedFeedForward(32, 80, nn.SiLU()), norm=nn.RMSNorm)
    >>> stage = Stage(
    ...     embeddings=[nn.Embedding(100, 32)],
    ...     layers=[layer() for _ in range(3)],
    ...     norm=nn.RMSNorm(32, 1e-5),
    ...     head=nn.Linear(32, 100, bias=False),
    ...     rotary=Rotary(8),
    ... )
    >>> [tuple(tensor.shape) for tensor in script_stage(stage).init_state(1, 1000, None)][:2]
    [(1, 2, 64, 8), (1, 2, 64, 8)]
    """

    def __init__(
        self,
        *,
        embeddings: Iterable[nn.Embedding],
        layers: Iterable[DecoderLayer],
        norm: nn.Module,
        head: nn.Linear,
        levels: int | None = None,
        positions: nn.Module | None = None,
        rotary: Rotary | None = None,
        condition: nn.Module | None = None,
        max_length: int | None = None,
    ) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(embeddings)
        stack = list(layers)
        self.layers = nn.ModuleList(stack)
        #: Where each layer's tensors begin in the state.
        self.first = [sum(layer.tensors for layer in stack[:i]) for i in range(len(stack))]
        self.norm = norm
        self.head = head
        self.parallel = levels is not None
        self.levels = 1 if levels is None else levels
        self.positions = positions
        self.rotary = rotary
        self.condition = condition
        self.max_length = max_length
        windows = {layer.attention.window for layer in stack}
        if len(windows) != 1:
            raise ValueError(f"[exporters.Stage] all layers must have one window; got {sorted(map(str, windows))}")
        self.window = windows.pop()
        self.ring = self.window is not None
        if any((layer.condition is None) != (condition is None) for layer in stack):
            raise ValueError("[exporters.Stage] a condition must reach all layers, or there must be none; got neither")
        if head.out_features % self.levels or len(self.embeddings) < self.levels:
            raise ValueError(
                f"[exporters.Stage] the head must give as many logits for each of {self.levels} levels, and each must "
                f"have an embedding; got {head.out_features} logits and {len(self.embeddings)} embeddings"
            )

    @torch.jit.export
    def init_state(self, batch: int, length: int, condition: Tensor | None) -> list[Tensor]:
        """Make the state of a batch of new sequences.

        Parameters
        ----------
        batch : int
            B.
        length : int
            Positions of a sequence, at most.
        condition : Tensor, optional
            (B, d_condition), or codes (B, levels) int64; None where the stage takes none.

        Returns
        -------
        list of Tensor
            Each starts with B. No two share memory, nor do those of two calls.
        """
        if self.max_length is not None:  # noqa: SIM102  scripts leave out a branch that None rules out, not a half
            if length > self.max_length:
                raise ValueError(
                    f"[exporters.Stage.init_state] length must be at most {self.max_length} positions; got {length}"
                )
        vectors = self._vectors(batch, condition)
        state: list[Tensor] = []
        for layer in self.layers:
            state = state + layer.init_state(batch, length, vectors)  # type: ignore[operator]
        return state

    @torch.jit.export
    def extend(self, tokens: Tensor, position: Tensor, state: list[Tensor]) -> Tensor:
        """Take new tokens and give the logits of what follows each of them.

        Parameters
        ----------
        tokens : Tensor, int64
            (B, T) for the family ``tokens``; codes (B, G + L, T) for the family ``parallel``.
        position : Tensor of shape (), int64
            Position of the first of the T, on the device of the network.
        state : list of Tensor
            From :meth:`init_state`; written in place.

        Returns
        -------
        Tensor, float32
            (B, T, V), or (B, L, T, V) for the family ``parallel``.
        """
        codes = tokens if self.parallel else tokens.unsqueeze(1)
        places = cache_places(position, codes.size(2), state[0], self.ring)
        x = self._embedded(codes, places.positions)
        rotation: Tensor | None = None
        if self.rotary is not None:
            rotation = self.rotary(places.positions).to(x.dtype)
        for i, layer in enumerate(self.layers):
            x = layer.extend(x, places, rotation, state, self.first[i])  # type: ignore[operator]
        return self._logits(x)

    @torch.jit.ignore  # type: ignore[untyped-decorator]
    def forward(self, tokens: Tensor, condition: Tensor | None = None) -> Tensor:
        """Give the logits of whole sequences at once, for training; what :meth:`extend` gives, with gradients.

        Parameters
        ----------
        tokens : Tensor, int64
            (B, T), or (B, G + L, T) for the family ``parallel``.
        condition : Tensor, optional
            As for :meth:`init_state`.

        Returns
        -------
        Tensor, float32
            (B, T, V), or (B, L, T, V).
        """
        codes = tokens if self.parallel else tokens.unsqueeze(1)
        positions = torch.arange(codes.size(2), device=codes.device)
        x = self._embedded(codes, positions)
        mask = band_mask(codes.size(2), self.window, x)
        rotation = None if self.rotary is None else self.rotary(positions).to(x.dtype)
        vectors = self._vectors(codes.size(0), condition)
        for layer in self.layers:
            x = layer(x, mask, rotation, vectors)
        return self._logits(x)

    def _vectors(self, batch: int, condition: Tensor | None) -> Tensor | None:
        if self.condition is None:
            if condition is not None:
                raise ValueError("[exporters.Stage.init_state] the stage takes no condition; got one")
            return None
        if condition is None:
            raise ValueError("[exporters.Stage.init_state] the stage takes a condition; got None")
        if condition.size(0) != batch:
            raise ValueError(
                f"[exporters.Stage.init_state] the condition must have {batch} rows; got {condition.size(0)}"
            )
        if condition.is_floating_point():
            condition = condition.to(self.head.weight.dtype)
        vectors: Tensor = self.condition(condition)
        return vectors

    def _embedded(self, codes: Tensor, positions: Tensor) -> Tensor:
        if codes.size(1) != len(self.embeddings):
            raise ValueError(
                f"[exporters.Stage.extend] codes must be (B, {len(self.embeddings)}, T); got (B, {codes.size(1)}, T)"
            )
        x: Tensor = self.embeddings[0](codes.select(1, 0))
        for level, embedding in enumerate(self.embeddings):
            if level > 0:
                x = x + embedding(codes.select(1, level))
        if self.positions is not None:
            x = x + self.positions(positions).to(x.dtype)
        return x

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(x)).to(torch.float32)
        if not self.parallel:
            return logits
        return logits.view(x.size(0), x.size(1), self.levels, -1).transpose(1, 2)
