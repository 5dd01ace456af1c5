"""What magenta-rt says on JAX: weights in a checkpoint's own format, inputs, and logits to compare with.

    python -m venv jax && jax/bin/pip install "magenta-rt[jax]==2.0.3"
    jax/bin/python -m benchmarks.magenta_rt2.oracle FOLDER --size reduced --frames 200

FOLDER gets ``checkpoint.safetensors``, and ``oracle.safetensors`` with what went in and what came out. All is float32.
"""

import argparse
import dataclasses
from pathlib import Path

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import magenta_rt
import numpy as np
import safetensors.numpy
import sequence_layers.jax as sl
from magenta_rt.config import ModelSpec
from magenta_rt.jax import model

from benchmarks.magenta_rt2.weights import random_tensors

STYLES, NOTES = 12, 128
#: The highest codes of the last channels: the drums, and the scales of guidance.
LAST = (1, 40, 40, 8)
RESERVED = 6
#: What makes a token of a code: reserved rows, and one for "masked", which the scales of guidance do not have.
OFFSETS = np.array([RESERVED + 1] * (STYLES + NOTES + 1) + [RESERVED] * 3, np.int32)


def spec(layers, dims, heads, per_head, hidden):
    return ModelSpec(
        num_layers=layers,
        model_dims=dims,
        hidden_dims=hidden,
        num_heads=heads,
        dim_per_head=per_head,
        ffn_use_gated_activation=False,
    )


class Small(model.MagentaRT2ModelSmall):
    """The small model, in float32."""

    compute_dtype = jnp.float32


class Reduced(Small):
    """The small model with fewer and narrower layers, 7 frames of past."""

    encoder_size = spec(1, 48, 2, 16, 64)
    decoder_temporal_size = spec(3, 64, 4, 24, 160)
    decoder_depth_size = spec(2, 40, 2, 24, 96)
    decoder_temporal_self_attention_max_past_horizon = 7
    decoder_temporal_cross_attention_max_past_horizon = 7


class Tiny(Reduced):
    """A model whose logits fit in a file of the tests: 24 codes a level."""

    encoder_size = spec(1, 24, 2, 16, 64)
    decoder_temporal_size = spec(2, 32, 2, 12, 48)
    decoder_depth_size = spec(2, 24, 2, 8, 40)
    spectrostream = dataclasses.replace(Small.spectrostream, codebook_size=24)


SIZES = {"small": Small, "reduced": Reduced, "tiny": Tiny}


def inputs(frames, codes, seed=0):
    """Codes of 144 channels, -1 where masked, that change now and then; and codes of 12 levels."""
    draw = np.random.RandomState(seed)
    last = np.array([1023] * STYLES + [3] * NOTES + list(LAST))
    rows = [np.array([draw.randint(-1, top + 1) for top in last])]
    for _ in range(frames - 1):
        change = draw.rand(len(last)) < 0.05
        rows.append(np.where(change, [draw.randint(-1, top + 1) for top in last], rows[-1]))
    rows[0][:] = -1  # nothing but masks
    return np.stack(rows).astype(np.int32), draw.randint(0, codes, (frames, 12)).astype(np.int32)


def sequence(array):
    return sl.Sequence.from_values(jnp.asarray(array)[None])


def unique(codes, count):
    return codes + RESERVED + np.arange(12) * count


def of_levels(logits, count):
    """(T, 12, V) to (T, 12, count): only a level's own codes can be chosen."""
    first = RESERVED
    return np.stack([logits[:, level, first + level * count : first + (level + 1) * count] for level in range(12)], 1)


def whole(module, source, target):
    """What ``EncoderDecoder.__call__`` means to do: in 2.0.3 it calls ``Encoder.layer``, which does not exist."""
    encoded = module.encoder.body.layer(source, training=False)
    return module.decoder.layer_with_emits(target, training=False, constants={"source": encoded})[0]


def shapes_of(network):
    """Names and shapes, below ``params/depthformer`` as in the checkpoints."""
    arguments = (sequence(np.full((2, 144), 6, np.int32)), sequence(np.full((2, 12), 6, np.int32)))
    shapes = jax.eval_shape(lambda key: network.init(key, *arguments, method=whole), jax.random.PRNGKey(0))
    params = {"params": {"depthformer": nn.meta.unbox(shapes)["params"]}}
    return {name: tensor.shape for name, tensor in flax.traverse_util.flatten_dict(params, sep="/").items()}


def taught(network, params, codes, target, count):
    """Logits of a whole sequence whose codes are given."""
    call = jax.jit(lambda params, *arguments: network.apply(params, *arguments, method=whole))
    out = call(params, sequence(codes + OFFSETS), sequence(unique(target, count)))
    return of_levels(np.asarray(out.values)[0], count)


def streamed(network, params, codes, count, cap=30.0):
    """Codes that the model draws itself, frame by frame, and the logits that it drew them from."""

    def bound(method, params, *arguments):
        def call(module, *given):
            return getattr(module.get_sampler_sequence_layer(), method)(*given, training=False, constants=constants)

        rngs = {"random": jax.random.PRNGKey(1)}
        return network.apply(params, *arguments, method=call, rngs=rngs, mutable=["intermediates"])

    constants = {"temperature": jnp.array([1.3]), "top_k": jnp.array([40], jnp.int32)}
    state, _ = bound("get_initial_state", params, 1, jax.ShapeDtypeStruct((144,), jnp.int32))
    step = jax.jit(lambda params, x, state: bound("step", params, x, state))
    drawn, logits = [], []
    for frame in codes:
        (sample, state), seen = step(params, sequence(frame[None] + OFFSETS), state)
        levels = seen["intermediates"]["decoder"]["depth_logits"]
        logits.append(np.stack([np.asarray(level)[0, 0] for level in levels]))
        drawn.append(np.asarray(sample.values)[0, 0])
    logits = cap * np.tanh(of_levels(np.stack(logits), count) / cap)
    return (np.stack(drawn) - unique(0, count)).astype(np.int32), logits


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=SIZES, default="reduced")
    parser.add_argument("--frames", type=int, default=200, help="frames whose codes are given")
    parser.add_argument("--drawn", type=int, default=60, help="frames whose codes the model draws itself")
    options = parser.parse_args()
    config = SIZES[options.size]()
    count = config.spectrostream.codebook_size
    network = config.depthformer_config().make()
    tensors = random_tensors(shapes_of(network))
    options.folder.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file(tensors, options.folder / "checkpoint.safetensors")
    nested = flax.traverse_util.unflatten_dict({tuple(name.split("/")): array for name, array in tensors.items()})
    params = {"params": nested["params"]["depthformer"]}
    codes, target = inputs(max(options.frames, options.drawn), count)
    out = {"codes": codes, "target": target[: options.frames]}
    out["logits"] = taught(network, params, codes[: options.frames], out["target"], count)
    out["drawn"], out["drawn_logits"] = streamed(network, params, codes[: options.drawn], count)
    versions = {"magenta-rt": magenta_rt.__version__, "jax": jax.__version__, "size": options.size}
    versions["past"] = str(config.decoder_temporal_self_attention_max_past_horizon)
    out = {name: np.ascontiguousarray(array) for name, array in out.items()}
    safetensors.numpy.save_file(out, options.folder / "oracle.safetensors", versions)
    print(versions, {name: array.shape for name, array in out.items()})


if __name__ == "__main__":
    main()
