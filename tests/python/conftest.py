import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

import brain2music._core as core


@pytest.fixture(
    params=[
        "cpu",
        pytest.param("cuda", marks=pytest.mark.cuda),
    ]
)
def device(request):
    """Devices that the device-independent test bodies run on."""
    if request.param == "cuda":
        if not core.cuda_architectures():
            pytest.skip("this build has no CUDA kernels")
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device here")
    return torch.device(request.param)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def one_thread():
    """For thousands of small problems, where threads would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


#: The real events and sidecars of ds003720.
DS003720 = Path(__file__).parents[1] / "data" / "ds003720"

AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2, 0, -12], [0, 0, 2, -8], [0, 0, 0, 1]])


class StudyFolder:
    """A BIDS folder with the real events of ds003720 and small random images."""

    shape = (6, 5, 4)

    def __init__(self, root, subjects=("001",)):
        self.root = root
        root.mkdir()
        for name in ("dataset_description.json", *(f"sub-{subject}" for subject in subjects)):
            source = DS003720 / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, root / name)

    def events(self, task="Training", run=1, subject="001"):
        return self.root / f"sub-{subject}/func/sub-{subject}_task-{task}_run-{run:02}_events.tsv"

    def bold(self, task="Training", run=1, subject="001"):
        return self.events(task, run, subject).with_name(f"sub-{subject}_task-{task}_run-{run:02}_bold.nii")

    def forget(self, task, run, subject="001"):
        """Take a run's events and sidecar away, the image too if there is one."""
        self.events(task, run, subject).unlink()
        self.bold(task, run, subject).with_suffix(".json").unlink()
        self.bold(task, run, subject).unlink(missing_ok=True)

    def edit(self, path, old, new, count=1):
        text = path.read_bytes()
        assert old.encode() in text
        path.write_bytes(text.replace(old.encode(), new.encode(), count))

    def data(self, task, run):
        """Random int16 data of shape (x, y, z, 410), the same for the same run."""
        rng = np.random.default_rng([ord(task[1]), run])
        drift = np.linspace(0, 200, 410) * rng.standard_normal((*self.shape, 1))
        return (1000 + drift + 50 * rng.standard_normal((*self.shape, 410))).astype(np.int16)

    def write(self, path, data, tr=1.5, affine=AFFINE, units="sec", slope=None, inter=0.0, dtype=None, endian="<"):
        path.parent.mkdir(parents=True, exist_ok=True)
        header = nib.Nifti1Header(endianness=endian)
        header.set_data_dtype(dtype or data.dtype)
        header.set_xyzt_units("mm", units)
        image = nib.Nifti1Image(data, affine, header)
        if data.ndim == 4:
            image.header.set_zooms((2, 2, 2, tr))
        if slope is None:
            nib.save(image, path)
        else:  # nibabel would choose its own scaling
            image.header.set_slope_inter(slope, inter)
            image.header["vox_offset"] = 352
            stored = data.astype(image.header.get_data_dtype()).tobytes(order="F")
            path.write_bytes(image.header.binaryblock + bytes(4) + stored)
        return path

    def runs(self):
        return [("Training", run) for run in range(1, 13)] + [("Test", run) for run in range(1, 7)]

    def write_raw(self):
        for task, run in self.runs():
            self.write(self.bold(task, run), self.data(task, run))

    def prepared(self, task="Training", run=1, kind="desc-preproc_bold", space="space-T1w_"):
        name = f"sub-001_task-{task}_run-{run:02}_{space}{kind}.nii.gz"
        return self.root / "derivatives" / "fmriprep" / "sub-001" / "func" / name

    def write_prepared(self, space="space-T1w_"):
        mask = np.ones(self.shape, np.uint8)
        mask[0] = 0
        for task, run in self.runs():
            self.write(self.prepared(task, run, space=space), self.data(task, run).astype(np.float32))
            own = mask.copy()
            own[1, 1, 1] = run != 2
            self.write(self.prepared(task, run, "desc-brain_mask", space), own)

    def write_labels(self, path, n=30, names=True):
        labels = np.zeros(self.shape, np.int16)
        labels[1:].flat[:] = np.arange(labels[1:].size) % (n + 1)
        self.write(path, labels)
        if names:
            rows = [f"{label}\tregion {label}" for label in range(n + 1)]
            tsv = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".tsv")
            tsv.write_text("index\tname\n" + "\n".join(rows) + "\n")
        return labels


@pytest.fixture
def ds003720():
    """Folder with the real events and sidecars of ds003720, to be read only."""
    return DS003720


@pytest.fixture(scope="session")
def make_study_folder():
    return StudyFolder


@pytest.fixture
def study_folder(tmp_path):
    return StudyFolder(tmp_path / "study")


#: A small study: two subjects, two training and two test runs, large voxels.
SIMULATED = {"subjects": 2, "runs": (2, 2), "voxel_size": 5.0, "corpus": 3}


@pytest.fixture(scope="session")
def simulated_settings():
    return SIMULATED


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """A simulated study, made once; tests may add to it and take away what they can put back."""
    from brain2music.simulation import simulate

    return simulate(tmp_path_factory.mktemp("simulated") / "study", **SIMULATED, progress=False)
