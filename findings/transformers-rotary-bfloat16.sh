#!/usr/bin/env bash
# transformers 5.24.0, torch 2.11.0: LlamaForCausalLM.to(torch.bfloat16) rounds the rotary frequencies, and dtype= does not.
#
# Expected: from_pretrained(folder, dtype=torch.bfloat16) will "load the model under a specific dtype", and so one expects the
# model that .to(torch.bfloat16) makes. The two models have equal state_dicts, and LlamaRotaryEmbedding computes its angles in
# float32 in both.
# What happens: the frequencies, inv_freq, are a buffer that is not part of the state_dict. Module.to casts buffers too, as
# PyTorch documents, and so rounds the frequencies to bfloat16 before the angles are computed from them. from_pretrained
# leaves the frequencies in float32. An angle is a frequency times a position: the error grows with the position. A later
# .float() does not bring the frequencies back. How far the logits differ depends on the weights, which are random here.
# Why it matters here: a test that compares a bfloat16 model with transformers fails or passes by how that model was made.
# What a user can do: load with dtype=torch.bfloat16, or set inv_freq and original_inv_freq again after .to.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet transformers==5.24.0 torch==2.11.0 numpy==2.2.6
cd "$folder"
HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1 venv/bin/python - <<'PYTHON'
import copy
import sys

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

transformers.logging.disable_progress_bar()
print(f"transformers {transformers.__version__}, torch {torch.__version__}")


def compare(spread):
    """Whether models with weights of this standard deviation behave as described."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=1024,
        initializer_range=spread,
    )
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained("checkpoint")
    loaded = LlamaForCausalLM.from_pretrained("checkpoint", dtype=torch.bfloat16).eval()
    cast = copy.deepcopy(model).to(torch.bfloat16)
    one, other = loaded.state_dict(), cast.state_dict()
    same = one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    types = [each.model.rotary_emb.inv_freq.dtype for each in (loaded, cast)]
    tokens, positions = torch.randint(64, (1, 1024)), torch.arange(1024)[None]
    with torch.no_grad():
        right, got = loaded.float()(tokens).logits, cast.float()(tokens).logits
        error = (right - got).abs().max()
        cosines = [each.model.rotary_emb(right, positions)[0] for each in (loaded, cast)]
        cast.model.rotary_emb.inv_freq = model.model.rotary_emb.inv_freq
        again = (right - cast(tokens).logits).abs().max()
    print(f"weights of {spread}: state_dicts equal: {same}; inv_freq: from_pretrained {types[0]}, .to {types[1]}")
    print(f"  cosines differ by up to {(cosines[0] - cosines[1]).abs().max():.2f}")
    print(f"  logits of up to {right.abs().max():.1f} differ by up to {error:.1e}")
    print(f"  with the frequencies of before .to, logits differ by {again:.1e}")
    return same and types == [torch.float32, torch.bfloat16] and error > 1e-5 and again < error / 10


sys.exit(not all([compare(0.02), compare(0.2)]))
PYTHON
