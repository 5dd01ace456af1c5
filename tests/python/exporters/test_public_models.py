"""Public models beside transformers, on small random weights."""

import pytest
import stage_runs
import torch
from torch import nn

from brain2music.exporters import export_gpt2, export_llama, export_musicgen, musicgen_layout, value_reads

transformers = pytest.importorskip("transformers")

LENGTH = 40
#: How a sequence is cut: token by token, a prefix and then token by token, many after one, halves.
PIECES = [[1] * LENGTH, [9, *[1] * (LENGTH - 9)], [1, 1, 17, 1, LENGTH - 20], [LENGTH // 2] * 2]

GPT2 = {"n_layer": 3, "n_embd": 48, "n_head": 4, "vocab_size": 101, "n_positions": 64}
LLAMA = {
    **{"num_hidden_layers": 3, "hidden_size": 48, "num_attention_heads": 6, "num_key_value_heads": 2},
    **{"intermediate_size": 80, "vocab_size": 101},
}
MUSICGEN = {
    **{"num_hidden_layers": 2, "hidden_size": 48, "num_attention_heads": 4, "ffn_dim": 80, "vocab_size": 64},
    **{"num_codebooks": 4, "pad_token_id": 64, "bos_token_id": 64},
}


def randomised(model):
    """Weights that say something; nothing is left at zero or one."""
    torch.manual_seed(0)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.25 if weight.ndim > 1 else 0.5)
    return model.eval()


def gpt2(**options):
    none = {"bos_token_id": None, "eos_token_id": None}
    return randomised(transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2 | none | options)))


def llama(**options):
    return randomised(transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA | options)))


def musicgen(**options):
    return randomised(transformers.MusicgenForCausalLM(transformers.MusicgenDecoderConfig(**MUSICGEN | options)))


def whole_musicgen(size=32, **options):
    text = transformers.T5Config(d_model=size, d_ff=16, d_kv=8, num_layers=1, num_heads=2, vocab_size=20)
    audio = transformers.EncodecConfig(num_filters=4, codebook_size=64, hidden_size=8, codebook_dim=8)
    decoder = transformers.MusicgenDecoderConfig(**MUSICGEN | options)
    config = transformers.MusicgenConfig(text_encoder=text, audio_encoder=audio, decoder=decoder)
    return randomised(transformers.MusicgenForConditionalGeneration(config))


TOKENS = {
    "gpt2": (gpt2, export_gpt2, {}),
    "gpt2, other settings": (
        *(gpt2, export_gpt2),
        {
            **{"activation_function": "relu", "scale_attn_by_inverse_layer_idx": True, "tie_word_embeddings": False},
            **{"scale_attn_weights": False, "n_inner": 30, "reorder_and_upcast_attn": True},
        },
    ),
    "llama": (llama, export_llama, {}),
    "llama, other settings": (
        *(llama, export_llama),
        {
            **{
                "attention_bias": True,
                "mlp_bias": True,
                "head_dim": 10,
                "num_key_value_heads": 6,
                "hidden_act": "gelu",
            },
            **{"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}, "tie_word_embeddings": True},
        },
    ),
}


@pytest.mark.parametrize("name", TOKENS)
def test_tokens(name):
    make, export, options = TOKENS[name]
    model = make(**options)
    tokens = torch.randint(101, (3, LENGTH))
    with torch.inference_mode():
        expected = model(tokens).logits
    script = export(model)
    stage_runs.check_run(script, expected, tokens, None, PIECES)
    for _, form in stage_runs.forms(script):
        assert value_reads(form) == []


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_the_same_choices_as_generate(name):
    make, export, options = TOKENS[name]
    model = make(**options)
    tokens = torch.randint(101, (2, 7))
    theirs = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        do_sample=False,
        max_new_tokens=25,
        pad_token_id=0,
        eos_token_id=-1,
    )
    script = export(model)
    state = script.init_state(2, 32, None)
    new, position = tokens, 0
    while tokens.size(1) < 32:
        logits = script.extend(new, torch.tensor(position), state)
        position += new.size(1)
        new = logits[:, -1:].argmax(-1)
        tokens = torch.cat([tokens, new], 1)
    assert torch.equal(tokens, theirs)


def laid_out(codes, layout):
    """Codes (B, L, frames) in a sequence, as the manifest's fields say it: frame f stands at f + 1 + delay."""
    batch, levels, frames = codes.shape
    sequence = torch.full((batch, levels, frames + 1 + max(layout["delays"])), layout["pad"])
    for level, delay in enumerate(layout["delays"]):
        sequence[:, level, 1 + delay : 1 + delay + frames] = codes[:, level]
    return sequence


@pytest.mark.parametrize("channels", [1, 2])
def test_musicgen(channels):
    model = musicgen(audio_channels=channels)
    codes = torch.randint(64, (3, 4, LENGTH))
    layout = musicgen_layout(model)
    sequence = laid_out(codes, layout)
    begin = torch.full((3, 4, 1), 64)
    _, theirs = model.build_delay_pattern_mask(
        torch.cat([begin, codes], -1).reshape(12, -1), pad_token_id=64, max_length=sequence.size(-1)
    )
    assert torch.equal(sequence.reshape(12, -1), theirs)
    assert layout["codes"] == [64] * 4

    sequence = sequence[..., :LENGTH]
    condition = torch.randn(3, 48)
    condition[2] = layout["unconditional"]
    with torch.inference_mode():
        expected = model(sequence.reshape(12, -1), encoder_hidden_states=condition[:, None]).logits
    script = export_musicgen(model)
    stage_runs.check_run(script, expected.view(3, 4, LENGTH, 64), sequence, condition, PIECES)
    assert value_reads(script) == []


