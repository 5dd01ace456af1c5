import gzip
import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.image import resample_to_img

from brain2music.study.bold import Grid
from brain2music.study.regions import DESTRIEUX, label_names, load_labels

GRID = Grid((9, 8, 7), np.array([[2.0, 0, 0, -8], [0, 2, 0, -7], [0, 0, 2, -6], [0, 0, 0, 1]]))


def test_destrieux_names():
    names = label_names(DESTRIEUX.with_name("aparc.a2009s+aseg.mgz"))
    table = pd.read_csv(DESTRIEUX, sep="\t")
    assert list(table.index) == list(range(150))
    assert names == dict(zip(table["index"], table["name"], strict=True))
    assert sorted(names) == [*range(11101, 11176), *range(12101, 12176)]
    assert names[11133] == "ctx_lh_G_temp_sup-G_T_transv"  # Heschl's gyrus
    assert names[12175] == "ctx_rh_S_temporal_transverse"
    for index in range(11101, 11176):
        assert names[index].replace("_lh_", "_rh_") == names[index + 1000]


def freesurfer_volume(rng, path):
    """A little aparc.a2009s+aseg: other grid, other voxel size, axes turned as FreeSurfer turns them."""
    codes = np.array([0, 2, 41, 4, 1001, 11101, 11175, 11133, 12101, 12150, 11100], np.int32)
    labels = rng.choice(codes, (20, 22, 24))
    affine = np.array([[-1.0, 0, 0, 9.3], [0, 0, 1, -11.2], [0, -1, 0, 10.4], [0, 0, 0, 1]])
    nib.save(nib.MGHImage(labels, affine), path)
    return labels, affine


@pytest.mark.parametrize("oblique", [False, True])
def test_freesurfer_labels_are_resampled_as_nilearn_does(rng, tmp_path, oblique):
    path = tmp_path / "aparc.a2009s+aseg.mgz"
    labels, affine = freesurfer_volume(rng, path)
    target = GRID
    if oblique:
        turn = nib.eulerangles.euler2mat(0.2, -0.1, 0.3)
        target = Grid(GRID.shape, GRID.affine @ nib.affines.from_matvec(turn, [0.11, 0.07, -0.05]))
    names = label_names(path)
    result, notes = load_labels(path, names, target)
    assert notes == []
    cortical = np.where(np.isin(labels, list(names)), labels, 0).astype(np.int32)
    expected = resample_to_img(
        nib.Nifti1Image(cortical, affine),
        nib.Nifti1Image(np.zeros(target.shape, np.int16), target.affine),
        interpolation="nearest",
        force_resample=True,
        copy_header=True,
    )
    # SciPy ends an image at the centres of its outer voxels, half a voxel early: compare inside.
    voxels = np.indices(target.shape).reshape(3, -1).T
    source = nib.affines.apply_affine(np.linalg.inv(affine) @ target.affine, voxels).reshape(*target.shape, 3)
    inside = np.all((source >= 0) & (source <= np.array(labels.shape) - 1), axis=-1)
    assert inside.mean() > 0.8
    np.testing.assert_array_equal(result[inside], np.asarray(expected.dataobj)[inside])
    assert set(np.unique(result)) <= {0, 11101, 11175, 11133, 12101, 12150}
    assert len(np.unique(result)) == 6


def test_a_labelled_image_with_its_table(study_folder, tmp_path):
    path = tmp_path / "sub-001_atlas.nii.gz"
    labels = study_folder.write_labels(path)
    grid = Grid(labels.shape, nib.load(path).affine)
    names = label_names(path)
    assert names == {label: f"region {label}" for label in range(1, 31)}
    np.testing.assert_array_equal(load_labels(path, names, grid)[0], labels)
    other = tmp_path / "names.tsv"
    path.with_name("sub-001_atlas.tsv").rename(other)
    assert label_names(path, other) == names


