"""Writes what SciPy and NumPy say, for the C++ tests to compare with: FOLDER/<case>_<array>.npy.

And bundles of tiny networks, as torch writes them.

Usage: python oracle.py FOLDER
"""

import hashlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import safetensors.numpy
import stage_networks
import torch
from scipy import ndimage, stats
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold


def identification(matrix: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The paper's formula, item by item; what is equal but for rounding ties."""
    result = np.empty(len(matrix))
    for i, row in enumerate(matrix.round(12)):
        distractors = row[groups != groups[i]]
        result[i] = np.mean((row[i] > distractors) + 0.5 * (row[i] == distractors))
    return result


#: The methods of tiny networks: what each returns is known without torch.
EMBED = """
def embed(self, wave):
    return torch.stack([wave.mean(1), wave.amax(1), wave.square().sum(1)], 1) * self.weight
"""
FRAMES = """
def embed(self, wave):
    return wave.reshape(wave.size(0), 15, -1, 1).mean(2) * self.weight * torch.ones(1, 1, 3)
"""
TAG = """
def tag(self, wave):
    return torch.stack([wave.abs().mean(1), wave.abs().amax(1), wave.square().mean(1)], 1) * self.weight
"""
NETWORKS = {
    "good": EMBED,
    "tagger": TAG,
    "no_method": EMBED.replace("embed", "forward"),
    "two_dimensions": EMBED.replace(", wave.square().sum(1)", ""),
    "half_a_batch": EMBED.replace("* self.weight", "[:1]"),
    "whole_numbers": EMBED.replace("* self.weight", ".long()"),
    "pair": EMBED.replace("* self.weight", ", wave"),
    "nan": EMBED.replace("self.weight", "float('nan')"),
    "nan_when_loud": EMBED.replace(
        "* self.weight", "+ torch.log((0.9 - wave.amax(1, keepdim=True)).clamp_max(0.0) + 0.1)"
    ),
    "fails": EMBED.replace("    return", "    assert wave.size(1) < 3, 'only short ones'\n    return"),
    "frames": FRAMES,
    "few_frames": FRAMES.replace("15, -1, 1)", "5, -1, 1)"),
}


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

    # Runs of several GPU tiles, whose last is shorter than the others; and with scans left out, a whole window at once.
    for scans in (401, 1000):
        x = bold(scans, 9, np.float32)
        save(f"long{scans}", bold=x, trend=ndimage.median_filter(x, size=(161, 1), mode="reflect"))
        kept = rng.random(scans) < 0.7
        kept[200:370] = False
        padded = np.pad(np.where(kept[:, None], x, np.nan), ((80, 80), (0, 0)), mode="symmetric")
        trend = np.full_like(x, np.nan)
        for scan in np.flatnonzero(kept):
            trend[scan] = np.nanmedian(padded[scan : scan + 161], axis=0)
        save(f"long{scans}", kept=kept.astype(np.uint8), kept_trend=trend)

    # Predictions of items in windows, some targets twice, so that they tie.
    target = rng.standard_normal((60, 16)).astype(np.float32)
    target[40:50] = target[:10]
    predicted = (0.5 * target + rng.standard_normal(target.shape)).astype(np.float32)
    clips = np.repeat(np.arange(15), 4)
    save("metrics", predicted=predicted, target=target, clips=clips)
    save("metrics", columns=stats.pearsonr(predicted.astype(float), target.astype(float), axis=0).statistic)
    save("metrics", rows=stats.pearsonr(predicted.astype(float), target.astype(float), axis=1).statistic)
    save("metrics", r2=r2_score(target.astype(float), predicted.astype(float), multioutput="raw_values"))
    matrix = np.corrcoef(predicted.astype(float), target.astype(float))[:60, 60:]
    save("metrics", matrix=matrix, items=identification(matrix, np.arange(60)), windows=identification(matrix, clips))
    probabilities = rng.random((2, 30, 12)).round(1)
    group = [7, 2, 3, 11, 5]
    top = np.argsort(-probabilities[..., group], axis=2, kind="stable")[..., :2]
    agreement = np.array([len(set(a) & set(b)) / 2 for a, b in zip(*top, strict=True)])
    save("metrics", original=probabilities[0], reconstructed=probabilities[1], agreement=agreement)
    # Five folds, a penalty for each target by R2, the intercept exact in each training fold.
    x = rng.standard_normal((83, 11))
    y = 0.3 * x @ rng.standard_normal((11, 6)) + rng.standard_normal((83, 6)) + 3
    alphas = np.array([0.1, 1, 10, 100, 1000])
    path = np.zeros((len(alphas), y.shape[1]))
    for train, test in KFold(5).split(x):
        for number, alpha in enumerate(alphas):
            predicted = Ridge(alpha=alpha).fit(x[train], y[train]).predict(x[test])
            path[number] += r2_score(y[test], predicted, multioutput="raw_values") / 5
    chosen = alphas[path.argmax(0)]
    refit = Ridge(alpha=chosen).fit(x, y)
    save("ridge", x=x, y=y, path=path, alphas=chosen, coef=refit.coef_.T.copy(), intercept=refit.intercept_)
    # The same with weights of rows; and with bands whose columns are scaled, all draws tried.
    weights = rng.uniform(0, 2, len(x))
    path = np.zeros((len(alphas), y.shape[1]))
    for train, test in KFold(5).split(x):
        for number, alpha in enumerate(alphas):
            predicted = Ridge(alpha=alpha).fit(x[train], y[train], sample_weight=weights[train]).predict(x[test])
            path[number] += r2_score(y[test], predicted, sample_weight=weights[test], multioutput="raw_values") / 5
    save("ridge_weighted", weights=weights, path=path)
    bands, gammas = np.arange(x.shape[1]) % 3, rng.dirichlet([1, 1, 1], 4)
    scores = []
    for gamma in gammas:
        scaled = x * np.sqrt(gamma[bands])
        for alpha in alphas:
            predicted = np.vstack(
                [Ridge(alpha=alpha).fit(scaled[a], y[a]).predict(scaled[b]) for a, b in KFold(5).split(x)]
            )
            folds = [r2_score(y[b], predicted[b], multioutput="raw_values") for _, b in KFold(5).split(x)]
            scores.append(np.mean(folds, 0))
    best = np.argmax(scores, 0)
    columns = []
    for target, (draw, alpha) in enumerate(zip(best // len(alphas), best % len(alphas), strict=True)):
        scale = np.sqrt(gammas[draw][bands])
        columns.append(Ridge(alpha=alphas[alpha]).fit(x * scale, y[:, target]).coef_ * scale)
    save(
        "ridge_banded",
        bands=bands,
        gammas=gammas,
        scores=np.max(scores, 0),
        draws=best // len(alphas),
        coef=np.stack(columns, 1),
    )
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

    arrays = {
        np.dtype(dtype).name: rng.integers(0, 2, (3, 5)).astype(dtype) for dtype in ("f2", "f4", "f8", "i1", "i8", "?")
    }
    arrays |= {"scalar": np.array(3.5), "empty": np.zeros((0, 3), np.float32)}
    safetensors.numpy.save_file(arrays, folder / "theirs.safetensors", metadata={"made by": "safetensors", "é": "ü"})
    for name, array in arrays.items():
        np.save(folder / f"theirs_{name}.npy", array)
    for dtype in (np.float32, np.float64):
        save(f"decoder_{np.dtype(dtype).name}", **write_decoder(folder, rng, dtype))
    for network in NETWORKS:
        write_bundle(folder / "bundles" / network, network)
    stage_networks.write(folder / "stages")


def write_decoder(folder: Path, rng: np.random.Generator, dtype: type) -> dict[str, np.ndarray]:
    """A decoder's file as the documentation describes it, filled by scikit-learn; responses, and its predictions."""
    clips, scans, voxels, windows, dimensions = 6, 10, 30, 4, 3
    members = np.array([[start <= scan < start + 7 for scan in range(scans)] for start in range(windows)])
    responses = rng.standard_normal((clips, scans, voxels)).astype(dtype)
    responses[2, 8:] = np.nan  # scans that were not measured
    means = np.stack([np.nanmean(responses[:, window].astype(float), axis=1) for window in members], axis=1)
    means = means.reshape(clips * windows, voxels)
    targets = rng.standard_normal((clips * windows, dimensions))
    regions = {41: [3, 1, 29], 7: [0, 2, 4, 5], 12: list(range(voxels))}  # the last: all voxels
    tensors, predicted = {"windows": members}, []
    for number, chosen in enumerate(regions.values()):
        alphas = rng.uniform(1, 9, dimensions)
        model = Ridge(alpha=alphas).fit(means[:, chosen], targets)
        predicted.append(model.predict(means[:, chosen]))
        tensors[f"voxels.{number}"] = np.array(chosen)
        tensors[f"coef.{number}"] = np.ascontiguousarray(model.coef_.T, dtype)
        tensors[f"intercept.{number}"] = model.intercept_.astype(dtype)
        tensors[f"alphas.{number}"] = alphas.astype(dtype)
    space = {"role": "music_embedder", "hash": "0f" * 32, "window": 10.0, "hop": 1.5}
    rois = [{"label": label, "score": 0.5 - number / 8} for number, label in enumerate(regions)]
    fitted = {"n_voxels": voxels, "rois": rois, "space": space if dtype is np.float32 else None}
    described = {"version": 1, "kind": "BrainDecoder", "parameters": {"voxels": "rois"}, "fitted": fitted}
    path = folder / f"decoder_{np.dtype(dtype).name}.safetensors"
    safetensors.numpy.save_file(tensors, path, metadata={"brain2music": json.dumps(described)})
    return {"responses": responses, "predicted": np.mean(predicted, axis=0).reshape(clips, windows, dimensions)}


def write_bundle(folder: Path, network: str) -> None:
    """A bundle of one role: windows of 1 s at 300 Hz, 3 dimensions; frames at 15 Hz in place of SoundStream's."""

    class Network(torch.jit.ScriptModule):  # a class of its own for each, or torch takes them for one
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(2.0))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = Network()
        module.define(NETWORKS[network])
        folder.mkdir(parents=True, exist_ok=True)
        module.eval().save(folder / "network.pt")
    frames = {"frame_rate": 15} if "frames" in network else {}
    entry = {
        "file": "network.pt",
        "sha256": hashlib.sha256((folder / "network.pt").read_bytes()).hexdigest(),
        "methods": ["tag" if network == "tagger" else "embed"],
        "dtypes": ["float32", "bfloat16"],
        "card": {"name": "tiny", "source": "oracle.py", "licence": "Apache-2.0", "replaces": "nothing"},
        "sample_rate": 300,
        "window": 1.0,
        **frames,
    }
    entry |= {"classes": ["mean", "largest", "power"]} if network == "tagger" else {"dimension": 3}
    role = "codec" if frames else "tagger" if network == "tagger" else "music_embedder"
    manifest = {"schema": 1, "name": network, "description": "For tests.", "roles": {role: entry}}
    (folder / "bundle.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
