"""Magenta RealTime 2 beside its published code, on JAX: by hand, in an environment of its own, never in CI."""
