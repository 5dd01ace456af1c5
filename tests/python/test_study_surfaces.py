"""Surfaces: fMRIPrep's GIFTI files are read as volumes of the same numbers are; whatever does not fit is refused."""

import nibabel as nib
import numpy as np
import pytest
from small_study import RULES, TR, VOLUMES, SmallStudy

import brain2music as b2m
from brain2music.study.surfaces import open_surfaces

LEFT, RIGHT = 642, 642  # of fsaverage3, the smallest
SIDES = {"L": "CortexLeft", "R": "CortexRight"}
RUN = "sub-01_task-Training_run-{}"


def gifti(path, data, tr=TR, packed=False):
    """Write (scans, vertices) as fMRIPrep does: an array a scan, the TR in milliseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = nib.gifti.GiftiMetaData({"TimeStep": f"{tr * 1000:g}"} if tr else {})
    parts = [np.ascontiguousarray(data.T)] if packed else data
    arrays = [nib.gifti.GiftiDataArray(part, intent="NIFTI_INTENT_TIME_SERIES", meta=meta) for part in parts]
    nib.save(nib.GiftiImage(darrays=arrays, meta=meta), path)
    return path


class Surfaces(SmallStudy):
    """Two runs of BOLD on fsaverage3, in one space or more."""

    def values(self, first, vertices=LEFT + RIGHT):
        return (1000 + 50 * np.random.default_rng(first).standard_normal((VOLUMES, vertices))).astype(np.float32)

    def hemispheres(self, name, first, space="fsaverage3", **options):
        data = self.values(first)
        func = self.func(name, "fmriprep")
        return [
            gifti(func / f"{name}_hemi-{side}_space-{space}_bold.func.gii", part, **options)
            for side, part in (("L", data[:, :LEFT]), ("R", data[:, LEFT:]))
        ]

    def run(self, name, first, **options):
        self.events(name, first)
        return self.hemispheres(name, first, **options)

    def brain(self, **options):
        options = {"mask": None, "assume_aligned": False, "space": "fsaverage3"} | options
        return self.responses(**options)


@pytest.fixture
def surfaces(tmp_path):
    study = Surfaces(tmp_path)
    for run in (1, 2):
        study.run(RUN.format(run), 10 * run)
    return study


def as_volume(study, run):
    """Write the same numbers as a volume of one column."""
    name = RUN.format(run)
    data = study.values(10 * run).T[:, None, None].astype(np.float32)
    return study.image(study.func(name, "fmriprep") / f"{name}_space-T1w_desc-preproc_bold.nii.gz", data)


@pytest.mark.parametrize("packed", [False, True])
def test_responses_are_those_of_a_volume_with_the_same_numbers(tmp_path, packed):
    study = Surfaces(tmp_path)
    for run in (1, 2):
        study.run(RUN.format(run), 10 * run, packed=packed)
        as_volume(study, run)
    brain = study.brain()
    mask = nib.Nifti1Image(np.ones((LEFT + RIGHT, 1, 1), np.uint8), np.diag([-3.0, 3, 3, 1]))
    volume = study.brain(space="T1w", mask=mask)
    np.testing.assert_array_equal(brain.train, volume.train)
    assert brain.mask is None
    assert (brain.surface.space, brain.surface.left, brain.surface.right) == ("fsaverage3", LEFT, RIGHT)
    assert volume.surface is None
    assert brain.tr == TR
    assert "fMRIPrep's BOLD in space fsaverage3." in brain.notes


def test_volumes_come_first_and_surfaces_alone_need_no_space(surfaces):
    assert surfaces.brain(space=None).surface.space == "fsaverage3"
    for run in (1, 2):
        as_volume(surfaces, run)
    mask = nib.Nifti1Image(np.ones((LEFT + RIGHT, 1, 1), np.uint8), np.diag([-3.0, 3, 3, 1]))
    assert surfaces.brain(space=None, mask=mask).surface is None


def test_both_hemispheres_are_files_that_are_used(surfaces):
    study = surfaces.study(mask=None, assume_aligned=False, space="fsaverage3")
    assert study.runs.used.all()
    assert study.runs.scans.tolist() == [VOLUMES, VOLUMES]
    assert not any("hemi" in path for path in study.unused_files.path)


def test_a_vertex_that_is_nan_throughout_is_zero_and_told(surfaces):
    data = surfaces.values(10)
    data[:, 5:9] = np.nan
    func = surfaces.func(RUN.format(1), "fmriprep")
    gifti(func / f"{RUN.format(1)}_hemi-L_space-fsaverage3_bold.func.gii", data[:, :LEFT])
    brain = surfaces.brain()
    assert not np.nan_to_num(brain.train[brain.train_clips.run == 1][..., 5:9]).any()
    assert np.nan_to_num(brain.train[brain.train_clips.run == 2][..., 5:9]).any()
    assert any("4 vertices of sub-01_task-Training_run-1_hemi-L" in note for note in brain.notes)


def test_a_vertex_that_is_nan_now_and_then_is_refused(surfaces):
    data = surfaces.values(10)
    data[7, LEFT + 3] = np.nan
    func = surfaces.func(RUN.format(1), "fmriprep")
    gifti(func / f"{RUN.format(1)}_hemi-R_space-fsaverage3_bold.func.gii", data[:, LEFT:])
    with pytest.raises(ValueError, match=r"finite, or NaN throughout; got nan at vertex 3, scan 7 of .*hemi-R"):
        surfaces.brain()


def test_a_hemisphere_alone_is_refused(surfaces):
    next(surfaces.func(RUN.format(2), "fmriprep").glob("*run-2_hemi-R*")).unlink()
    with pytest.raises(FileNotFoundError, match=r"run 2, space 'fsaverage3', hemisphere R; got none"):
        surfaces.brain()


def test_hemispheres_of_other_length_mesh_or_tr_are_refused(surfaces, tmp_path):
    data = surfaces.values(10)
    left = gifti(tmp_path / "left.func.gii", data[:, :LEFT])
    shorter = gifti(tmp_path / "shorter.func.gii", data[:-1, LEFT:])
    with pytest.raises(ValueError, match=r"the same scans; got 40 in .*left.* and 39 in .*shorter"):
        open_surfaces(left, shorter, "fsaverage3")
    coarse = gifti(tmp_path / "coarse.func.gii", data[:, :162])
    with pytest.raises(ValueError, match=r"fsaverage3 must have 642 vertices; got 162 in .*coarse"):
        open_surfaces(left, coarse, "fsaverage3")
    slower = gifti(tmp_path / "slower.func.gii", data[:, LEFT:], tr=2.0)
    with pytest.raises(ValueError, match=r"TimeStep 1.5 and 2.0"):
        open_surfaces(left, slower, "fsaverage3")
    silent = gifti(tmp_path / "silent.func.gii", data[:, LEFT:], tr=None)
    assert open_surfaces(silent, silent, "fsaverage3").tr is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<GIFTI/>", "says NumberOfDataArrays"),
        ("no markup", "must be a GIFTI file; got"),
        ('<GIFTI NumberOfDataArrays="2"><DataArray Dimensionality="1"', "must be a GIFTI file"),
        ('<GIFTI NumberOfDataArrays="x"><DataArray Dimensionality="1" Dim0="4"/></GIFTI>', "got .*'x'"),
        (
            '<GIFTI NumberOfDataArrays="2"><DataArray Dimensionality="2" Dim0="4" Dim1="3"/></GIFTI>',
            r"got 2 arrays, the first of shape \(4, 3\)",
        ),
    ],
)
def test_a_file_that_is_no_run_is_refused(tmp_path, text, problem):
    path = tmp_path / "left.func.gii"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem):
        open_surfaces(path, path, "fsaverage3")


def test_a_file_cut_short_is_refused(surfaces):
    path = next(surfaces.func(RUN.format(1), "fmriprep").glob("*run-1_hemi-L*"))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ValueError, match=r"a run must be a whole GIFTI file; got .* in .*hemi-L"):
        surfaces.brain()


def annotation(path, names, vertices=LEFT):
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.arange(vertices) % (len(names) + 1) - 1  # -1: no label
    colours = np.array([[10 * i + 1, 2, 3, 0, 0] for i in range(len(names))])
    nib.freesurfer.write_annot(path, labels.astype(np.int32), colours, names, fill_ctab=True)
    return labels


def test_regions_are_those_of_freesurfers_average_subject(surfaces):
    folder = surfaces.root / "derivatives" / "fmriprep" / "sourcedata" / "freesurfer" / "fsaverage3" / "label"
    names = ["Unknown", "G_temp_sup-G_T_transv", "S_central"]
    written = {side: annotation(folder / f"{side}.aparc.a2009s.annot", names) for side in ("lh", "rh")}
    rois = surfaces.brain(rois="destrieux").rois
    assert rois.names == {
        1: "ctx_lh_G_temp_sup-G_T_transv",
        2: "ctx_lh_S_central",
        3: "ctx_rh_G_temp_sup-G_T_transv",
        4: "ctx_rh_S_central",
    }
    expected = np.concatenate(
        [np.where(written["lh"] > 0, written["lh"], 0), np.where(written["rh"] > 0, written["rh"] + 2, 0)]
    )
    np.testing.assert_array_equal(rois.labels, expected)
    given = surfaces.brain(rois=(folder / "lh.aparc.a2009s.annot", folder / "rh.aparc.a2009s.annot")).rois
    np.testing.assert_array_equal(given.labels, rois.labels)


def test_regions_and_masks_that_are_no_vertices_are_refused(surfaces, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"fsaverage3/label/lh\.aparc\.a2009s\.annot"):
        surfaces.brain(rois="destrieux")
    with pytest.raises(ValueError, match="mask is for volumes: every vertex of a surface is kept"):
        surfaces.brain(mask=surfaces.root / "mask.nii")
    with pytest.raises(ValueError, match="rois of a surface must be 'destrieux' or two files"):
        surfaces.brain(rois=surfaces.root / "mask.nii")
    for side in ("lh", "rh"):
        annotation(tmp_path / f"{side}.annot", ["a", "b"], 162)
    with pytest.raises(ValueError, match=r"hemisphere lh; got \(162,\) vertices in .*lh.annot"):
        surfaces.brain(rois=(tmp_path / "lh.annot", tmp_path / "rh.annot"))


def test_maps_go_back_to_surfaces(surfaces):
    brain = surfaces.brain()
    left, right = b2m.encoding.to_gifti(brain.train[0, 0], brain.surface.left)
    np.testing.assert_array_equal(np.concatenate([left.darrays[0].data, right.darrays[0].data]), brain.train[0, 0])
    assert RULES.test_task is None


# ---- what is easily taken for something else ------------------------------------------------------------------


def test_arrays_that_are_no_scans_are_refused(surfaces):
    path = next(surfaces.func(RUN.format(1), "fmriprep").glob("*run-1_hemi-L*"))
    image = nib.load(path)
    indices = nib.gifti.GiftiDataArray(np.arange(LEFT, dtype=np.int32), intent="NIFTI_INTENT_NODE_INDEX")
    nib.save(nib.GiftiImage(darrays=[indices, *image.darrays[1:]], meta=image.meta), path)
    with pytest.raises(
        ValueError, match=r"every array of a run must be a scan; got NIFTI_INTENT_NODE_INDEX in .*hemi-L"
    ):
        surfaces.brain()


def test_a_file_of_the_other_hemisphere_is_refused(surfaces):
    path = next(surfaces.func(RUN.format(1), "fmriprep").glob("*run-1_hemi-L*"))
    image = nib.load(path)
    meta = nib.gifti.GiftiMetaData({**image.meta, "AnatomicalStructurePrimary": "CortexRight"})
    nib.save(nib.GiftiImage(darrays=image.darrays, meta=meta), path)
    with pytest.raises(ValueError, match=r"of the hemisphere that its name says, left; got CortexRight in .*hemi-L"):
        surfaces.brain()


@pytest.mark.parametrize("tr", [0.0015, -1.5, float("nan"), float("inf"), 100])
def test_a_time_step_that_is_not_milliseconds_is_named(surfaces, tmp_path, tr):
    left = gifti(tmp_path / "left.func.gii", surfaces.values(10)[:, :LEFT], tr=tr)
    with pytest.raises(ValueError, match=r"TimeStep must be milliseconds .*; got .* in .*left"):
        open_surfaces(left, left, "fsaverage3")


def test_both_hemispheres_have_a_say_in_timing(surfaces):
    func = surfaces.func(RUN.format(1), "fmriprep")
    for side, start in (("L", 0), ("R", 0.75)):
        (func / f"{RUN.format(1)}_hemi-{side}_space-fsaverage3_bold.json").write_text(f'{{"StartTime": {start}}}')
    with pytest.raises(ValueError, match=r"one StartTime; got 0 in .*hemi-L.*json and 0\.75 in .*hemi-R.*json"):
        surfaces.brain()
    (func / f"{RUN.format(1)}_hemi-R_space-fsaverage3_bold.json").write_text('{"StartTime": 0, "Other": 1}')
    study = surfaces.study(mask=None, assume_aligned=False, space="fsaverage3")
    assert study.runs.used.all()
    assert not any(path.endswith("bold.json") for path in study.unused_files.path)


def test_raw_volumes_come_before_surfaces(surfaces):
    for run in (1, 2):
        surfaces.bold(RUN.format(run), run)
    brain = surfaces.responses()
    assert brain.surface is None
    assert brain.train.shape[2] == 40
    assert surfaces.brain().surface is not None


def test_surfaces_without_a_space_are_listed_and_not_read(surfaces):
    func = surfaces.func(RUN.format(1), "fmriprep")
    for side in "LR":
        gifti(func / f"{RUN.format(1)}_hemi-{side}_bold.func.gii", surfaces.values(10)[:, :LEFT])
    study = surfaces.study(mask=None, assume_aligned=False)
    assert study.runs.used.all()
    assert study.unused_files.path.str.contains("run-1_hemi-[LR]_bold.func.gii").sum() == 2


def test_fsaverage_at_a_density_is_the_coarser_mesh(tmp_path):
    study = Surfaces(tmp_path)
    study.events(RUN.format(1), 10)
    data = np.random.default_rng(0).standard_normal((VOLUMES, 10242)).astype(np.float32)
    func = study.func(RUN.format(1), "fmriprep")
    for side in "LR":
        gifti(func / f"{RUN.format(1)}_hemi-{side}_space-fsaverage_den-10k_bold.func.gii", data)
    assert study.brain(space="fsaverage").surface.space == "fsaverage5"
    assert study.brain(space="fsaverage:den-10k").train.shape[2] == 20484


def label_gii(path, values, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = nib.gifti.GiftiLabelTable()
    for key, name in table.items():
        labels.labels.append(nib.gifti.GiftiLabel(key, 1, 0, 0, 1))
        labels.labels[-1].label = name
    array = nib.gifti.GiftiDataArray(values, intent="NIFTI_INTENT_LABEL")
    nib.save(nib.GiftiImage(darrays=[array], labeltable=labels), path)
    return path


def test_labels_of_gifti_are_read_and_what_is_lost_in_them_is_refused(surfaces, tmp_path):
    values = (np.arange(LEFT) % 3).astype(np.int32)
    table = {0: "in no region", 1: "a", 2: "FreeSurfer_Defined_Medial_Wall"}
    files = [label_gii(tmp_path / f"{side}.label.gii", values, table) for side in ("left", "right")]
    rois = surfaces.brain(rois=files).rois
    assert rois.names == {1: "ctx_lh_a", 2: "ctx_rh_a"}
    assert (rois.labels[:LEFT] == (values == 1)).all()
    label_gii(files[1], values, {0: "x", 1: "a"})
    with pytest.raises(ValueError, match=r"every label must have a name; got none for \[2\] of .*right"):
        surfaces.brain(rois=files)
    label_gii(files[1], (values + 0.3).astype(np.float32), table)
    with pytest.raises(ValueError, match=r"labels that are no whole numbers' in .*right"):
        surfaces.brain(rois=files)
    with pytest.raises(ValueError, match="rois of a surface must be two files, left and right; got 3"):
        surfaces.brain(rois=[*files, files[0]])
    for side in ("lh", "rh"):
        annotation(tmp_path / f"{side}.some.annot", ["a", "b"])
    with pytest.raises(ValueError, match=r"of the left hemisphere and of the right; got .*rh\.some.* and .*lh\.some"):
        surfaces.brain(rois=(tmp_path / "rh.some.annot", tmp_path / "lh.some.annot"))


def test_our_own_maps_of_labels_come_back_as_they_were(surfaces, tmp_path):
    from brain2music.pipeline.maps import save_labels

    folder = surfaces.root / "derivatives" / "fmriprep" / "sourcedata" / "freesurfer" / "fsaverage3" / "label"
    for side in ("lh", "rh"):
        annotation(folder / f"{side}.aparc.a2009s.annot", ["Unknown", "G_temp_sup-G_T_transv", "S_central"])
    brain = surfaces.brain(rois="destrieux")
    save_labels(brain.rois.labels, brain.rois.names, brain, tmp_path)
    again = surfaces.brain(rois=[tmp_path / f"labels_hemi-{side}.label.gii" for side in "LR"]).rois
    names = {brain.rois.names[label] for label in np.unique(brain.rois.labels) if label}
    assert {again.names[label] for label in np.unique(again.labels) if label} == names
    (folder / "rh.aparc.a2009s.annot").unlink()
    with pytest.raises(FileNotFoundError, match=r"labels of both hemispheres must be there; got .*lh.* alone"):
        surfaces.brain(rois="destrieux")
    (folder / "rh.aparc.a2009s.annot").symlink_to("../.git/annex/objects/nowhere")
    with pytest.raises(FileNotFoundError, match=r"datalad get .*rh\.aparc"):
        surfaces.brain(rois="destrieux")
