"""SpectroStream of magenta-rt on JAX, full size with random weights, for an interpreter that has ``magenta-rt[jax]``.

``python -m benchmarks.rivals.magenta_rt_codec FOLDER`` reads codes (frames, levels) from codes.npy, decodes them once,
writes their sound (samples, 2) to sound.npy, and says "ready". For each line on its input it then decodes them again
and says "done". All is float32.
"""

import sys
from pathlib import Path

import flax.traverse_util
import jax
import jax.numpy as jnp
import magenta_rt._vendor  # noqa: F401
import numpy as np
import sequence_layers.jax as sl
from magenta_rt.jax import spectrostream

from benchmarks.magenta_rt2.weights import random_tensors


def sequence(array):
    return sl.Sequence.from_values(jnp.asarray(array)[None])


def main() -> None:
    folder = Path(sys.argv[1])
    codes = np.load(folder / "codes.npy")
    codec = spectrostream.stft_spectrostream_40ms_generic_48khz_stereo_config(
        rvq_truncation_level=codes.shape[1]
    ).make()

    def initial(key):
        return codec.init(key, sequence(np.zeros((1920 * 2, 2), np.float32)), training=False)

    shapes = flax.traverse_util.flatten_dict(flax.linen.meta.unbox(jax.eval_shape(initial, jax.random.PRNGKey(0))))
    # The decoder and the quantiser have this name before theirs in a checkpoint, and weights are drawn by name.
    inside = {name: "/".join(name if name[1] == "encoder" else ("params", "soundstream", *name[1:])) for name in shapes}
    made = random_tensors({inside[name]: shape.shape for name, shape in shapes.items()})
    params = flax.traverse_util.unflatten_dict({name: jnp.asarray(made[inside[name]]) for name in shapes})
    decode = jax.jit(lambda p, x: codec.apply(p, x, training=False, method=codec.codes_to_waveform).values)
    x = sequence(codes)
    np.save(folder / "sound.npy", np.asarray(decode(params, x))[0])
    print("ready", flush=True)
    for _ in sys.stdin:
        jax.block_until_ready(decode(params, x))
        print("done", flush=True)


if __name__ == "__main__":
    main()
