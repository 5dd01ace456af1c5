"""From networks to bundles: stages of public models and of one's own, and bundles of whole public systems.

:func:`export_magenta_rt2`, :func:`export_yamnet` and :func:`export_musicnn` write whole bundles. All else on this page
makes stages.

A stage is a TorchScript module. In the families ``tokens`` and ``parallel`` it has two methods:

``init_state(batch: int, length: int, condition: Optional[Tensor]) -> List[Tensor]``
    The state of ``batch`` new sequences of at most ``length`` positions. The condition is an embedding (B, d) float, or
    the conditioner's codes (B, levels) int64; it is None where the bundle's manifest names none. All memory that the
    sequences will need is allocated here. The first dimension of each tensor is the batch. No two tensors share
    memory, nor do those of two calls.

``extend(tokens: Tensor, position: Tensor, state: List[Tensor]) -> Tensor``
    The logits, float32, of what follows each of T new tokens. ``position`` is that of the first of them. The state is
    written in place. One method serves the prefix (T many) and each step after it (T = 1).

=============  ================================  =====================
family         tokens                            logits
=============  ================================  =====================
``tokens``     (B, T) int64                      (B, T, V)
``parallel``   (B, G + L, T) int64: G levels     (B, L, T, V)
               given, then L of the stage's own
=============  ================================  =====================

In the family ``parallel`` the code of frame f and level l stands at position f + 1 + delay of l, and the logits at a
position tell of the codes at the next. Positions without a code hold the manifest's ``pad``.

In the family ``frames`` it has ``init_state`` and, in place of ``extend``, four methods, called frame by frame:

``source(codes: Tensor, position: Tensor, state: List[Tensor]) -> None``
    The codes (B, channels) int64 of the manifest's channels, for this frame and all that follow until the next call. It
    is called before the first frame, and where a code changes.

``temporal(previous: Tensor, position: Tensor, state: List[Tensor]) -> Tensor``
    The codes (B, L) int64 of the frame before; before the first frame, the manifest's ``start`` in place of each. It
    gives (B, d), whatever the next method takes.

``depth_first(h: Tensor, state: List[Tensor]) -> Tensor``
    The logits (B, V) of the first level.

``depth_next(code: Tensor, level: int, state: List[Tensor]) -> Tensor``
    The logits (B, V) of a level, 1 or more, from the code (B,) int64 of the level before. What both write into the
    state is of no use to the next frame: a frame whose codes are known is told to ``temporal`` alone.

**What a network must keep to**

- However a sequence is cut into calls, the logits agree: one call with T tokens gives what T calls with one give.
- ``position`` is an int64 tensor of no dimension, on the device of the network. A captured CUDA graph advances it, so
  that nothing may read its value: no ``item``, ``int``, ``bool``, no ``if`` on it. :func:`value_reads` lists what does.
  Such a network is run all the same, uncaptured.
- Weights of linear maps stay ``torch.nn.Linear``, and attention stays one ``scaled_dot_product_attention`` with an
  additive mask: the library replaces both by faster ones when it opens a bundle.
- Rows of a batch do not meet.

**A transformer of one's own** needs no code but its sizes: :class:`TransformerStage` is trained on whole sequences and
scripted by :func:`script_stage`. Other transformers can be put together from the blocks below: :class:`Stage` has an
example, :class:`SelfAttention` keeps the caches. A network of another kind may keep whatever state it needs:

>>> import torch
>>> from brain2music.exporters import script_stage, value_reads
>>> class Recurrent(torch.nn.Module):
...     def __init__(self):
...         super().__init__()
...         self.embedding = torch.nn.Embedding(100, 32)
...         self.gru = torch.nn.GRU(32, 32, batch_first=True)
...         self.head = torch.nn.Linear(32, 100)
...
...     @torch.jit.export
...     def init_state(self, batch: int, length: int, condition: torch.Tensor | None) -> list[torch.Tensor]:
...         return [torch.zeros([batch, 32], device=self.head.weight.device)]
...
...     @torch.jit.export
...     def extend(self, tokens: torch.Tensor, position: torch.Tensor, state: list[torch.Tensor]) -> torch.Tensor:
...         x, hidden = self.gru(self.embedding(tokens), state[0].unsqueeze(0))
...         state[0].copy_(hidden[0])
...         return self.head(x)
>>> script = script_stage(Recurrent())
>>> value_reads(script)
[]
>>> state = script.init_state(2, 10, None)
>>> script.extend(torch.zeros(2, 7, dtype=torch.int64), torch.tensor(0), state).shape
torch.Size([2, 7, 100])
"""

from brain2music.exporters.cached_attention import Places, Rotary, SelfAttention, band_mask, cache_places
from brain2music.exporters.condition import CodesCondition, ConditionTerm, CrossAttention, EmbeddingCondition
from brain2music.exporters.gpt2 import export_gpt2
from brain2music.exporters.llama import export_llama
from brain2music.exporters.magenta_rt2.export import export_magenta_rt2
from brain2music.exporters.musicgen import export_musicgen, musicgen_layout
from brain2music.exporters.musicnn import export_musicnn
from brain2music.exporters.script import script_stage, value_reads
from brain2music.exporters.stage import DecoderLayer, GatedFeedForward, Stage
from brain2music.exporters.transformer import TransformerStage
from brain2music.exporters.yamnet import export_yamnet

__all__ = [
    "CodesCondition",
    "ConditionTerm",
    "CrossAttention",
    "DecoderLayer",
    "EmbeddingCondition",
    "GatedFeedForward",
    "Places",
    "Rotary",
    "SelfAttention",
    "Stage",
    "TransformerStage",
    "band_mask",
    "cache_places",
    "export_gpt2",
    "export_llama",
    "export_magenta_rt2",
    "export_musicgen",
    "export_musicnn",
    "export_yamnet",
    "musicgen_layout",
    "script_stage",
    "value_reads",
]
