"""Weights in a byte each: a bundle's files are a quarter as large, and run as fast."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PackedEmbedding", "PackedLinear", "packed", "unpacked"]


class PackedLinear(nn.Module):
    """A linear map whose weights are whole numbers from -127 to 127, times a scale for each row.

    A bundle freezes what it opens: the product of numbers and scales is made once then, and not at each call.

    Parameters
    ----------
    linear : Linear
        The map that is packed; the largest weight of each row is met exactly.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = _whole_numbers(linear.weight)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().half(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the map."""
        return functional.linear(x, self.weight.to(self.scale.dtype) * self.scale, self.bias)


class PackedEmbedding(nn.Module):
    """A table of vectors, packed as :class:`PackedLinear` packs rows.

    Parameters
    ----------
    embedding : Embedding
        The table.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        weight, scale = _whole_numbers(embedding.weight)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        """Look vectors up."""
        return functional.embedding(ids, self.weight.to(self.scale.dtype) * self.scale)


def packed(module: nn.Module) -> nn.Module:
    """Copy a module, with its linear maps and tables packed and its other parameters in half precision."""
    made = copy.deepcopy(module)
    for parent in [*made.modules()]:
        for name, child in [*parent.named_children()]:
            if isinstance(child, nn.Linear):
                setattr(parent, name, PackedLinear(child))
            elif isinstance(child, nn.Embedding):
                setattr(parent, name, PackedEmbedding(child))
    for parameter in made.parameters():
        parameter.data = parameter.data.half()
    return made


def unpacked(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn the state of a packed module into that of the module itself, in float32.

    Parameters
    ----------
    state : mapping of Tensor
        The ``state_dict`` of what :func:`packed` made, or of a script of it.
    """
    rows = {
        name.removesuffix("weight")
        for name, value in state.items()
        if name.endswith("weight") and not value.is_floating_point()
    }
    made = {}
    for name, value in state.items():
        owner = name.removesuffix("weight").removesuffix("scale")
        if owner not in rows:
            made[name] = value.float() if value.is_floating_point() else value
        elif name.endswith("weight"):
            made[name] = value.float() * state[f"{owner}scale"].float()
    return made


def _whole_numbers(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round a matrix to whole numbers (int8), and give the scale of each row (float16)."""
    weight = weight.detach().float()
    # A scale that half precision rounds down would push the largest number of a row beyond 127.
    scale = (weight.abs().amax(1, keepdim=True) / 127).clamp_min(1e-7).half()
    return (weight / scale.float()).round().clamp(-127, 127).to(torch.int8), scale
