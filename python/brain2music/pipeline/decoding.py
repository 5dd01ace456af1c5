"""Second step: one subject's brain activity becomes predicted embeddings."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold, KFold  # type: ignore[import-untyped]

from brain2music import _core
from brain2music.bundles import Embeddings
from brain2music.decoding import BrainDecoder
from brain2music.files import write_json
from brain2music.pipeline.context import Context
from brain2music.pipeline.embedding import embed
from brain2music.pipeline.maps import save_labels, save_map, surface_in
from brain2music.study import RegionLabels, Responses, Surface
from brain2music.study.responses import Clips
from brain2music.study.windows import Windows

__all__ = ["ClipTable", "Decoded", "average", "compared", "decode", "folds_of", "mean_target", "measured"]

#: Clips that a decoder must have to choose anything by cross-validation.
_FEWEST = 8

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ClipTable:
    """Ids and genres of clips."""

    ids: npt.NDArray[np.str_]
    genre: npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Decoded:
    """What was decoded from one subject, and the truth beside it; clips, windows, dimensions throughout.

    Windows of which no scan was measured are NaN in predictions (a run's last clip, under a delay).
    A clip of which no window was measured is left out and told.
    ``train`` holds predictions for the clips that the decoder was fitted to; ``held_out`` (or None) for test clips,
    each by a decoder that saw no clip of its genre; ``cross_validated`` (or None) for training clips, each by a decoder
    that saw none of its run. ``roi_scores`` maps a region's label to its mean cross-validated
    correlation, ``rois`` lists the regions chosen, best first. ``surface`` is that of the vertices; None for voxels.
    """

    subject: str
    embedding: str
    test: _Floats
    test_target: _Floats
    train: _Floats
    train_target: _Floats
    held_out: _Floats | None
    cross_validated: _Floats | None
    test_clips: ClipTable
    train_clips: ClipTable
    roi_scores: dict[int, float]
    roi_names: dict[int, str]
    rois: tuple[int, ...]
    notes: tuple[str, ...]
    folder: Path
    surface: Surface | None = None

    @property
    def without_test(self) -> bool:
        """Whether there were no test runs: ``test`` is then ``cross_validated``, over all clips."""
        return np.array_equal(self.test_clips.ids, self.train_clips.ids)

    @property
    def by_clip(self) -> tuple[_Floats, _Floats]:
        """Predictions and truth of the test clips, (n, d) each: means over the windows that all of them have."""
        return average(*compared(self.test, self.test_target))


def decode(context: Context, subject: str, role: str) -> Decoded:
    """Fit the decoder to the training clips and apply it to the test clips, once."""
    chosen = context.settings
    embeddings, path = embed(context, role)
    # Moments of real embeddings are matched with those of predictions that saw as little as those of test clips.
    moments = context.generates and role == context.embeddings[0] and "moments" in chosen.conditioning
    inputs = {
        "responses": context.study.fingerprint(subject, context.delay_scans),
        "embeddings": path.name,
        "settings": {name: chosen.as_json()[name] for name in ("n_rois", "cv", "alphas", "held_out_genres")},
        "cross_validated": moments,
        "version": _core.version(),
    }

    def write(folder: Path) -> None:
        held_out = ", and again without each genre" if chosen.held_out_genres else ""
        context.tell(
            f"sub-{subject}: a ridge regression for each region of the brain, from responses to {role}{held_out}."
        )
        brain = context.study.responses(subject, context.delay_scans, progress=context.progress)
        if brain.rois is None:
            raise ValueError("[pipeline.decode] rois must be given; got None")
        whole = not len(brain.test_clips)
        tested, clips = (brain.train, brain.train_clips) if whole else (brain.test, brain.test_clips)
        music = fitted(embeddings, brain, strict=context.own is not None)
        train, test = music[brain.train_clips], music[clips]
        decoder = _fit(context, brain, train, np.ones(len(train), bool))
        tensors = {
            "test": np.full_like(test.values, np.nan) if whole else decoder.predict(tested, missing="nan"),
            "test_target": test.values,
            "train": decoder.predict(brain.train, missing="nan"),
            "train_target": train.values,
        }
        notes = [*brain.notes, *decoder.notes_, *_fold_notes(brain, chosen.cv)]
        genres = sorted(set(clips.genre.tolist()))
        few = [genre for genre in genres if (brain.train_clips.genre != genre).sum() < _FEWEST]
        if chosen.held_out_genres and few:
            notes.append(
                f"No genre was held out for decoding: without {few[0]} fewer than {_FEWEST} training clips are left."
            )
        elif chosen.held_out_genres:
            held_out = np.full_like(tensors["test"], np.nan)
            for genre in genres:
                rest, which = brain.train_clips.genre != genre, clips.genre == genre
                one = _fit(context, brain, train[brain.train_clips.ids[rest]], rest)
                held_out[which] = one.predict(tested[which], missing="nan")
            tensors["held_out"] = held_out
        if moments or whole:
            cross_validated = np.full_like(tensors["train"], np.nan)
            for held in _folds(brain, chosen.cv):
                one = _fit(context, brain, train[brain.train_clips.ids[~held]], ~held)
                cross_validated[held] = one.predict(brain.train[held], missing="nan")
            tensors["cross_validated"] = cross_validated
        if whole:
            tensors["test"] = tensors["cross_validated"].copy()
            notes.append(
                f"There are no test runs: each of {len(clips)} clips was decoded by a decoder that was fitted to the "
                "clips of other folds."
            )
        tested_clips, trained_clips, left_out = _leave_out(tensors, clips, brain.train_clips)
        folder.mkdir()
        _core.io.save_safetensors(folder / "predicted.safetensors", tensors, {})
        decoder.save(folder / "decoder.safetensors")
        _save_maps(folder, brain, brain.rois, decoder.roi_scores_)
        about = {
            "test_clips": tested_clips.ids.tolist(),
            "test_genres": tested_clips.genre.tolist(),
            "train_clips": trained_clips.ids.tolist(),
            "train_genres": trained_clips.genre.tolist(),
            "roi_scores": {str(label): float(score) for label, score in decoder.roi_scores_.items()},
            "roi_names": {str(label): name for label, name in brain.rois.names.items()},
            "rois": [int(label) for label in decoder.selected_rois_],
            "surface": None if brain.surface is None else asdict(brain.surface),
            "notes": [*notes, *left_out],
        }
        write_json(folder / "about.json", about)

    folder = context.store.once("decode", f"sub-{subject}_{role}", inputs, "", write)
    return _load(folder, subject, role)


def measured(predicted: _Floats) -> npt.NDArray[np.bool_]:
    """Which windows (n, r) of predictions (n, r, d) were measured."""
    return np.asarray(~np.isnan(predicted).any(axis=2), bool)


def average(predicted: _Floats, target: _Floats) -> tuple[_Floats, _Floats]:
    """Average predictions and targets (n, r, d) over the windows that were measured: (n, d) each."""
    there = measured(predicted)
    weights = there / there.sum(axis=1, keepdims=True)
    pair = (np.einsum("nr,nrd->nd", weights, np.where(there[..., None], each, 0)) for each in (predicted, target))
    first, second = (np.asarray(each, np.float32) for each in pair)
    return first, second


def compared(predicted: _Floats, target: _Floats) -> tuple[_Floats, _Floats]:
    """Keep the windows (n, r, d) that all clips have: by these clips of unequal length are compared."""
    common = ~np.isnan(target).all(axis=2).any(axis=0)
    return (predicted, target) if common.all() else (predicted[:, common], target[:, common])


def mean_target(target: _Floats) -> _Floats:
    """Average true embeddings (n, r, d) over the windows that a clip has: (n, d)."""
    there = measured(target)
    return average(target, target)[0] if not there.all() else target.mean(axis=1)


def _fit(context: Context, brain: Responses, targets: Any, which: npt.NDArray[np.bool_]) -> BrainDecoder:
    chosen, runs = context.settings, brain.train_clips.run[which]
    cv, groups = folds_of(runs, chosen.cv)
    decoder = BrainDecoder(n_rois=chosen.n_rois, alphas=chosen.alphas, cv=cv, device=chosen.device, tr=brain.tr)
    responses = brain.train if which.all() else brain.train[which]
    return decoder.fit(responses, targets, rois=brain.rois, groups=groups)


def fitted(embeddings: Embeddings, brain: Responses, strict: bool = False) -> Embeddings:
    """Give a subject's clips the windows that fit into their scans.

    Clips of other subjects may be longer. A clip may be a little longer, or shorter, than its scans: windows that end
    after the music are missing, those that end after the scans are left out. Of embeddings of one's own (``strict``)
    only windows that none of the clips has are left out.
    """
    ids = [*brain.train_clips.ids.tolist(), *brain.test_clips.ids.tolist()]
    embeddings = embeddings[list(dict.fromkeys(ids))]
    values, there = embeddings.values, embeddings.present.any(axis=0)
    values = values[:, : max(1, int(there.sum()))]
    if not strict:
        seconds = brain.train.shape[1] * brain.tr
        embeddings = replace(embeddings, window=min(embeddings.window, seconds))
        count = Windows(embeddings.window, embeddings.hop, clip=seconds).count
        values = np.pad(
            values[:, :count], ((0, 0), (0, max(0, count - values.shape[1])), (0, 0)), constant_values=np.nan
        )
    return replace(embeddings, values=values)


def folds_of(runs: npt.NDArray[Any], cv: str | int) -> tuple[str | int, npt.NDArray[Any] | None]:
    """Return the folds asked for, and the runs they are made of: folds of clips where all are of one run."""
    if cv != "runs":
        return cv, None
    return (min(5, max(2, len(runs) // 2)), None) if len(np.unique(runs)) < 2 else (cv, runs)


def _fold_notes(brain: Responses, cv: str | int) -> list[str]:
    if folds_of(brain.train_clips.run, cv)[0] == cv:
        return []
    return [
        "All training clips were first heard in one run: what is chosen by cross-validation is chosen over folds of "
        "clips, not of runs."
    ]


def _leave_out(tensors: dict[str, _Floats], tested: Clips, trained: Clips) -> tuple[ClipTable, ClipTable, list[str]]:
    """Leave windows out that a shorter clip lacks, and clips without a window that was measured; say which."""
    tables, notes = [], []
    for part, clips, others in (("test", tested, ["held_out"]), ("train", trained, ["cross_validated"])):
        names = [part, *(name for name in others if name in tensors)]
        lacking = np.isnan(tensors[f"{part}_target"]).all(axis=2)
        for name in names:
            tensors[name][lacking] = np.nan
        there = measured(tensors[part])[:, ~lacking.any(axis=0)].any(axis=1)
        if not there.all():
            kind = "test" if part == "test" else "training"
            notes.append(
                f"{(~there).sum()} {kind} clips have no scan and are left out: {', '.join(clips.ids[~there])}."
            )
            for name in (*names, f"{part}_target"):
                tensors[name] = tensors[name][there]
        tables.append(ClipTable(clips.ids[there], clips.genre[there]))
    return tables[0], tables[1], notes


def _folds(brain: Responses, cv: str | int) -> Iterator[npt.NDArray[np.bool_]]:
    """Training clips left out in turn, run by run where enough runs are left to choose penalties on."""
    runs = brain.train_clips.run
    count = len(np.unique(runs))
    by_run = cv == "runs" and count > 2
    wanted = 5 if isinstance(cv, str) else cv
    folds = GroupKFold(min(5, count)) if by_run else KFold(min(wanted, len(runs)), shuffle=True, random_state=0)
    for _, held in folds.split(runs, groups=runs if by_run else None):
        yield np.isin(np.arange(len(runs)), held)


def _save_maps(folder: Path, brain: Responses, rois: RegionLabels, scores: dict[int, float]) -> None:
    """Write two maps: the label of every voxel, and its region's score (NaN outside)."""
    save_labels(rois.labels, rois.names, brain, folder)
    save_map(np.array([scores.get(int(label), np.nan) for label in rois.labels]), brain, folder, "roi-scores")


def _load(folder: Path, subject: str, role: str) -> Decoded:
    tensors, _ = _core.io.load_safetensors(folder / "predicted.safetensors")
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return Decoded(
        subject=subject,
        embedding=role,
        test=arrays["test"],
        test_target=arrays["test_target"],
        train=arrays["train"],
        train_target=arrays["train_target"],
        held_out=arrays.get("held_out"),
        cross_validated=arrays.get("cross_validated"),
        test_clips=ClipTable(np.array(about["test_clips"]), np.array(about["test_genres"])),
        train_clips=ClipTable(np.array(about["train_clips"]), np.array(about["train_genres"])),
        roi_scores={int(label): score for label, score in about["roi_scores"].items()},
        roi_names={int(label): name for label, name in about["roi_names"].items()},
        rois=tuple(about["rois"]),
        notes=tuple(about["notes"]),
        folder=folder,
        surface=surface_in(about),
    )
