"""GPT-2 (``transformers.GPT2LMHeadModel``) as a stage of the family ``tokens``."""

from typing import Any

import torch
from torch import nn

from brain2music.exporters.cached_attention import SelfAttention
from brain2music.exporters.public_model import Weights, activation, check_kind, check_setting, filled
from brain2music.exporters.script import script_stage
from brain2music.exporters.stage import DecoderLayer, Stage

__all__ = ["export_gpt2"]

_WHERE = "exporters.export_gpt2"


def export_gpt2(model: nn.Module) -> torch.jit.ScriptModule:
    """Make a stage of the family ``tokens`` from a GPT-2 of transformers.

    Parameters
    ----------
    model : transformers.GPT2LMHeadModel
        The model; it is not changed.

    Returns
    -------
    ScriptModule
        The stage, float32, without a condition. Its sequences have at most ``config.n_positions`` positions.

    Raises
    ------
    TypeError
        If the model is of another class.
    ValueError
        If its configuration asks for what the stage does not follow, naming the field.

    Notes
    -----
    Radford et al., *Language Models are Unsupervised Multitask Learners*, 2019.

    Examples
    --------
    >>> import torch
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> from brain2music.exporters import export_gpt2
    >>> config = GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=50, bos_token_id=0, eos_token_id=0)
    >>> script = export_gpt2(GPT2LMHeadModel(config))
    >>> state = script.init_state(1, 8, None)
    >>> script.extend(torch.tensor([[3, 1, 4]]), torch.tensor(0), state).shape
    torch.Size([1, 3, 50])
    """
    check_kind(_WHERE, model, "GPT2LMHeadModel")
    config: Any = model.config
    check_setting(_WHERE, "add_cross_attention", config.add_cross_attention, not config.add_cross_attention, "False")
    size, inner = config.n_embd, config.n_inner or 4 * config.n_embd
    with torch.device("meta"):
        stage = Stage(
            embeddings=[nn.Embedding(config.vocab_size, size)],
            layers=[
                DecoderLayer(
                    size,
                    SelfAttention(
                        size,
                        config.n_head,
                        bias=True,
                        scale=((size // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0)
                        / (layer + 1 if config.scale_attn_by_inverse_layer_idx else 1),
                    ),
                    nn.Sequential(
                        nn.Linear(size, inner),
                        activation(_WHERE, "activation_function", config.activation_function),
                        nn.Linear(inner, size),
                    ),
                    eps=config.layer_norm_epsilon,
                )
                for layer in range(config.n_layer)
            ],
            norm=nn.LayerNorm(size, config.layer_norm_epsilon),
            head=nn.Linear(size, config.vocab_size, bias=False),
            positions=nn.Embedding(config.n_positions, size),
            max_length=config.n_positions,
        )
    theirs = Weights(_WHERE, model)
    weights = {
        "embeddings.0.weight": theirs.take("transformer.wte.weight"),
        "head.weight": theirs.take("lm_head.weight"),
        "positions.weight": theirs.take("transformer.wpe.weight"),
    }
    for kind in ("weight", "bias"):
        weights[f"norm.{kind}"] = theirs.take(f"transformer.ln_f.{kind}")
        for i in range(config.n_layer):
            for ours, name in _LAYER.items():
                weight = theirs.take(f"transformer.h.{i}.{name}.{kind}")
                # Their Conv1D multiplies by a matrix of (inputs, outputs).
                weights[f"layers.{i}.{ours}.{kind}"] = weight.T.contiguous() if weight.ndim == 2 else weight
    theirs.check_empty()
    return script_stage(filled(stage, weights))


_LAYER = {
    "attention_norm": "ln_1",
    "attention.project": "attn.c_attn",
    "attention.out": "attn.c_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.0": "mlp.c_fc",
    "feed_forward.2": "mlp.c_proj",
}
