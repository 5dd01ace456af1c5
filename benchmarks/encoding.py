"""Encoding with significance: fit, test scores, 1,000 orders of the clips and false discovery rates, to all voxels.

The rivals fit with himalaya and permute as fast as NumPy and PyTorch can: products of all pairs of clips once for each
voxel, a block of voxels that stays in the cache at a time, then sums of pairs.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from scipy.stats import false_discovery_control

import brain2music as b2m
from benchmarks.case import Case, Contender
from benchmarks.fresh import Cost, cost
from benchmarks.ridge import rivals
from benchmarks.ridge.problem import Shape, encoding_data
from brain2music import _core

TEST_CLIPS, WINDOWS = 60, 4

#: The figure of the paper: music, the semantic encoder's average, text and genre, in each of its subjects' brains.
SUBJECTS, SPACES = 5, {"music": 128, "semantic encoder": 1024, "text": 128, "genre": 10}

#: What is returned for each voxel beside its weights, in numbers of four bytes: scores, P and q of eight.
RESULTS = ("score", "score", "p", "p", "q", "q")

#: Memory that looking at a process every few milliseconds cannot tell from none.
_LEAST_MIB = 5.0

#: Voxels of which the products of all pairs stay in the cache.
BLOCK = 64


@dataclass(frozen=True)
class Problem:
    shape: Shape
    X: np.ndarray  # (rows, features)
    Y: np.ndarray
    X_test: np.ndarray  # (clips * windows, features)
    Y_test: np.ndarray
    orders: np.ndarray  # (permutations, clips)


def cases(device: torch.device, shape: Shape | None = None, permutations: int = 1000) -> dict[str, Callable[[], Case]]:
    shape = shape or Shape()
    whole = f"figure of the paper, {SUBJECTS} subjects x {len(SPACES)} spaces"
    return {
        f"significance, {shape.targets:,} voxels": partial(significance, shape, permutations, device),
        f"significance, {shape.targets:,} voxels, memory": partial(memory, shape, permutations, device),
        whole: partial(figure, shape, permutations, device),
    }


def dry_run(device: torch.device) -> None:
    """The kernel on `device`, on whatever tensors are in force: fake ones need no GPU."""
    clips = torch.empty(TEST_CLIPS, WINDOWS, 1000).to(device)
    orders = torch.zeros(100, TEST_CLIPS, dtype=torch.int64).to(device)
    at_least, largest, _ = _core.kernels.permutation_null(clips, clips, orders)
    if at_least.device != clips.device or at_least.shape != (1000,) or largest.shape != (100,):
        raise AssertionError(f"expected counts on {clips.device}; got {at_least.shape} on {at_least.device}")


def significance(shape: Shape, permutations: int, device: torch.device) -> Case:
    problem = _problem(shape, permutations)
    on_gpu = device.type == "cuda"
    ours = {
        "brain2music": partial(_ours, problem, device, False),
        "brain2music, tails": partial(_ours, problem, device, True),
    }
    theirs = {
        f"himalaya and {backend}": partial(_theirs, problem, backend, 1_000 if shape.targets > 1_000 else None)
        for backend in rivals.backends(device)
    }

    def compare() -> None:
        """Of the same weights; the fits themselves are compared by the benchmark ``ridge``."""
        for run in (*ours.values(), *theirs.values()):
            coef, score, p, q, counted = run()
            for backend in rivals.backends(device):
                test = _by_numpy if backend == "numpy" else _by_torch
                other = test(problem, rivals.to_backend(backend, np.asarray(coef)))
                for what, apart, limit in (
                    ("scores", np.abs(score - other[0]), 1e-4),
                    ("P", np.abs(p - other[1])[counted], 1.5 / permutations),
                    ("q", np.abs(q - false_discovery_control(p)), 1e-6),
                ):
                    if (apart > limit).mean() > 1e-4:  # sums of equal numbers in another order may tie or not
                        raise AssertionError(
                            f"{what} by {backend} differ in {(apart > limit).sum()} of {len(p)} voxels"
                        )

    return Case(
        unit="voxels",
        ours={name: Contender(run, shape.targets, on_gpu) for name, run in ours.items()},
        rivals={name: Contender(run, shape.targets, on_gpu) for name, run in theirs.items()},
        required={} if on_gpu else dict.fromkeys(theirs, 30),
        compare=compare,
        compare_warms=True,
        packages=["himalaya", "scipy"],
        shape={**vars(shape), "permutations": permutations},
        most_rounds=3,
    )


def memory(shape: Shape, permutations: int, device: torch.device) -> Case:
    """What each takes beyond the responses that it is given and the weights, scores and P that it returns."""
    arguments = (str(shape.targets), str(permutations), device.type)
    names = {"brain2music": "brain2music"} | {f"himalaya and {backend}": backend for backend in rivals.backends(device)}

    def run(name: str) -> Cost:
        measured = cost("benchmarks.encoding:alone", name, *arguments)
        results = (shape.features + len(RESULTS)) * shape.targets * 4 / 2**20
        return replace(measured, peak_private_mib=max(_LEAST_MIB, measured.peak_private_mib - results))

    on_gpu = device.type == "cuda"
    contenders = {
        name: Contender(partial(run, function), shape.targets, on_gpu, own_process=True)
        for name, function in names.items()
    }
    ours = {"brain2music": contenders.pop("brain2music")}
    return Case(
        unit="voxels",
        ours=ours,
        rivals=contenders,
        required={},
        required_memory={} if on_gpu else dict.fromkeys(contenders, 5),
        compare=lambda: None,  # the case beside this one does
        packages=["himalaya", "scipy"],
        shape={**vars(shape), "permutations": permutations},
        most_rounds=2,
    )


def figure(shape: Shape, permutations: int, device: torch.device) -> Case:
    """All encoding models of the paper's figure, tails included; no rival: what counts is how long a user waits."""
    problem = _problem(shape, permutations)
    rng = np.random.default_rng(1)
    # Each space mixes the features that the voxels follow: voxels that are predicted take the time of a tail.
    mixes = [rng.standard_normal((shape.features, width), dtype=np.float32) for width in SPACES.values()]
    spaces = [replace(problem, X=problem.X @ mix, X_test=problem.X_test @ mix) for mix in mixes]

    def run() -> None:
        for _ in range(SUBJECTS):  # of equal size, so that the voxels of one stand for all
            for space in spaces:
                _ours(space, device, True)

    models = SUBJECTS * len(SPACES)
    return Case(
        unit="models",
        ours={"brain2music, tails": Contender(run, models, device.type == "cuda")},
        rivals={},
        required={},
        compare=lambda: None,  # the case of one model does
        packages=["scipy"],
        shape={**vars(shape), "permutations": permutations},
        most_rounds=1,
    )


