"""A small study of two subjects with all that a run reads, and how to spoil it."""

import json

import nibabel as nib
import numpy as np
import soundfile
from small_study import AFFINE, SHAPE, SmallStudy

from brain2music import pipeline

RULES = {"dummies": 0, "genres": None, "repeats": 1}
RUNS = {("Training", 1): 10, ("Training", 2): 20, ("Test", 1): 30}
FILES = "sub-{}_task-{}_run-{}"


class WholeStudy(SmallStudy):
    """Two subjects, all that a run reads, and nothing that takes long."""

    def __init__(self, root):
        super().__init__(root)
        for subject in ("01", "02"):
            for (task, run), first in RUNS.items():
                self.run(FILES.format(subject, task, run), first)
        for first in RUNS.values():
            for track in range(first, first + 4):
                self.track(f"jazz.{track:05d}", track)
        labels = (np.arange(np.prod(SHAPE)) % 4 + 1).reshape(SHAPE).astype(np.int16)
        nib.save(nib.Nifti1Image(labels, AFFINE), root / "labels.nii.gz")
        rows = [f"{n}\tregion {n}" for n in range(1, 5)]
        (root / "labels.tsv").write_text("\n".join(["index\tname", *rows]) + "\n")
        captions = [f"jazz.{track:05d},some jazz" for first in RUNS.values() for track in range(first, first + 4)]
        (root / "captions.csv").write_text("\n".join(["clip,caption", *captions]) + "\n")
        self.rules = root.parent / "rules.json"
        self.rules.write_text(json.dumps(RULES))

    def track(self, name, seed, seconds=15, level=0.1):
        folder = self.root / "stimuli" / "genres" / "jazz"
        folder.mkdir(parents=True, exist_ok=True)
        sound = level * np.random.default_rng(seed).standard_normal(int(2000 * seconds))
        soundfile.write(folder / f"{name}.wav", sound.clip(-1, 1), 2000)
        return folder / f"{name}.wav"

    def of(self, subject="01", task="Training", run=1, ending="_bold.nii"):
        name = FILES.format(subject, task, run)
        return self.func(name) / f"{name}{ending}"

    def settings(self, **changes):
        values = {
            "study": str(self.root),
            "events": str(self.rules),
            "rois": str(self.root / "labels.nii.gz"),
            "min_regions": 4,
            "n_rois": 4,
            "assume_aligned": True,
            "cv": 2,
        }
        return pipeline.Settings(**values | changes)

    def context(self, **changes):
        return pipeline.Context(self.settings(**changes), self.root.parent / "out", progress=False)

    def say(self, **rules):
        """Change the rules of the events."""
        self.rules.write_text(json.dumps({**RULES, **rules}))

    def command(self, *more):
        return ["check", str(self.root), "--events", str(self.rules), "--rois", str(self.root / "labels.nii.gz"),
                "--min-regions", "4", "--n-rois", "4", "--assume-aligned", "--cv", "2", *more]  # fmt: skip


def refusal(context):
    """Read everything that a run reads, and say why it is refused: what a check must know without reading volumes."""
    try:
        for subject in context.subjects:
            context.study.responses(subject)
        for _ in context.study.stimuli:
            pass
        if context.study.has_captions:
            assert context.study.captions
        assert context.embeddings
    except (ValueError, OSError, RuntimeError, KeyError) as error:
        return str(error)
    return None


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def header(path, **fields):
    image = nib.load(path)
    image = nib.Nifti1Image(np.asarray(image.dataobj).copy(), image.affine, image.header)
    for name, value in fields.items():
        image.header[name] = value
    nib.save(image, path)
