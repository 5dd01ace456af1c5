"""What the exporters of public models share: their settings are checked, and no weight is left behind unseen."""

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Sinusoids", "Weights", "activation", "check_kind", "check_setting", "filled"]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "gelu_new": lambda: nn.GELU("tanh"),
    "gelu_pytorch_tanh": lambda: nn.GELU("tanh"),
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
}


def check_kind(where: str, model: Any, *names: str) -> None:
    """Raise TypeError unless a model is of one of these classes of transformers.

    A subclass is refused as well: it may compute something else.
    """
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise ImportError(
            f"[{where}] transformers is needed: pip install \"brain2music[export]\"; got '{error}'"
        ) from error
    if type(model) not in [getattr(transformers, name) for name in names]:
        kinds = " or ".join(f"transformers.{name}" for name in names)
        raise TypeError(f"[{where}] model must be a {kinds}; got {type(model).__module__}.{type(model).__qualname__}")


def check_setting(where: str, name: str, value: Any, followed: bool, rule: str) -> None:
    """Raise ValueError where a setting of a model's configuration is not followed."""
    if not followed:
        raise ValueError(f"[{where}] config.{name} must be {rule}; got {value!r}")


def activation(where: str, name: str, value: Any) -> nn.Module:
    """Make the activation that a configuration's setting names."""
    check_setting(where, name, value, value in _ACTIVATIONS, f"one of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[value]()


class Weights:
    """The weights of a model, taken by name until none is left.

    Parameters
    ----------
    where : str
        Room and function, for messages.
    model : Module
        The model. What is taken is a copy, float32; a weight that the model has under two names is copied once.
    """

    def __init__(self, where: str, model: nn.Module) -> None:
        self._where = where
        self._left = dict(model.state_dict())
        self._taken: dict[tuple[int, torch.Size], Tensor] = {}
        absent = next((name for name, value in self._left.items() if value.is_meta), None)
        if absent is not None:
            raise ValueError(f"[{where}] weights must be in memory; got {absent} on the device 'meta': load it whole")
        odd = next((name for name, value in self._left.items() if not value.is_floating_point()), None)
        if odd is not None:
            raise ValueError(
                f"[{where}] weights must be floating-point numbers; got {self._left[odd].dtype} for {odd}: load the "
                "model without quantisation"
            )

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str) -> Tensor:
        """Return one weight, which must be there."""
        if name not in self._left:
            raise ValueError(f"[{self._where}] the model must have the weight {name}; got none of that name")
        weight = self._left.pop(name).detach()
        return self._taken.setdefault((weight.data_ptr(), weight.shape), weight.to(torch.float32, copy=True))

    def all(self) -> dict[str, Tensor]:
        """Return whatever has not been taken yet."""
        return {name: self.take(name) for name in list(self._left)}

    def check_empty(self) -> None:
        """Raise ValueError, naming one, if weights were not taken: they would be missing from the stage."""
        if self._left:
            raise ValueError(
                f"[{self._where}] every weight must have a place in the stage; got {len(self._left)} without, "
                f"{next(iter(self._left))} the first: merge adapters into the model first"
            )


def filled(stage: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Give a stage that was made on the device "meta" its weights; a tensor that is named twice is stored once."""
    stage.load_state_dict(weights, assign=True)
    return stage.eval().requires_grad_(False)


class Sinusoids(nn.Module):
    """Sinusoidal positions, cosines first (MusicGen): no table, so the sequence may be of any length.

    Parameters
    ----------
    dimension : int
        d, even.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.pairs = dimension // 2

    def forward(self, positions: Tensor) -> Tensor:
        """Map positions (T,) to (T, d) float32."""
        steps = torch.arange(self.pairs, device=positions.device).to(torch.float32)
        angles = positions.to(torch.float32).unsqueeze(1) * torch.exp(steps * (-9.210340371976184 / (self.pairs - 1)))
        return torch.cat([angles.cos(), angles.sin()], dim=1)
