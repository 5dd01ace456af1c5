"""Scans left out by option: they count in no median, no regression and no z-score, and are NaN in the responses."""

import re

import numpy as np
import pandas as pd
import pytest
from small_study import RULES, SHAPE, TR, VOLUMES, SmallStudy

import brain2music as b2m
from brain2music.study import EventRules
from brain2music.study.bold import standardize
from brain2music.study.censoring import scans_left_out
from brain2music.study.confounds import slow_drift

COLUMNS = ["csf", "trans_x"]


def expected(bold, kept, confounds=None, dropped=0, size=161):
    """What is right, in NumPy: nanmedian, one regression over the scans that are kept, z-score of these."""
    half = size // 2
    padded = np.pad(np.where(kept[:, None], bold, np.nan), ((half, half), (0, 0)), mode="symmetric")
    left = np.stack([bold[scan] - np.nanmedian(padded[scan : scan + size], axis=0) for scan in range(len(bold))])
    used = kept & (np.arange(len(bold)) >= dropped)
    left = left[used].astype(float)
    design = np.ones((used.sum(), 1))
    if confounds is not None:
        design = np.column_stack([design, slow_drift(len(bold), TR)[used], confounds[used]])
    left -= design @ np.linalg.lstsq(design, left, rcond=None)[0]
    result = np.full(bold.shape, np.nan)
    result[used] = (left - left.mean(axis=0)) / left.std(axis=0)
    return result[dropped:]


@pytest.mark.parametrize("dropped", [0, 10])
@pytest.mark.parametrize("columns", [0, 3])
def test_left_out_of_median_regression_and_z_score(rng, dropped, columns):
    bold = (1000 + 30 * rng.standard_normal((400, 40)) + np.linspace(-40, 60, 400)[:, None]).astype(np.float32)
    kept = rng.random(400) > 0.1
    kept[[0, 399]] = False
    bold[~kept] += 5000  # what a head that moves does
    confounds = rng.standard_normal((400, columns)) if columns else None
    right = expected(bold, kept, confounds, dropped)
    if columns:
        confounds[~kept] *= 1e6
    result = standardize(bold.copy(), TR, dropped, confounds, kept=kept)
    np.testing.assert_allclose(result, right, rtol=2e-5, atol=2e-5)


def test_keeping_all_is_the_same_as_no_option(rng):
    bold = (1000 + 30 * rng.standard_normal((400, 40))).astype(np.float32)
    confounds = rng.standard_normal((400, 2))
    plain = standardize(bold.copy(), TR, 5, confounds)
    np.testing.assert_allclose(standardize(bold.copy(), TR, 5, confounds, kept=np.ones(400, bool)), plain, atol=2e-6)
    with pytest.raises(ValueError, match="left out of the running median alone"):
        standardize(bold.copy(), TR, 5, None, lambda columns: columns, np.ones(400, bool))


@pytest.fixture
def small(tmp_path):
    """Two runs, whose confounds are written by :func:`table`."""
    study = SmallStudy(tmp_path)
    for number in (1, 2):
        name = f"sub-01_task-Training_run-{number}"
        study.events(name, 10 * number)
        study.image(study.func(name) / f"{name}_bold.nii", study.data(number))
        study.prepared(name, number)
        table(study, number)
    return study


def table(study, number, **columns):
    rng = np.random.default_rng(number)
    values = {name: rng.standard_normal(VOLUMES) for name in COLUMNS}
    values |= {"framewise_displacement": np.r_[np.nan, np.full(VOLUMES - 1, 0.1)], **columns}
    name = f"sub-01_task-Training_run-{number}"
    path = study.func(name, "fmriprep") / f"{name}_desc-confounds_timeseries.tsv"
    pd.DataFrame(values).to_csv(path, sep="\t", na_rep="n/a", index=False)
    return path


def read(study, rules=RULES, delay_scans=0, **options):
    """The responses from the preprocessed images."""
    options = {"space": "T1w", "assume_aligned": False, **options}
    return study.study(rules, **options).responses("01", delay_scans)


