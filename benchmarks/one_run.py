"""One raw run from file to z-scores, by brain2music and by others, and the files to do it with.

A contender gets the folder of a study of one run, with its mask, and a small one to warm up on. What it then gives back
is (scans, voxels), the dummy's scans dropped. Nothing here imports what only another contender needs.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

TR, EVENTS, SCANS_PER_EVENT, WINDOW = 1.5, 41, 10, 161
SCANS = EVENTS * SCANS_PER_EVENT
BOLD = "sub-001/func/sub-001_task-Training_run-01_bold.nii"


def brain2music_study(folder: str, small: str) -> Callable[[], np.ndarray]:
    import brain2music as b2m
    from brain2music.study import EventRules

    rules = EventRules(test_task=None, dummies_repeat=False)

    def run(root: Path) -> np.ndarray:
        study = b2m.Study(root, mask=root / "mask.nii", assume_aligned=True, events=rules, cache=False)
        clips = study.responses("001", delay_scans=0).train
        return clips.reshape(-1, clips.shape[2])

    run(Path(small))
    return lambda: run(Path(folder))


def nilearn_scipy(folder: str, small: str) -> Callable[[], np.ndarray]:
    """The loop of 1-D filters is the fastest that SciPy has (see signal.py)."""
    from scipy import stats

    def run(root: Path) -> np.ndarray:
        return stats.zscore(detrended(masked(root))[SCANS_PER_EVENT:], axis=0)

    run(Path(small))
    return lambda: run(Path(folder))


def nilearn_scipy_on_all_cores(folder: str, small: str) -> Callable[[], np.ndarray]:
    """The same, the loop spread over processes, since SciPy's filter does not let threads run beside it."""
    from joblib import Parallel, delayed
    from scipy import stats

    workers = os.cpu_count() or 1

    def run(root: Path) -> np.ndarray:
        parts = np.array_split(masked(root), workers, axis=1)
        bold = np.concatenate(Parallel(n_jobs=workers)(delayed(detrended)(part) for part in parts), axis=1)
        return stats.zscore(bold[SCANS_PER_EVENT:], axis=0)

    run(Path(small))
    return lambda: run(Path(folder))


def masked(root: Path) -> np.ndarray:
    from nilearn.maskers import NiftiMasker

    masker = NiftiMasker(root / "mask.nii", standardize=None, dtype="float32", reports=False)
    return masker.fit().transform(root / BOLD)


def detrended(bold: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    bold = np.require(bold, requirements="W")  # joblib hands large arrays over read-only
    for voxel in range(bold.shape[1]):
        column = np.ascontiguousarray(bold[:, voxel])
        bold[:, voxel] = column - ndimage.median_filter(column, size=WINDOW, mode="reflect")
    return bold


def write_study(root: Path, shape: tuple[int, int, int]) -> int:
    """Write a study of one raw run and the mask of its brain, an ellipsoid; returns its number of voxels.

    Bright tissue on a dark background, in int16, with a drift of its own in each voxel and autocorrelated noise of 1 %.
    """
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    inside = sum((place / axis) ** 2 for place, axis in zip(places, (0.66, 0.75, 0.68), strict=True)) < 1
    tissue = np.where(inside, 9000 + 1500 * np.sin(7 * places).sum(axis=0), 150).astype(np.float32)
    drift = rng.standard_normal(shape, dtype=np.float32)
    affine = np.diag([2.0, 2, 2, 1])

    bold = root / BOLD
    bold.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(inside.astype(np.uint8), affine), root / "mask.nii")
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((*shape, SCANS))
    header.set_zooms((2, 2, 2, TR))
    header.set_xyzt_units("mm", "sec")
    header.set_sform(affine, "scanner")
    header["vox_offset"], header["magic"] = 352, b"n+1"
    noise = np.zeros(shape, dtype=np.float32)
    with bold.open("wb") as file:
        file.write(header.binaryblock + bytes(4))
        for scan in range(SCANS):
            noise = 0.4 * noise + 0.01 * rng.standard_normal(shape, dtype=np.float32)
            volume = tissue * (1 + noise + np.float32(0.02 * np.sin(scan / 90)) * drift)
            file.write(volume.astype(np.int16).tobytes(order="F"))

    rows = [f"{number * TR * SCANS_PER_EVENT}\t15\trock\t{number}\t0\t15" for number in range(EVENTS)]
    events = "\n".join(["onset\tduration\tgenre\ttrack\tstart\tend", *rows, ""])
    bold.with_name(bold.name.replace("_bold.nii", "_events.tsv")).write_text(events)
    bold.with_suffix(".json").write_text(json.dumps({"RepetitionTime": TR}))
    (root / "dataset_description.json").write_text(json.dumps({"Name": "one run", "BIDSVersion": "1.8.0"}))
    return int(inside.sum())
