"""Features to voxels: one set of features, many targets. himalaya fits all of them too."""

from functools import partial

import torch

from benchmarks.case import Case, Contender
from benchmarks.ridge import fits, rivals
from benchmarks.ridge.operations import OF_SOLVER
from benchmarks.ridge.problem import Shape, encoding_data


def encoding(
    shape: Shape, device: torch.device, required: float | None = None, backends: list[str] | None = None
) -> Case:
    X, Y = encoding_data(shape)
    on_gpu = device.type == "cuda"
    x, y = (torch.from_numpy(X).to(device), torch.from_numpy(Y).to(device)) if on_gpu else (X, Y)
    solver = []

    def run_ours(**more):
        return fits.ours("RidgeCV", x, y, shape, **more)

    theirs = {}
    for how, (backend, batch) in rivals.settings(backends or rivals.backends(device), shape.targets).items():
        there = [rivals.to_backend(backend, X), rivals.to_backend(backend, Y)]
        theirs[f"himalaya RidgeCV, {how}"] = partial(rivals.himalaya, backend, *there, shape, batch)

    def compare():
        model = run_ours(keep_path=True)
        solver.append(model.solver_)
        fits.assert_exact(fits.fit_of(model), X, Y)
        for run in theirs.values():
            fits.agree(fits.fit_of(model), fits.fit_of(run()), shape, fits.ROUNDING[device.type])

    return Case(
        unit="targets",
        ours={"brain2music": Contender(run_ours, shape.targets, on_gpu)},
        rivals={name: Contender(run, shape.targets, on_gpu) for name, run in theirs.items()},
        required={} if required is None or on_gpu else dict.fromkeys(theirs, required),
        compare=compare,
        compare_warms=True,
        packages=["himalaya", "scikit-learn"],
        operations=lambda: OF_SOLVER[solver[-1]](shape),
        shape=vars(shape),
        most_rounds=3,
    )
