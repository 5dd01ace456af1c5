"""Files of a simulated study: names, sidecars and tables as ds003720 has them, derivatives as fMRIPrep has them."""

import csv
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from brain2music.files import replacing, write_bytes, write_json
from brain2music.simulation.brain.anatomy import SPACE, region_names
from brain2music.simulation.brain.hearing import SPACES, FeatureTable
from brain2music.simulation.brain.motion import PARAMETERS, draw_motion, move
from brain2music.simulation.brain.subject import Listener
from brain2music.simulation.brain.voxels import RESPONSES

__all__ = ["LINE_ENDS", "SubjectFiles", "write_captions", "write_features", "write_study"]

LINE_ENDS = {"crlf": "\r\n", "lf": "\n"}
_TR_S = 1.5
_PIPELINE = "simulation"
_BIDS = "1.9.0"

_README = """# A simulated study

Written by `brain2music simulate`; no person was scanned. The layout is that of OpenNeuro ds003720
(Nakai, Koide-Majima and Nishimoto, 2021). The first event of every run is a dummy: a clip that is
heard elsewhere, to be dropped with its ten volumes. Test clips are heard four times. The music is
composed and rendered by brain2music (`stimuli/`); `corpus/` holds other tracks to retrieve from,
`captions.csv` says in words what each clip is, and `truth/` says what every voxel responds to.
`derivatives/` holds BOLD in MNI space, brain masks, and regions that bear the names of the
Destrieux atlas and lie about where it has them.
"""


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with the line ends it has."""
    write_bytes(path, text.encode())


def write_table(path: Path, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a TSV, and beside it a JSON that says what its columns mean."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    write_json(path.with_suffix(".json"), {name: {"Description": meaning} for name, meaning in columns.items()})


def write_study(root: Path) -> None:
    """Write what a data set's top holds."""
    generated = [{"Name": "brain2music simulate"}]
    write_json(
        root / "dataset_description.json",
        {
            "Name": "Simulated twin of the Music Genre fMRI Dataset",
            "BIDSVersion": _BIDS,
            "DatasetType": "raw",
            "License": "CC0",
            "Authors": ["brain2music simulate"],
            "GeneratedBy": generated,
        },
    )
    write_text(root / "README.md", _README)
    write_text(root / ".bidsignore", "captions.csv\ncorpus\ntruth\n")
    derivatives = root / "derivatives" / _PIPELINE
    write_json(
        derivatives / "dataset_description.json",
        {
            "Name": "Aligned BOLD, brain masks and regions of the simulated study",
            "BIDSVersion": _BIDS,
            "DatasetType": "derivative",
            "GeneratedBy": generated,
        },
    )
    rows = "".join(f"{label}\t{name}\n" for label, name in region_names().items())
    write_text(derivatives / "seg-destrieux_dseg.tsv", f"index\tname\n{rows}")


