"""How often encoding models of pure noise are called significant: ``python examples/null_studies/null_studies.py``.

Each study has features of 100 clips in 4 windows, and 200 voxels of noise that is alike from scan to scan and knows
nothing of them. An encoder is fitted to 70 clips and tested on 30, by each null; and all clips are held out once, in
two folds and in five. The mean share of voxels with P of 0.05 or less must lie within three standard errors, taken
between studies, of 0.05; and the max-statistic must find something in 3 to 19 of 200 studies. Over folds it may lie
lower, and is set beside a sum that takes folds as independent. What was found goes into results.json, beside this file.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import norm
from tqdm.auto import tqdm

import brain2music as b2m

CLIPS, TRAINING, SCANS, WINDOWS, FEATURES, VOXELS = 100, 70, 10, 4, 8, 200
LEVEL = 0.05


def windows_of_noise(rng: np.random.Generator, persistence: float = 0.4) -> np.ndarray:
    """Average scans of first-order autoregressive noise in windows of seven."""
    noise = rng.standard_normal((CLIPS * SCANS, VOXELS))
    for scan in range(1, len(noise)):
        noise[scan] += persistence * noise[scan - 1]
    scans = noise.reshape(CLIPS, SCANS, VOXELS)
    return np.stack([scans[:, i : i + SCANS - WINDOWS + 1].mean(axis=1) for i in range(WINDOWS)], axis=1)


def study(seed: int, permutations: int) -> dict[str, float]:
    """Return the share of voxels that each null rejects, and whether the max-statistic rejects any."""
    rng = np.random.default_rng([2026, seed])
    features = rng.standard_normal((CLIPS, 1, FEATURES)) + 0.5 * rng.standard_normal((CLIPS, WINDOWS, FEATURES))
    brain = windows_of_noise(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # noise takes the largest penalty, at the edge of the grid
        encoder = b2m.VoxelwiseEncoder(cv=5).fit(features[:TRAINING], brain[:TRAINING])
    test = features[TRAINING:], brain[TRAINING:]
    clips = encoder.significance(*test, permutations=permutations, random_state=seed)
    paper = encoder.significance(*test, null="paper")
    folds = {}
    for count in (2, 5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            every = b2m.encoding.cross_validate(
                b2m.VoxelwiseEncoder(cv=5),
                features,
                brain,
                held_out=count,
                permutations=permutations,
                random_state=seed,
            )
        z = norm.isf(every.p.clip(1e-300, permutations / (permutations + 1)))
        independent = norm.sf(z.sum(axis=0) / np.sqrt(count))
        folds[f"{count} folds"] = float((every.significance.p <= LEVEL).mean())
        folds[f"{count} folds, taken as independent"] = float((independent <= LEVEL).mean())
        folds[f"{count} folds, largest"] = float((every.significance.p_max <= LEVEL).any())
    return {
        "clips": float((clips.p <= LEVEL).mean()),
        "clips_0.001": float((clips.p <= 0.001).mean()),
        "largest": float((clips.p_max <= LEVEL).any()),
        "fdr": float((clips.q <= LEVEL).any()),
        "paper": float((paper.p <= LEVEL).mean()),
        **folds,
    }


def main() -> int:
    """Simulate, test, keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    options = parser.parse_args()
    rows = [study(seed, options.permutations) for seed in tqdm(range(options.studies), unit="study")]
    shares = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    error = shares["clips"].std(ddof=1) / np.sqrt(options.studies)
    found = {
        "studies": options.studies,
        "permutations": options.permutations,
        "level": LEVEL,
        "voxels rejected": {
            name: round(float(values.mean()), 5)
            for name, values in shares.items()
            if "largest" not in name and name != "fdr"
        },
        "standard error of clips, between studies": round(float(error), 5),
        "studies with a rejection": {
            name: int(values.sum()) for name, values in shares.items() if "largest" in name or name == "fdr"
        },
    }
    kept = bool(abs(shares["clips"].mean() - LEVEL) <= 3 * error)
    for name in ("2 folds", "5 folds"):
        own = shares[name].std(ddof=1) / np.sqrt(options.studies)
        kept = kept and bool(shares[name].mean() - LEVEL <= 3 * own)
    if options.studies == 200:
        kept = kept and 3 <= int(shares["largest"].sum()) <= 19
    options.out.write_text(json.dumps({**found, "calibrated": kept}, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
