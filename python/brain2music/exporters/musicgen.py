"""MusicGen (``transformers.MusicgenForCausalLM``) as a stage of the family ``parallel``."""

from typing import Any

import torch
from torch import Tensor, nn

from brain2music.exporters.cached_attention import SelfAttention
from brain2music.exporters.condition import ConditionTerm, EmbeddingCondition
from brain2music.exporters.public_model import Sinusoids, Weights, activation, check_kind, check_setting, filled
from brain2music.exporters.script import script_stage
from brain2music.exporters.stage import DecoderLayer, Stage

__all__ = ["export_musicgen", "musicgen_layout"]

_WHERE = "exporters.export_musicgen"


def export_musicgen(model: nn.Module) -> torch.jit.ScriptModule:
    """Make a stage of the family ``parallel`` from a MusicGen of transformers.

    The condition is one vector (B, d) in place of the states of the text encoder; zeros are no condition, as in
    MusicGen's guidance. Attention to one vector does not depend on the query, so that the stage keeps of it what it
    adds in each layer: its weights are the product of MusicGen's ``out_proj`` and ``v_proj``.

    Parameters
    ----------
    model : transformers.MusicgenForCausalLM or transformers.MusicgenForConditionalGeneration
        The decoder alone, which takes a condition of ``config.hidden_size``; or the whole model, of which the decoder
        is exported, and the map that brings the text encoder's states to the decoder's size, where it has one. The
        model is not changed.

    Returns
    -------
    ScriptModule
        The stage, float32. :func:`musicgen_layout` says how a bundle lays out its sequences.

    Raises
    ------
    TypeError
        If the model is of another class.
    ValueError
        If its configuration asks for what the stage does not follow, naming the field.

    Notes
    -----
    Copet et al., *Simple and Controllable Music Generation*, 2023.
    """
    check_kind(_WHERE, model, "MusicgenForCausalLM", "MusicgenForConditionalGeneration")
    decoder: Any = getattr(model, "decoder", model)
    config: Any = decoder.config
    size, levels, ids = config.hidden_size, config.num_codebooks, config.vocab_size
    pad = config.pad_token_id
    check_setting(_WHERE, "pad_token_id", pad, pad is not None and 0 <= pad <= ids, f"an id from 0 to {ids}")
    check_setting(_WHERE, "hidden_size", size, size % 2 == 0 and size > 2, "even and above 2")
    projection: nn.Linear | None = getattr(model, "enc_to_dec_proj", None)
    with torch.device("meta"):
        condition = None
        if projection is not None:
            condition = nn.Linear(projection.in_features, size, bias=projection.bias is not None)
        stage = Stage(
            embeddings=[nn.Embedding(ids + 1, size) for _ in range(levels)],
            layers=[
                DecoderLayer(
                    size,
                    SelfAttention(size, config.num_attention_heads),
                    nn.Sequential(
                        nn.Linear(size, config.ffn_dim, bias=False),
                        activation(_WHERE, "activation_function", config.activation_function),
                        nn.Linear(config.ffn_dim, size, bias=False),
                    ),
                    condition=ConditionTerm(size, size),
                )
                for _ in range(config.num_hidden_layers)
            ],
            norm=nn.LayerNorm(size),
            head=nn.Linear(size, levels * ids, bias=False),
            levels=levels,
            positions=Sinusoids(size),
            condition=EmbeddingCondition(condition, zero_is_none=True),
        )
    theirs = Weights(_WHERE, decoder)
    weights = {"head.weight": torch.cat([theirs.take(f"lm_heads.{level}.weight") for level in range(levels)])}
    for level in range(levels):
        weights[f"embeddings.{level}.weight"] = theirs.take(f"model.decoder.embed_tokens.{level}.weight")
    if projection is not None:
        for kind, weight in Weights(_WHERE, projection).all().items():
            weights[f"condition.projection.{kind}"] = weight
    for kind in ("weight", "bias"):
        weights[f"norm.{kind}"] = theirs.take(f"model.decoder.layer_norm.{kind}")
    for i in range(config.num_hidden_layers):
        weights |= _layer(theirs, f"model.decoder.layers.{i}.", f"layers.{i}.")
    theirs.check_empty()
    return script_stage(filled(stage, weights))


def _layer(theirs: Weights, there: str, here: str) -> dict[str, Tensor]:
    def take(name: str) -> Tensor:
        return theirs.take(there + name)

    weights = {
        "attention.project.weight": torch.cat([take(f"self_attn.{name}_proj.weight") for name in "qkv"]),
        "attention.out.weight": take("self_attn.out_proj.weight"),
        "feed_forward.0.weight": take("fc1.weight"),
        "feed_forward.2.weight": take("fc2.weight"),
    }
    for kind in ("weight", "bias"):
        weights[f"attention_norm.{kind}"] = take(f"self_attn_layer_norm.{kind}")
        weights[f"feed_forward_norm.{kind}"] = take(f"final_layer_norm.{kind}")
        take(f"encoder_attn_layer_norm.{kind}")  # shapes the query alone, as do the next two
    for name in ("q", "k"):
        take(f"encoder_attn.{name}_proj.weight")
    out, values = take("encoder_attn.out_proj.weight"), take("encoder_attn.v_proj.weight")
    weights["condition.out.weight"] = (out.double() @ values.double()).float()
    return {here + name: weight for name, weight in weights.items()}


def musicgen_layout(model: nn.Module) -> dict[str, Any]:
    """Say how a bundle's manifest lays out MusicGen's sequences.

    Parameters
    ----------
    model : transformers.MusicgenForCausalLM or transformers.MusicgenForConditionalGeneration
        The model.

    Returns
    -------
    dict
        ``codes``, how many each level has; ``delays``, such that the code of frame f stands at position f + 1 + delay
        (level by level in mono; in stereo the levels of left and right alternate, and two share a delay); ``pad``, the
        id that stands wherever no code does; ``unconditional``, what fills the condition of guidance's other half.
    """
    config: Any = getattr(model.config, "decoder", model.config)
    levels = range(config.num_codebooks)
    return {
        "codes": [config.vocab_size] * len(levels),
        "delays": [level // config.audio_channels for level in levels],
        "pad": config.pad_token_id,
        "unconditional": 0.0,
    }
