"""Regions to an embedding: many sets of features of unequal size, few targets.

Rivals fit one region after another, so their time is that of a sample of regions: each the middle one of its fifth.
"""

from functools import partial

import numpy as np
import torch

from benchmarks.case import Case, Contender
from benchmarks.ridge import fits, rivals
from benchmarks.ridge.operations import OF_SOLVER
from benchmarks.ridge.problem import Shape, decoding_data

#: About 57,000 voxels in 150 regions, to an embedding of 128 values.
REGIONS = [Shape(features=int(size), targets=128) for size in np.linspace(61, 706, 150)]


def decoding(shapes: list[Shape], device: torch.device, required: float = 30) -> Case:
    xs, Y = decoding_data(shapes)
    regions = len(shapes)
    some = [int(i) for i in (np.arange(5) + 0.5) * regions / 5]
    on_gpu = device.type == "cuda"
    there, y = ([torch.from_numpy(X).to(device) for X in xs], torch.from_numpy(Y).to(device)) if on_gpu else (xs, Y)
    solvers = []

    def run_ours(**more):
        return fits.ours("BatchedRidgeCV", there, y, shapes[0], **more)

    def loop(fit, arrays, targets):
        return [fit(arrays[i], targets, shapes[i]) for i in some]

    theirs = {}
    for backend in rivals.backends(device):
        arrays = {i: rivals.to_backend(backend, xs[i]) for i in some}
        theirs[f"himalaya RidgeCV in a loop, {backend}"] = partial(
            loop, partial(rivals.himalaya, backend), arrays, rivals.to_backend(backend, Y)
        )
    if not on_gpu:
        for how, fit in {"Cholesky": rivals.sklearn_by_cholesky, "SVD": rivals.sklearn_by_svd}.items():
            theirs[f"scikit-learn Ridge in a loop, {how}"] = partial(loop, fit, xs, Y)

    def compare():
        model = run_ours(keep_path=True)
        solvers[:] = model.solver_
        for i in some:
            fits.assert_exact(fits.fit_of(model, i), xs[i], Y)
        for run in theirs.values():
            for i, rival in zip(some, run(), strict=True):
                fits.agree(fits.fit_of(model, i), fits.fit_of(rival), shapes[i], fits.ROUNDING[device.type])

    def operations():
        return sum(OF_SOLVER[solver](shape) for solver, shape in zip(solvers, shapes, strict=True))

    return Case(
        unit="regions",
        ours={"brain2music": Contender(run_ours, regions, on_gpu)},
        rivals={name: Contender(run, len(some), on_gpu) for name, run in theirs.items()},
        required={} if on_gpu else dict.fromkeys(theirs, required),
        compare=compare,
        compare_warms=True,
        packages=["himalaya", "scikit-learn"],
        operations=operations,
        shape={**vars(shapes[0]), "features": sum(shape.features for shape in shapes)},
        most_rounds=3,
    )
