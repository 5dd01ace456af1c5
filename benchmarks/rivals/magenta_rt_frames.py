"""Frames of magenta-rt on JAX, mrt2_small with random weights, for an interpreter that has ``magenta-rt[jax]``.

``python magenta_rt_frames.py FRAMES TYPE`` says "ready" once all is compiled. For each line on its input it then draws
FRAMES frames of one sample and says "done". TYPE is float32 or bfloat16, the type that it computes in. Importing
``magenta_rt._vendor`` is what makes ``sequence_layers`` importable.
"""

import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import magenta_rt._vendor  # noqa: F401
import numpy as np
import sequence_layers.jax as sl
from magenta_rt.jax import model


def main() -> None:
    frames, kind = int(sys.argv[1]), sys.argv[2]
    network = model.get_model_class("mrt2_small")()
    if kind == "float32":
        network.compute_dtype = jnp.float32
    config = network.depthformer_config()
    channels = sum(each.rvq_truncation_level for each in network.input_configs)

    class Sampler(nn.Module):
        def setup(self):
            self.model = config.make()
            self.sampler = self.model.get_sampler_sequence_layer()

        def begin(self):
            return self.sampler.get_initial_state(1, spec, constants={}, training=False)

        def step(self, x, state, constants):
            return self.sampler.step(x, state, training=False, constants=constants)

        def both(self, x, constants):
            return self.step(x, self.begin(), constants)

    spec = jax.ShapeDtypeStruct([channels], jnp.int32)
    sampler = Sampler()
    rngs = {"params": jax.random.PRNGKey(42), "random": jax.random.PRNGKey(0)}
    x = sl.Sequence.from_values(np.full((1, 1, channels), 7, np.int32))
    constants = {"temperature": jnp.array([1.3]), "top_k": jnp.array([40], jnp.int32)}
    shapes = jax.eval_shape(lambda: sampler.init(rngs, x, constants, method=Sampler.both))
    draw = np.random.default_rng(0)
    weights = jax.tree.map(lambda s: jnp.asarray(draw.standard_normal(s.shape, dtype=np.float32) * 0.02), shapes)
    begin = jax.jit(lambda p: sampler.apply(p, method=Sampler.begin, rngs=rngs))
    step = jax.jit(lambda p, x, c, s: sampler.apply(p, x, s, c, method=Sampler.step, rngs=rngs), donate_argnums=(3,))
    out, _ = step(weights, x, constants, begin(weights))
    jax.block_until_ready(out.values)
    print("ready", flush=True)
    for _ in sys.stdin:
        state = begin(weights)
        for _ in range(frames):
            out, state = step(weights, x, constants, state)
        jax.block_until_ready(out.values)
        print("done", flush=True)


if __name__ == "__main__":
    main()
