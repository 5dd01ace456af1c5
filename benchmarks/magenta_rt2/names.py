"""Writes the table of tensors that the exporter checks checkpoints against, as magenta-rt's own code builds them.

``jax.eval_shape`` of ``init`` gives every name and shape at full size without a weight. Run it where JAX is:

    python -m venv jax && jax/bin/pip install "magenta-rt[jax]==2.0.3"
    jax/bin/python benchmarks/magenta_rt2/names.py            # writes names.json beside the exporter
    jax/bin/python benchmarks/magenta_rt2/names.py --check    # exits 1 where the file says something else

The names are those of magenta-rt's checkpoints: its loaders (``jax/system.py``, ``mlx/load_weights.py``) split what a
``.safetensors`` file holds at "/" and hand it to flax. A file ``mrt2_*.safetensors`` holds the parts ``small`` or
``base``, and ``soundstream``; ``encoder.safetensors`` holds ``encoder``.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import magenta_rt
import sequence_layers.jax as sl
from magenta_rt.jax import model, spectrostream, system

TABLE = Path(__file__).parents[2] / "python" / "brain2music" / "exporters" / "magenta_rt2" / "names.json"
CHANNELS = 144


def flat(shapes):
    return flax.traverse_util.flatten_dict(nn.meta.unbox(shapes), sep="/")


def sampler_shapes(size):
    """What ``MagentaRT2System`` loads: language model, quantiser and decoder."""
    sampler = system.MagentaRT2Sampler.Config(
        depthformer=model.get_model_class(f"mrt2_{size}")().depthformer_config(),
        spectrostream=spectrostream.stft_spectrostream_40ms_generic_48khz_stereo_config(rvq_truncation_level=12),
    ).make()
    constants = {"temperature": jnp.ones(1), "top_k": jnp.full(1, 40)}

    def step(module):
        options = {"training": False, "constants": constants}
        state = module.get_initial_state(1, jax.ShapeDtypeStruct((CHANNELS,), jnp.int32), **options)
        return module.step_with_emits(sl.Sequence.from_values(jnp.zeros((1, 1, CHANNELS), jnp.int32)), state, **options)

    return flat(jax.eval_shape(lambda key: sampler.init({"params": key, "random": key}, method=step), key()))


def codec_shapes():
    """What a codec of its own has: encoder, quantiser and decoder."""
    codec = spectrostream.stft_spectrostream_40ms_generic_48khz_stereo_config().make()
    wave = sl.Sequence.from_values(jnp.zeros((1, 1920, 2)))
    return flat(jax.eval_shape(lambda key: codec.init(key, wave, training=False), key()))


def key():
    return jax.random.PRNGKey(0)


def part(shapes, prefix):
    """The shapes below a prefix; layers of equal shapes become one entry, ``x_layers_{0-11}``."""
    layers = {}
    for name, shape in shapes.items():
        if name.startswith(prefix):
            pattern = re.sub(r"x_layers_\d+/", "x_layers_{}/", name)
            numbers = [int(number) for number in re.findall(r"x_layers_(\d+)/", name)]
            assert shape.dtype == jnp.float32, name
            layers.setdefault((pattern, shape.shape), []).extend(numbers)
    table = {}
    for (pattern, shape), numbers in sorted(layers.items()):
        assert sorted(numbers) == list(range(len(numbers))), pattern
        name = pattern.replace("{}", f"{{0-{len(numbers) - 1}}}")
        assert name not in table, name
        table[name] = list(shape)
    return table


def tables():
    made = {size: sampler_shapes(size) for size in ("small", "base")}
    codec = codec_shapes()
    parts = {size: part(shapes, "params/depthformer/") for size, shapes in made.items()}
    parts["soundstream"] = part(made["small"], "params/soundstream/")
    assert parts["soundstream"] == part(made["base"], "params/soundstream/")
    alone = {name.replace("params/", "params/soundstream/"): shape for name, shape in codec.items()}
    assert part(alone, "params/soundstream/decoder/") == part(made["small"], "params/soundstream/decoder/")
    parts["encoder"] = part(codec, "params/encoder/")
    counts = {name: len(shapes) for name, shapes in made.items()}
    print({**counts, "codec": len(codec)}, file=sys.stderr)
    return parts


def text():
    """One line a tensor."""
    parts = tables()
    source = f"magenta-rt {magenta_rt.__version__} (JAX {jax.__version__}): benchmarks/magenta_rt2/names.py"
    lines = ["{", f'  "source": {json.dumps(source)},', '  "dtype": "float32",', '  "parts": {']
    for last, (name, table) in zip([*[False] * (len(parts) - 1), True], parts.items(), strict=True):
        rows = ",\n".join(f"      {json.dumps(tensor)}: {json.dumps(shape)}" for tensor, shape in table.items())
        lines += [f'    "{name}": {{', rows, "    }" if last else "    },"]
    return "\n".join([*lines, "  }", "}"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 where the file says something else")
    if parser.parse_args().check:
        same = TABLE.read_text() == text()
        print("the table is as magenta-rt builds it" if same else "the table differs")
        return int(not same)
    TABLE.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
