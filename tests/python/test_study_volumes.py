"""Images that do not say where their voxels lie, or say it twice."""

import gzip

import nibabel as nib
import numpy as np
import pytest

import brain2music as b2m
from brain2music.study import EventRules
from brain2music.study.bold import open_bold
from brain2music.study.volumes import Grid, forms_apart, is_oriented, on_bold, read_volume

AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2, 0, -12], [0, 0, 2, -8], [0, 0, 0, 1]])
MIRRORED = np.diag([-1.0, 1, 1, 1]) @ AFFINE


def set_codes(path, qform=0, sform=0, where=None):
    """Change a header in place: codes, and (for the qform) the place."""
    data = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(data[:348]))
    if where is not None:
        header.set_qform(where, qform)
    header["qform_code"], header["sform_code"] = qform, sform
    data[:348] = header.binaryblock
    path.write_bytes(data)
    return path


@pytest.fixture
def one_run(study_folder):
    """A study of training runs alone, raw, with an atlas and a mask of a corner."""
    study_folder.write_raw()
    labels = study_folder.write_labels(study_folder.root / "atlas.nii")
    mask = np.zeros(study_folder.shape, np.uint8)
    mask[1:4, 1:4, 1:3] = 1
    study_folder.write(study_folder.root / "mask.nii", mask)
    return study_folder, labels, mask


def responses(folder, **options):
    options = {"mask": folder.root / "mask.nii", "rois": folder.root / "atlas.nii"} | options
    rules = EventRules(test_task=None)
    return b2m.Study(folder.root, assume_aligned=True, cache=False, events=rules, **options).responses("001")


@pytest.mark.parametrize(
    ("qform", "sform", "known"), [(0, 0, False), (1, 0, True), (0, 2, True), (4, 4, True), (-1, 0, False)]
)
def test_codes_say_whether_voxels_have_a_place(study_folder, tmp_path, qform, sform, known):
    path = study_folder.write(tmp_path / "a_bold.nii", study_folder.data("Training", 1)[..., :3])
    set_codes(path, qform, sform)
    assert is_oriented(nib.load(path)) is known
    assert open_bold(path).grid.oriented is known


def test_other_formats(tmp_path, rng):
    data = rng.integers(0, 9, (6, 5, 4)).astype(np.int32)
    nib.save(nib.MGHImage(data, AFFINE), tmp_path / "a.mgz")
    assert is_oriented(nib.load(tmp_path / "a.mgz"))
    unknown = nib.MGHImage(data, AFFINE)
    unknown.header["goodRASFlag"] = 0
    assert not is_oriented(unknown)
    nib.save(nib.AnalyzeImage(data.astype(np.int16), np.diag([2.0, 2, 2, 1])), tmp_path / "b.img")
    assert not is_oriented(nib.load(tmp_path / "b.img"))
    nib.save(nib.Spm2AnalyzeImage(data.astype(np.int16), AFFINE), tmp_path / "c.img")
    assert (tmp_path / "c.mat").exists()
    assert is_oriented(nib.load(tmp_path / "c.img"))
    (tmp_path / "c.mat").unlink()
    assert not is_oriented(nib.load(tmp_path / "c.img"))
    nib.save(nib.Nifti1Pair(data, AFFINE), tmp_path / "d.img")
    assert is_oriented(nib.load(tmp_path / "d.img"))
    assert is_oriented(nib.Nifti1Image(data, AFFINE))
    assert not is_oriented(nib.Nifti1Image(data, None))
    assert not read_volume(nib.Nifti1Image(data, None), "mask")[1].oriented


def test_qform_and_sform_that_differ_are_told(study_folder, tmp_path):
    path = study_folder.write(tmp_path / "a_bold.nii", study_folder.data("Training", 1)[..., :3])
    set_codes(path, 1, 2, AFFINE)
    assert forms_apart(nib.load(path)) == 0
    oblique = nib.affines.from_matvec(nib.eulerangles.euler2mat(3.1, 0.1, 0.2) @ AFFINE[:3, :3], AFFINE[:3, 3])
    image = nib.Nifti1Image(np.zeros((96, 96, 68), np.int16), oblique)
    image.set_qform(oblique, 1)  # as a quaternion: other digits
    assert 0 < np.abs(image.get_qform() - image.get_sform()).max() < 1e-3
    assert forms_apart(image) == 0
    set_codes(path, 1, 2, MIRRORED)
    corners = [np.array([x, y, z, 1]) for x in (0, 5) for y in (0, 4) for z in (0, 3)]
    expected = max(np.linalg.norm((MIRRORED - AFFINE) @ corner) for corner in corners)
    assert forms_apart(nib.load(path)) == pytest.approx(expected, abs=1e-4)
    image = open_bold(path)
    assert image.forms_apart == pytest.approx(expected, abs=1e-4)
    np.testing.assert_array_equal(image.grid.affine, AFFINE)  # the sform, as nibabel has it
    set_codes(path, 0, 2)
    assert open_bold(path).forms_apart == 0
    data = bytearray(set_codes(path, 1, 2).read_bytes())
    data[256:268] = np.array([5, 5, 5], np.float32).tobytes()  # no unit quaternion
    path.write_bytes(data)
    assert open_bold(path).forms_apart == np.inf


