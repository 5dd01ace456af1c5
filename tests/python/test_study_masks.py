import re

import nibabel as nib
import numpy as np
import pytest
from nilearn.image import binarize_img
from nilearn.masking import load_mask_img

import brain2music as b2m
from brain2music.study.masks import load_mask
from brain2music.study.volumes import Grid


@pytest.fixture
def grid(study_folder, tmp_path):
    path = study_folder.write(tmp_path / "grid.nii.gz", np.ones(study_folder.shape, np.uint8))
    return Grid(study_folder.shape, nib.load(path).affine)


@pytest.fixture
def inside(rng, study_folder):
    return rng.random(study_folder.shape) < 0.4


@pytest.mark.filterwarnings("ignore:Non-finite values detected")  # nilearn takes NaN for 0 as well
@pytest.mark.parametrize(
    ("value", "outside", "dtype"),
    [
        (1, 0, "u1"),
        (255, 0, "u1"),
        (-1, 0, "i1"),
        (7, 0, "i2"),
        (1, 0, "f4"),
        (0.5, 0, "f8"),
        (1, np.nan, "f4"),
        (1, 0, "?"),
    ],
)
def test_binary_masks_are_nilearns(study_folder, tmp_path, grid, inside, value, outside, dtype):
    data = np.where(inside, value, outside).astype(dtype)
    if dtype == "?":  # NIfTI has no such type, images in memory do
        image = nib.spatialimages.SpatialImage(data, grid.affine)
        expected = inside
    else:
        image = study_folder.write(tmp_path / "mask.nii.gz", data)
        expected = load_mask_img(str(image))[0]
    read, notes = load_mask(image, grid)
    assert read.dtype == bool
    np.testing.assert_array_equal(read, expected)
    assert notes == ([f"{(~inside).sum()} voxels of the mask {image} are NaN: outside."] if outside != 0 else [])


@pytest.mark.filterwarnings("ignore:Non-finite values detected")
def test_some_voxels_nan_some_zero(study_folder, tmp_path, grid, inside):
    data = inside.astype(np.float32)
    data[0] = np.nan
    path = study_folder.write(tmp_path / "mask.nii", data)
    read, notes = load_mask(path, grid)
    np.testing.assert_array_equal(read, load_mask_img(str(path))[0])
    assert notes == [f"20 voxels of the mask {path} are NaN: outside."]


def test_a_full_mask_and_a_single_volume(study_folder, tmp_path, grid):
    path = study_folder.write(tmp_path / "mask.nii.gz", np.ones((*study_folder.shape, 1), np.uint8))
    assert load_mask(path, grid)[0].all()
    assert load_mask(nib.load(path), grid)[0].all()


def test_a_probability_map_needs_a_threshold(study_folder, rng, tmp_path, grid):
    data = rng.random(study_folder.shape).astype(np.float32)
    data[0], data[1, 0, 0], data[1, 1, 1], data[1, 2, 3] = 0, 1e-45, 0.5, 0.25
    path = study_folder.write(tmp_path / "gm.nii.gz", data)
    message = rf"mask must hold 0 and one other value; got \d+ others from .* in {path} .*say mask_threshold=0\.5"
    with pytest.raises(ValueError, match=message):
        load_mask(path, grid)
    with pytest.raises(ValueError, match="not made of 2 values"):  # nilearn says so as well
        load_mask_img(str(path))
    for threshold in (0, 0.25, 0.5, 0.9):
        read, notes = load_mask(path, grid, threshold=threshold)
        np.testing.assert_array_equal(read, data > threshold)
        assert notes == [f"{(data > threshold).sum()} voxels of the mask {path} are above {threshold:g}, as asked."]
    # nilearn keeps the voxels at the threshold too; there are none at 0.3.
    np.testing.assert_array_equal(load_mask(path, grid, threshold=0.3)[0], binarize_img(path, 0.3).get_fdata() != 0)
    with pytest.raises(ValueError, match=f"mask must hold a voxel; got none above 2 in {path}"):
        load_mask(path, grid, threshold=2)
    data[0] = np.nan
    study_folder.write(path, data)
    read, notes = load_mask(path, grid, threshold=0.5)
    np.testing.assert_array_equal(read, np.nan_to_num(data) > 0.5)
    assert notes[0] == f"20 voxels of the mask {path} are NaN: outside."