def alone(name: str, targets: str, permutations: str, device: str) -> Callable[[], object]:
    """Prepare a run in a process of its own, warmed up on a few voxels."""
    problem = _problem(Shape(targets=int(targets)), int(permutations))
    shape = replace(problem.shape, targets=256)
    few = replace(problem, shape=shape, Y=problem.Y[:, :256].copy(), Y_test=problem.Y_test[:, :256].copy())

    def run(given: Problem) -> tuple[np.ndarray, ...]:
        if name == "brain2music":
            return _ours(given, torch.device(device), False)
        return _theirs(given, name, 1_000 if given.shape.targets > 1_000 else None)

    run(few)
    return partial(run, problem)


def _problem(shape: Shape, permutations: int) -> Problem:
    test = TEST_CLIPS * WINDOWS
    whole = Shape(shape.rows + test, shape.features, shape.targets, shape.penalties, shape.folds)
    X, Y = encoding_data(whole)
    orders = np.random.default_rng(0).permuted(np.tile(np.arange(TEST_CLIPS), (permutations, 1)), axis=1)
    return Problem(shape, X[:-test], Y[:-test], X[-test:], Y[-test:], orders)


def _clips(x: np.ndarray) -> np.ndarray:
    return x.reshape(TEST_CLIPS, WINDOWS, -1)


def _ours(problem: Problem, device: torch.device, tail: bool) -> tuple[np.ndarray, ...]:
    encoder = b2m.VoxelwiseEncoder(problem.shape.alphas, cv=problem.shape.folds, device=str(device))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of penalties at an edge, which are the same for all
        encoder.fit(problem.X, problem.Y)
    test = encoder.significance(
        _clips(problem.X_test), _clips(problem.Y_test), permutations=len(problem.orders), random_state=0, tail=tail
    )
    return encoder.coef_, test.score, test.p, test.q, ~test.in_tail


def _theirs(problem: Problem, backend: str, batch: int | None) -> tuple[np.ndarray, ...]:
    x, y = (rivals.to_backend(backend, part) for part in (problem.X, problem.Y))
    coef = rivals.himalaya(backend, x, y, problem.shape, batch).coef_
    permuted = _by_numpy if backend == "numpy" else _by_torch
    score, p = permuted(problem, coef)
    return np.asarray(coef), score, p, false_discovery_control(p), np.full(len(p), True)


def _by_numpy(problem: Problem, coef: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predicted = problem.X_test @ coef
    score, count = np.empty((2, coef.shape[1]))
    pairs = problem.orders * TEST_CLIPS + np.arange(TEST_CLIPS)
    for first in range(0, coef.shape[1], BLOCK):
        block = slice(first, first + BLOCK)
        a, b = (_clips(_unit(part[:, block])) for part in (predicted, problem.Y_test))
        products = np.einsum("arv,brv->abv", a, b, optimize=True).reshape(TEST_CLIPS**2, -1)
        null = products[pairs[:, 0]]
        for place in range(1, TEST_CLIPS):
            null += products[pairs[:, place]]
        score[block] = products[:: TEST_CLIPS + 1].sum(axis=0)
        count[block] = (null >= score[block] - 1e-6).sum(axis=0)
    return score, (count + 1) / (len(pairs) + 1)


def _by_torch(problem: Problem, coef: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    x, y = (torch.from_numpy(part).to(coef.device) for part in (problem.X_test, problem.Y_test))
    predicted = x @ coef
    pairs = torch.from_numpy(problem.orders * TEST_CLIPS + np.arange(TEST_CLIPS)).to(coef.device)
    score, count = torch.empty(2, coef.shape[1], device=coef.device)
    for first in range(0, coef.shape[1], BLOCK):
        block = slice(first, first + BLOCK)
        a, b = (_unit(part[:, block]).view(TEST_CLIPS, WINDOWS, -1) for part in (predicted, y))
        products = torch.einsum("arv,brv->abv", a, b).reshape(TEST_CLIPS**2, -1)
        null = products[pairs[:, 0]]
        for place in range(1, TEST_CLIPS):
            null += products[pairs[:, place]]
        score[block] = products[:: TEST_CLIPS + 1].sum(dim=0)
        count[block] = (null >= score[block] - 1e-6).sum(dim=0).float()
    return score.cpu().numpy(), ((count + 1) / (len(pairs) + 1)).cpu().numpy()


def _unit(x):
    x = x - x.mean(0)
    return x / (x**2).sum(0) ** 0.5
