"""Ridge regression at the study's shapes: features to voxels, and 150 regions to an embedding.

himalaya runs on its NumPy and its torch backend; the faster one of a machine is its best. It is timed on a share of the
targets or regions where the whole would take minutes: its time is proportional to them beyond that share.
"""

import numpy as np
import torch
from sklearn.model_selection import KFold

from benchmarks.case import Case, Contender
from brain2music import _core

ROWS, FOLDS = 1_920, 5
ALPHAS = np.logspace(-2, 4, 10)


def cases(device: torch.device, targets: int = 60_000, regions: int = 150) -> list[Case]:
    return [
        _encoding("encoding, 128 features", 128, targets, 20_000, 30, device),
        _encoding("encoding, 1,024 features", 1_024, targets, 3_000, 2.5, device),
        _decoding(regions, device),
    ]


def dry_run(device: torch.device) -> None:
    """The kernel of the fold scores on `device`, on whatever tensors are in force: fake ones need no GPU."""
    products = torch.empty(5, 128, 1000).to(device)
    sums = _core.kernels.fold_scores(products, torch.empty(5, 10, 128).to(device))
    if sums.device != products.device or sums.shape != (3, 10, 1000):
        raise AssertionError(f"expected (3, 10, 1000) on {products.device}; got {sums.shape} on {sums.device}")


def held_out() -> list[np.ndarray]:
    return [test for _, test in KFold(FOLDS).split(np.zeros(ROWS))]


def himalaya(backend: str, X: np.ndarray, Y: np.ndarray):
    from himalaya.backend import set_backend
    from himalaya.ridge import RidgeCV
    from himalaya.scoring import r2_score

    set_backend(backend)
    if backend == "torch":
        X, Y = torch.from_numpy(X), torch.from_numpy(Y)
    model = RidgeCV(
        alphas=ALPHAS.astype(np.float32), cv=KFold(FOLDS), fit_intercept=False, solver_params={"score_func": r2_score}
    )
    model.fit(X, Y)
    return np.asarray(model.best_alphas_), np.asarray(model.coef_)


def agree(ours: dict, rival: tuple[np.ndarray, np.ndarray]) -> None:
    """The same penalties but for ties within rounding, and the same coefficients where they are."""
    best, coef = rival
    same = np.isclose(ours["best_alphas"], best, rtol=1e-3)
    if same.mean() < 0.999:
        path, chosen = np.asarray(ours["cv_path"]), np.searchsorted(ALPHAS, best * 0.999)
        loss = path.max(0) - path[chosen, np.arange(len(best))]
        if loss.max() > 1e-5:
            raise AssertionError(f"{(~same).sum()} of {len(best)} penalties differ, by scores up to {loss.max():.1e}")
    error = np.linalg.norm((ours["coef"] - coef)[:, same]) / np.linalg.norm(coef[:, same])
    if error > 1e-4:
        raise AssertionError(f"coefficients differ by {error:.1e} in norm")


def _encoding(name: str, p: int, targets: int, some: int, required: float, device: torch.device) -> Case:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, p), dtype=np.float32)
    Y = X @ rng.standard_normal((p, targets), dtype=np.float32) * np.float32(0.2 / np.sqrt(p))
    Y += rng.standard_normal((ROWS, targets), dtype=np.float32)
    X, Y = X - X.mean(0), Y - Y.mean(0)
    few = np.ascontiguousarray(Y[:, : min(some, targets)])
    x, y = torch.from_numpy(X).to(device), torch.from_numpy(Y).to(device)
    options = {"alphas": ALPHAS.tolist(), "fit_intercept": False}

    def ours(features=x, values=y, **more):
        return _core.ridge.ridge_cv(features, values, held_out(), options | more)

    def compare():
        result = ours(X, few, keep_path=True)
        for backend in ("numpy", "torch"):
            agree(result, himalaya(backend, X, few))

    rivals = {
        f"himalaya RidgeCV, {backend}": Contender(lambda backend=backend: himalaya(backend, X, few), few.shape[1])
        for backend in ("numpy", "torch")
    }
    return Case(
        name=name,
        unit="targets",
        ours={"brain2music": Contender(ours, targets, on_gpu=device.type == "cuda")},
        rivals=rivals,
        required=dict.fromkeys(rivals, required),
        compare=compare,
        packages=["himalaya", "scikit-learn"],
    )


def _decoding(regions: int, device: torch.device) -> Case:
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((ROWS, 128), dtype=np.float32)
    Y -= Y.mean(0)
    sizes = np.linspace(61, 706, regions).astype(int)  # about 57,000 voxels in 150 regions
    xs = []
    for size in sizes:
        X = rng.standard_normal((ROWS, size), dtype=np.float32)
        X += Y @ rng.standard_normal((128, size), dtype=np.float32) * np.float32(0.1)
        xs.append(X - X.mean(0))
    some = list(range(5, regions, 30))  # spread over all sizes
    there, y = [torch.from_numpy(X).to(device) for X in xs], torch.from_numpy(Y).to(device)
    options = {"alphas": ALPHAS.tolist(), "fit_intercept": False}

    def ours(**more):
        return _core.ridge.batched_ridge_cv(there, y, held_out(), options | more)

    def loop(backend):
        return [himalaya(backend, xs[i], Y) for i in some]

    def compare():
        results = ours(keep_path=True)
        for i, rival in zip(some, loop("numpy"), strict=True):
            agree({name: np.asarray(results[i][name]) for name in ("best_alphas", "coef", "cv_path")}, rival)

    rivals = {
        f"himalaya RidgeCV in a loop, {backend}": Contender(lambda backend=backend: loop(backend), len(some))
        for backend in ("numpy", "torch")
    }
    return Case(
        name="decoding",
        unit="regions",
        ours={"brain2music": Contender(ours, regions, on_gpu=device.type == "cuda")},
        rivals=rivals,
        required=dict.fromkeys(rivals, 30),
        compare=compare,
        packages=["himalaya", "scikit-learn"],
    )