@pytest.mark.parametrize("size", [32, 48])
def test_musicgen_with_its_text_encoder(size):
    """Guidance's other half is a masked state of zeros, of which the projection's bias leaves nothing."""
    model = whole_musicgen(size)
    assert hasattr(model, "enc_to_dec_proj") == (size == 32)
    codes = torch.randint(65, (2, 4, 12))
    condition = torch.randn(2, size)
    condition[1] = musicgen_layout(model)["unconditional"]
    with torch.inference_mode():
        expected = model(
            encoder_outputs=(condition[:, None],),
            attention_mask=torch.tensor([[1], [0]]),
            decoder_input_ids=codes.reshape(8, 12),
        ).logits.view(2, 4, 12, 64)
    logits = stage_runs.run(export_musicgen(model), codes, condition, [5, 1, 6])
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)


def test_weights_of_another_type_and_a_model_in_training():
    model = llama()
    for weight in model.parameters():  # model.to(torch.bfloat16) would round the frequencies of the positions as well
        weight.data = weight.data.to(torch.bfloat16)
    tokens = torch.randint(101, (1, 9))
    script = export_llama(model.train())
    assert {weight.dtype for weight in script.parameters()} == {torch.float32}
    assert not any(weight.requires_grad for weight in script.parameters())
    expected = model.eval().float()(tokens).logits.detach()
    torch.testing.assert_close(stage_runs.run(script, tokens), expected, rtol=0, atol=1e-4)
    assert model.lm_head.weight.requires_grad


def test_a_tied_head_is_stored_once():
    script = export_gpt2(gpt2())
    assert script.head.weight.data_ptr() == script.embeddings[0].weight.data_ptr()
    loaded = stage_runs.reloaded(script).state_dict()
    assert loaded["head.weight"].data_ptr() == loaded["embeddings.0.weight"].data_ptr()


def test_positions_that_the_model_does_not_have():
    script = export_gpt2(gpt2())
    with pytest.raises(torch.jit.Error, match=r"\[exporters.Stage.init_state\] length must be at most 64 .* got 65"):
        script.init_state(1, 65, None)


class Another(transformers.GPT2LMHeadModel):
    pass


def with_adapter():
    model = gpt2()
    model.transformer.h[1].adapter = nn.Linear(48, 48)
    return model


def quantised():
    model = gpt2()
    model.transformer.wte.weight = nn.Parameter(torch.zeros(101, 48, dtype=torch.int8), requires_grad=False)
    return model


def offloaded():
    return gpt2().to("meta")


LINEAR = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}
REFUSED = {
    "cross-attention": (
        export_gpt2,
        lambda: gpt2(add_cross_attention=True),
        "config.add_cross_attention must be False",
    ),
    "gpt2's activation": (
        *(export_gpt2, lambda: gpt2(activation_function="tanh")),
        r"\[exporters.export_gpt2\] config.activation_function must be one of gelu, .*; got 'tanh'",
    ),
    "llama's activation": (export_llama, lambda: llama(hidden_act="mish"), "config.hidden_act must be .*; got 'mish'"),
    "musicgen's activation": (
        *(export_musicgen, lambda: musicgen(activation_function="tanh")),
        "config.activation_function must be .*; got 'tanh'",
    ),
    "scaled positions": (export_llama, lambda: llama(rope_parameters=LINEAR), "config.rope_parameters must .*'linear'"),
    "a window": (export_llama, lambda: llama(sliding_window=8), "config.sliding_window must be None; got 8"),
    "no pad": (export_musicgen, lambda: musicgen(pad_token_id=None), "config.pad_token_id must be an id .*; got None"),
    "an odd size": (
        *(export_musicgen, lambda: musicgen(hidden_size=45, num_attention_heads=3)),
        "config.hidden_size must be even and above 2; got 45",
    ),
    "an adapter": (export_gpt2, with_adapter, r"got 2 without, transformer.h.1.adapter.weight the first"),
    "absent weights": (export_gpt2, offloaded, "must be in memory; got transformer.wte.weight on the device 'meta'"),
    "integers": (export_gpt2, quantised, "must be floating-point numbers; got torch.int8 for transformer.wte.weight"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_is_refused(name):
    export, make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        export(make())


@pytest.mark.parametrize(
    ("export", "make", "message"),
    [
        (
            export_llama,
            gpt2,
            r"\[exporters.export_llama\] model must be a transformers.LlamaForCausalLM; got .*GPT2LMH",
        ),
        (export_gpt2, lambda: Another(gpt2().config), r"must be a transformers.GPT2LMHeadModel; got .*\.Another"),
        (export_musicgen, llama, "a transformers.MusicgenForCausalLM or transformers.MusicgenForConditionalGeneration"),
    ],
)
def test_other_models_are_refused(export, make, message):
    with pytest.raises(TypeError, match=message):
        export(make())


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(
        ImportError, match=r'\[exporters.export_gpt2\] transformers is needed: pip install "brain2music'
    ):
        export_gpt2(None)
