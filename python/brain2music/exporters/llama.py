"""Llama (``transformers.LlamaForCausalLM``) as a stage of the family ``tokens``."""

from typing import Any

import torch
from torch import nn

from brain2music.exporters.cached_attention import Rotary, SelfAttention
from brain2music.exporters.public_model import Weights, activation, check_kind, check_setting, filled
from brain2music.exporters.script import script_stage
from brain2music.exporters.stage import DecoderLayer, GatedFeedForward, Stage

__all__ = ["export_llama"]

_WHERE = "exporters.export_llama"


def export_llama(model: nn.Module) -> torch.jit.ScriptModule:
    """Make a stage of the family ``tokens`` from a Llama of transformers.

    Parameters
    ----------
    model : transformers.LlamaForCausalLM
        The model, with grouped-query attention or without; it is not changed.

    Returns
    -------
    ScriptModule
        The stage, float32, without a condition.

    Raises
    ------
    TypeError
        If the model is of another class.
    ValueError
        If its configuration asks for what the stage does not follow, naming the field: positions must be plain rotary
        ones, not scaled for longer sequences.

    Notes
    -----
    Touvron et al., *Llama 2*, 2023.
    """
    check_kind(_WHERE, model, "LlamaForCausalLM")
    config: Any = model.config
    rope = dict(config.rope_parameters)
    plain = rope.get("rope_type") == "default" and rope.get("partial_rotary_factor") in (None, 1.0)
    check_setting(_WHERE, "rope_parameters", rope, plain, "of rope_type 'default', of all dimensions")
    for name in ("sliding_window", "layer_types"):  # not Llama's, but others' that a configuration may carry
        value = getattr(config, name, None)
        check_setting(_WHERE, name, value, value is None, "None")
    size, heads = config.hidden_size, config.num_attention_heads
    with torch.device("meta"):
        stage = Stage(
            embeddings=[nn.Embedding(config.vocab_size, size)],
            layers=[
                DecoderLayer(
                    size,
                    SelfAttention(
                        size,
                        heads,
                        key_heads=config.num_key_value_heads,
                        head_dimension=config.head_dim,
                        bias=config.attention_bias,
                    ),
                    GatedFeedForward(
                        size,
                        config.intermediate_size,
                        activation(_WHERE, "hidden_act", config.hidden_act),
                        bias=config.mlp_bias,
                    ),
                    norm=nn.RMSNorm,
                    eps=config.rms_norm_eps,
                )
                for _ in range(config.num_hidden_layers)
            ],
            norm=nn.RMSNorm(size, config.rms_norm_eps),
            head=nn.Linear(size, config.vocab_size, bias=False),
            rotary=Rotary(config.head_dim, rope["rope_theta"]),
        )
    theirs = Weights(_WHERE, model)
    weights = {
        "embeddings.0.weight": theirs.take("model.embed_tokens.weight"),
        "head.weight": theirs.take("lm_head.weight"),
        "norm.weight": theirs.take("model.norm.weight"),
    }
    for i in range(config.num_hidden_layers):
        for ours, names in _LAYER.items():
            for kind in ("weight", "bias"):
                given = [f"model.layers.{i}.{name}.{kind}" for name in names]
                if kind == "weight" or given[0] in theirs:
                    weights[f"layers.{i}.{ours}.{kind}"] = torch.cat([theirs.take(name) for name in given])
    theirs.check_empty()
    return script_stage(filled(stage, weights))


_LAYER = {
    "attention_norm": ["input_layernorm"],
    "attention.project": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "attention.out": ["self_attn.o_proj"],
    "feed_forward_norm": ["post_attention_layernorm"],
    "feed_forward.rise": ["mlp.gate_proj", "mlp.up_proj"],
    "feed_forward.down": ["mlp.down_proj"],
}
