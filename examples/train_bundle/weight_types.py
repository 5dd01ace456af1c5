"""Measures what each type of weights costs in quality: ``python examples/train_bundle/weight_types.py WORK``.

Music is generated from the study of ``goals.json``, once for each type of the weights of products, with the same random
numbers for all types. Each figure of a clip is paired with the figure that float32 reaches for the same clip, and the
mean difference has a 95 % interval. Float32 with another seed stands beside the types: it shows what other random
numbers alone do. The embedders and the codec run in float32 throughout, so rows of goals.json that use no stage do not
depend on the type. WORK is the folder of ``measure.py``; batches are kept there, so that a run goes on where an earlier
run was stopped, and several processes can share the batches. The table goes into WORK/weight_types.json.
"""

import argparse
import hashlib
import itertools
import json
import os
import shutil
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from material import Material

import brain2music as b2m
from brain2music import metrics
from brain2music.pipeline import embed

GOALS = json.loads((Path(__file__).parent / "goals.json").read_text(encoding="utf-8"))
TYPES = ("float32", "bfloat16", "int8")
#: Name of a column: type of the weights, and what is added to the seed.
COLUMNS = {**{dtype: (dtype, 0) for dtype in TYPES}, "float32, another seed": ("float32", 1)}
#: Pieces that are generated together.
BATCH = 20

_Floats = npt.NDArray[np.float32]
_Doubles = npt.NDArray[np.float64]


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path, metavar="WORK", help="folder of the study of measure.py")
    parser.add_argument("--source", choices=[*SOURCES], action="append", help="generate from these alone")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of the music")
    parser.add_argument("--samples", type=int, default=1, help="pieces for each embedding, each of a seed of its own")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("I", "N"), help="batches I, I + N, ...")
    parser.add_argument("--report", action="store_true", help="generate nothing, write the table of what was generated")
    options = parser.parse_args()
    pieces = Pieces(Material(options.work, None, None, GOALS, 2), options.seconds)
    sources = options.source or [*SOURCES]
    for source, sample in itertools.product(() if options.report else sources, range(options.samples)):
        for batch in pieces.batches(source)[options.part[0] :: options.part[1]]:
            for column in COLUMNS:
                pieces.batch(source, column, sample, batch)
            print(f"{source}, sample {sample}: batch of {len(batch)} in {len(COLUMNS)} columns", flush=True)
    table = pieces.table(options.samples)
    (options.work / "weight_types.json").write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    for name, row in table["rows"].items():
        for column, cell in row["columns"].items():
            print(f"{name}, {column}:", *(f"{key} {value}" for key, value in cell.items()))
    return 0


