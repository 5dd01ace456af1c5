"""A network as the library opens it."""

import io
import warnings

import torch

from brain2music.exporters.script import scripted

__all__ = ["opened"]


def opened(network, methods):
    """The network as a bundle's file holds it, scripted and saved, and as the library opens it, frozen."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        torch.jit.save(scripted(network), file)
        file.seek(0)
        return torch.jit.freeze(torch.jit.load(file).eval(), preserved_attrs=methods)
