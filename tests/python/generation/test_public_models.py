"""Models of transformers make the very codes that transformers makes, from the embedding to the codec's codes."""

import made_bundle
import numpy as np
import pytest
import torch
from torch import nn

import brain2music as b2m
from brain2music.bundles import writer
from brain2music.exporters import export_gpt2, export_llama, export_musicgen, musicgen_layout

transformers = pytest.importorskip("transformers")

CODES, D, FRAMES = 60, 24, 20


class Spelled(nn.Module):
    """A codec whose sound spells its codes: one sample for each."""

    @torch.jit.export
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return codes.transpose(1, 2).reshape(codes.size(0), 1, -1) / 64.0


def generated(folder, stage, module, levels, embedding, **options):
    """Codes (B, levels, frames) that a bundle of one stage makes."""
    codec = {
        "module": made_bundle.scripted(Spelled()),
        "methods": ["decode"],
        "sample_rate": 10 * levels,
        "frame_rate": 10,
        "levels": levels,
        "vocabulary": CODES,
        "channels": 1,
        "context": {"past": 0, "future": 0},
        "card": made_bundle.CARD,
    }
    entry = {
        "family": "tokens",
        "frame_rate": 10,
        "codes": [CODES] * levels,
        "codec_levels": list(range(levels)),
        "max_length": 64,
        "sampling": {"temperature": 0},
        "card": made_bundle.CARD,
        **stage,
        "name": "music",
        "module": module,
    }
    writer.write(
        folder,
        name="Public",
        description="One stage.",
        roles={"codec": codec},
        stages=[entry],
        space={"dimension": D, "roles": [], "hashes": ["0" * 64]},
    )
    generator = b2m.MusicGenerator(b2m.Bundle(folder, device="cpu"), device="cpu")
    waveform = generator.generate(embedding, seconds=FRAMES / 10, **options).waveform
    codes = np.rint(waveform[:, 0, 0] * 64).astype(np.int64)
    return codes.reshape(len(embedding), FRAMES, levels).transpose(0, 2, 1)


def randomised(model):
    torch.manual_seed(0)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.25 if weight.ndim > 1 else 0.5)
    return model.eval()


@pytest.fixture
def embedding(rng):
    return rng.standard_normal((3, D)).astype(np.float32)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_language_model_continues_its_prefix_as_transformers_does(tmp_path, embedding, kind):
    none = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
    if kind == "gpt2":
        sizes = {"n_layer": 2, "n_embd": 48, "n_head": 4, "vocab_size": CODES + 2, "n_positions": 64}
        model = randomised(transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **none)))
        module = export_gpt2(model)
    else:
        sizes = {"num_hidden_layers": 2, "hidden_size": 48, "num_attention_heads": 6, "num_key_value_heads": 2}
        more = {"intermediate_size": 80, "vocab_size": CODES + 2}
        model = randomised(transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **more, **none)))
        module = export_llama(model)
    begin, separator = CODES, CODES + 1
    stage = {
        "vocabulary": CODES + 2,
        "special_tokens": {"begin": begin, "separator": separator},
        "layout": {
            "prefix": [{"token": "begin", "count": 3}, {"token": "separator"}],
            "order": "frames",
            "offsets": [0],
        },
    }
    codes = generated(tmp_path / "b", stage, module, 1, embedding)
    theirs = model.generate(
        torch.tensor([[begin, begin, begin, separator]]),
        attention_mask=torch.ones(1, 4, dtype=torch.int64),
        do_sample=False,
        max_new_tokens=FRAMES,
        suppress_tokens=[begin, separator],
    )
    assert len(set(theirs[0, 4:].tolist())) > 2
    for row in codes:
        np.testing.assert_array_equal(row[0], theirs[0, 4:])


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_musicgen_makes_the_codes_of_transformers(tmp_path, embedding, guidance):
    """Greedy, with the delay pattern and, above 1, guidance; transformers without a cache."""
    levels = 4
    config = transformers.MusicgenDecoderConfig(
        num_hidden_layers=2,
        hidden_size=D,
        num_attention_heads=4,
        ffn_dim=80,
        vocab_size=CODES,
        num_codebooks=levels,
        pad_token_id=CODES,
        bos_token_id=CODES,
    )
    model = randomised(transformers.MusicgenForCausalLM(config))
    layout = musicgen_layout(model)
    stage = {
        "family": "parallel",
        "vocabulary": CODES,
        "condition": {"from": "embedding", "unconditional": layout["unconditional"]},
        "layout": {"delays": layout["delays"], "pad": layout["pad"]},
    }
    codes = generated(tmp_path / "b", stage, export_musicgen(model), levels, embedding, guidance=guidance)
    length = FRAMES + levels
    state = torch.from_numpy(embedding)[:, None]
    rows = torch.full((3 * levels, 1), CODES)
    rows, pattern = model.build_delay_pattern_mask(rows, pad_token_id=CODES, max_length=length)
    with torch.inference_mode():
        for _ in range(rows.shape[1], length):
            shown = model.apply_delay_pattern_mask(rows, pattern)
            logits = model(shown, encoder_hidden_states=state).logits[:, -1]
            other = model(shown, encoder_hidden_states=torch.zeros_like(state)).logits[:, -1]
            guided = other + guidance * (logits - other)
            rows = torch.cat([rows, guided.argmax(-1)[:, None]], 1)
    rows = model.apply_delay_pattern_mask(rows, pattern).view(3, levels, length).numpy()
    for level in range(levels):
        np.testing.assert_array_equal(codes[:, level], rows[:, level, 1 + level : 1 + level + FRAMES])
    assert len(set(map(bytes, codes))) == 3
