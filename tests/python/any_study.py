"""Small studies of any design: who hears which clips in which run, how long they are, which scans are lost."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import soundfile
from small_study import AFFINE

RATE, SHAPE, REGIONS = 8000, (6, 5, 4), 6


class AnyStudy:
    """Write a study; two of its six regions follow what is heard.

    ``runs`` maps (subject, task, number) to the clips of a run, in order; ``clips`` maps a clip to its genre and its
    seconds. A task "test" is one that is tested on. ``gap`` and ``delay`` are scans; ``lost`` maps a run to scans in
    which the head moved.
    """

    def __init__(self, root, runs, clips, tr=1.5, gap=0, delay=3, lost=None, **rules):
        self.root, self.tr, self.clips, self.lost = root, tr, clips, lost
        (root / "stimuli").mkdir(parents=True)
        (root / "corpus").mkdir()
        for number in range(3):
            soundfile.write(root / "corpus" / f"track_{number}.wav", self._music(100 + number, 15), RATE)
        for number, (name, (_, seconds)) in enumerate(clips.items()):
            soundfile.write(root / "stimuli" / f"{name}.wav", self._music(number, seconds), RATE)
        labels = (np.arange(np.prod(SHAPE)) % REGIONS + 1).reshape(SHAPE).astype(np.int16)
        nib.save(nib.Nifti1Image(labels, AFFINE), root / "labels.nii.gz")
        rows = [f"{n}\tregion {n}" for n in range(1, REGIONS + 1)]
        (root / "labels.tsv").write_text("\n".join(["index\tname", *rows]) + "\n")
        rng = np.random.default_rng(0)
        self.signal = {name: 15 * rng.standard_normal(np.prod(SHAPE)) * (labels.ravel() < 3) for name in clips}
        for key, heard in runs.items():
            self._run(key, heard, gap, delay, rng)
        values = {
            **{"train_task": "listen", "test_task": "test" if any(task == "test" for _, task, _ in runs) else None},
            **{"track": "stim", "track_name": "{track}", "genre": "genre", "genres": None, "start": None, "end": None},
            **{"dummies": 0, "repeats": None, **rules},
        }
        (root / "rules.json").write_text(json.dumps(values))

    def _music(self, number, seconds):
        rng = np.random.default_rng(number)
        time = np.arange(round(seconds * RATE)) / RATE
        tune = (110 * 2 ** (rng.integers(0, 36, 8) / 12))[(time * (2 + number % 5)).astype(int) % 8]
        sound = np.sin(2 * np.pi * np.cumsum(tune) / RATE) + 0.05 * (number % 7) * rng.standard_normal(len(time))
        return (0.2 * sound).astype(np.float32)

    def _run(self, key, heard, gap, delay, rng):
        bold, rows, onset = 1000 + 10 * rng.standard_normal((np.prod(SHAPE), 2000)), [], 0.0
        for name in heard:
            genre, seconds = self.clips[name]
            scans, first = round(seconds / self.tr), round(onset / self.tr) + delay
            bold[:, first : first + scans] += self.signal[name][:, None]
            rows.append((round(onset, 4), seconds, name, genre))
            onset += (scans + gap) * self.tr
        volumes = round(onset / self.tr) + 4
        subject, task, number = key
        name = f"sub-{subject}_task-{task}_run-{number}"
        func = self.root / f"sub-{subject}" / "func"
        table = pd.DataFrame(rows, columns=["onset", "duration", "stim", "genre"])
        data = bold[:, :volumes].reshape(*SHAPE, volumes).astype(np.float32)
        self._image(func / f"{name}_bold.nii", data)
        table.to_csv(func / f"{name}_events.tsv", sep="\t", index=False)
        if self.lost is not None:
            func = self.root / "derivatives" / "fmriprep" / f"sub-{subject}" / "func"
            self._image(func / f"{name}_space-T1w_desc-preproc_bold.nii.gz", data)
            self._image(func / f"{name}_space-T1w_desc-brain_mask.nii.gz", np.ones(SHAPE, np.uint8))
            moved = np.where(np.isin(np.arange(volumes), self.lost.get(key, ())), 0.9, 0.1)
            table = pd.DataFrame({"framewise_displacement": moved})
            table.to_csv(func / f"{name}_desc-confounds_timeseries.tsv", sep="\t", index=False)

    def _image(self, path, data):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nib.Nifti1Image(data, AFFINE)
        image.header.set_xyzt_units("mm", "sec")
        if data.ndim == 4:
            image.header.set_zooms((3, 3, 3, self.tr))
        nib.save(image, path)

    def command(self, *more):
        """Arguments after the name of the study."""
        place = ["--assume-aligned"] if self.lost is None else ["--space", "T1w"]
        return ["--events", str(self.root / "rules.json"), "--rois", str(self.root / "labels.nii.gz"), "--min-regions",
                "6", "--n-rois", "2", "--bundle", "acoustic", "--no-generation", *place, *more]  # fmt: skip


def named(count, genres=3, seconds=15.0):
    """Clips k00, k01 ... of genres a, b ... in turn."""
    return {f"k{n:02d}": ("abcdefgh"[n % genres], float(seconds)) for n in range(count)}


def dealt(clips, runs, subject="01", task="listen"):
    """Deal clips out to runs."""
    names = list(clips)
    return {(subject, task, run + 1): names[run::runs] for run in range(runs)}
