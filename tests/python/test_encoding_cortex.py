"""Numbers on the average cortex: as nilearn projects them, and never from outside of the mask or another space."""

import nibabel as nib
import numpy as np
import pytest
from nilearn import datasets, surface

from brain2music.encoding import on_template, to_fsaverage5
from brain2music.study import Surface

AFFINE = np.array([[4.0, 0, 0, -82], [0, 4, 0, -116], [0, 0, 4, -74], [0, 0, 0, 1]])
SHAPE = (41, 50, 41)
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def in_mni(inside, code=4):
    mask = nib.Nifti1Image(inside.astype(np.uint8), AFFINE)
    mask.header["sform_code"] = code
    return mask


@pytest.fixture(scope="module")
def whole():
    """Every voxel of a box around the brain, and a number for each."""
    return in_mni(np.ones(SHAPE)), np.random.default_rng(0).standard_normal(np.prod(SHAPE))


def test_vertices_take_what_nilearn_gives_them(whole):
    mask, values = whole
    volume = nib.Nifti1Image(values.reshape(SHAPE), AFFINE)
    meshes = datasets.load_fsaverage("fsaverage5")
    for side, own in zip(("left", "right"), to_fsaverage5(values, mask), strict=True):
        expected = [
            surface.vol_to_surf(
                volume,
                meshes["pial"].parts[side],
                inner_mesh=meshes["white_matter"].parts[side],
                kind="depth",
                depth=[depth],
                interpolation="nearest_most_frequent",
            )
            for depth in DEPTHS
        ]
        np.testing.assert_allclose(own, np.mean(expected, axis=0), atol=1e-6)
        assert own.shape == (10242,)


def test_labels_are_those_halfway_through_the_cortex(whole):
    mask, _ = whole
    labels = np.random.default_rng(1).integers(1, 30, np.prod(SHAPE))
    for own in to_fsaverage5(labels, mask, discrete=True):
        assert set(np.unique(own)) <= set(range(1, 30))


def test_no_voxel_outside_of_the_mask_and_none_without_a_value_takes_part(whole):
    _, values = whole
    inside = np.random.default_rng(2).random(SHAPE) < 0.6
    kept = values.reshape(SHAPE)[inside]
    kept[::7] = np.nan
    everywhere = np.where(inside, 0.0, 1e9)
    everywhere[inside] = np.nan_to_num(kept, nan=1e9)
    flag = in_mni(np.ones(SHAPE))
    spoiled = np.concatenate(to_fsaverage5((everywhere > 1e8).ravel().astype(float), flag))
    found = np.concatenate(to_fsaverage5(kept, in_mni(inside)))
    np.testing.assert_array_equal(np.isnan(found), spoiled >= 0.5 - 1e-6)  # three samples of five must be there
    assert np.nanmax(np.abs(found)) < 10


def test_a_constant_stays_what_it_is(whole):
    inside = np.random.default_rng(3).random(SHAPE) < 0.8
    found = np.concatenate(to_fsaverage5(np.full(inside.sum(), 0.3), in_mni(inside)))
    np.testing.assert_allclose(found[np.isfinite(found)], 0.3, rtol=1e-6)
    assert np.isfinite(found).mean() > 0.75


def test_finer_meshes_begin_with_the_vertices_of_coarser_ones():
    for space, count in (("fsaverage5", 10242), ("fsaverage6", 40962), ("fsaverage", 163842)):
        values = np.arange(2 * count)
        left, right = to_fsaverage5(values, Surface(space, count, count))
        np.testing.assert_array_equal(left, np.arange(10242))
        np.testing.assert_array_equal(right, count + np.arange(10242))


def test_nothing_goes_to_the_template_from_another_space(tmp_path):
    own = in_mni(np.ones(SHAPE), code=1)
    assert not on_template(own)
    assert not on_template(Surface("fsnative", 10242, 10242))
    with pytest.raises(ValueError, match="must lie in MNI 152 or on fsaverage"):
        to_fsaverage5(np.ones(np.prod(SHAPE)), own)
    with pytest.raises(ValueError, match="fsnative"):
        to_fsaverage5(np.ones(20484), Surface("fsnative", 10242, 10242))
    nib.save(in_mni(np.ones(SHAPE)), tmp_path / "mask.nii.gz")
    assert on_template(tmp_path / "mask.nii.gz")
    with pytest.raises(ValueError, match=r"a number for each of 84050 voxels of the mask; got shape \(3,\)"):
        to_fsaverage5(np.ones(3), tmp_path / "mask.nii.gz")
    with pytest.raises(ValueError, match=r"each vertex of fsaverage5 .*; got shape \(3,\)"):
        to_fsaverage5(np.ones(3), Surface("fsaverage5", 10242, 10242))


def test_the_form_that_gives_the_affine_says_the_space():
    mask = in_mni(np.ones(SHAPE), code=1)
    mask.header["qform_code"] = 4  # of another affine: nibabel takes the sform's
    assert not on_template(mask)
    mask.header["sform_code"] = 0
    assert on_template(mask)
    assert not on_template(Surface("fsaverage5", 5, 5))
    with pytest.raises(ValueError, match="where must be a mask, its path or a Surface; got NoneType"):
        on_template(None)
