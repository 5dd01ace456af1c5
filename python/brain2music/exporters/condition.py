"""How a condition reaches a stage: it is made into vectors once, when a sequence begins, and lies in the state."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.exporters.cached_attention import split_heads

__all__ = ["CodesCondition", "ConditionTerm", "CrossAttention", "EmbeddingCondition"]


class EmbeddingCondition(nn.Module):
    """Takes an embedding (B, d_condition) as a condition of one vector, (B, 1, size).

    Parameters
    ----------
    projection : Module, optional
        It maps the embedding to the size that the layers take.
    zero_is_none : bool
        An embedding of zeros gives zeros, whatever bias the projection has: the unconditional half of guidance.
    """

    def __init__(self, projection: nn.Module | None = None, *, zero_is_none: bool = False) -> None:
        super().__init__()
        self.projection = projection
        self.zero_is_none = zero_is_none

    def forward(self, condition: Tensor) -> Tensor:
        """Return (B, 1, size)."""
        vector = condition
        if self.projection is not None:
            vector = self.projection(condition)
        if self.zero_is_none:
            vector = vector * (condition != 0).any(dim=1, keepdim=True)
        return vector.unsqueeze(1)


class CodesCondition(nn.Module):
    """Takes the conditioner's codes (B, levels) int64 as a condition of one vector for each level, (B, levels, size).

    Parameters
    ----------
    levels : int
        How many levels the conditioner has.
    vocabulary : int
        How many ids each level has: its codes, and the id that fills the unconditional half of guidance, if it is
        another.
    size : int
        The size of the vectors.
    """

    def __init__(self, levels: int, vocabulary: int, size: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Embedding(vocabulary, size) for _ in range(levels))

    def forward(self, condition: Tensor) -> Tensor:
        """Return (B, levels, size)."""
        if condition.size(1) != len(self.levels):
            raise ValueError(
                f"[exporters.CodesCondition] condition must be (B, {len(self.levels)}); got (B, {condition.size(1)})"
            )
        vectors: list[Tensor] = []
        for level, embedding in enumerate(self.levels):
            vectors.append(embedding(condition.select(1, level)))
        return torch.stack(vectors, dim=1)


class ConditionTerm(nn.Module):
    """Adds a linear map of a condition of one vector to every position; it is computed once, when a sequence begins.

    Cross-attention to one vector is such a term, exactly: a softmax over one key is 1, so the query does not matter,
    and what is added is ``out(values(condition))``.

    Parameters
    ----------
    dimension : int
        d of the layers.
    condition_dimension : int
        The size of the condition's vector.
    bias : bool
        Whether the map has a bias.
    """

    #: How many tensors of the state belong to it.
    tensors: int = 1

    def __init__(self, dimension: int, condition_dimension: int, *, bias: bool = False) -> None:
        super().__init__()
        self.out = nn.Linear(condition_dimension, dimension, bias=bias)

    def init_state(self, condition: Tensor) -> list[Tensor]:
        """Map a condition (B, 1, condition_dimension) to what is added, (B, 1, d)."""
        if condition.size(1) != 1:
            raise ValueError(f"[exporters.ConditionTerm] the condition must be one vector; got {condition.size(1)}")
        return [self.out(condition)]

    def extend(self, x: Tensor, state: list[Tensor], first: int) -> Tensor:
        """Return what is added to x (B, T, d): the tensor of the state at ``first``."""
        return state[first]


class CrossAttention(nn.Module):
    """Attention to a condition of several vectors, which is projected once, when a sequence begins.

    Where the condition is one vector, :class:`brain2music.exporters.ConditionTerm` gives the same result for less: the
    weights of a softmax over one key are 1.

    Parameters
    ----------
    dimension : int
        d of the input and the output.
    condition_dimension : int
        The size of each vector of the condition.
    heads : int
        The number of heads, a divisor of d.
    bias : bool
        Whether the linear maps have a bias.

    Raises
    ------
    ValueError
        If d is no multiple of ``heads``.
    """

    #: How many tensors of the state belong to it.
    tensors: int = 2

    def __init__(self, dimension: int, condition_dimension: int, heads: int, *, bias: bool = False) -> None:
        super().__init__()
        self.heads, self.head_dimension = split_heads("CrossAttention", dimension, heads, None)
        self.queries = nn.Linear(dimension, dimension, bias=bias)
        self.keys = nn.Linear(condition_dimension, dimension, bias=bias)
        self.values = nn.Linear(condition_dimension, dimension, bias=bias)
        self.out = nn.Linear(dimension, dimension, bias=bias)

    def init_state(self, condition: Tensor) -> list[Tensor]:
        """Project a condition (B, S, condition_dimension) to keys and values, each (B, heads, S, D)."""
        return [self._split(self.keys(condition)), self._split(self.values(condition))]

    def extend(self, x: Tensor, state: list[Tensor], first: int) -> Tensor:
        """Attend to the condition.

        Parameters
        ----------
        x : Tensor of shape (B, T, d)
            The new tokens.
        state : list of Tensor
            The stage's state; keys and values lie at ``first`` and ``first + 1``.
        first : int
            The index of the keys.

        Returns
        -------
        Tensor of shape (B, T, d)
        """
        attended = functional.scaled_dot_product_attention(self._split(self.queries(x)), state[first], state[first + 1])
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.size(0), x.size(1), self.heads, self.head_dimension).transpose(1, 2)
