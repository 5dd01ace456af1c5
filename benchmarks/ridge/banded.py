"""Bands of features with a weight each, drawn at random: every draw is cross-validated, every target keeps its best."""

from functools import partial
from itertools import pairwise

import numpy as np
import torch

from benchmarks.case import Case, Contender
from benchmarks.ridge import fits, rivals
from benchmarks.ridge.operations import eigenbasis
from benchmarks.ridge.problem import Shape, encoding_data

BANDS = 4


def draws_of(number: int) -> np.ndarray:
    """(draws, bands): uniform over all weights that sum to one, as himalaya's best penalties assume."""
    return np.random.default_rng(2).dirichlet(np.ones(BANDS), number)


def banded(shape: Shape, device: torch.device, draws: int = 10, required: float = 5) -> Case:
    run_ours, X, Y, bands = _prepare(shape, device)
    gammas = draws_of(draws)
    on_gpu = device.type == "cuda"
    theirs = {}
    for how, (backend, batch) in rivals.settings(rivals.backends(device), shape.targets).items():
        there = [rivals.to_backend(backend, X), rivals.to_backend(backend, Y)]
        theirs[f"himalaya GroupRidgeCV, {how}"] = partial(
            rivals.himalaya_banded, backend, *there, shape, bands, gammas, batch
        )

    def compare():
        model = run_ours(gammas)
        for run in theirs.values():
            fits.agree(fits.fit_of(model), fits.fit_of(run()), shape, fits.ROUNDING[device.type])

    return Case(
        unit="targets",
        ours={"brain2music": Contender(partial(run_ours, gammas), shape.targets, on_gpu)},
        rivals={name: Contender(run, shape.targets, on_gpu) for name, run in theirs.items()},
        required={} if on_gpu else dict.fromkeys(theirs, required),
        compare=compare,
        compare_warms=True,
        packages=["himalaya", "scikit-learn"],
        operations=lambda: eigenbasis(shape, draws),
        shape={**vars(shape), "bands": BANDS, "draws": draws},
        most_rounds=2,
    )


def by_draws(shape: Shape, device: torch.device, numbers: tuple[int, ...] = (10, 20, 40)) -> Case:
    """Of the most draws a second at least nine tenths of what fewer reach: time grows no faster than their number."""
    run_ours, *_ = _prepare(shape, device)
    on_gpu = device.type == "cuda"
    most = max(numbers)
    runs = {
        f"brain2music, {number} draws": Contender(partial(run_ours, draws_of(number)), number, on_gpu)
        for number in sorted(numbers, reverse=True)
    }
    name = next(iter(runs))

    def compare():
        """More draws are no worse for any target."""
        fitted = [fits.fit_of(run_ours(draws_of(most)[:number])) for number in sorted(numbers)]
        for fewer, more in pairwise(fitted):
            if (more.scores < fewer.scores - 1e-6).any():
                raise AssertionError("draws were added, and scores fell")

    return Case(
        unit="draws",
        ours={name: runs.pop(name)},
        rivals=runs,
        required={} if on_gpu else dict.fromkeys(runs, 0.9),
        compare=compare,
        packages=["scikit-learn"],
        operations=lambda: eigenbasis(shape, most),
        shape={**vars(shape), "bands": BANDS, "draws": most},
        most_rounds=3,
    )


def _prepare(shape: Shape, device: torch.device):
    """A fit of ours by its draws, the data, and the band of each feature."""
    X, Y = encoding_data(shape)
    bands = np.repeat(np.arange(BANDS), shape.features // BANDS)
    x, y = (torch.from_numpy(X).to(device), torch.from_numpy(Y).to(device)) if device.type == "cuda" else (X, Y)

    def run(gammas: np.ndarray):
        return fits.ours("BandedRidgeCV", x, y, shape, bands=bands, n_iter=gammas, scoring="r2")

    return run, X, Y, bands
