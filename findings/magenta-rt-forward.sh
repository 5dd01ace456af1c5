#!/usr/bin/env bash
# magenta-rt 2.0.3: calling the language model on a whole sequence raises AttributeError.
#
# Expected: EncoderDecoder.__call__(source, target, training) of jax/depthformer.py returns logits and the negative log
# likelihood of a target, as its code says; it is also what flax's init and apply call by default.
# What happens: it calls Encoder.layer, and Encoder has no such method: its layers are in Encoder.body. Every call fails, with
# any input. Streaming, which MagentaRT2System uses, takes Encoder.body and works.
# Why it matters here: logits of given codes are what an exported model is compared with.
# What a user can do: call encoder.body.layer, then decoder.layer_with_emits, as below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "magenta-rt[jax]==2.0.3" jax==0.10.2 flax==0.12.8
cd "$folder"
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import sys

import jax
import jax.numpy as jnp
import magenta_rt  # noqa: F401 (makes its copy of sequence_layers importable)
import sequence_layers.jax as sl
from magenta_rt.jax import model

network = model.MagentaRT2ModelSmall().depthformer_config().make()
source = sl.Sequence.from_values(jnp.full((1, 3, 144), 6))  # three frames, nothing given
target = sl.Sequence.from_values(jnp.full((1, 3, 12), 6))


def by_parts(module, source, target):
    encoded = module.encoder.body.layer(source, training=False)
    logits, _ = module.decoder.layer_with_emits(target, training=False, constants={"source": encoded})
    return logits.values


def whole(method=None):
    options = {} if method else {"training": False}
    key = jax.random.PRNGKey(0)
    return jax.eval_shape(lambda: network.init_with_output(key, source, target, method=method, **options)[0])


print(f"magenta-rt {magenta_rt.__version__}, JAX {jax.__version__}")
try:
    whole()
    raised = ""
except AttributeError as error:
    raised = str(error).splitlines()[0]
print("EncoderDecoder.__call__:", raised or "works")
shape = whole(by_parts).shape
print("by its parts: logits of shape", shape)
sys.exit(not ('"Encoder" object has no attribute "layer"' in raised and shape == (1, 3, 12, 12294)))
PYTHON
