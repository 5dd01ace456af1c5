"""The inverse of decoding: where in one subject's brain each feature space predicts what was measured."""

import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone  # type: ignore[import-untyped]

from brain2music import _core
from brain2music._core.embedding import window_count
from brain2music.bundles import Embeddings
from brain2music.encoding import (
    Significance,
    VoxelwiseEncoder,
    cross_validate,
    mean_embedding,
    noise_ceiling,
    on_grid,
    one_hot,
    random_embedding,
)
from brain2music.encoding.ceiling import repeats_in_windows
from brain2music.files import write_bytes, write_json
from brain2music.narration import duration
from brain2music.pipeline.context import Context
from brain2music.pipeline.decoding import fitted, folds_of
from brain2music.pipeline.embedding import embed
from brain2music.pipeline.maps import save_map, surface_in
from brain2music.plotting import RegionScore
from brain2music.study import Responses, Surface

__all__ = ["CONTROLS", "LEVEL", "Encoded", "Tested", "encode", "encode_all", "features_of"]

#: Feature spaces that no network gives: a column for each genre; the mean of all clips; numbers drawn at random.
CONTROLS = ("genre", "mean", "random")

_PERMUTATIONS = 1000

#: Of false discoveries, and of false alarms by the largest score.
LEVEL = 0.05

#: Windows on which feature spaces are compared, in seconds.
_WINDOW = 10.0

_COLUMNS = {
    "subject": "Label of the subject.",
    "features": "Feature space: a role of the bundle; genre (a column for each); mean (of all clips, which tells none "
    "from another) and random (Gaussian numbers), the controls.",
    "test": "test: fitted to the training clips, tested on the test clips (without test runs: every clip predicted by "
    "encoders that were fitted to other folds). all: every clip predicted by encoders that "
    "were fitted to other runs. genre: every clip predicted by an encoder that was fitted to the other genres. The "
    "latter two for the first feature space.",
    "voxels": "Voxels, or vertices, that were tested.",
    "fdr": "How many are significant at a false discovery rate of 0.05 (permutations of the clips, one-sided).",
    "max": "How many are significant at 0.05 by the largest score of any voxel.",
    "r_mean": "Pearson's r of predicted and measured responses over the windows of the clips, mean over voxels. For "
    "all and genre the mean r within a fold.",
    "r_largest": "The largest r of a voxel.",
    "ceiling_mean": "Mean over voxels of the largest r that the repeats of the test clips allow.",
}

_COLUMNS_OF_TESTS = {"test": "fold by fold", "all": "run by run", "genre": "genre by genre"}

_REGION_COLUMNS = {
    "subject": "Label of the subject.",
    "features": "Feature space, as in encode.tsv.",
    "region": "Name of the region.",
    "voxels": "Voxels, or vertices, of the region that were tested.",
    "fdr": "How many of these are significant on the test clips, as in encode.tsv.",
    "r_mean": "Mean over them of Pearson's r on the test clips.",
    "ceiling_mean": "Mean over them of the noise ceiling.",
}


@dataclass(frozen=True)
class Tested:
    """A row of ``encode.tsv``; a number is None where there is none."""

    subject: str
    features: str
    test: str
    voxels: int
    fdr: int
    max: int
    r_mean: float | None
    r_largest: float | None
    ceiling_mean: float | None


@dataclass(frozen=True, eq=False)
class Encoded:
    """What one feature space says of one subject's brain.

    ``folder`` holds the encoder and its maps: r, P, q, P of the largest score, ceiling; ``where`` is the mask of their
    voxels, or the surface of their vertices.
    """

    subject: str
    features: str
    rows: tuple[Tested, ...]
    regions: tuple[RegionScore, ...]
    region_names: dict[int, str]
    surface: Surface | None
    notes: tuple[str, ...]
    folder: Path

    @property
    def where(self) -> Path | Surface:
        """The voxels' mask, or the vertices' surface."""
        return self.folder / "mask.nii.gz" if self.surface is None else self.surface

    @property
    def voxels(self) -> dict[str, Any]:
        """Arrays of shape (v,): r, q, ceiling, region (0 for none); of the first feature space r-all and q-all, too."""
        tensors, _ = _core.io.load_safetensors(self.folder / "voxels.safetensors")
        return {name: tensor.numpy() for name, tensor in tensors.items()}


