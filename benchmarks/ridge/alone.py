"""Fits in processes of their own: what memory they take, and targets that stay in their file."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.case import Case, Contender
from benchmarks.fresh import Cost, cost
from benchmarks.ridge import fits, rivals
from benchmarks.ridge.operations import eigenbasis
from benchmarks.ridge.problem import Shape, features_of, write_targets

LIMIT = "2 GiB"
#: A tenth above it is allowed.
LIMIT_MIB = 2 * 1024 * 1.1

#: Targets to warm up on.
FEW = 256


def memory(shape: Shape, device: torch.device, required: float = 5, backends: list[str] | None = None) -> Case:
    """Beyond X and Y, which are there before. himalaya's default is what must be undercut, on every backend."""
    files = _Files(shape)
    on_gpu = device.type == "cuda"
    runs = {"brain2music": partial(files.cost, "brain2music", device.type)}
    backends = backends or rivals.backends(device)
    for how, (backend, batch) in rivals.settings(backends, shape.targets).items():
        runs[f"himalaya RidgeCV, {how}"] = partial(files.cost, "himalaya", backend, str(batch or ""))
    contenders = {name: Contender(run, shape.targets, on_gpu, own_process=True) for name, run in runs.items()}
    ours = {"brain2music": contenders.pop("brain2music")}
    return Case(
        unit="targets",
        ours=ours,
        rivals=contenders,
        required={},
        required_memory={} if on_gpu else {f"himalaya RidgeCV, {name}": required for name in backends},
        compare=lambda: files.compare(runs, shape.targets),
        packages=["himalaya", "scikit-learn"],
        operations=lambda: eigenbasis(shape),
        shape=vars(shape),
        most_rounds=2,
        close=files.close,
    )


def streaming(shape: Shape, in_memory: int = 60_000) -> Case:
    """All targets from a file, under a limit, beside those that were measured in memory: 1.3 times their time each."""
    files = _Files(shape)
    runs = {
        f"brain2music, from a file, {LIMIT}": partial(files.cost, "brain2music_from_file"),
        f"brain2music, {in_memory:,} targets in memory": partial(files.cost, "brain2music", "cpu", str(in_memory)),
    }
    (from_file, its), (beside, others) = runs.items()
    return Case(
        unit="targets",
        ours={from_file: Contender(its, shape.targets, own_process=True)},
        rivals={beside: Contender(others, in_memory, own_process=True)},
        required={beside: round(1 / 1.3, 3)},
        memory_within_mib=LIMIT_MIB,
        compare=lambda: files.compare(runs, in_memory),
        packages=["scikit-learn"],
        operations=lambda: eigenbasis(shape),
        shape=vars(shape),
        most_rounds=3,
        close=files.close,
    )


class _Files:
    """X.npy and Y.npy in a folder that is removed at the end, and what it costs to fit them."""

    def __init__(self, shape: Shape) -> None:
        self.temporary = tempfile.TemporaryDirectory(prefix="b2m-benchmark-ridge-")
        self.close = self.temporary.cleanup
        self.folder = Path(self.temporary.name)
        self.shape = shape
        X = features_of(shape)
        np.save(self.folder / "X.npy", X)
        size = (shape.rows, shape.targets)
        write_targets(X, np.lib.format.open_memmap(self.folder / "Y.npy", "w+", np.float32, size)).flush()

    def cost(self, function: str, *arguments: str, keep: Path | None = None) -> Cost:
        sizes = f"{self.shape.penalties} {self.shape.folds}"
        return cost(f"benchmarks.ridge.alone:{function}", self.folder, sizes, *arguments, keep=keep)

    def compare(self, runs: dict[str, Callable[..., Cost]], targets: int) -> None:
        """The same coefficients, but where a rounding decides between penalties that are as good."""
        coefs = []
        for number, run in enumerate(runs.values()):
            run(keep=self.folder / f"{number}.npy")
            coefs.append(np.load(self.folder / f"{number}.npy", mmap_mode="r")[:, :targets])
        for theirs in coefs[1:]:
            error = np.linalg.norm(coefs[0] - theirs, axis=0) / np.linalg.norm(theirs, axis=0)
            if (error > 1e-3).mean() > 0.01:
                raise AssertionError(f"coefficients of {(error > 1e-3).sum()} of {targets} targets differ")
            fits.same_coefficients(coefs[0][:, error <= 1e-3], theirs[:, error <= 1e-3])


# ---- what runs in a process of its own; arguments are text -----------------------------------------------------------


def brain2music(folder: str, sizes: str, device: str, targets: str = "") -> Callable[[], np.ndarray]:
    """The first so many targets, or all, in memory."""
    X, shape = _features(folder, sizes)
    Y = np.load(Path(folder) / "Y.npy", mmap_mode="r")[:, : int(targets or 0) or None].copy()
    if device == "cuda":
        X, Y = torch.from_numpy(X).to(device), torch.from_numpy(Y).to(device)
    return _warmed_up(lambda y: fits.fit_of(fits.ours("RidgeCV", X, y, shape)).coef, Y)


def brain2music_from_file(folder: str, sizes: str) -> Callable[[], np.ndarray]:
    X, shape = _features(folder, sizes)
    path = Path(folder) / "Y.npy"
    buffer = bytearray(16 << 20)
    with path.open("rb") as file:  # into the system's memory: a disk is not what is measured
        while file.readinto(buffer):
            pass
    Y = np.load(path, mmap_mode="r")
    return _warmed_up(lambda y: fits.fit_of(fits.ours("RidgeCV", X, y, shape, memory_limit=LIMIT)).coef, Y)


def himalaya(folder: str, sizes: str, backend: str, batch: str) -> Callable[[], np.ndarray]:
    X, shape = _features(folder, sizes)
    X, Y = (rivals.to_backend(backend, x) for x in (X, np.load(Path(folder) / "Y.npy")))
    options = shape, int(batch or 0) or None
    return _warmed_up(lambda y: fits.fit_of(rivals.himalaya(backend, X, y, *options)).coef, Y)


def _features(folder: str, sizes: str) -> tuple[np.ndarray, Shape]:
    penalties, folds = map(int, sizes.split())
    return np.load(Path(folder) / "X.npy"), Shape(penalties=penalties, folds=folds)


def _warmed_up(fit: Callable[[Any], np.ndarray], Y: Any) -> Callable[[], np.ndarray]:
    fit(Y[:, :FEW])
    return lambda: fit(Y)
