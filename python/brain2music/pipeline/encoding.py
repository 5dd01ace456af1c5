"""The inverse of decoding: where in one subject's brain each feature space predicts what was measured."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from brain2music import _core
from brain2music.bundles import Embeddings
from brain2music.encoding import Significance, VoxelwiseEncoder, noise_ceiling, on_grid, one_hot, to_nifti
from brain2music.files import write_bytes, write_json
from brain2music.pipeline.context import Context
from brain2music.pipeline.embedding import embed
from brain2music.study import Responses
from brain2music.study.windows import Windows, average_windows

__all__ = ["GENRE", "Encoded", "encode", "encode_all"]

#: The feature space that no network gives: a column for each genre, the paper's control.
GENRE = "genre"

_PERMUTATIONS = 1000
_LEVEL = 0.05

_COLUMNS = {
    "subject": "Label of the subject.",
    "features": "Feature space: a role of the bundle, or genre (a column for each).",
    "voxels": "Voxels that were tested.",
    "fdr": "Voxels significant at a false discovery rate of 0.05 (permutations of the test clips, one-sided).",
    "max": "Voxels significant at 0.05 by the largest score of any voxel.",
    "r_mean": "Pearson's r of predicted and measured responses over the windows of all test clips, mean over voxels.",
    "r_largest": "The largest r of a voxel.",
    "ceiling_mean": "Mean over voxels of the largest r that the repeats of the test clips allow.",
}


@dataclass(frozen=True)
class Encoded:
    """A row of ``encode.tsv``, and the folder of its maps: r, P, q, P of the largest score, ceiling."""

    subject: str
    features: str
    voxels: int
    fdr: int
    max: int
    r_mean: float
    r_largest: float
    ceiling_mean: float
    folder: Path


def encode(context: Context, subject: str, features: str) -> Encoded:
    """Fit an encoder to the training clips, test it on the test clips, and write maps, once."""
    chosen = context.settings
    inputs: dict[str, Any] = {
        "responses": context.study.fingerprint(subject, chosen.delay_scans),
        "features": GENRE if features == GENRE else embed(context, features)[1].name,
        "permutations": _PERMUTATIONS,
        "settings": {"cv": chosen.as_json()["cv"], "seed": chosen.seed},
        "version": _core.version(),
    }

    def write(folder: Path) -> None:
        context.tell(
            f"sub-{subject}: a ridge regression for each voxel, from {features} to its responses, and "
            f"{_PERMUTATIONS} orders of the test clips to test it."
        )
        brain = context.study.responses(subject, chosen.delay_scans, progress=context.progress)
        train, test = _features(context, brain, features)
        encoder = VoxelwiseEncoder(cv=chosen.cv, device=chosen.device)
        encoder.fit(train, brain.train, groups=brain.train_clips.run)
        tested = encoder.significance(test, brain.test, permutations=_PERMUTATIONS, random_state=chosen.seed)
        ceiling = _ceiling(brain)
        folder.mkdir()
        encoder.save(folder / "encoder.safetensors")
        _save_maps(context, folder, brain, tested, ceiling)
        row = {
            "voxels": int(np.isfinite(tested.p).sum()),
            "fdr": int(tested.significant(_LEVEL).sum()),
            "max": int(tested.significant(_LEVEL, "max").sum()),
            "r_mean": _rounded(np.nanmean(tested.score)),
            "r_largest": _rounded(np.nanmax(tested.score)),
            "ceiling_mean": _rounded(np.nanmean(ceiling)),
        }
        write_json(folder / "about.json", {**row, "notes": [*brain.notes, *encoder.notes_, *tested.notes]})

    folder = context.store.once("encode", f"sub-{subject}_{features}", inputs, "", write)
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    about.pop("notes")
    return Encoded(subject, features, **about, folder=folder)


def encode_all(context: Context) -> Path:
    """Encode every subject from every feature space, and write ``encode.tsv`` with what its columns mean beside it."""
    spaces = (*context.embeddings, GENRE)
    rows = [encode(context, subject, features) for features in spaces for subject in context.subjects]
    lines = ["\t".join(_COLUMNS)]
    for row in rows:
        cells = asdict(row)
        lines.append("\t".join(str(cells[name]) for name in _COLUMNS))
    table = context.out / "encode.tsv"
    write_json(table.with_suffix(".json"), {name: {"Description": text} for name, text in _COLUMNS.items()})
    write_bytes(table, ("\n".join(lines) + "\n").encode())
    return table


def _features(context: Context, brain: Responses, features: str) -> tuple[Embeddings, Embeddings]:
    """Return the features of training and test clips, on one grid of windows."""
    if features == GENRE:
        clips = brain.train_clips, brain.test_clips
        labels = [genre for part in clips for genre in part.genre.tolist()]
        made = one_hot(labels, [name for part in clips for name in part.ids.tolist()])
    else:
        made = on_grid(embed(context, features)[0])
    return made[brain.train_clips], made[brain.test_clips]


def _ceiling(brain: Responses) -> Any:
    """Return the noise ceiling of the windows; NaN where clips were not repeated."""
    if brain.repeats is None:
        return np.full(brain.test.shape[2], np.nan)
    clips, repeats, scans, voxels = brain.repeats.shape
    members = Windows(10.0, clip=scans * 1.5).scans(scans)
    windows = average_windows(brain.repeats.reshape(clips * repeats, scans, voxels), members)
    return noise_ceiling(windows.reshape(clips, repeats, len(members), voxels))


def _save_maps(context: Context, folder: Path, brain: Responses, tested: Significance, ceiling: Any) -> None:
    space = context.study.space
    maps = {"r": tested.score, "p": tested.p, "q": tested.q, "p-max": tested.p_max, "ceiling": ceiling}
    for name, values in maps.items():
        image: Any = to_nifti(values, brain.mask)
        image.set_sform(brain.mask.affine, code="mni" if space is not None and "MNI" in space else "aligned")
        nib.save(image, folder / f"{name}.nii.gz")


def _rounded(value: Any) -> float:
    return round(float(value), 4) if np.isfinite(value) else 0.0