def moved(*scans, by=0.9):
    values = np.r_[np.nan, np.full(VOLUMES - 1, 0.1)]
    values[list(scans)] = by
    return values


def test_responses_are_nan_where_scans_are_left_out(small):
    table(small, 1, framewise_displacement=moved(3, 12, 13), non_steady_state_outlier00=np.eye(VOLUMES)[0])
    rules = {"framewise_displacement": 0.5, "non_steady_state": True}
    brain = read(small, delay_scans=2, censor=rules, confounds=COLUMNS)
    left_out = np.isin(np.arange(VOLUMES), [0, 3, 12, 13])
    bold = small.data(1).reshape(-1, VOLUMES, order="C").T.astype(np.float32)
    confounds = pd.read_csv(table_path(small, 1), sep="\t")[COLUMNS].to_numpy()
    right = expected(bold, ~left_out, confounds)
    padded = np.vstack([right, np.full((2, right.shape[1]), np.nan)])
    for clip in range(4):
        first = 10 * clip + 2
        np.testing.assert_allclose(brain.train[clip], padded[first : first + 10], rtol=2e-4, atol=2e-4)
        there = ~np.isnan(padded[first : first + 10, 0])
        np.testing.assert_array_equal(brain.train_clips.scans_present[clip], there)
    plain = read(small, delay_scans=2, confounds=COLUMNS)
    np.testing.assert_allclose(brain.train[4:], plain.train[4:], atol=2e-6)  # the other run lost nothing
    notes = " ".join(brain.notes)
    assert (
        "4 of 80 scans (5.0%) are left out (framewise_displacement above 0.5: 3, non_steady_state: 1); most in" in notes
    )
    assert "run 1: 4 of 40 (10.0%)." in notes
    assert "2 presentations of training clips lose scans that are left out and have 8 or more of 10" in notes


def table_path(study, number):
    name = f"sub-01_task-Training_run-{number}"
    return study.func(name, "fmriprep") / f"{name}_desc-confounds_timeseries.tsv"


def test_rows_that_are_not_known_are_left_out_when_asked(small):
    csf = np.random.default_rng(9).standard_normal(VOLUMES)
    csf[[0, 7, 8]] = np.nan
    table(small, 2, csf=csf)
    with pytest.raises(ValueError, match=r"confound csf must be known .*; got 'n/a' in row 8"):
        read(small, confounds=COLUMNS)
    brain = read(small, censor={"missing": True}, confounds=COLUMNS)
    missing = np.isnan(brain.train[:, :, 0])
    assert missing[4].tolist() == [True, *[False] * 6, True, True, False]
    assert missing.sum() == 3
    assert "3 of 80 scans (3.8%) are left out (n/a: 3); most in sub-01 Training run 2: 3 of 40 (7.5%)." in " ".join(
        brain.notes
    )


def test_hearings_are_averaged_over_the_scans_that_are_kept(small):
    small.events("sub-01_task-Training_run-2", 10)  # the clips of run 1 again
    rules = EventRules(test_task=None, dummies=0, train_repeats=True)
    table(small, 1, framewise_displacement=moved(4))
    table(small, 2, framewise_displacement=moved(15))
    both = read(small, rules, censor={"framewise_displacement": 0.5})
    alone = [
        read(small, rules, censor={"framewise_displacement": 0.5}, exclude_runs=[f"run-{number}"]).train
        for number in (2, 1)
    ]
    np.testing.assert_allclose(both.train, np.nanmean(alone, axis=0), atol=1e-6)
    assert not np.isnan(both.train).any()


def test_whole_runs_keep_the_places_of_scans_that_are_left_out(small):
    table(small, 1, motion_outlier00=np.eye(VOLUMES)[5], motion_outlier01=np.eye(VOLUMES)[6])
    rules = EventRules("Training", None, dummies=0)
    brain = small.study(rules, censor={"motion_outlier": True}, space="T1w", assume_aligned=False).continuous("01")
    assert brain.responses.shape == (2 * VOLUMES, np.prod(SHAPE))
    assert np.flatnonzero(np.isnan(brain.responses[:, 0])).tolist() == [5, 6]


