"""Writes what SciPy and NumPy say, for the C++ tests to compare with: FOLDER/<case>_<array>.npy.

Usage: python oracle.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage, stats


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)

    def save(case: str, **arrays: np.ndarray) -> None:
        for name, array in arrays.items():
            np.save(folder / f"{case}_{name}.npy", array)

    def bold(scans: int, voxels: int, dtype: type) -> np.ndarray:
        drift = np.linspace(-40, 60, scans)[:, None] * rng.standard_normal(voxels)
        return (1000 + drift + 30 * rng.standard_normal((scans, voxels))).astype(dtype)

    # Runs of 400 scans as in the study, and runs shorter than the window of 161; values with many ties too.
    for dtype in (np.float32, np.float64):
        runs = [bold(scans, 37, dtype) for scans in (400, 161, 90)]
        runs[1][:, 5] = 7
        runs[2] = np.round(runs[2] / 20)
        trend = [ndimage.median_filter(run, size=(161, 1), mode="reflect") for run in runs]
        zscored = [stats.zscore(run.astype(np.float64), axis=0) for run in runs]
        zscored[1][:, 5] = 0  # SciPy says NaN of a constant voxel, scikit-learn's StandardScaler 0
        case = np.dtype(dtype).name
        save(case, bold=np.concatenate(runs), trend=np.concatenate(trend), zscored=np.concatenate(zscored))

    # Runs of several GPU tiles, whose last is shorter than the others.
    for scans in (401, 1000):
        x = bold(scans, 9, np.float32)
        save(f"long{scans}", bold=x, trend=ndimage.median_filter(x, size=(161, 1), mode="reflect"))

    # Cosines: many dimensions and items, copies among them; an odd number of few dimensions; all items asked for.
    for case, (n, d, q, k) in {"wide": (6000, 128, 61, 10), "odd": (700, 5, 3, 20), "all": (90, 33, 9, 90)}.items():
        items, queries = rng.standard_normal((n, d)).astype(np.float32), rng.standard_normal((q, d)).astype(np.float32)
        items[n // 3 : 2 * n // 3] = items[: 2 * n // 3 - n // 3]
        exact = queries.astype(float) @ items.T.astype(float)
        exact /= np.outer(*(np.linalg.norm(x.astype(float), axis=1) for x in (queries, items)))
        scores = exact.astype(np.float32)
        indices = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, indices, axis=1)
        save(f"cosine_{case}", items=items, queries=queries, indices=indices, scores=best)

    for dtype in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"):
        save(f"npy_{np.dtype(dtype).name}", c=rng.integers(0, 2, (3, 4, 5)).astype(dtype))
    save("npy_fortran", c=np.asfortranarray(np.arange(24.0).reshape(4, 6)))
    save("npy_scalar", c=np.array(3.5))
    save("npy_empty", c=np.zeros((0, 3), np.float32))
    np.save(folder / "npy_bigendian.npy", np.arange(3, dtype=">f4"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
