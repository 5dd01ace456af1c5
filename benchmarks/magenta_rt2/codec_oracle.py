"""What SpectroStream says on JAX: weights in the checkpoints' own format, codes, waveforms and embeddings.

    jax/bin/python -m benchmarks.magenta_rt2.codec_oracle FOLDER --size full --frames 50

FOLDER gets ``checkpoint.safetensors`` (quantiser and decoder), ``encoder.safetensors``, and ``oracle.safetensors`` with
what went in and what came out. All is float32.
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
from magenta_rt.jax import spectrostream

from benchmarks.magenta_rt2.weights import random_tensors

LEVELS, HOP = 12, 1920


def config_of(size):
    full = spectrostream.stft_spectrostream_40ms_generic_48khz_stereo_config(rvq_truncation_level=LEVELS)
    if size == "full":
        return full
    quantizer = dataclasses.replace(full.quantizer, num_quantizers=16, num_embeddings=24, embedding_dim=16)
    return dataclasses.replace(
        full, num_features=16, quantizer=quantizer, encoder_base_conv_depth=2, decoder_base_conv_depth=4
    )


def sequence(array):
    return sl.Sequence.from_values(jnp.asarray(array)[None])


def made_wave(frames):
    """A chord that differs between left and right, and noise: (samples, 2)."""
    time = np.arange(frames * HOP)[:, None] / 48000
    pitches = np.array([[110.0, 165.0], [277.0, 220.0], [1760.0, 3520.0]])
    tones = sum(np.sin(2 * np.pi * pair * time) for pair in pitches) / 4
    noise = 0.05 * np.random.RandomState(3).standard_normal(time.shape)
    return (tones * np.array([0.9, 0.4]) + noise).astype(np.float32)


def streamed(codec, params, embeddings):
    """The waveform, one frame a step: a frame of silence comes first, for the decoder looks one frame ahead."""

    def layer(module):
        return module.get_embeddings_to_waveform_layer()

    spec = jax.ShapeDtypeStruct(embeddings.shape[1:], jnp.float32)
    state = codec.apply(params, method=lambda module: layer(module).get_initial_state(1, spec, training=False))
    step = jax.jit(
        lambda params, x, state: codec.apply(
            params, x, state, method=lambda module, x, state: layer(module).step(x, state, training=False)
        )
    )
    pieces = []
    for frame in embeddings:
        out, state = step(params, sequence(frame[None]), state)
        pieces.append(np.asarray(out.mask_invalid().values)[0])
    return np.concatenate(pieces)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=["full", "tiny"], default="full")
    parser.add_argument("--frames", type=int, default=50)
    options = parser.parse_args()
    config = config_of(options.size)
    codec = config.make()
    wave = made_wave(options.frames)
    shapes = nn.meta.unbox(
        jax.eval_shape(lambda key: codec.init(key, sequence(wave), training=False), jax.random.PRNGKey(0))
    )
    flat = flax.traverse_util.flatten_dict(shapes, sep="/")
    named = {
        name.replace("params/", "params/soundstream/") if "/encoder/" not in f"{name}/" else name: tensor.shape
        for name, tensor in flat.items()
    }
    tensors = random_tensors(named)
    options.folder.mkdir(parents=True, exist_ok=True)
    for file, inside in (("encoder", True), ("checkpoint", False)):
        part = {name: array for name, array in tensors.items() if name.startswith("params/encoder/") == inside}
        safetensors.numpy.save_file(part, options.folder / f"{file}.safetensors")
    nested = {tuple(name.replace("soundstream/", "").split("/")): array for name, array in tensors.items()}
    params = flax.traverse_util.unflatten_dict(nested)

    def call(method, x):
        return np.asarray(
            jax.jit(lambda params, x: codec.apply(params, x, training=False, method=method).values)(params, x)
        )[0]

    draw = np.random.RandomState(1)
    out = {"wave": wave}
    out["codes"] = draw.randint(0, config.quantizer.num_embeddings, (options.frames, LEVELS)).astype(np.int32)
    out["decoded"] = call(codec.codes_to_waveform, sequence(out["codes"]))
    table = tensors["params/soundstream/quantizer/embedding"]
    embeddings = sum(table[level][out["codes"][:, level]] for level in range(LEVELS))
    out["streamed"] = streamed(codec, params, embeddings)
    out["embeddings"] = call(codec.waveform_to_embeddings, sequence(wave))
    out["encoded"] = call(codec.waveform_to_codes, sequence(wave))
    said = {"magenta-rt": magenta_rt.__version__, "jax": jax.__version__, "size": options.size}
    out = {name: np.ascontiguousarray(array) for name, array in out.items()}
    safetensors.numpy.save_file(out, options.folder / "oracle.safetensors", said)
    print(said, {name: (array.shape, float(np.abs(array).max())) for name, array in out.items()})


if __name__ == "__main__":
    main()