def features_of(context: Context) -> tuple[str, ...]:
    """Return the feature spaces of a run."""
    return (*context.embeddings, *CONTROLS)


def encode(context: Context, subject: str, features: str) -> Encoded:
    """Fit an encoder to the training clips, test it, and write maps, once."""
    chosen = context.settings
    first = features == context.embeddings[0]
    by_genre = first and chosen.held_out_genres
    # The mean and the random embedding are as the first embedding is.
    source = (
        None if features == "genre" else embed(context, context.embeddings[0] if features in CONTROLS else features)
    )
    inputs: dict[str, Any] = {
        "responses": context.study.fingerprint(subject, context.delay_scans),
        "features": [features, None if source is None else source[1].name],
        "tests": {"permutations": _PERMUTATIONS, "all": first, "genre": by_genre},
        "settings": {"cv": chosen.as_json()["cv"], "seed": chosen.seed},
        "grid": [context.window(_WINDOW), context.hop, context.own is not None],
        "version": _core.version(),
    }

    def write(folder: Path) -> None:
        context.tell(
            f"sub-{subject}: a ridge regression for each voxel, from {features} to its responses, and "
            f"{_PERMUTATIONS} orders of the test clips to test it."
        )
        brain = context.study.responses(subject, context.delay_scans, progress=context.progress)
        train, test = _features(context, brain, features, None if source is None else source[0])
        cv, groups = folds_of(brain.train_clips.run, chosen.cv)
        encoder = VoxelwiseEncoder(cv=cv, device=chosen.device, tr=brain.tr)
        encoder.fit(train, brain.train, groups=groups)
        ceiling, few = _ceiling(brain, test)
        tests: dict[str, Significance] = {}
        few += _few(brain) if by_genre else []
        if test is not None:
            tests["test"] = encoder.significance(test, brain.test, permutations=_PERMUTATIONS, random_state=chosen.seed)
        if first or test is None:
            more, left_out = _cross_validated(context, encoder, brain, (train, test), by_genre and not few)
            tests |= more
            few += left_out
        tested = tests.get("test")
        if tested is None:
            raise ValueError(f"[pipeline.encode] encoding must be tested; got {' '.join(few)}")
        folder.mkdir()
        encoder.save(folder / "encoder.safetensors")
        _save(folder, brain, tests, ceiling)
        about = {
            "rows": [_row(name, one, ceiling) for name, one in tests.items()],
            "regions": _regions(brain, tested, ceiling),
            "region_names": {} if brain.rois is None else {str(key): name for key, name in brain.rois.names.items()},
            "surface": None if brain.surface is None else asdict(brain.surface),
            "notes": [*brain.notes, *encoder.notes_, *tested.notes, *few],
        }
        write_json(folder / "about.json", about)

    folder = context.store.once("encode", f"sub-{subject}_{features}", inputs, "", write)
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    rows = tuple(Tested(subject, features, **row) for row in about["rows"])
    nan = float("nan")
    regions = tuple(
        RegionScore(
            row["region"],
            features,
            subject,
            row["voxels"],
            row["fdr"],
            nan if row["r_mean"] is None else row["r_mean"],
            nan if row["ceiling_mean"] is None else row["ceiling_mean"],
        )
        for row in about["regions"]
    )
    names = {int(label): name for label, name in about["region_names"].items()}
    return Encoded(subject, features, rows, regions, names, surface_in(about), tuple(about["notes"]), folder)


def encode_all(context: Context) -> tuple[list[Encoded], Path]:
    """Encode every subject from every feature space; write ``encode.tsv`` and ``encode-regions.tsv``.

    What the columns mean stands in a JSON file beside each.
    """
    begun = time.time()
    found = [encode(context, subject, features) for features in features_of(context) for subject in context.subjects]
    made = sum(one.folder.stat().st_mtime >= begun for one in found)
    if made:
        context.tell(
            f"{made} encoding models, one for each subject and feature space, took {duration(time.time() - begun)}, "
            f"reading included; {len(found) - made} were there already."
        )
    regions = [
        {
            "subject": one.subject,
            "features": one.features,
            "region": one.region,
            "voxels": one.voxels,
            "fdr": one.significant,
            "r_mean": _number(one.mean),
            "ceiling_mean": _number(one.ceiling),
        }
        for each in found
        for one in each.regions
    ]
    _write_table(context.out / "encode-regions.tsv", _REGION_COLUMNS, regions)
    table = context.out / "encode.tsv"
    _write_table(table, _COLUMNS, [asdict(row) for each in found for row in each.rows])
    return found, table


