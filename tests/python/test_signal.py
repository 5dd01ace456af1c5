import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

import brain2music as b2m
from brain2music import _core


def scipy_trend(bold, size=161):
    return ndimage.median_filter(bold, size=(size, 1), mode="reflect")


def padded_trend(bold, size):
    """The definition, for runs much shorter than the window, where SciPy's own edges go wrong."""
    half = size // 2
    padded = np.pad(bold, ((half, half), (0, 0)), mode="symmetric")
    return np.stack([np.median(padded[i : i + size], axis=0) for i in range(len(bold))])


def make_bold(rng, scans=400, voxels=33, dtype=np.float32):
    drift = np.linspace(-40, 60, scans)[:, None] * rng.standard_normal(voxels)
    return (1000 + drift + 30 * rng.standard_normal((scans, voxels))).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_median_detrend_equals_scipy_to_the_last_bit(rng, device, dtype):
    bold = make_bold(rng, dtype=dtype)
    result = b2m.signal.median_detrend(torch.from_numpy(bold).to(device), tr=1.5, window=240.0)
    assert result.device.type == device.type
    np.testing.assert_array_equal(result.cpu().numpy(), bold - scipy_trend(bold))


@pytest.mark.parametrize(("tr", "window", "size"), [(1.5, 240, 161), (2.0, 240, 121), (0.8, 60, 75), (1.5, 4.5, 3)])
def test_window_in_seconds(rng, tr, window, size):
    bold = make_bold(rng)
    np.testing.assert_array_equal(b2m.signal.median_detrend(bold, tr, window), bold - scipy_trend(bold, size))


def test_runs_are_kept_apart(rng, device):
    bold = make_bold(rng, scans=1000)
    runs = np.repeat([3, 1, 2], [400, 410, 190])
    parts = [bold[runs == run] for run in (3, 1, 2)]
    x = torch.from_numpy(bold).to(device)
    detrended = b2m.signal.median_detrend(x, runs=runs).cpu().numpy()
    zscored = b2m.signal.zscore(x, runs=torch.from_numpy(runs)).cpu().numpy()
    np.testing.assert_array_equal(detrended, np.concatenate([part - scipy_trend(part) for part in parts]))
    expected = np.concatenate([stats.zscore(part.astype(float), axis=0) for part in parts])
    np.testing.assert_allclose(zscored, expected, rtol=1e-6, atol=1e-6)
    named = [f"run-{run:02}" for run in runs]
    for labels in (named, np.array(named, dtype=object)):  # object is what pandas makes of a column of text
        np.testing.assert_array_equal(b2m.signal.median_detrend(bold, runs=labels), detrended)