def test_limits_change_the_cache(small, tmp_path):
    table(small, 1, framewise_displacement=moved(3))
    cache = tmp_path / "cache"
    counts = [
        np.isnan(read(small, censor=censor, cache=cache).train[:, :, 0]).sum()
        for censor in (None, {"framewise_displacement": 0.5}, {"framewise_displacement": 1.0})
    ]
    assert counts == [0, 1, 0]
    table(small, 1, framewise_displacement=moved(3, 4))
    censored = read(small, censor={"framewise_displacement": 0.5}, cache=cache)
    assert np.isnan(censored.train[:, :, 0]).sum() == 2


@pytest.mark.parametrize(
    ("censor", "message"),
    [
        ({"framewise_displacement": True}, "got True for 'framewise_displacement'"),
        ({"framewise_displacement": np.nan}, "got nan for 'framewise_displacement'"),
        ({"non_steady_state": 0.5}, "got 0.5 for 'non_steady_state'"),
        ({"nonsteady": True}, "got True for 'nonsteady'"),
        (["framewise_displacement"], re.escape("got ['framewise_displacement']")),
        ({"missing": True}, "needs confounds, or a limit on a column"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(small, censor, message):
    with pytest.raises(ValueError, match=r"\[study\.Study\] censor .*" + message):
        small.study(censor=censor)


def test_what_a_rule_needs_must_be_there(small):
    limit = {"framewise_displacement": 0.5}
    path = table(small, 1, framewise_displacement=moved(*range(1, VOLUMES - 1)))
    with pytest.raises(ValueError, match="censor must leave a tenth of a run's scans or more; got 2 of 40 left"):
        read(small, censor=limit)
    table(small, 1, framewise_displacement=moved(7, by=np.nan))
    with pytest.raises(ValueError, match=r"framewise_displacement must be known .* got 'n/a' in row 8 of .*run-1"):
        read(small, censor=limit)
    known = {"censor": {**limit, "missing": True}, "confounds": COLUMNS}
    assert np.isnan(read(small, **known).train[:, :, 0]).sum() == 1
    with pytest.raises(ValueError, match="column dvars must be there once"):
        read(small, censor={"dvars": 2})
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"censor need \*_desc-confounds_timeseries.tsv; got none beside"):
        read(small, censor=limit)


def test_runs_without_outliers_have_no_such_columns(small):
    left_out, reasons = scans_left_out(table_path(small, 1), {"non_steady_state": True}, (), VOLUMES)
    assert not left_out.any()
    assert reasons == {"non_steady_state": 0}
    brain = read(small, censor={"non_steady_state": True})
    assert "No scan of 2 runs is left out." in brain.notes


def test_a_decoder_and_an_encoder_take_what_is_left(rng):
    """A clip may lose scans, or all of them."""
    responses = rng.standard_normal((40, 10, 30)).astype(np.float32)
    music = rng.standard_normal((40, 4, 5)).astype(np.float32)
    responses[3, 2:5] = np.nan
    responses[7] = np.nan
    runs, rois = np.repeat([1, 2, 3, 4], 10), np.repeat([1, 2, 3], 10)
    decoder = b2m.BrainDecoder(n_rois=2, min_voxels=5).fit(responses, music, rois=rois, groups=runs)
    predicted = decoder.predict(responses, missing="nan")
    assert np.isnan(predicted).all(axis=(1, 2)).tolist() == [clip == 7 for clip in range(40)]
    rest = np.arange(40) != 7
    without = b2m.BrainDecoder(n_rois=2, min_voxels=5).fit(responses[rest], music[rest], rois=rois, groups=runs[rest])
    np.testing.assert_allclose(predicted[rest], without.predict(responses[rest]), rtol=1e-4, atol=1e-5)
