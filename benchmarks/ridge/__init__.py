"""Ridge regression at the study's shapes, and around them, beside himalaya and scikit-learn.

himalaya runs on its NumPy and its torch backend, or on torch_cuda, and goes through targets all at once and in batches.
Everything is float32.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from benchmarks.case import Case
from benchmarks.ridge.alone import memory, streaming
from benchmarks.ridge.banded import banded, by_draws
from benchmarks.ridge.decoding import REGIONS, decoding
from benchmarks.ridge.encoding import encoding
from benchmarks.ridge.problem import Shape
from brain2music import _core

STUDY = Shape()

#: Of the sweeps: one size varies at a time, the others are these.
BASE = Shape(targets=5_000)
SWEEPS = {
    "rows": (240, 480, 960, 1_920, 3_840),
    "features": (16, 32, 64, 128, 256, 512, 1_024),
    "targets": (50, 200, 1_000, 5_000, 20_000),
    "penalties": (2, 5, 10, 20, 50),
    "folds": (2, 5, 10, 20, 40),
}


def cases(device: torch.device) -> dict[str, Callable[[], Case]]:
    made: dict[str, Callable[[], Case]] = {
        "encoding, 128 features": partial(encoding, STUDY, device, required=30),
        "encoding, 1,024 features": partial(encoding, replace(STUDY, features=1_024), device, required=2.5),
        "decoding, 150 regions": partial(decoding, REGIONS, device),
        "banded, 4 x 128 features": partial(banded, Shape(features=512, targets=20_000), device),
        "banded, by the number of draws": partial(by_draws, Shape(features=512, targets=5_000), device),
        "memory, 128 features": partial(memory, STUDY, device),
    }
    if device.type == "cpu":  # targets are read on the CPU
        made["streaming, 600,000 targets"] = partial(streaming, replace(STUDY, targets=600_000))
    backends = ["torch"] if device.type == "cpu" else None
    for shape in sweep():
        sizes = ", ".join(f"{size:,} {name}" for name, size in vars(shape).items())
        made[f"sweep, {sizes}"] = partial(encoding, shape, device, backends=backends)
    return made


def sweep() -> list[Shape]:
    """All that the sweeps measure, the base once."""
    return list(dict.fromkeys(replace(BASE, **{name: size}) for name, sizes in SWEEPS.items() for size in sizes))


def dry_run(device: torch.device) -> None:
    """The kernel of the fold scores on `device`, on whatever tensors are in force: fake ones need no GPU."""
    for shape in (STUDY, *sweep()):
        products = torch.empty(5, shape.features, 1000).to(device)
        sums = _core.kernels.fold_scores(products, torch.empty(5, shape.penalties, shape.features).to(device))
        if sums.device != products.device or sums.shape != (3, shape.penalties, 1000):
            expected = (3, shape.penalties, 1000)
            raise AssertionError(f"expected {expected} on {products.device}; got {tuple(sums.shape)} on {sums.device}")