def test_bold_without_orientation_is_refused(one_run):
    folder, labels, mask = one_run
    right = responses(folder)
    for run in range(1, 13):
        set_codes(folder.bold("Training", run))
    message = rf"BOLD must say where its voxels lie, .*; got both 0 in {folder.bold()} .*assume_same_grid=True"
    with pytest.raises(ValueError, match=message):
        responses(folder)
    told = responses(folder, assume_same_grid=True)
    np.testing.assert_array_equal(told.train, right.train)
    np.testing.assert_array_equal(told.rois.labels, labels[mask != 0])
    np.testing.assert_array_equal(np.asarray(told.mask.dataobj), mask)
    for which, path in (("labels", "atlas.nii"), ("mask", "mask.nii")):
        note = f"The {which} {folder.root / path} lies voxel by voxel on the BOLD's grid, as asked: the BOLD has no "
        assert note + "orientation." in told.notes
    assert (
        "BOLD without orientation taken to lie on the grid of labels and mask, as asked: sub-001 Training run 1, "
        "sub-001 Training run 2, sub-001 Training run 3 and 9 other runs." in told.notes
    )
    assert not is_oriented(told.mask)  # it is as good as what it was made from
    with pytest.raises(ValueError, match="BOLD must say where its voxels lie"):
        responses(folder, mask=told.mask)


def test_one_run_of_many_without_orientation(one_run):
    folder = one_run[0]
    right = responses(folder)
    set_codes(folder.bold("Training", 1))
    with pytest.raises(ValueError, match=f"BOLD must say where its voxels lie.* both 0 in {folder.bold()}"):
        responses(folder)
    told = responses(folder, assume_same_grid=True)
    np.testing.assert_array_equal(told.train, right.train)
    np.testing.assert_array_equal(told.mask.affine, AFFINE)  # of the runs that say it
    # Other voxels are another grid, whatever the codes.
    data = bytearray(folder.bold().read_bytes())
    data[80:84] = np.float32(3).tobytes()
    folder.bold().write_bytes(data)
    with pytest.raises(ValueError, match=r"all runs must have one grid; got .*, without orientation in "):
        responses(folder, assume_same_grid=True)


@pytest.mark.parametrize(("file", "what"), [("atlas.nii", "labels"), ("mask.nii", "mask")])
def test_labels_and_mask_without_orientation(one_run, file, what):
    folder = one_run[0]
    right = responses(folder)
    path = set_codes(folder.root / file)
    with pytest.raises(ValueError, match=rf"{what} and BOLD must .*; got no orientation in {path} .*same_grid"):
        responses(folder)
    told = responses(folder, assume_same_grid=True)
    np.testing.assert_array_equal(told.train, right.train)
    np.testing.assert_array_equal(told.rois.labels, right.rois.labels)
    assert f"The {what} {path} lies voxel by voxel on the BOLD's grid, as asked: it has no orientation." in told.notes


def test_the_same_grid_by_word_whatever_headers_say(one_run):
    folder, labels, mask = one_run
    folder.write(folder.root / "mask.nii", mask, affine=MIRRORED)
    folder.write(folder.root / "atlas.nii", labels, affine=MIRRORED)
    with pytest.raises(ValueError, match="mask must have the grid of the BOLD"):
        responses(folder)
    told = responses(folder, assume_same_grid=True)
    np.testing.assert_array_equal(told.rois.labels, labels[mask != 0])
    assert sum("its header places it elsewhere" in note for note in told.notes) == 2
    folder.write(folder.root / "mask.nii", mask[:5])
    with pytest.raises(ValueError, match=r"mask must have the BOLD's shape .*; got \(5, 5, 4\) in .*mask.nii"):
        responses(folder, assume_same_grid=True)


def test_the_word_changes_nothing_where_headers_agree(one_run):
    right, told = responses(one_run[0]), responses(one_run[0], assume_same_grid=True)
    np.testing.assert_array_equal(told.train, right.train)
    assert told.notes == right.notes


def test_labels_of_mgh_without_orientation(one_run):
    folder, labels, _ = one_run
    path = folder.root / "atlas.mgz"
    nib.save(nib.MGHImage(labels.astype(np.int32), AFFINE), path)
    (folder.root / "atlas.nii").unlink()
    right = responses(folder, rois=path)
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[28:30] = bytes(2)  # goodRASFlag
    path.write_bytes(gzip.compress(data))
    assert nib.load(path).header["goodRASFlag"] == 1  # so the header that nibabel gives cannot be asked
    with pytest.raises(ValueError, match=f"labels and BOLD must say where .* got no orientation in {path}"):
        responses(folder, rois=path)
    told = responses(folder, rois=path, assume_same_grid=True)
    np.testing.assert_array_equal(told.rois.labels, right.rois.labels)


def test_a_flat_affine_is_refused():
    grid, flat = Grid((6, 5, 4), AFFINE), Grid((6, 5, 4), np.diag([2.0, 0, 2, 1]))
    with pytest.raises(ValueError, match=r"the affine of labels must be invertible; got shape .* in a\.nii"):
        on_bold(flat, grid, "labels", "a.nii", False)


def test_differing_forms_are_in_the_notes(one_run):
    folder = one_run[0]
    set_codes(folder.bold("Training", 2), 1, 2, MIRRORED)
    set_codes(folder.root / "mask.nii", 1, 2, MIRRORED)
    notes = "\n".join(responses(folder).notes)
    apart = "place voxels up to 20.0 mm apart: the sform is used, as nibabel does."
    assert f"qform and sform of sub-001 Training run 2 {apart}" in notes
    assert f"qform and sform of mask {folder.root / 'mask.nii'} {apart}" in notes


def test_the_command_line_records_the_options(tmp_path):
    from brain2music.pipeline import Settings

    given = {"study": "s", "mask": "m.nii", "mask_threshold": 0.5, "assume_same_grid": True}
    settings = Settings.of(given)
    assert Settings.of(settings.as_json()) == settings
    assert {name: settings.as_json()[name] for name in given} == given