def test_bad_masks_are_refused(study_folder, tmp_path, grid):
    path = tmp_path / "mask.nii.gz"
    labels = study_folder.write_labels(path)
    none = np.zeros(study_folder.shape)
    for data, message in (
        (labels, r"must hold 0 and one other value; got 30 others from 1 to 30 in .* \(labels\? give them by rois="),
        (np.where(labels > 0, 1.0, 0) - 0.1 * (labels == 3), r"got 2 others from 0\.9 to 1 .*a probability map\?"),
        (none, "mask must hold a voxel; got none in"),
        (none + np.nan, "mask must hold a voxel; got none in"),
        (none + np.inf, "mask and its affine must be finite; got Inf or NaN in"),
        (np.ones((*study_folder.shape, 2)), r"mask must be three-dimensional; got \(6, 5, 4, 2\) in"),
        (none.astype("c8"), "mask must hold real numbers; got complex64 in"),
    ):
        study_folder.write(path, data)
        with pytest.raises(ValueError, match=message) as caught:
            load_mask(path, grid)
        assert str(path) in str(caught.value)
    study_folder.write(path, none + 1)
    shifted = Grid(grid.shape, grid.affine + np.array([[0, 0, 0, 1.0], [0] * 4, [0] * 4, [0] * 4]))
    message = rf"mask must have the grid of the BOLD .*; got shape \(6, 5, 4\), .* in {path}"
    with pytest.raises(ValueError, match=message):
        load_mask(path, shifted)


def test_a_study_takes_the_threshold(study_folder):
    study_folder.write_raw()
    data = np.random.default_rng(0).random(study_folder.shape)
    path = study_folder.write(study_folder.root / "gm.nii", data)
    options = {"mask": path, "assume_aligned": True, "cache": False}
    study = b2m.Study(study_folder.root, mask_threshold=0.5, **options)
    brain = study.responses("001")
    assert brain.train.shape[2] == (data > 0.5).sum()
    assert f"{(data > 0.5).sum()} voxels of the mask {path} are above 0.5, as asked." in brain.notes
    assert study.fingerprint("001") != b2m.Study(study_folder.root, mask_threshold=0.4, **options).fingerprint("001")
    with pytest.raises(ValueError, match=re.escape(f"got 120 others from {data.min():g} to {data.max():g} in {path}")):
        b2m.Study(study_folder.root, **options).responses("001")
    for bad in (True, "0.5", np.nan, np.inf):
        with pytest.raises(ValueError, match=f"mask_threshold must be a finite number; got {bad!r}"):
            b2m.Study(study_folder.root, mask_threshold=bad, **options)
    with pytest.raises(ValueError, match=r"mask_threshold needs mask=, .*; got 0\.5"):
        b2m.Study(study_folder.root, rois="destrieux", mask_threshold=0.5)


def test_brain_masks_of_derivatives_are_masks(study_folder):
    study_folder.write_prepared()
    path = study_folder.prepared("Test", 3, "desc-brain_mask")
    data = np.asarray(nib.load(path).dataobj)
    study_folder.write(path, 0.9 * data + 0.05 * (np.arange(data.size).reshape(data.shape) % 2))
    with pytest.raises(ValueError, match=f"mask must hold 0 and one other value; got 3 others .* in {path}"):
        b2m.Study(study_folder.root, cache=False).responses("001")
    brain = b2m.Study(study_folder.root, mask_threshold=0.5, cache=False).responses("001")
    assert brain.train.shape[2] == 99