def _features(
    context: Context, brain: Responses, features: str, embeddings: Embeddings | None
) -> tuple[Embeddings, Embeddings | None]:
    """Return the features of training and test clips (None without), on one grid of windows."""
    clips = brain.train_clips, brain.test_clips
    grid = _grid(context, brain)
    if embeddings is None:
        labels = [genre for part in clips for genre in part.genre.tolist()]
        made = one_hot(labels, [name for part in clips for name in part.ids.tolist()], *grid)
    else:
        made = on_grid(fitted(embeddings, brain, strict=context.own is not None), *grid)
        if features == "mean":
            made = mean_embedding(made)
        elif features == "random":
            made = random_embedding(made, context.settings.seed)
    # Feature spaces are compared on the windows that all clips have, music and scans.
    lengths = [end - start for part in clips for start, end in zip(part.start, part.end, strict=True)]
    count = min(window_count(min(lengths), *grid[:2]), int(made.present.sum(axis=1).min()))
    values = made.values.copy()
    values[:, max(1, count) :] = np.nan
    made = replace(made, values=values)
    return made[brain.train_clips], made[brain.test_clips] if len(brain.test_clips) else None


def _grid(context: Context, brain: Responses) -> tuple[float, float, float]:
    """Return window, hop and clip, in seconds: of embeddings of one's own their own windows."""
    clip = brain.train.shape[1] * brain.tr
    own = context.own
    window, hop = (context.window(_WINDOW), context.hop) if own is None else (own.window, own.hop)
    return min(window, clip), hop, clip


