"""What a study holds twice, directions, echoes, resolutions and the like, and how one is chosen; small atlases."""

import re

import nibabel as nib
import numpy as np
import pytest
from small_study import AFFINE, SHAPE, SmallStudy

RUN = "sub-01_task-Training_{}run-1"


@pytest.fixture
def small(tmp_path):
    return SmallStudy(tmp_path / "study")


def refused(small, message, **options):
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        small.responses(**options)
    return str(caught.value)


@pytest.mark.parametrize("key", ["acq", "dir"])
def test_runs_of_two_directions_are_two_runs_unless_one_is_selected(small, key):
    for value, first in (("a", 10), ("b", 20)):
        small.run(RUN.format(f"{key}-{value}_"), first)
    assert small.tracks() == [10, 20]
    study = small.study()
    assert study.runs.used.tolist() == [True, True]
    assert len(study.clips) == 8
    assert small.tracks(select={key: "b"}) == [20]
    chosen = small.study(select={key: "b"})
    assert chosen.runs.why.tolist() == ["left out, as asked", ""]
    assert len(chosen.clips) == 4
    assert f"Left out, as asked: {RUN.format(f'{key}-a_')}." in small.responses(select={key: "b"}).notes
    refused(small, "task 'Training' must have runs", select={key: "c"})


def test_reconstructions_of_one_run_are_chosen_from(small):
    for value, first in (("norm", 10), ("dis", 20)):
        small.run(RUN.format(f"rec-{value}_"), first)
    refused(small, r"a run of a session must be there once \(choose by select=\{'rec': .*\}\); got .*rec-dis.*rec-norm")
    assert small.study().runs.used.tolist() == [False, False]
    assert small.tracks(select={"rec": "norm"}) == [10]


def test_an_echo_is_chosen(small):
    small.events(RUN.format(""), 10)
    for echo in (1, 2, 3):
        small.bold(RUN.format("") + f"_echo-{echo}", echo)
    refused(
        small, r"one BOLD image must belong to .*events.tsv \(choose by select=\{'echo': '1'\}\); got .*echo-1_bold"
    )
    brain = small.responses(select={"echo": 2})
    alone = SmallStudy(small.root.parent / "alone")
    alone.events(RUN.format(""), 10)
    alone.bold(RUN.format(""), 2)
    np.testing.assert_array_equal(brain.train, alone.responses().train)
    assert any("echo-1_bold.nii" in note and "echo-3_bold.nii" in note for note in brain.notes)
    reasons = small.study(select={"echo": "02"}).unused_files
    assert set(reasons[reasons.path.str.contains("echo-[13]")].why) == {"left out, as asked"}


def test_the_magnitude_is_read_beside_a_phase(small):
    small.events(RUN.format(""), 10)
    small.bold(RUN.format("") + "_part-mag", 1)
    small.bold(RUN.format("") + "_part-phase", 2)
    assert small.tracks() == [10]
    unused = small.study().unused_files
    assert unused.path[unused.path.str.contains("part-phase")].size == 1
    phase = small.responses(select={"part": "phase"})
    assert not np.array_equal(phase.train, small.responses().train)


@pytest.mark.parametrize(
    ("select", "problem"),
    [
        ({"task": "Training"}, "select must give a value to entities among acq, ce, dir, rec, echo, part; got"),
        ("dir-AP", "got 'dir-AP'"),
        ({"dir": 1.5}, "a value of select must be text or a whole number; got 1.5"),
        ({"dir": True}, "got True"),
    ],
)
def test_selections_that_say_nothing_are_refused(small, select, problem):
    small.run(RUN.format(""), 10)
    with pytest.raises(ValueError, match=problem):
        small.study(select=select)


def prepared(small, label, first):
    """A preprocessed run with its mask, in a space such as ``MNI_res-2``."""
    name = RUN.format("")
    func = small.func(name, "fmriprep")
    small.image(func / f"{name}_space-{label}_desc-brain_mask.nii.gz", np.ones(SHAPE, np.uint8))
    return small.image(func / f"{name}_space-{label}_desc-preproc_bold.nii.gz", small.data(first).astype(np.float32))


def values(brain):
    return brain.train[0, 0].tolist()


def test_one_space_at_two_resolutions(small):
    small.events(RUN.format(""), 10)
    paths = {label: prepared(small, label, n) for n, label in enumerate(("MNI", "MNI_res-1", "MNI_res-2"))}
    options = {"mask": None, "assume_aligned": False}
    listed = "MNI:res-1, MNI:res-2, MNI:res-native"
    refused(small, f"space must be given where there are several; got {listed} beside", **options)
    refused(small, f"space must be given where there are several; got {listed} beside", space="MNI", **options)
    refused(small, rf"space must be one of {listed}; got 'MNI:res-3'", space="MNI:res-3", **options)
    refused(small, "res needs space, whose resolution it is; got res=2 alone", res=2, **options)
    found = {key: values(small.responses(space="MNI", res=key, **options)) for key in (1, "2", "native")}
    assert found["2"] == values(small.responses(space="MNI:res-2", **options))
    assert len({str(each) for each in found.values()}) == 3
    paths["MNI_res-1"].unlink()
    paths["MNI"].unlink()
    assert values(small.responses(space="MNI", **options)) == found["2"]  # there is no other
    assert small.study(space="MNI", **options).space == "MNI"


