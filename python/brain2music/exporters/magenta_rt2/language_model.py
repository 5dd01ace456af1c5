"""A checkpoint's language model as a stage of the family ``frames``."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from brain2music.exporters.magenta_rt2.depth import DepthNetwork
from brain2music.exporters.magenta_rt2.frames_stage import FramesStage
from brain2music.exporters.magenta_rt2.source import SourceNetwork
from brain2music.exporters.magenta_rt2.temporal import TemporalNetwork
from brain2music.exporters.public_model import filled

__all__ = ["WINDOWS", "language_model", "level_codes"]

#: How many frames each layer sees, the present one included: the one setting that no shape tells.
WINDOWS = {"small": 42, "base": 26}
LEVELS = 12
#: Rows of the table of codes before those of level 0; the first of them stands for no code.
RESERVED = 6

_EMBEDDING = "decoder/decoder_embedding/embedding/embedding"
_TEMPORAL = "decoder/temporal_body/transformer/"
_DEPTH = "decoder/depth_body/"
_STYLE = "encoder/body/layers_1/branched_mulan_embedder/mulan_embedder/"
_OTHER = "encoder/body/layers_1/branched_regular_embedder/regular_embedder/embedding"
_SOURCE_NORM = "encoder/body/encoder_ln"


def language_model(tensors: Mapping[str, Tensor], window: int) -> FramesStage:
    """Make the stage from the language model of a checkpoint.

    Parameters
    ----------
    tensors : mapping from str to Tensor
        From :func:`read_part`. Each is copied once, to float32.
    window : int
        How many frames each layer of the temporal network sees, the present one included.

    Returns
    -------
    FramesStage
    """
    theirs = _Tensors(tensors)
    with torch.device("meta"):
        stage = _empty(theirs, window)
    _place_buffers(stage)
    weights = _codes(theirs) | _source(theirs) | _head(theirs)
    for i in range(theirs.layers(_TEMPORAL)):
        there, here = f"{_TEMPORAL}x_layers_{i}/", f"temporal_network.layers.{i}."
        weights |= _attention(theirs, there + "self_attention/", here, "attention")
        weights |= _attention(theirs, there + "cross_attention/", here, "source_attention")
        weights |= _feed_forward(theirs, there + "ffn/", here)
    for i in range(theirs.layers(_DEPTH + "transformer/")):
        there, here = f"{_DEPTH}transformer/x_layers_{i}/", f"depth_network.layers.{i}."
        weights |= _attention(theirs, there + "self_attention/", here, "attention")
        weights |= _feed_forward(theirs, there + "ffn/", here)
    filled(stage, weights)
    return stage


def level_codes(tensors: Mapping[str, Tensor]) -> int:
    """Return how many codes each level has, from a checkpoint's language model."""
    return (tensors[_EMBEDDING].size(0) - RESERVED) // LEVELS


class _Tensors:
    """The checkpoint's tensors as PyTorch lays them out, float32."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors

    def shape(self, name: str) -> torch.Size:
        return self.tensors[name].shape

    def layers(self, prefix: str) -> int:
        return len({name.removeprefix(prefix).partition("/")[0] for name in self.tensors if name.startswith(prefix)})

    def has(self, name: str) -> bool:
        return name in self.tensors

    def plain(self, name: str) -> Tensor:
        return self.tensors[name].to(torch.float32, copy=True)

    def linear(self, name: str) -> Tensor:
        """(in, out, ...) to (out ..., in)."""
        return self.tensors[name].flatten(1).t().to(torch.float32, copy=True, memory_format=torch.contiguous_format)

    def output(self, name: str) -> Tensor:
        """(out, heads, D) to (out, heads * D)."""
        return self.tensors[name].flatten(1).to(torch.float32, copy=True)

    def scale(self, name: str) -> Tensor:
        """Return the factor of each dimension of a head's queries (D,), float64."""
        raw = self.tensors[name].double()
        return nn.functional.softplus(raw) * (1.442695041 / math.sqrt(raw.numel()))


def _empty(theirs: _Tensors, window: int) -> FramesStage:
    dimension = theirs.shape(_EMBEDDING)[1]
    codes = level_codes(theirs.tensors)
    size = theirs.shape(_OTHER)[1]
    of_temporal = _body(theirs, _TEMPORAL)
    of_depth = _body(theirs, _DEPTH + "transformer/")
    depth_dimension = theirs.shape(_DEPTH + "final_ln/scale")[0]
    embedding = theirs.shape(_STYLE + "mulan_dequantizer/embedding")[1]
    return FramesStage(
        SourceNetwork(size, embedding, theirs.shape(_OTHER)[0]),
        TemporalNetwork(of_temporal[0], dimension, size, *of_temporal[1:], window),
        DepthNetwork(of_depth[0], dimension, depth_dimension, *of_depth[1:], LEVELS, codes),
        size=size,
        dimension=dimension,
        levels=LEVELS,
        codes=codes,
    )


