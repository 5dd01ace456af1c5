"""Random weights under a checkpoint's names, the same wherever they are made: JAX and PyTorch read one model."""

import zlib

import numpy as np

#: Standard deviations that differ from those of a layer that keeps the size of what goes through it.
SPREADS = {"per_dim_scale": 0.5, "bias": 0.1}


def random_tensors(shapes, seed=0):
    """float32 by name. ``RandomState`` gives these numbers in every version of NumPy."""
    return {name: _random(name, tuple(shape), seed) for name, shape in shapes.items()}


def _random(name, shape, seed):
    kind = name.rpartition("/")[2]
    numbers = np.random.RandomState(zlib.crc32(f"{seed} {name}".encode())).standard_normal(shape)
    if kind == "scale":
        return (1 + 0.2 * numbers).astype(np.float32)
    if kind in SPREADS:
        return (SPREADS[kind] * numbers).astype(np.float32)
    return (numbers * _spread(name, shape)).astype(np.float32)


def _spread(name, shape):
    if name.endswith("to_logits/kernel"):
        return 6 / shape[0] ** 0.5  # logits that the soft cap bends
    if "output_projection" in name:
        return (shape[1] * shape[2]) ** -0.5
    if "_projection" in name:
        return shape[0] ** -0.5
    if name.endswith(("embedding", "embeddings")):
        return shape[-1] ** -0.5
    return np.prod(shape[:-1]) ** -0.5