def test_cohorts_of_a_template(small):
    small.events(RUN.format(""), 10)
    for n, label in enumerate(("MNIPediatricAsym_cohort-3_res-2", "MNIPediatricAsym_cohort-5_res-2")):
        prepared(small, label, n)
    options = {"mask": None, "assume_aligned": False}
    refused(small, "cohort-3:res-2, MNIPediatricAsym:cohort-5:res-2", space="MNIPediatricAsym:res-2", **options)
    assert small.responses(space="MNIPediatricAsym:cohort-5", **options).train.shape == (4, 10, 40)
    for text in ("MNI:2", "MNI:size-2", ":res-2", "MNI:res-"):
        with pytest.raises(ValueError, match=re.escape(f"got {text!r}")):
            small.study(space=text)


@pytest.mark.parametrize(
    ("image", "table"),
    [
        ("space-T1w", "desc-confounds_timeseries"),
        ("space-T1w", "desc-confounds_regressors"),
        ("space-MNI_res-2", "desc-confounds_timeseries"),
        ("space-MNIPediatricAsym_cohort-5_res-2", "desc-confounds_regressors"),
        ("part-mag_space-T1w", "desc-confounds_timeseries"),
        ("part-mag_space-T1w", "part-mag_desc-confounds_timeseries"),
    ],
)
def test_confounds_are_found_by_all_their_names(small, image, table):
    name = RUN.format("")
    small.events(name, 10)
    func = small.func(name, "fmriprep")
    small.image(func / f"{name}_{image}_desc-preproc_bold.nii.gz", small.data(1).astype(np.float32))
    noise = np.random.default_rng(3).standard_normal(40)
    (func / f"{name}_{table}.tsv").write_text("\n".join(["csf", *map(str, noise)]) + "\n")
    brain = small.responses(confounds="csf", assume_aligned=True)
    assert any("confounds" in note for note in brain.notes)


@pytest.mark.parametrize("subject", [1, np.int64(1), None])
def test_a_subject_is_a_label(small, subject):
    small.run(RUN.format(""), 10)
    with pytest.raises(ValueError, match=r"subject must be a label, text as in '01'; got the \w+ "):
        small.study().responses(subject)


def test_dimensions_of_one_at_the_end_are_nothing(small):
    path = small.run(RUN.format(""), 10)
    expected = small.responses().train
    image = nib.load(path)
    longer = nib.Nifti1Image(np.asarray(image.dataobj).copy()[..., None, None], image.affine)
    longer.header.set_xyzt_units("mm", "sec")
    longer.header["pixdim"][4] = 1.5
    nib.save(longer, path)
    small.image(small.root / "mask.nii", np.ones((*SHAPE, 1, 1), np.uint8))
    np.testing.assert_array_equal(small.responses().train, expected)


# ---- atlases ----------------------------------------------------------------------------------------------------


def atlas(small, values, indices=None, count=7):
    path = small.root / "labels.nii.gz"
    nib.save(nib.Nifti1Image(values, AFFINE), path)
    rows = [f"{index}\tnetwork {number}" for number, index in enumerate(indices or range(1, count + 1), start=1)]
    path.with_name("labels.tsv").write_text("\n".join(["index\tname", *rows]) + "\n")
    return path


def labels(count=7):
    return (np.arange(np.prod(SHAPE)) % count + 1).reshape(SHAPE)


def test_an_atlas_of_seven_regions_is_read_when_asked_for(small):
    small.run(RUN.format(""), 10)
    path = atlas(small, labels().astype(np.int16))
    told = refused(small, "an atlas must have at least 20 labels; got 7", rois=path, mask=None)
    assert "say min_regions=7" in told
    rois = small.responses(rois=path, mask=None, min_regions=7).rois
    assert len(rois.names) == 7
    with pytest.raises(ValueError, match="min_regions must be a whole number from 1; got 0"):
        small.study(min_regions=0)


def test_labels_a_hair_off_whole_numbers_are_rounded_and_told(small):
    small.run(RUN.format(""), 10)
    off = labels() - 1e-4 * (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 2)
    brain = small.responses(rois=atlas(small, off.astype(np.float32)), mask=None, min_regions=7)
    exact = small.responses(rois=atlas(small, labels().astype(np.int16)), mask=None, min_regions=7)
    np.testing.assert_array_equal(brain.rois.labels, exact.rois.labels)
    assert any(
        re.search(r"20 labels of .* lie up to 0\.0001 off whole numbers: rounded\.", note) for note in brain.notes
    )
    far = atlas(small, (labels() + 0.01).astype(np.float32))
    refused(small, "labels must be whole numbers from 0; got 1.01", rois=far, mask=None, min_regions=7)


def test_pandas_writes_whole_numbers_with_a_point(small):
    small.run(RUN.format(""), 10)
    path = atlas(small, labels().astype(np.int16), [f"{n}.0" for n in range(1, 8)])
    assert set(small.responses(rois=path, mask=None, min_regions=7).rois.names) == set(range(1, 8))
    path = atlas(small, labels().astype(np.int16), [f"{n}.5" for n in range(1, 8)])
    refused(small, "index must be a whole number of its own", rois=path, mask=None, min_regions=7)
