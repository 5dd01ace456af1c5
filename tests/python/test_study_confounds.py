"""Confounds: as the voxels, they lose their drift before they are regressed out."""

import re

import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level.design_matrix import create_cosine_drift
from nilearn.interfaces.fmriprep.load_confounds_utils import prepare_output
from nilearn.signal import clean
from scipy import ndimage, stats

import brain2music as b2m
from brain2music.study.bold import standardize
from brain2music.study.confounds import prepare_nuisance, read_confounds

SCANS, TR = 400, 1.5
TREND = np.linspace(-1, 1, SCANS)


def median(columns):
    return columns - ndimage.median_filter(columns, size=(161, 1), mode="reflect")


def slow(scans):
    """nilearn's cosines, the last of which is the mean, with a slope and a parabola."""
    time = np.linspace(-1, 1, scans)
    return np.column_stack([create_cosine_drift(1 / 240, np.arange(scans) * TR), time, time**2])


def residual(columns, design):
    return columns - design @ np.linalg.lstsq(design, columns, rcond=None)[0]


def correlations(bold, with_what):
    return (bold.T @ stats.zscore(with_what)) / len(bold) / bold.std(axis=0)


def cosines(scans):
    return np.linalg.qr(create_cosine_drift(1 / 240, np.arange(scans) * TR))[0]


@pytest.mark.parametrize("drift", [0.0, 1.0, 3.0, 10.0])
def test_no_drift_comes_back_and_no_nuisance_stays(rng, drift):
    """Voxels share the fast part of a confound that drifts as well."""
    fast = rng.standard_normal(SCANS)
    confound = fast + drift * TREND
    noise = rng.standard_normal((SCANS, 1200))
    bold = (1000 + np.linspace(-50, 50, 1200) * fast[:, None] + 10 * noise).astype(np.float32)
    cleaned = standardize(bold.copy(), TR, 0, confound[:, None])
    for what in (TREND, fast):
        r = correlations(cleaned, what)
        assert np.abs(r).max() < 0.05
        assert np.abs(r.mean()) < 0.01


@pytest.mark.parametrize("shared", [False, True])
def test_drift_of_other_shapes(rng, shared):
    """Voxels have the confound's drift as well, or not."""
    time = np.arange(SCANS) * TR
    for wave in (np.sin(2 * np.pi * time / 400 + 1), np.cos(2 * np.pi * time / 250), TREND**3):
        fast = rng.standard_normal(SCANS)
        confound = fast + 2 * wave
        bold = 1000 + 50 * (confound if shared else fast)[:, None] + 10 * rng.standard_normal((SCANS, 1000))
        cleaned = standardize(bold.astype(np.float32), TR, 0, confound[:, None])
        for what in (wave, fast):
            assert np.abs(correlations(cleaned, what)).max() < 0.05


def test_raw_confounds_would_put_drift_back(rng):
    """What this library did before: the test above tells both apart."""
    fast = rng.standard_normal(SCANS)
    bold = 1000 + 50 * fast[:, None] + 10 * rng.standard_normal((SCANS, 100))
    left = stats.zscore(median(bold))
    raw = stats.zscore(fast + 3 * TREND)
    left -= raw[:, None] * (raw @ left / SCANS)
    assert correlations(left, TREND).mean() < -0.4
    assert correlations(left, fast).mean() > 0.8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_linear_filter_is_nilearns_joint_regression(rng, dtype):
    basis = cosines(SCANS)
    confounds = np.cumsum(rng.standard_normal((SCANS, 6)), axis=0) * [1e-4, 1e-4, 1, 1, 30, 1e4] + [0, 0, 0, 5, 0, 1e4]
    bold = 1000 + 30 * rng.standard_normal((SCANS, 50))
    bold = (bold + confounds / confounds.std(axis=0) @ rng.standard_normal((6, 50))).astype(dtype)
    ours = standardize(bold.copy(), TR, 0, confounds, lambda columns: columns - basis @ (basis.T @ columns))
    joint = np.column_stack([confounds, basis])
    theirs = clean(bold.astype(np.float64), confounds=joint, detrend=False, filter=False, standardize="zscore_sample")
    np.testing.assert_allclose(ours, stats.zscore(theirs), atol=2e-5 if dtype == np.float32 else 1e-9)


def test_the_median_is_scipys_and_the_regression_numpys(rng):
    scans, dropped = 410, 10
    confounds = np.cumsum(rng.standard_normal((scans, 3)), axis=0)
    confounds[:dropped] += 20  # the filter sees the dropped scans, the regression does not
    bold = (1000 + 5 * rng.standard_normal((scans, 30)) + confounds @ rng.standard_normal((3, 30))).astype(np.float32)
    ours = standardize(bold.copy(), TR, dropped, confounds)
    design = np.column_stack([slow(scans), confounds])[dropped:]
    left = residual(median(bold)[dropped:].astype(np.float64), design)
    np.testing.assert_allclose(ours, stats.zscore(left), atol=2e-5)