@settings(deadline=None, max_examples=60)
@given(
    scans=st.integers(1, 420),
    voxels=st.integers(0, 40),
    half=st.integers(1, 200),
    levels=st.sampled_from([1, 3, 50, 10**6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_window_and_ties(scans, voxels, half, levels, seed):
    bold = np.random.default_rng(seed).integers(-levels, levels + 1, (scans, voxels)).astype(np.float32)
    size = 2 * half + 1
    trend = _core.kernels.median_filter(bold, size)
    np.testing.assert_array_equal(trend, padded_trend(bold, size))
    if size <= 2 * scans:
        np.testing.assert_array_equal(trend, scipy_trend(bold, size))


@pytest.mark.parametrize("scans", [1, 2, 3, 79, 80, 81, 159, 160, 161, 162])
def test_runs_shorter_than_the_window(rng, device, scans):
    bold = make_bold(rng, scans=scans, voxels=5)
    result = b2m.signal.median_detrend(torch.from_numpy(bold).to(device)).cpu().numpy()
    np.testing.assert_array_equal(result, bold - padded_trend(bold, 161))


def kept_trend(bold, size, kept):
    """The median over the scans that are kept, as NumPy has it; NaN at the others."""
    half = size // 2
    padded = np.pad(np.where(kept[:, None], bold, np.nan), ((half, half), (0, 0)), mode="symmetric")
    trend = np.full_like(bold, np.nan)
    for scan in np.flatnonzero(kept):
        trend[scan] = np.nanmedian(padded[scan : scan + size], axis=0)
    return trend


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("part", [0.99, 0.8, 0.3, 0.02])
def test_scans_left_out_count_in_no_median(rng, device, dtype, part):
    bold, runs = make_bold(rng, scans=560, voxels=9, dtype=dtype), np.repeat([1, 2], [400, 160])
    kept = rng.random(560) < part
    kept[[0, 399, 400]] = [False, True, True]
    result = b2m.signal.median_detrend(torch.from_numpy(bold).to(device), runs=runs, sample_mask=kept)
    trend = np.concatenate([kept_trend(bold[runs == run], 161, kept[runs == run]) for run in (1, 2)])
    np.testing.assert_array_equal(result.cpu().numpy(), bold - trend)
    np.testing.assert_array_equal(np.isnan(result.cpu().numpy()), np.broadcast_to(~kept[:, None], bold.shape))


@settings(deadline=None, max_examples=60)
@given(
    scans=st.integers(1, 300),
    half=st.integers(1, 200),
    levels=st.sampled_from([1, 3, 10**6]),
    part=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_window_and_scans_left_out(scans, half, levels, part, seed):
    rng = np.random.default_rng(seed)
    bold = rng.integers(-levels, levels + 1, (scans, 3)).astype(np.float32)
    kept = rng.random(scans) < part
    trend = _core.kernels.median_filter(bold, 2 * half + 1, kept=kept)
    np.testing.assert_array_equal(trend, kept_trend(bold, 2 * half + 1, kept))


def test_keeping_all_scans_changes_no_bit(rng):
    bold = make_bold(rng)
    np.testing.assert_array_equal(
        b2m.signal.median_detrend(bold, sample_mask=np.ones(400, bool)), b2m.signal.median_detrend(bold)
    )


@pytest.mark.parametrize("sample_mask", [np.ones(399, bool), np.arange(400), np.ones((400, 1), bool)])
def test_a_mask_of_scans_is_true_or_false_for_each(rng, sample_mask):
    with pytest.raises(
        ValueError, match=r"\[signal.median_detrend\] sample_mask must hold true or false for each scan"
    ):
        b2m.signal.median_detrend(make_bold(rng), sample_mask=sample_mask)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zscore_equals_scipy(rng, device, dtype):
    bold = make_bold(rng, dtype=dtype)
    result = b2m.signal.zscore(torch.from_numpy(bold).to(device)).cpu().numpy()
    assert result.dtype == dtype
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(result, stats.zscore(bold.astype(float), axis=0), rtol=tolerance, atol=tolerance)


def test_constant_voxels_become_zero(rng, device):
    bold = make_bold(rng)
    bold[:, 3] = 0.1  # no float32 sum of 400 of them divides back to it exactly
    x = torch.from_numpy(bold).to(device)
    for function in (b2m.signal.median_detrend, b2m.signal.zscore):
        result = function(x).cpu().numpy()
        assert np.all(result[:, 3] == 0)
        assert np.all(result[:, 4].std() > 0)
    np.testing.assert_array_equal(b2m.signal.zscore(np.full((7, 1), 0.1)), np.zeros((7, 1)))
    np.testing.assert_array_equal(b2m.signal.zscore(np.array([[5.0]])), [[0.0]])


@pytest.mark.parametrize("function", [b2m.signal.median_detrend, b2m.signal.zscore])
@pytest.mark.parametrize(
    "layout", ["fortran", "sliced", "reversed", "big-endian", "read-only", "time last", "unaligned"]
)
def test_layouts_give_one_answer(rng, function, layout):
    bold = make_bold(rng)
    other = {
        "fortran": lambda: np.asfortranarray(bold),
        "sliced": lambda: np.repeat(np.repeat(bold, 2, axis=0), 3, axis=1)[::2, ::3],
        "reversed": lambda: bold[::-1, ::-1].copy()[::-1, ::-1],
        "big-endian": lambda: bold.astype(">f4"),
        "read-only": lambda: np.frombuffer(bold.tobytes(), np.float32).reshape(bold.shape),
        "unaligned": lambda: np.frombuffer(b"x" + bold.tobytes(), np.float32, offset=1).reshape(bold.shape),
        "time last": lambda: np.ascontiguousarray(bold.T).T,
    }[layout]()
    np.testing.assert_array_equal(function(other), function(bold))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2"])
def test_types(rng, dtype):
    bold = rng.integers(0, 100, (200, 3)).astype(dtype)
    result = b2m.signal.median_detrend(bold)
    working = np.float32 if np.dtype(dtype).itemsize <= 2 else np.float64
    assert result.dtype == working
    np.testing.assert_array_equal(result, bold.astype(working) - scipy_trend(bold.astype(working)))


def test_what_goes_in_comes_out(rng):
    bold = make_bold(rng)
    assert isinstance(b2m.signal.zscore(bold), np.ndarray)
    assert isinstance(b2m.signal.zscore(torch.from_numpy(bold)), torch.Tensor)
    assert isinstance(b2m.signal.zscore(bold.tolist()), np.ndarray)
    empty = b2m.signal.median_detrend(bold[:, :0])
    assert empty.shape == (400, 0)


@pytest.mark.parametrize("function", [b2m.signal.median_detrend, b2m.signal.zscore])
def test_bad_input_is_refused_with_what_it_was(rng, function):
    bold = make_bold(rng)
    name = function.__name__
    for value, text in ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")):
        bad = bold.copy()
        bad[7, 20] = value
        with pytest.raises(
            ValueError, match=rf"\[signal\.{name}\] bold must be finite; got {text} at scan 7, voxel 20"
        ):
            function(bad)
    with pytest.raises(ValueError, match=r"two dimensions \(scans, voxels\); got shape \[400\]"):
        function(bold[:, 0])
    with pytest.raises(ValueError, match=r"at least one scan; got shape \[0, 33\]"):
        function(bold[:0])
    with pytest.raises(
        ValueError, match=r"runs must hold one label per scan; got shape \(3,\) for bold of shape \(400"
    ):
        function(bold, runs=[1, 2, 3])
    with pytest.raises(ValueError, match="contiguous; got run 1 at scan 0 and again at scan 300"):
        function(bold, runs=np.repeat([1, 2, 1], [100, 200, 100]))
    with pytest.raises(ValueError, match="contiguous; got NaN"):
        function(bold, runs=np.full(400, np.nan))
    with pytest.raises(ValueError, match="bold must be real numbers; got ComplexFloat"):
        function(bold.astype(np.complex64))
    with pytest.raises(ValueError, match="masked or missing values have no place here"):
        function(np.ma.masked_greater(bold, 1000))
    with pytest.raises(ValueError, match=r"got shape \(0,\) for bold of shape \(400"):
        function(bold, runs=[])
    with pytest.raises(ValueError, match="two dimensions"):
        function(np.float32(1))
    with pytest.raises(ValueError, match="bold must be real numbers; got ComplexFloat"):
        function(torch.zeros(3, 3, dtype=torch.complex64))
    with pytest.raises(TypeError, match="got dtype object"):
        function(np.array([[None]]))
    with pytest.raises(ValueError, match="real numbers; got Bool"):
        function(bold > 1000)


def test_bad_windows_are_refused(rng):
    bold = make_bold(rng)
    with pytest.raises(ValueError, match="tr must be a positive number of seconds; got -1"):
        b2m.signal.median_detrend(bold, tr=-1)
    with pytest.raises(ValueError, match=r"window must span at least three scans.*; got 2 s at a TR of 1.5 s"):
        b2m.signal.median_detrend(bold, window=2)