def _cross_validated(
    context: Context,
    encoder: VoxelwiseEncoder,
    brain: Responses,
    features: tuple[Embeddings, Embeddings | None],
    by_genre: bool,
) -> tuple[dict[str, Significance], list[str]]:
    """Test on all clips: by folds of runs, and with each genre held out; and say which test could not be made.

    Without test clips the first of these stands in their place, as ``test``.
    """
    train, test = features
    clips, responses, runs, genres = train, brain.train, brain.train_clips.run, brain.train_clips.genre
    if test is not None:
        every = np.concatenate([train.values, test.values])
        clips = Embeddings(every, (*train.clip_ids, *test.clip_ids), train.window, train.hop)
        responses = np.concatenate([brain.train, brain.test])
        # Test clips are heard again in each test run: they stay together.
        runs = np.concatenate([runs, np.full(len(test.clip_ids), runs.max() + 1)])
        genres = np.concatenate([genres, brain.test_clips.genre])
    folds: Any = None
    groups: Any = runs
    _, numbers, counts = np.unique(runs, return_inverse=True, return_counts=True)
    if len(counts) < 3 or min(len(counts), 5) * 3 > len(runs):
        # Runs are too few to choose penalties by, too, or too short: folds of clips that follow each other. Fewer than
        # eight clips have too few orders to tell much.
        count = min(5, max(2, len(runs) // 8))
        folds, groups = np.arange(len(runs)) * count // len(runs), None
        rest = len(runs) - math.ceil(len(runs) / count)
        encoder = clone(encoder).set_params(cv=min(5, max(2, rest // 2)))
    elif encoder.cv != "runs":  # a number of folds of clips
        folds, groups = numbers % min(5, len(counts)), None
    ways: dict[str, Any] = {"all" if test is not None else "test": folds} | ({"genre": genres} if by_genre else {})
    tests, left_out = {}, []
    for name, held_out in ways.items():
        try:
            found = cross_validate(
                encoder,
                clips,
                responses,
                groups,
                held_out=held_out,
                permutations=_PERMUTATIONS,
                random_state=context.settings.seed,
                progress=context.progress,
            )
        except ValueError as error:  # folds of too few clips or runs; the test clips are tested all the same
            left_out.append(f"Encoding was not tested on all clips, {_COLUMNS_OF_TESTS[name]}: {error}")
        else:
            tests[name] = found.significance
    return tests, left_out


def _few(brain: Responses) -> list[str]:
    """Say why genres cannot be held out one by one; nothing where they can."""
    names, counts = np.unique(np.concatenate([brain.train_clips.genre, brain.test_clips.genre]), return_counts=True)
    if len(names) < 2:
        return [f"No genre was held out for encoding: all clips are of one, {names[0]}."]
    few = [f"{name} ({count})" for name, count in zip(names, counts, strict=True) if count < 5]
    return [f"No genre was held out for encoding: {', '.join(few)} has too few clips to test."] if few else []


def _row(test: str, tested: Significance, ceiling: Any) -> dict[str, Any]:
    return {
        "test": test,
        "voxels": int(np.isfinite(tested.p).sum()),
        "fdr": int(tested.significant(LEVEL).sum()),
        "max": int(tested.significant(LEVEL, "max").sum()),
        "r_mean": _mean(tested.score),
        "r_largest": _number(np.nanmax(tested.score)) if np.isfinite(tested.score).any() else None,
        "ceiling_mean": _mean(ceiling),
    }


def _regions(brain: Responses, tested: Significance, ceiling: Any) -> list[dict[str, Any]]:
    if brain.rois is None:
        return []
    significant = tested.significant(LEVEL)
    rows = []
    for label, name in brain.rois.names.items():
        inside = brain.rois.labels == label
        if inside.any():
            rows.append(
                {
                    "region": name,
                    "voxels": int(np.isfinite(tested.p[inside]).sum()),
                    "fdr": int(significant[inside].sum()),
                    "r_mean": _mean(tested.score[inside]),
                    "ceiling_mean": _mean(ceiling[inside]),
                }
            )
    return rows


def _ceiling(brain: Responses, test: Embeddings | None) -> tuple[Any, list[str]]:
    """Return the noise ceiling in the windows of the test clips; NaN where clips were not repeated, and a note why."""
    none = np.full(brain.train.shape[2], np.nan)
    if brain.repeats is None or test is None:
        return none, []
    windows = repeats_in_windows(test, brain.repeats, brain.tr, "pipeline.encode")
    heard = (~np.isnan(windows).all(axis=3)).sum(axis=1)
    if (heard > 1).sum() < 2:
        return none, ["No noise ceiling: fewer than two test clips were heard twice."]
    return noise_ceiling(windows), []


def _save(folder: Path, brain: Responses, tests: dict[str, Significance], ceiling: Any) -> None:
    """Write maps: ``r.nii.gz`` of the test clips, ``r-all.nii.gz`` of all clips, and so on."""
    maps = {"ceiling": ceiling}
    for test, one in tests.items():
        ending = "" if test == "test" else f"-{test}"
        own = {"r": one.score, "p": one.p, "q": one.q, "p-max": one.p_max}
        maps |= {f"{name}{ending}": values for name, values in own.items()}
    for name, values in maps.items():
        save_map(values, brain, folder, name)
    if brain.mask is not None:
        save_map(np.ones(len(ceiling)), brain, folder, "mask")
    region = np.zeros(len(ceiling), np.int32) if brain.rois is None else brain.rois.labels
    arrays = {name: np.asarray(values, np.float32) for name, values in maps.items() if not name.startswith("p")}
    _core.io.save_safetensors(folder / "voxels.safetensors", {**arrays, "region": region.astype(np.int32)}, {})


def _mean(values: Any) -> float | None:
    finite = np.asarray(values)[np.isfinite(values)]
    return _number(finite.mean()) if len(finite) else None


def _number(value: Any) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _write_table(path: Path, columns: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """Write a table as BIDS has it: ``n/a`` where there is no number."""
    lines = ["\t".join(columns)]
    lines += ["\t".join("n/a" if row[name] is None else str(row[name]) for name in columns) for row in rows]
    write_json(path.with_suffix(".json"), {name: {"Description": text} for name, text in columns.items()})
    write_bytes(path, ("\n".join(lines) + "\n").encode())