def write_captions(path: Path, texts: Mapping[str, str]) -> None:
    """Write captions by clip."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["clip", "caption"])
        writer.writerows(texts.items())


def write_features(folder: Path, table: FeatureTable, first_row: Mapping[str, int]) -> None:
    """Write what there is to hear: ``features.npy`` (time, features), its columns, and the row of each clip."""
    with replacing(folder / "features.npy") as temporary:
        np.save(temporary, table.values)
    write_table(
        folder / "features.tsv",
        {"feature": "Column of features.npy, ten rows a second, standardised", "space": "Kind of feature"},
        list(zip(table.names, table.spaces, strict=True)),
    )
    write_table(
        folder / "clips.tsv",
        {"clip": "Id of the clip", "first_row": "Row of features.npy at which it begins"},
        list(first_row.items()),
    )


class SubjectFiles:
    """Where one subject's files go."""

    def __init__(self, root: Path, subject: str) -> None:
        self._root, self._subject = root, f"sub-{subject}"
        self._raw = root / self._subject
        self._derived = root / "derivatives" / _PIPELINE / self._subject
        self._truth = root / "truth"

    def has_run(self, task: str, number: int) -> bool:
        """Whether a run is written: its events come last."""
        return self._run(task, number, "events.tsv").exists()

    @property
    def has_anatomy(self) -> bool:
        """Whether what holds for all runs is written: the table of voxels comes last."""
        return (self._truth / f"{self._subject}_voxels.tsv").exists()

    def write_anatomy(self, listener: Listener) -> None:
        """Write the anatomical image, regions, brain mask, and the truth about every voxel."""
        head = listener.head
        anat = self._raw / "anat" / f"{self._subject}_T1w.nii"
        _save(anat, _image(head.t1, head.affine))
        write_json(anat.with_suffix(".json"), {"Modality": "MR", "MagneticFieldStrength": 3})
        labels = self._derived / "anat" / f"{self._subject}_space-{SPACE}_seg-destrieux_dseg.nii.gz"
        _save(labels, _image(head.labels, head.affine))
        _save(self._mask(), _image(head.brain.astype(np.uint8), head.affine))
        voxels, names = listener.voxels, region_names()
        ceiling = np.zeros(head.brain.sum(), np.float32)
        ceiling[voxels.where] = listener.ceiling
        volume = np.zeros(head.brain.shape, np.float32)
        volume[head.brain] = ceiling
        _save(self._truth / f"{self._subject}_noise-ceiling.nii.gz", _image(volume, head.affine))
        place = np.argwhere(head.brain)[voxels.where]
        features = listener.feature_names
        rows = []
        for index, (x, y, z) in enumerate(place.tolist()):
            weights = voxels.weights[0, :, index]
            followed = np.flatnonzero(weights)
            followed = followed[np.argsort(-np.abs(weights[followed]), kind="stable")]
            rows.append(
                [
                    *(x, y, z),
                    names[int(voxels.region[index])],
                    SPACES[voxels.space[index]],
                    " ".join(f"{features[feature]}:{weights[feature]:.4g}" for feature in followed),
                    RESPONSES[voxels.response[index]],
                    f"{voxels.peak[index]:g}",
                    f"{voxels.width[index]:g}",
                    f"{listener.ceiling[index]:.4f}",
                ]
            )
        columns = {
            "x": "Voxel index, from 0",
            "y": "Voxel index, from 0",
            "z": "Voxel index, from 0",
            "region": "Region of interest",
            "space": "Kind of features that it follows",
            "features": "Features that it follows, with their weights",
            "response": "How features become a response; a conjunction multiplies by another mixture",
            "peak": "Peak of its haemodynamic response in seconds",
            "width": "Width of its haemodynamic response",
            "noise_ceiling": "Correlation of one presentation with what is explainable in it",
        }
        write_table(self._truth / f"{self._subject}_voxels.tsv", columns, rows)

    def write_run(
        self,
        task: str,
        number: int,
        volumes: npt.NDArray[np.int16],
        listener: Listener,
        events: str,
        motion: list[int] | None,
    ) -> None:
        """Write a run: its raw image, the aligned one, the mask, and at last its events.

        Without ``motion`` both images are the same, and one file by two names where the file system can; with it, a
        seed, the head moves in the raw one, and ``volumes`` with it.
        """
        affine = listener.head.affine
        raw = self._run(task, number, "bold.nii")
        prepared = self._derived / "func" / f"{raw.name.removesuffix('_bold.nii')}_space-{SPACE}_desc-preproc_bold.nii"
        _save(prepared, _image(volumes.T, affine))
        if motion is None:
            _link(prepared, raw)
        else:
            parameters = draw_motion(np.random.default_rng(motion), len(volumes))
            move(volumes, parameters, affine)
            _save(raw, _image(volumes.T, affine))
            rows = [[f"{value:.6f}" for value in row] for row in parameters]
            columns = {name: "mm" if name.startswith("trans") else "Radians" for name in PARAMETERS}
            write_table(self._truth / f"{raw.name.removesuffix('_bold.nii')}_motion.tsv", columns, rows)
        _link(self._mask(), prepared.with_name(prepared.name.replace("preproc_bold.nii", "brain_mask.nii.gz")))
        shared = {"RepetitionTime": _TR_S, "TaskName": task}
        write_json(
            raw.with_suffix(".json"),
            {
                "Modality": "MR",
                "MagneticFieldStrength": 3,
                "Manufacturer": "brain2music simulate",
                "EchoTime": 0.03,
                "FlipAngle": 62,
                **shared,
                "SliceTiming": listener.slice_times,
                "PhaseEncodingDirection": "j-",
            },
        )
        write_json(prepared.with_suffix(".json"), {**shared, "SkullStripped": True, "SliceTimingCorrected": False})
        write_text(self._run(task, number, "events.tsv"), events)

    def _run(self, task: str, number: int, suffix: str) -> Path:
        return self._raw / "func" / f"{self._subject}_task-{task}_run-{number:02}_{suffix}"

    def _mask(self) -> Path:
        return self._derived / "anat" / f"{self._subject}_space-{SPACE}_desc-brain_mask.nii.gz"


def _image(values: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> Any:
    nifti: Any = nib.Nifti1Image
    image = nifti(values, affine, dtype=values.dtype)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, code="mni")
    image.set_qform(affine, code="mni")
    if values.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], _TR_S))
    return image


def _save(path: Path, image: Any) -> None:
    with replacing(path) as temporary:
        nib.save(image, temporary)


def _link(source: Path, target: Path) -> None:
    """One file by two names; a copy where the file system has no hard links."""
    with replacing(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
