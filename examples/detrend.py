"""Detrend one simulated fMRI run from Python and from C++, compare the two, and draw what was done.

Usage: python examples/detrend.py OUT --cpp PATH_TO_THE_CPP_EXAMPLE
"""

import argparse
import subprocess
from pathlib import Path

import matplotlib as mpl
import numpy as np
from scipy import ndimage

import brain2music as b2m

mpl.use("Agg")
import matplotlib.pyplot as plt

TR = 1.5  # seconds
SCANS = 410  # a run of ds003720


def simulate_run(voxels: int = 2000, seed: int = 0) -> np.ndarray:
    """BOLD of shape (scans, voxels): a mean, slow drift, responses to 15 s clips, autocorrelated noise, spikes."""
    rng = np.random.default_rng(seed)
    seconds = TR * np.arange(SCANS)
    clip = (seconds // 15).astype(int)
    drives = rng.standard_normal((clip.max() + 1, 8))[clip]
    response = ndimage.gaussian_filter1d(drives, 2.5 / TR, axis=0) @ rng.standard_normal((8, voxels))
    response *= rng.random(voxels) < 0.2  # most voxels respond to nothing
    drift = np.cumsum(rng.standard_normal((SCANS, voxels)), axis=0)
    drift = ndimage.gaussian_filter1d(drift, 60 / TR, axis=0)
    noise = ndimage.gaussian_filter1d(rng.standard_normal((SCANS, voxels)), 0.7, axis=0)
    spikes = 60.0 * (rng.random((SCANS, 1)) < 0.01)
    return (1000 + 3 * drift + 6 * response + 14 * noise + spikes).astype(np.float32)


def draw(bold: np.ndarray, detrended: np.ndarray, path: Path) -> None:
    """One voxel as a curve, many as a carpet; `path` without its ending becomes a PNG and an SVG."""
    seconds = TR * np.arange(len(bold))
    voxel = int(np.argmax(np.ptp(bold - detrended, axis=0)))  # the one that drifts most
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(2, 2, figsize=(9, 5), sharex=True, layout="constrained")
    axes[0, 0].plot(seconds, bold[:, voxel], color="0.6", linewidth=0.8, label="raw")
    axes[0, 0].plot(
        seconds, (bold - detrended)[:, voxel], color="#c1440e", linewidth=1.8, label="running median, 240 s"
    )
    axes[0, 0].set(title=f"Voxel {voxel}: raw and trend", ylabel="BOLD (a.u.)")
    axes[0, 0].legend(frameon=False)
    axes[1, 0].plot(seconds, detrended[:, voxel], color="#22577a", linewidth=0.8)
    axes[1, 0].axhline(0, color="0.7", linewidth=0.6)
    axes[1, 0].set(title="The same voxel, detrended", xlabel="time (s)", ylabel="BOLD (a.u.)")
    for axis, array, title in (
        (axes[0, 1], bold - bold.mean(axis=0), "raw, minus the mean"),
        (axes[1, 1], detrended, "detrended"),
    ):
        limit = np.percentile(np.abs(bold - bold.mean(axis=0)), 98)
        image = axis.imshow(
            array.T[:400],
            aspect="auto",
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
            extent=(0, seconds[-1], 400, 0),
            interpolation="nearest",
        )
        axis.set(title=f"400 voxels, {title}", ylabel="voxel")
        figure.colorbar(image, ax=axis, label="BOLD (a.u.)")
    axes[1, 1].set_xlabel("time (s)")
    for ending in (".png", ".svg"):
        figure.savefig(path.with_suffix(ending), dpi=150)
    plt.close(figure)


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--cpp", type=Path, required=True, help="the compiled examples/cpp/detrend")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    bold = simulate_run()
    np.save(arguments.out / "bold.npy", bold)
    detrended = b2m.signal.median_detrend(bold, tr=TR)
    print(f"brain2music {b2m.__version__} (Python): detrended {bold.shape[0]} scans of {bold.shape[1]} voxels")
    np.save(arguments.out / "detrended.npy", detrended)
    subprocess.run(
        [arguments.cpp, arguments.out / "bold.npy", arguments.out / "detrended-cpp.npy", str(TR)], check=True
    )

    from_cpp = np.load(arguments.out / "detrended-cpp.npy")
    from_scipy = bold - ndimage.median_filter(bold, size=(161, 1), mode="reflect")
    for name, other in (("C++", from_cpp), ("SciPy", from_scipy)):
        same = np.array_equal(detrended, other)
        print(f"Python and {name}: {'equal to the last bit' if same else 'DIFFERENT'}")
        if not same:
            raise SystemExit(1)
    draw(bold, detrended, arguments.out / "detrended.png")
    print(f"Picture of raw, trend and result: {arguments.out / 'detrended.png'}")


if __name__ == "__main__":
    main()