def test_units_do_not_count(rng):
    """A global signal of 10,000 +- 5 beside rotations of 1e-4 rad: both go, in any units."""
    scaled = rng.standard_normal((SCANS, 2))
    confounds = scaled * [5, 1e-4] + [10_000, 0]
    bold = (1000 + 50 * scaled @ rng.standard_normal((2, 40)) + rng.standard_normal((SCANS, 40))).astype(np.float32)
    left = standardize(bold.copy(), TR, 0, confounds)
    assert np.abs(left.T @ stats.zscore(residual(confounds, slow(SCANS)))).max() / SCANS < 1e-5
    for units in ([1e-12, 1e12], [1e-200, 1e200], [2.0**-40, -1.0]):
        np.testing.assert_allclose(standardize(bold.copy(), TR, 0, confounds * units), left, atol=1e-6)
        assert prepare_nuisance(confounds * units, 0, TR).basis.shape == (SCANS, 9)


def test_dependent_confounds_count_once(rng):
    a, b = rng.standard_normal((2, SCANS)) * [[1e3], [1e-3]]
    bold = (1000 + 10 * rng.standard_normal((SCANS, 20))).astype(np.float32)
    given = np.column_stack([a, b, a + 1e6 * b, 2.54 * a - 7, b])
    nuisance = prepare_nuisance(given, 5, TR, None, ["a", "b", "sum", "inches", "again"])
    assert nuisance.notes == ("2 of 5 confounds that vary are independent",)
    np.testing.assert_allclose(nuisance.basis.T @ nuisance.basis, np.eye(9), atol=1e-12)
    np.testing.assert_allclose(nuisance.basis.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(
        standardize(bold.copy(), TR, 5, given), standardize(bold.copy(), TR, 5, given[:, :2]), atol=1e-6
    )


def test_constant_confounds_are_told(rng):
    spike = np.zeros(SCANS)
    spike[3] = 1  # a motion outlier among the dropped scans
    slope = 3 + 0.1 * TREND  # nothing but drift
    given = np.column_stack([np.full(SCANS, 0.1) * 3, rng.standard_normal(SCANS), spike, np.zeros(SCANS), slope])
    told = ("confounds {} are constant once detrended and were left out",)
    nuisance = prepare_nuisance(given[:, [0, 1, 3, 4]], 10, TR, None, ["mean", "csf", "zero", "slope"])
    assert nuisance.notes == (told[0].format("mean, zero, slope"),)
    assert nuisance.basis.shape == (SCANS - 10, 8)
    plain = prepare_nuisance(
        given, 10, TR, lambda columns: columns, ["mean", "csf", "motion_outlier00", "zero", "slope"]
    )
    assert plain.notes == (told[0].format("mean, zero, motion_outlier00"),)
    spike[50] = 1
    assert prepare_nuisance(spike[:, None], 10, TR).notes == ()
    bold = (1000 + 10 * rng.standard_normal((SCANS, 20))).astype(np.float32)
    assert abs(standardize(bold, TR, 10, spike[:, None])[40]).max() < 1e-6  # that scan is gone
    none = prepare_nuisance(given[:, :1], 10, TR)
    assert none.basis.shape == (SCANS - 10, 0)


@pytest.mark.parametrize("level", [0.0, 1.0, 1e4, 1e30])
def test_a_voxel_of_nothing_but_confounds_becomes_zero(rng, level):
    """Else its rounding would be z-scored."""
    confounds = rng.standard_normal((SCANS, 3))
    scale = max(level, 1.0)
    bold = level + scale * (confounds @ rng.standard_normal((3, 20))) / 10
    # Detrended one by one, a mixture of confounds is none: the filter must be linear for nothing to be left.
    basis = cosines(SCANS)
    bold[:, 10:] += scale * 1e-3 * rng.standard_normal((SCANS, 10))
    left = standardize(
        bold.astype(np.float32), TR, 0, confounds, lambda columns: columns - basis @ (basis.T @ columns.astype(float))
    )
    assert not left[:, :10].any()
    np.testing.assert_allclose(left[:, 10:].std(axis=0), 1, rtol=1e-5)
    one = (level + scale * np.outer(confounds[:, 0], [0.1, -0.2, 0.0])).astype(np.float32)
    assert not standardize(one, TR, 0, confounds).any()


def test_too_many_confounds_are_refused(rng):
    bold = rng.standard_normal((30, 5), dtype=np.float32)
    confounds = rng.standard_normal((30, 25))
    assert standardize(bold.copy(), TR, 3, confounds[:, :23]).shape == (27, 5)
    message = (
        r"scans kept must outnumber independent confounds, slow .* 2\) and the mean; got 23 confounds for 26 scans in"
    )
    with pytest.raises(ValueError, match=message):
        standardize(bold.copy(), TR, 4, confounds[:, :23])
    with pytest.raises(ValueError, match=r"outnumber .*; got 27 confounds for 30 scans in a.tsv"):
        prepare_nuisance(rng.standard_normal((30, 100)), 0, TR, None, where="a.tsv")
    # A hundred copies of one confound are one.
    assert prepare_nuisance(np.repeat(confounds[:, :1], 100, axis=1), 0, TR).basis.shape == (30, 3)
    with pytest.raises(ValueError, match="confounds must have a row for every scan, dropped ones too; got 26 for 30"):
        standardize(bold.copy(), TR, 4, confounds[4:])


def write(path, table):
    path.write_text(table.to_csv(sep="\t", index=False, na_rep="n/a"))
    return path


@pytest.fixture
def table(rng):
    table = pd.DataFrame(rng.standard_normal((50, 4)), columns=["csf", "csf_derivative1", "trans_x", "rot_x"])
    table.loc[0, "csf_derivative1"] = np.nan
    return table


def test_the_first_row_of_derivatives_is_filled_as_nilearn_does(tmp_path, table):
    path = write(tmp_path / "confounds.tsv", table)
    values, notes = read_confounds(path, list(table), 50, 0)
    _, theirs = prepare_output(table.copy(), demean=False)
    np.testing.assert_array_equal(values, theirs[list(table)].to_numpy())
    assert notes == ["n/a of confound csf_derivative1 in row 1 took the value of the next row"]
    values, notes = read_confounds(path, ["rot_x", "csf"], 50, 10)
    np.testing.assert_array_equal(values, table[["rot_x", "csf"]])
    assert notes == []


def test_dropped_scans_are_filled_and_told(tmp_path, table):
    table.loc[[0, 1, 4], "trans_x"] = np.nan
    path = write(tmp_path / "confounds.tsv", table)
    values, notes = read_confounds(path, ["trans_x"], 50, 5)
    np.testing.assert_array_equal(values, table[["trans_x"]].bfill())
    assert notes == ["n/a of confound trans_x in row 1, 2, 5 took the value of the next row"]
    rule = "must be known (n/a is filled in row 1 and in dropped scans)"
    with pytest.raises(ValueError, match=re.escape(f"confound trans_x {rule}; got 'n/a' in row 5 of {path}")):
        read_confounds(path, ["trans_x"], 50, 4)


@pytest.mark.parametrize("text", ["inf", "-inf", "1e999", "", " ", "none", "1_5", "1,5", "0x1F", "\u0661"])
@pytest.mark.parametrize("row", [1, 3, 30])
def test_other_text_is_refused_anywhere(tmp_path, table, text, row):
    lines = write(tmp_path / "a.tsv", table).read_text().split("\n")
    fields = lines[row].split("\t")
    lines[row] = "\t".join([*fields[:2], text, *fields[3:]])
    path = tmp_path / "b.tsv"
    path.write_text("\n".join(lines))
    message = re.escape(f"confound trans_x must be finite; got {text!r} in row {row} of {path}")
    with pytest.raises(ValueError, match=message):
        read_confounds(path, ["csf", "trans_x"], 50, 10)


def test_other_tables_are_refused(tmp_path, table):
    path = write(tmp_path / "a.tsv", table)
    with pytest.raises(ValueError, match=rf"confounds must have a row a volume \(51\); got 50 in {path}"):
        read_confounds(path, ["csf"], 51, 10)
    with pytest.raises(ValueError, match=r"column gsr must be there once; got columns \['csf', "):
        read_confounds(path, ["gsr"], 50, 10)
    table["trans_x"] = np.nan
    write(path, table)
    with pytest.raises(ValueError, match=rf"confound trans_x must be known .*; got 'n/a' in row 11 of {path}"):
        read_confounds(path, ["trans_x"], 50, 10)


def test_a_study_tells_of_its_confounds(study_folder):
    study_folder.write_prepared()
    rng = np.random.default_rng(0)
    tables = {}
    for task, run in study_folder.runs():
        path = study_folder.prepared(task, run, "desc-confounds_timeseries", "").with_suffix("").with_suffix(".tsv")
        csf = rng.standard_normal(410) + np.linspace(0, 9, 410)
        tables[task, run] = pd.DataFrame({"csf": csf, "fd": rng.random(410), "gsr": 3.0, "csf2": -3 * csf})
        if run == 2:
            tables[task, run].loc[0, "fd"] = np.nan
        write(path, tables[task, run])
    names = ["csf", "fd", "gsr", "csf2"]
    study = b2m.Study(study_folder.root, confounds=names, cache=False)
    brain = study.responses("001", delay_scans=0)
    told = [note for note in brain.notes if "confound" in note.lower()]
    assert told[0].startswith("Confounds gsr are constant once detrended and were left out: sub-001 Training run 1, ")
    assert told[1].startswith("2 of 3 confounds that vary are independent: sub-001 Training run 1, ")
    assert told[2].startswith("9 columns of confounds and slow drift were regressed out: sub-001 Training run 1, ")
    assert told[3:] == [
        "N/a of confound fd in row 1 took the value of the next row: sub-001 Training run 2, sub-001 Test run 2."
    ]
    run = brain.repeats[brain.test_clips.run == 6].transpose(1, 0, 2, 3).reshape(400, -1)
    nuisance = residual(tables["Test", 6][["csf", "fd"]].to_numpy(), slow(410))[10:]
    assert np.abs(run.T @ stats.zscore(nuisance)).max() / 400 < 1e-5
    assert len({b2m.Study(study_folder.root, confounds=c).fingerprint("001") for c in ((), "csf", ["csf"], names)}) == 3
