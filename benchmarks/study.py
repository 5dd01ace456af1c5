"""One raw run of the study at its real size, 96 x 96 x 68 voxels of 410 volumes, from file to z-scored matrix."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks import one_run
from benchmarks.case import Case, Contender
from benchmarks.fresh import Cost, cost

OURS, RIVAL = "brain2music", "nilearn + SciPy"

#: The functions of one_run, by contender.
CONTENDERS = {
    OURS: "brain2music_study",
    RIVAL: "nilearn_scipy",
    f"{RIVAL}, on all cores": "nilearn_scipy_on_all_cores",
}


def cases(device: torch.device, shape: tuple[int, int, int] = (96, 96, 68)) -> dict[str, Callable[[], Case]]:
    if device.type != "cpu":
        raise ValueError(f"[benchmarks.study] studies are read on the CPU; got {device}")
    return {"raw run, file to z-scores": partial(_raw_run, shape)}


def _raw_run(shape: tuple[int, int, int]) -> Case:
    temporary = tempfile.TemporaryDirectory(prefix="b2m-benchmark-study-")
    root = Path(temporary.name)
    voxels = one_run.write_study(root / "full", shape)
    one_run.write_study(root / "small", (12, 12, 9))

    def run(name: str, keep: Path | None = None) -> Cost:
        return cost(f"benchmarks.one_run:{CONTENDERS[name]}", root / "full", root / "small", keep=keep)

    def compare() -> None:
        for name in CONTENDERS:
            run(name, keep=root / f"{name}.npy")
        ours, *theirs = (np.load(root / f"{name}.npy", mmap_mode="r") for name in CONTENDERS)
        assert ours.shape == (one_run.SCANS - one_run.SCANS_PER_EVENT, voxels)
        for result in theirs:
            np.testing.assert_allclose(ours, result, rtol=1e-4, atol=1e-4)
        for name in CONTENDERS:
            (root / f"{name}.npy").unlink()

    contenders = {name: Contender(partial(run, name), voxels, own_process=True) for name in CONTENDERS}
    ours = {OURS: contenders.pop(OURS)}
    return Case(
        unit="voxels",
        ours=ours,
        rivals=contenders,
        required=dict.fromkeys(contenders, 4),
        required_memory={RIVAL: 2},
        compare=compare,
        packages=["nibabel", "nilearn", "scipy"],
        close=temporary.cleanup,
    )