class Pieces:
    """Generated pieces of each column, and what was found in them; kept in WORK for these stages and this length."""

    def __init__(self, material: Material, seconds: float) -> None:
        self.material, self.seconds = material, seconds
        self.hashes = {name: entry["sha256"] for name, entry in material.bundle.stages.items()}
        library = hashlib.sha256(
            (Path(b2m._core.__file__).parent / "lib" / "libbrain2music.so").read_bytes()
        ).hexdigest()
        self.folder = material.work / "weight_types" / f"{self.hashes['acoustic'][:16]}_{library[:16]}_{seconds:g}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.clips = [clip.clip for clip in material.context.study.clips]
        self._generators: dict[str, b2m.MusicGenerator] = {}

    # ---- generating -------------------------------------------------------------------------------------------------

    def batches(self, source: str) -> list[npt.NDArray[np.int64]]:
        """Split the conditions of a source into batches, in random order: a part of the batches is a fair sample."""
        order = np.random.default_rng(0).permutation(len(self.conditions(source)))
        return np.array_split(order, -(-len(order) // BATCH))

    def conditions(self, source: str) -> _Floats:
        """Return what music is generated from: (n, d)."""
        if source not in self._conditions:
            self._conditions[source] = SOURCES[source](self)
        return self._conditions[source]

    @cached_property
    def _conditions(self) -> dict[str, _Floats]:
        return {}

    @cached_property
    def true(self) -> _Floats:
        """Return the embedding of each clip of the study, averaged over its windows."""
        return embed(self.material.context, "music_embedder")[0][np.array(self.clips)].values.mean(axis=1)

    def batch(self, source: str, column: str, sample: int, batch: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """Return what is found in the pieces of a batch: rows of the arrays are pieces."""
        dtype, added = COLUMNS[column]
        seed = GOALS["study"]["seed"] + 2 * sample + added
        path = self.folder / f"{source}_{dtype}_{seed}_{batch[0]}.npz"
        if not path.exists():
            audio = self._generator(dtype).generate(self.conditions(source)[batch], seconds=self.seconds, seed=seed)
            waves = np.clip(audio.waveform[:, 0, 0], -1, 1)
            sounds = {str(i): (wave, audio.rate) for i, wave in enumerate(waves)}
            found = {
                "pieces": batch,
                "embedded": self.material.embed(self.material.bundle, sounds),
                "acoustic": self.material.embed(self.material.acoustic, sounds),
                # The codec computes alike for all columns, so pieces with the same sound have the same codes.
                "sound": np.array([hashlib.sha256(wave.tobytes()).hexdigest() for wave in waves]),
            }
            written = path.with_suffix(f".{os.getpid()}.npz")
            np.savez(written, **found)
            written.rename(path)
        with np.load(path) as kept:
            return dict(kept)

    def _generator(self, dtype: str) -> b2m.MusicGenerator:
        """Make a generator in a type, of a copy of the bundle that declares all types."""
        if dtype not in self._generators:
            folder = self.folder / f"bundle_{os.getpid()}"
            shutil.copytree(self.material.bundle.path, folder)
            manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
            for stage in manifest["stages"]:
                stage["dtypes"] = [*TYPES]
            (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
            self._generators[dtype] = b2m.MusicGenerator(b2m.Bundle(folder, device="cpu"), "cpu", dtype)
            shutil.rmtree(folder)
        return self._generators[dtype]

    # ---- the table --------------------------------------------------------------------------------------------------

    def table(self, samples: int) -> dict[str, Any]:
        """Compare the columns in the pieces that were generated in all of them."""
        rows, same = {}, {}
        for source in SOURCES:
            if not any(self.folder.glob(f"{source}_*.npz")):
                continue
            count, batches = self._most(source, samples)
            if not batches:
                continue
            which = np.concatenate(batches)
            found = {
                column: [self._joined([self.batch(source, column, s, one) for one in batches]) for s in range(count)]
                for column in COLUMNS
            }
            sound = {column: np.concatenate([one["sound"] for one in every]) for column, every in found.items()}
            same[source] = {
                column: round(float(np.mean(sound[column] == sound["float32"])), 4) for column in [*COLUMNS][1:]
            }
            for name, measure in ROWS[source].items():
                values = {column: np.mean([measure(self, one) for one in every], 0) for column, every in found.items()}
                rows[name] = {"n": len(which), "samples": count, "columns": compared(values)}
        return {
            "stages": self.hashes,
            "seconds": self.seconds,
            "limit": -0.02,
            "same_codes": same,
            "rows": rows,
        }

    def _most(self, source: str, samples: int) -> tuple[int, list[npt.NDArray[np.int64]]]:
        """Return how many samples, and of which batches, make the most pieces that all columns have."""
        every = [
            (count, [batch for batch in self.batches(source) if self._complete(source, count, batch)])
            for count in range(1, samples + 1)
        ]
        return max(every, key=lambda one: one[0] * len(one[1]))

    def _complete(self, source: str, samples: int, batch: npt.NDArray[np.int64]) -> bool:
        for (dtype, added), sample in itertools.product(COLUMNS.values(), range(samples)):
            seed = GOALS["study"]["seed"] + 2 * sample + added
            if not (self.folder / f"{source}_{dtype}_{seed}_{batch[0]}.npz").exists():
                return False
        return True

    @staticmethod
    def _joined(found: list[dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
        return {name: np.concatenate([one[name] for one in found]) for name in found[0]}

    @cached_property
    def genres(self) -> tuple[_Doubles, npt.NDArray[np.int64]]:
        """Return class means of the acoustic statistics for each clip, and the class of each clip.

        The means (n, classes, d) of a clip leave out the clips of its track.
        """
        study = self.material.context.study.clips
        kinds, genre = np.unique([clip.genre for clip in study], return_inverse=True)
        tracks = np.array([clip.track for clip in study])
        values = self.material.embed(self.material.acoustic, self.material.clips).astype(np.float64)
        means = np.empty((len(study), len(kinds), values.shape[1]))
        for track in np.unique(tracks):
            others = tracks != track
            means[~others] = [values[others & (genre == kind)].mean(axis=0) for kind in range(len(kinds))]
        return means, genre


def compared(values: dict[str, _Doubles]) -> dict[str, dict[str, Any]]:
    """Compare each column's figures of the clips with those of float32, clip by clip."""
    columns: dict[str, dict[str, Any]] = {}
    for column, figures in values.items():
        columns[column] = {"mean": round(float(figures.mean()), 5)}
        if column != "float32":
            difference = figures - values["float32"]
            mean, deviation = float(difference.mean()), float(difference.std(ddof=1))
            half = 1.96 * deviation / len(difference) ** 0.5
            columns[column] |= {
                "difference": round(mean, 5),
                "deviation": round(deviation, 5),
                "interval": [round(mean - half, 5), round(mean + half, 5)],
            }
    return columns


# ---- what music is generated from, and what is measured -------------------------------------------------------------


def _captions(pieces: Pieces) -> _Floats:
    captions = pieces.material.context.study.captions
    texts = pieces.material.bundle.embed("text_embedder", [captions[clip] for clip in pieces.clips])
    return np.asarray(texts.values[:, 0])


def _brains(pieces: Pieces) -> _Floats:
    """Return the decoded embeddings of the test clips, averaged over windows, subject after subject."""
    from brain2music.pipeline.decoding import average, decode

    context = pieces.material.context
    every = [decode(context, subject, "music_embedder") for subject in context.subjects]
    return np.concatenate([average(one.test, one.test_target)[0] for one in every])


def _identified(predicted: _Floats, target: _Floats, which: npt.NDArray[np.int64]) -> _Doubles:
    """Identify rows ``which`` of the target among all of its rows."""
    whole = target.copy()  # the other rows' predictions do not matter
    whole[which] = predicted
    return np.asarray(metrics.identification_accuracy(whole, target).per_item)[which]


def _condition(source: str) -> Any:
    """Identify the condition itself by the piece, embedded again."""
    return lambda pieces, found: _identified(found["embedded"], pieces.conditions(source), found["pieces"])


def _genre(pieces: Pieces, found: dict[str, npt.NDArray[Any]]) -> _Doubles:
    """Say whether a piece lies nearest to the class mean of its clip's genre."""
    means, genre = pieces.genres
    squares = ((found["acoustic"][:, None] - means[found["pieces"]]) ** 2).sum(axis=2)
    return (squares.argmin(axis=1) == genre[found["pieces"]]).astype(np.float64)


def _heard(pieces: Pieces, found: dict[str, npt.NDArray[Any]]) -> _Doubles:
    """Identify the clip that was heard, among the test clips."""
    test = pieces.material.split[1]
    target = pieces.true[[pieces.clips.index(clip) for clip in test]]
    values = np.empty(len(found["pieces"]))
    for subject in np.unique(found["pieces"] // len(test)):
        own = found["pieces"] // len(test) == subject
        values[own] = _identified(found["embedded"][own], target, found["pieces"][own] % len(test))
    return values


SOURCES = {"true": lambda pieces: pieces.true, "captions": _captions, "brains": _brains}
#: Rows of goals.json, by what the music is generated from.
ROWS: dict[str, dict[str, Any]] = {
    "true": {"generated_identifies_condition": _condition("true"), "generated_genre_acoustic": _genre},
    "captions": {"generated_identifies_caption": _condition("captions")},
    "brains": {"generated_from_brain": _heard},
}


if __name__ == "__main__":
    sys.exit(main())