def test_names_are_inherited_as_bids_has_it(study_folder):
    root = study_folder.root / "derivatives" / "atlas"
    path = root / "sub-001" / "anat" / "sub-001_space-T1w_seg-mine_dseg.nii.gz"
    study_folder.write_labels(path, names=False)
    table = root / "seg-mine_dseg.tsv"
    table.write_text("index\tname\n" + "".join(f"{i}\tr{i}\n" for i in range(1, 31)))
    (root / "seg-other_dseg.tsv").write_text("index\tname\n")
    assert label_names(path, root=root)[30] == "r30"


def test_tissue_classes_are_no_regions(study_folder, tmp_path):
    path = tmp_path / "sub-001_dseg.nii.gz"
    study_folder.write_labels(path, n=3, names=False)
    with pytest.raises(ValueError, match=f"labels must have names, .*; got none beside {path} .*tissue classes"):
        label_names(path)
    table = path.with_name("sub-001_dseg.tsv")
    table.write_text("index\tname\n1\tGM\n2\tWM\n3\tCSF\n")
    message = rf"at least 20 labels; got 3 \(GM, WM, CSF \.\.\.\) in {table}: tissue classes are no regions"
    with pytest.raises(ValueError, match=message):
        label_names(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x\tV1", r"index must be a whole number .*; got 'x', 'V1' in row 2 of {}"),
        ("1\tV1", r"index must be a whole number of its own .*; got '1', 'V1' in row 2 of {}"),
        ("2\t", r"name must not be empty; got '2', '' in row 2 of {}"),
        ("2", r"a row must have 2 fields, as the header; got 1 in row 2 of {}"),
    ],
)
def test_bad_tables_are_refused(tmp_path, row, message):
    table = tmp_path / "a.tsv"
    table.write_text(f"index\tname\n1\tone\n{row}\n")
    with pytest.raises(ValueError, match=message.format(re.escape(str(table)))):
        label_names(tmp_path / "a.nii", table)


def test_bad_labels_are_refused(study_folder, tmp_path):
    path = tmp_path / "a.nii"
    labels = study_folder.write_labels(path)
    names, grid = label_names(path), Grid(labels.shape, nib.load(path).affine)
    for data, message in (
        (labels + 0.5, f"labels must be whole numbers from 0; got 0.5 and 119 others of float64 in {path} .*nearest"),
        (labels - 1, f"labels must be whole numbers from 0; got -1 to 29 in {path}"),
        (
            np.where(labels == 3, 77, labels).astype(np.int16),
            rf"every label must have a name; got none for \[77\] of {path}",
        ),
        (np.where(labels == 3, np.inf, labels), f"labels and its affine must be finite; got Inf or NaN in {path}"),
        (
            np.stack([labels, labels], axis=-1),
            rf"labels must be three-dimensional; got \(6, 5, 4, 2\) in {path} \(of a probabilistic atlas, make one",
        ),
        (0 * labels, f"labels must lie where the BOLD is; got none of 30 regions of {path}"),
    ):
        study_folder.write(path, data)
        with pytest.raises(ValueError, match=message):
            load_labels(path, names, grid)
    study_folder.write(path, labels)
    away = Grid(grid.shape, grid.affine + np.array([[0, 0, 0, 500.0], [0] * 4, [0] * 4, [0] * 4]))
    with pytest.raises(ValueError, match="labels must lie where the BOLD is"):
        load_labels(path, names, away)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(ValueError, match=f"labels must be an image that nibabel reads; got .* in {path}"):
        load_labels(path, names, grid)
    zipped = tmp_path / "a.nii.gz"
    zipped.write_bytes(gzip.compress(whole)[:-30])
    with pytest.raises(ValueError, match=f"labels must be an image that nibabel reads; got .* in {zipped}"):
        load_labels(zipped, names, grid)


def test_nan_is_in_no_region(study_folder, tmp_path):
    """SPM writes NaN outside; nilearn's maskers take it for 0."""
    path = tmp_path / "a.nii"
    labels = study_folder.write_labels(path)
    names, grid = label_names(path), Grid(labels.shape, nib.load(path).affine)
    study_folder.write(path, np.where(labels == 0, np.nan, labels))
    read, notes = load_labels(path, names, grid)
    np.testing.assert_array_equal(read, labels)
    assert notes == [f"{(labels == 0).sum()} voxels of the labels {path} are NaN: in no region."]
