"""Small studies of any layout: each run hears clips of its own, so that what was read can be told from their names."""

import json

import nibabel as nib
import numpy as np

import brain2music as b2m
from brain2music.study import EventRules

SHAPE, TR, VOLUMES = (5, 4, 2), 1.5, 40
AFFINE = np.diag([-3.0, 3, 3, 1])
RULES = EventRules(test_task=None, dummies=0)


class SmallStudy:
    """Writes runs by name; ``first`` is the first of the four tracks that a run hears."""

    def __init__(self, root):
        self.root = root
        self.image(root / "mask.nii", np.ones(SHAPE, np.uint8))

    def image(self, path, data, tr=TR):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nib.Nifti1Image(data, AFFINE)
        image.header.set_xyzt_units("mm", "sec")
        if data.ndim == 4:
            image.header.set_zooms((3, 3, 3, tr))
        nib.save(image, path)
        return path

    def data(self, first, volumes=VOLUMES):
        return (1000 + 50 * np.random.default_rng(first).standard_normal((*SHAPE, volumes))).astype(np.int16)

    def func(self, name, derivatives=None):
        sub, *rest = name.split("_")
        session = [part for part in rest if part.startswith("ses-")]
        root = self.root / "derivatives" / derivatives if derivatives else self.root
        return root.joinpath(sub, *session, "func")

    def bold(self, name, first, extension=".nii", tr=TR, volumes=VOLUMES):
        return self.image(self.func(name) / f"{name}_bold{extension}", self.data(first, volumes), tr)

    def prepared(self, name, first, space="T1w", tr=TR):
        func = self.func(name, "fmriprep")
        self.image(func / f"{name}_space-{space}_desc-brain_mask.nii.gz", np.ones(SHAPE, np.uint8))
        data = self.data(first).astype(np.float32)
        return self.image(func / f"{name}_space-{space}_desc-preproc_bold.nii.gz", data, tr)

    def events(self, path, first):
        path = path if hasattr(path, "parent") else self.func(path) / f"{path}_events.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{15 * clip}\t15\tjazz\t{first + clip}\t0\t15" for clip in range(4)]
        path.write_text("\n".join(["onset\tduration\tgenre\ttrack\tstart\tend", *rows]) + "\n")
        return path

    def sidecar(self, bold, **fields):
        path = bold.with_name(bold.name.replace(".nii.gz", ".nii").replace(".nii", ".json"))
        path.write_text(json.dumps(fields))
        return path

    def run(self, name, first, **options):
        self.events(name, first)
        return self.bold(name, first, **options)

    def study(self, rules=RULES, **options):
        options = {"mask": self.root / "mask.nii", "assume_aligned": True, "cache": False} | options
        return b2m.Study(self.root, events=rules, **options)

    def responses(self, subject="01", **options):
        return self.study(**options).responses(subject)

    def tracks(self, subject="01", **options):
        """First track of each run that was read, in the order read."""
        clips = self.responses(subject, **options).train_clips
        return [int(clips.track[clips.run == run][0].split(".")[1]) for run in sorted(set(clips.run))]

    def files(self):
        """Every file below a func folder; hidden ones too."""
        return {
            str(path)
            for path in self.root.rglob("*")
            if "func" in path.relative_to(self.root).parts[:-1] and (path.is_symlink() or path.is_file())
        }
