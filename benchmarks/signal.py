"""Median detrending and z-scoring of one run of the study: 400 scans of 60,000 voxels, float32."""

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage, stats
from scipy import signal as scipy_signal

import brain2music as b2m
from benchmarks.case import Case, Contender

SCANS, VOXELS, WINDOW = 400, 60_000, 161

#: What is measured, by the name of its case; the dry run goes through all of them.
OURS = {"median_detrend": b2m.signal.median_detrend, "zscore": b2m.signal.zscore}


def cases(device: torch.device, voxels: int = VOXELS) -> dict[str, Callable[[], Case]]:
    return {
        "median_detrend": lambda: _median_detrend(_bold(voxels), device),
        "zscore": lambda: _zscore(_bold(voxels), device),
    }


def _bold(voxels: int) -> np.ndarray:
    return 1000 + 30 * np.random.default_rng(0).standard_normal((SCANS, voxels), dtype=np.float32)


def dry_run(device: torch.device) -> None:
    """What the cases call on `device`, on whatever tensors are in force: fake ones need no GPU."""
    bold = torch.empty(SCANS, 1000)
    for function in OURS.values():
        there = bold.to(device, non_blocking=True)
        result = function(there)
        if result.device != there.device or result.shape != there.shape:
            raise AssertionError(f"expected {there.shape} on {there.device}; got {result.shape} on {result.device}")
        result.cpu()


def _ours(name: str, bold: np.ndarray, device: torch.device) -> dict[str, Contender]:
    function = OURS[name]
    voxels = bold.shape[1]
    if device.type == "cpu":
        return {"brain2music": Contender(lambda: function(bold), voxels)}
    there = torch.from_numpy(bold).to(device)
    pinned = torch.from_numpy(bold).pin_memory()
    return {
        "brain2music": Contender(lambda: function(there), voxels, on_gpu=True),
        "brain2music, transfers counted": Contender(
            lambda: function(pinned.to(device, non_blocking=True)).cpu(), voxels, on_gpu=True
        ),
    }


def _median_detrend(bold: np.ndarray, device: torch.device) -> Case:
    half = WINDOW // 2
    some, few = bold[:, :1000], bold[:, :100]  # SciPy's forms take time in proportion; these are enough to measure

    def image(x):
        return x - ndimage.median_filter(x, size=(WINDOW, 1), mode="reflect")

    def loop(x):
        out = np.empty_like(x)
        for voxel in range(x.shape[1]):
            column = np.ascontiguousarray(x[:, voxel])
            out[:, voxel] = column - ndimage.median_filter(column, size=WINDOW, mode="reflect")
        return out

    def medfilt_loop(x):
        padded = np.pad(x, ((half, half), (0, 0)), mode="symmetric")
        out = np.empty_like(x)
        for voxel in range(x.shape[1]):
            out[:, voxel] = x[:, voxel] - scipy_signal.medfilt(padded[:, voxel], WINDOW)[half:-half]
        return out

    def compare():
        result = b2m.signal.median_detrend(torch.from_numpy(bold).to(device)).cpu().numpy()
        for rival, part in ((image, few), (loop, some), (medfilt_loop, few)):
            np.testing.assert_array_equal(result[:, : part.shape[1]], rival(part))

    return Case(
        unit="voxels",
        ours=_ours("median_detrend", bold, device),
        rivals={
            "scipy.ndimage.median_filter, 2-D": Contender(lambda: image(few), few.shape[1]),
            "scipy.ndimage.median_filter, loop of 1-D": Contender(lambda: loop(some), some.shape[1]),
            "scipy.signal.medfilt, loop of 1-D": Contender(lambda: medfilt_loop(few), few.shape[1]),
        },
        required={
            "scipy.ndimage.median_filter, 2-D": 40,
            "scipy.ndimage.median_filter, loop of 1-D": 5,
            "scipy.signal.medfilt, loop of 1-D": 5,
        },
        compare=compare,
        packages=["scipy"],
    )


def _zscore(bold: np.ndarray, device: torch.device) -> Case:
    def compare():
        result = b2m.signal.zscore(torch.from_numpy(bold).to(device)).cpu().numpy()
        np.testing.assert_allclose(result, stats.zscore(bold.astype(float), axis=0), rtol=1e-6, atol=1e-6)

    return Case(
        unit="voxels",
        ours=_ours("zscore", bold, device),
        rivals={"scipy.stats.zscore": Contender(lambda: stats.zscore(bold, axis=0), bold.shape[1])},
        required={},
        compare=compare,
        packages=["scipy"],
    )