def _body(theirs: _Tensors, prefix: str) -> tuple[int, int, int, int]:
    """Return the layers, the heads, the size of a head and the width of the feed-forward networks."""
    _, heads, head_dimension = theirs.shape(prefix + "x_layers_0/self_attention/attention/query_projection/kernel")
    hidden = theirs.shape(prefix + "x_layers_0/ffn/ffn_layer1/kernel")[1]
    return theirs.layers(prefix), heads, head_dimension, hidden


def _place_buffers(stage: FramesStage) -> None:
    """Fill the buffers, which are constants, where the device "meta" left them without numbers."""
    like = SourceNetwork(1, 1, 1)
    stage.source_network.style_rows, stage.source_network.other_rows = like.style_rows, like.other_rows
    stage.level_rows = 1 + torch.arange(stage.levels) * stage.codes


def _codes(theirs: _Tensors) -> dict[str, Tensor]:
    table = theirs.plain(_EMBEDDING)
    kept = torch.cat([table[:1], table[RESERVED:]])
    return {"embedding.weight": kept.mul_(math.sqrt(table.size(1)))}


def _source(theirs: _Tensors) -> dict[str, Tensor]:
    return {
        "source_network.style.weight": theirs.plain(_STYLE + "mulan_dequantizer/embedding"),
        "source_network.project.weight": theirs.linear(_STYLE + "depth_input_adapter/kernel"),
        "source_network.other.weight": theirs.plain(_OTHER),
        "source_network.norm.weight": theirs.plain(_SOURCE_NORM + "/scale"),
        "source_network.norm.bias": theirs.plain(_SOURCE_NORM + "/bias"),
    }


def _head(theirs: _Tensors) -> dict[str, Tensor]:
    weights = {
        "depth_network.adapter.weight": theirs.linear(_DEPTH + "depth_input_adapter/kernel"),
        "depth_network.norm.weight": theirs.plain(_DEPTH + "final_ln/scale"),
        "depth_network.norm.bias": theirs.plain(_DEPTH + "final_ln/bias"),
    }
    for kind, whole in (
        ("weight", theirs.linear(_DEPTH + "to_logits/kernel")),
        ("bias", theirs.plain(_DEPTH + "to_logits/bias")),
    ):
        for level, rows in enumerate(whole[RESERVED:].chunk(LEVELS)):
            weights[f"depth_network.heads.{level}.{kind}"] = rows.clone()
    return weights


def _attention(theirs: _Tensors, there: str, here: str, name: str) -> dict[str, Tensor]:
    scale = theirs.scale(there + "attention/per_dim_scale")
    query = theirs.linear(there + "attention/query_projection/kernel")
    query.view(-1, scale.numel(), query.size(1)).mul_(scale.float().unsqueeze(1))
    key, value = (theirs.linear(f"{there}attention/{kind}_projection/kernel") for kind in ("key", "value"))
    weights = {"out.weight": theirs.output(there + "output_projection/kernel")}
    if name == "source_attention":
        weights |= {"query.weight": query, "remember.weight": torch.cat([key, value])}
    else:
        weights["project.weight"] = torch.cat([query, key, value])
    if theirs.has(there + "attention/sink_key_embeddings"):
        sink = [theirs.plain(f"{there}attention/sink_{kind}_embeddings")[0] for kind in ("key", "value")]
        weights["sink"] = torch.stack([(sink[0] / scale).float(), sink[1]])
    norm = "source" if name == "source_attention" else name
    return _prefixed(f"{here}{name}.", weights.items()) | _norms(theirs, there, f"{here}{norm}")


def _feed_forward(theirs: _Tensors, there: str, here: str) -> dict[str, Tensor]:
    weights = {}
    for ours, layer in ((0, "ffn_layer1"), (2, "ffn_layer2")):
        weights[f"{here}feed_forward.{ours}.weight"] = theirs.linear(f"{there}{layer}/kernel")
        weights[f"{here}feed_forward.{ours}.bias"] = theirs.plain(f"{there}{layer}/bias")
    return weights | _norms(theirs, there, f"{here}feed_forward")


def _norms(theirs: _Tensors, there: str, here: str) -> dict[str, Tensor]:
    return {
        f"{here}_norm.weight": theirs.plain(there + "pre_norm/scale"),
        f"{here}_post_norm.weight": theirs.plain(there + "post_norm/scale"),
    }


def _prefixed(prefix: str, weights: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    return {prefix + name: weight for name, weight in weights}
