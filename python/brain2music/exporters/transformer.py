"""The transformer of the project's own stages, made to be trained."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from brain2music.exporters.cached_attention import Rotary, SelfAttention
from brain2music.exporters.condition import CodesCondition, ConditionTerm, CrossAttention, EmbeddingCondition
from brain2music.exporters.stage import DecoderLayer, Stage

__all__ = ["TransformerStage"]


class TransformerStage(Stage):
    """A transformer that is trained on whole sequences and then scripted as a stage.

    Layers normalise first (layer norm, one operation on every device), positions are rotary, the feed-forward network
    is a GELU between two linear maps, and nothing has a bias. Calling the module gives the logits of whole sequences,
    with gradients; :func:`brain2music.exporters.script_stage` makes the script.

    Parameters
    ----------
    dimension : int
        d.
    layers : int
        The number of layers.
    heads : int
        The number of heads of attention, each of ``dimension / heads`` dimensions, an even number.
    feed_forward : int
        The width of the feed-forward network.
    vocabulary : int or sequence of int
        For the family ``tokens``, how many ids there are, special tokens included. For the family ``parallel``, how
        many codes each of the stage's own levels has; the logits of all levels are as long as the largest.
    family : {"tokens", "parallel"}
        How a frame is made: one token after another, or all levels at once, each delayed.
    given : sequence of int
        For the family ``parallel``: how many codes each given level has.
    window : int, optional
        How many positions attention sees, the query's own included; by default all before it.
    condition : {"embedding", "codes"}, optional
        The stage may also be given an embedding, of which a linear map is added in each layer, or codes of the
        conditioner, which each layer attends to.
    condition_dimension : int, optional
        d of the embedding.
    condition_codes : (int, int), optional
        Levels of the conditioner, and ids of each level, with the one that fills guidance's other half.

    Attributes
    ----------
    pad : int or None
        For the family ``parallel``, the id that stands wherever no code does: the first that is no code of any level.

    Raises
    ------
    ValueError
        If the options contradict each other.

    Examples
    --------
    >>> import torch
    >>> from brain2music.exporters import TransformerStage, script_stage
    >>> stage = TransformerStage(dimension=32, layers=2, heads=2, feed_forward=64, vocabulary=100, window=16)
    >>> stage(torch.zeros(1, 40, dtype=torch.int64)).shape
    torch.Size([1, 40, 100])
    >>> script = script_stage(stage)
    >>> state = script.init_state(1, 40, None)
    >>> state[0].shape
    torch.Size([1, 2, 16, 16])
    >>> script.extend(torch.tensor([[7]]), torch.tensor(0), state).shape
    torch.Size([1, 1, 100])
    """

    def __init__(
        self,
        *,
        dimension: int,
        layers: int,
        heads: int,
        feed_forward: int,
        vocabulary: int | Sequence[int],
        family: Literal["tokens", "parallel"] = "tokens",
        given: Sequence[int] = (),
        window: int | None = None,
        condition: Literal["embedding", "codes"] | None = None,
        condition_dimension: int | None = None,
        condition_codes: tuple[int, int] | None = None,
    ) -> None:
        if family not in ("tokens", "parallel"):
            raise ValueError(f"[exporters.TransformerStage] family must be 'tokens' or 'parallel'; got {family!r}")
        parallel = family == "parallel"
        if parallel == isinstance(vocabulary, int) or (given and not parallel):
            raise ValueError(
                "[exporters.TransformerStage] family 'tokens' takes one vocabulary and no given levels, family "
                f"'parallel' a vocabulary for each level; got {vocabulary} and given={tuple(given)} for {family!r}"
            )
        own = [vocabulary] if isinstance(vocabulary, int) else list(vocabulary)
        if not own or min(*own, *given, layers, feed_forward) < 1:
            raise ValueError(
                "[exporters.TransformerStage] layers, feed_forward and every vocabulary must be 1 or more; got "
                f"{layers}, {feed_forward} and {[*given, *own]}"
            )
        wanted = {"embedding": condition_dimension, "codes": condition_codes}
        if condition not in (None, *wanted) or [kind for kind in wanted if wanted[kind] is not None] != [
            kind for kind in wanted if kind == condition
        ]:
            raise ValueError(
                "[exporters.TransformerStage] condition 'embedding' takes condition_dimension, 'codes' takes "
                f"condition_codes, None neither; got {condition!r}, {condition_dimension} and {condition_codes}"
            )
        pad = max(*own, *given, 0) if parallel else None
        ids = own if pad is None else [pad + 1] * (len(given) + len(own))
        stack = [
            DecoderLayer(
                dimension,
                SelfAttention(dimension, heads, window=window),
                nn.Sequential(
                    nn.Linear(dimension, feed_forward, bias=False),
                    nn.GELU(),
                    nn.Linear(feed_forward, dimension, bias=False),
                ),
                norm=_norm,
                condition=_in_layer(dimension, heads, condition, condition_dimension),
            )
            for _ in range(layers)
        ]
        super().__init__(
            embeddings=[nn.Embedding(count, dimension) for count in ids],
            layers=stack,
            norm=_norm(dimension),
            head=nn.Linear(dimension, len(own) * max(own), bias=False),
            levels=len(own) if parallel else None,
            rotary=Rotary(dimension // heads),
            condition=_at_the_door(dimension, condition, condition_codes),
        )
        self.pad = pad
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
        for name, weight in self.named_parameters():
            if name.endswith(("attention.out.weight", "feed_forward.2.weight")):
                # What the layers add up should not grow with their number (GPT-2).
                nn.init.normal_(weight, std=0.02 / (2 * layers) ** 0.5)


def _norm(dimension: int, eps: float = 1e-5) -> nn.Module:
    return nn.LayerNorm(dimension, eps, bias=False)


def _in_layer(
    dimension: int, heads: int, condition: str | None, condition_dimension: int | None
) -> ConditionTerm | CrossAttention | None:
    if condition_dimension is not None:
        return ConditionTerm(dimension, condition_dimension)
    return CrossAttention(dimension, dimension, heads) if condition == "codes" else None


def _at_the_door(dimension: int, condition: str | None, codes: tuple[int, int] | None) -> nn.Module | None:
    if codes is not None:
        return CodesCondition(codes[0], codes[1], dimension)
    return EmbeddingCondition() if condition == "embedding" else None
