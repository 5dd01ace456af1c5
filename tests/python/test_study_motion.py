import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

import brain2music as b2m
from brain2music.study.motion import Realigner
from brain2music.study.volumes import Grid

SHAPE = (30, 32, 24)
AFFINE = np.array([[-3.0, 0, 0, 45], [0, 3, 0, -48], [0, 0, 3, -36], [0, 0, 0, 1]])


def head(rng):
    """A smooth random head of some contrast, inside a box of nothing."""
    x, y, z = np.indices(SHAPE) - np.array(SHAPE)[:, None, None, None] / 2
    inside = (x / 11) ** 2 + (y / 12) ** 2 + (z / 8) ** 2 < 1
    texture = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 2)
    return ndimage.gaussian_filter(inside * (800 + 300 * texture / texture.std()), 1), inside


def rigid(shift, degrees):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def moved(volume, motion):
    """Resample a volume so that what was at p lies at motion(p), by SciPy."""
    back = np.linalg.inv(AFFINE) @ np.linalg.inv(motion) @ AFFINE
    return ndimage.affine_transform(volume, back[:3, :3], back[:3, 3], order=3, mode="nearest")


@pytest.mark.parametrize(
    ("shift", "degrees"),
    [((0, 0, 0), (0, 0, 0)), ((0.3, -0.2, 0.1), (0.2, 0.1, -0.3)), ((4, -3, 2), (-3, 2, 4)), ((-6, 0, 0), (0, 0, 8))],
)
def test_known_motion_is_found_and_undone(rng, shift, degrees):
    volume, inside = head(rng)
    truth = rigid(shift, degrees)
    noise = 5 * rng.standard_normal((2, *SHAPE))
    realigner = Realigner(volume + noise[0], Grid(SHAPE, AFFINE), inside)
    found = realigner.estimate(1.05 * moved(volume, truth) + noise[1])  # the signal drifts, too
    points = np.column_stack([np.argwhere(inside) @ AFFINE[:3, :3].T + AFFINE[:3, 3], np.ones(inside.sum())])
    error = np.linalg.norm(points @ (found - truth).T, axis=1)
    assert error.max() < 0.05  # millimetres, of voxels of 3
    values = realigner(moved(volume, truth))
    assert np.corrcoef(values, volume[inside])[0, 1] > 0.995
    assert realigner.largest == pytest.approx(np.linalg.norm(points @ (truth - np.eye(4)).T, axis=1).max(), abs=0.05)


def test_what_cannot_be_aligned_is_refused(rng):
    volume, inside = head(rng)
    with pytest.raises(ValueError, match="the reference must vary in space"):
        Realigner(np.ones(SHAPE), Grid(SHAPE, AFFINE), inside)
    with pytest.raises(ValueError, match=r"8 voxels or more along each axis; got \(30, 32, 4\)"):
        Realigner(volume[..., :4], Grid((30, 32, 4), AFFINE), inside[..., :4])
    with pytest.raises(
        ValueError, match=r"a volume must look like the reference once aligned|head motion must be found within"
    ):
        Realigner(volume, Grid(SHAPE, AFFINE), inside).estimate(rng.standard_normal(SHAPE))


def test_a_moving_study(make_study_folder, tmp_path, rng):
    """One clip a run, moving: the realigned signal is that of the still head."""
    folder = make_study_folder(tmp_path / "study")
    for events in (folder.root / "sub-001" / "func").glob("*events.tsv"):
        lines = events.read_text().splitlines()
        keep = (lines[1], lines[-1]) if "Training_run-01" in events.name else (lines[1], lines[2])
        if "Test" in events.name or int(events.name.split("run-")[1][:2]) > 2:
            events.unlink()
            events.with_name(events.name.replace("events.tsv", "bold.json")).unlink()
        else:
            fields = [line.split("\t") for line in keep]
            fields[1][0] = "15"
            events.write_text("\n".join([lines[0], *("\t".join(row) for row in fields)]) + "\n")
    volume, inside = head(rng)
    signal = (
        20
        * rng.standard_normal(20)
        * inside[..., None]
        * ndimage.gaussian_filter(rng.standard_normal(SHAPE), 2)[..., None]
    )
    still = volume[..., None] + 10 * signal
    for run in (1, 2):
        motions = [rigid(0.3 * run * rng.standard_normal(3), 0.3 * run * rng.standard_normal(3)) for _ in range(20)]
        if run == 1:
            motions[0] = np.eye(4)
        data = np.stack([moved(still[..., t], motion) for t, motion in enumerate(motions)], axis=-1)
        folder.write(folder.bold("Training", run), np.rint(data).astype(np.int16), affine=AFFINE)
    mask = folder.write(
        tmp_path / "mask.nii", ndimage.binary_erosion(inside, iterations=2).astype(np.uint8), affine=AFFINE
    )
    rules = b2m.study.EventRules(test_task=None, dummies_repeat=False, repeats=1)
    options = {"mask": mask, "events": rules, "cache": False}
    realigned = b2m.Study(folder.root, motion="rigid", **options).responses("001", delay_scans=0)
    ignored = b2m.Study(folder.root, assume_aligned=True, **options).responses("001", delay_scans=0)
    for run in (1, 2):
        folder.write(folder.bold("Training", run), np.rint(still).astype(np.int16), affine=AFFINE)
    truth = b2m.Study(folder.root, assume_aligned=True, **options).responses("001", delay_scans=0)
    scores = [np.corrcoef(brain.train.ravel(), truth.train.ravel())[0, 1] for brain in (realigned, ignored)]
    assert scores[0] > 0.85
    assert scores[0] > scores[1] + 0.2
    assert any("run 1 moved by at most" in note for note in realigned.notes)
    with pytest.raises(ValueError, match="motion must be None or 'rigid'; got 'affine'"):
        b2m.Study(folder.root, motion="affine")
