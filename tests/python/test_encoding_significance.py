"""Permutation tests of encoding models, against SciPy, against counting, and on noise."""

import itertools
import signal
import threading
import time

import numpy as np
import pytest
import torch
from scipy import stats
from torch._subclasses.fake_tensor import FakeTensorMode

import brain2music as b2m
from brain2music import _core

pytestmark = pytest.mark.filterwarnings("ignore:.*the grid of alphas should reach beyond.*")


def orders_of(rng, count, clips):
    return rng.permuted(np.tile(np.arange(clips), (count, 1)), axis=1)


def scores(predicted, observed, orders):
    """Score each order at each voxel in float64: (orders, voxels)."""
    products = np.einsum("arv,brv->abv", predicted.astype(float), observed.astype(float))
    return products[orders, np.arange(len(predicted))].sum(axis=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 1, 1), (7, 4, 17), (60, 4, 33), (130, 2, 5)])
def test_permuted_scores_are_counted_as_numpy_counts_them(dtype, shape):
    rng = np.random.default_rng(1)
    predicted, observed = rng.standard_normal((2, *shape)).astype(dtype)
    orders = orders_of(rng, 203, shape[0])
    at_least, largest, _ = _core.kernels.permutation_null(predicted, observed, orders, 1e-3)
    expected = scores(predicted, observed, orders)
    own = scores(predicted, observed, np.arange(shape[0])[None])[0]
    np.testing.assert_array_equal(at_least, (expected >= own - 1e-3).sum(axis=0))
    np.testing.assert_allclose(largest, expected.max(axis=1), rtol=1e-4 if dtype == np.float32 else 1e-12)
    assert largest.dtype == dtype
    # Strides and threads change nothing.
    turned = [np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0) for x in (predicted, observed)]
    again = _core.kernels.permutation_null(*turned, orders, 1e-3)
    np.testing.assert_array_equal(again[0], at_least)
    np.testing.assert_array_equal(again[1], largest)


def test_a_voxel_of_nan_counts_nothing():
    predicted, observed = np.random.default_rng(0).standard_normal((2, 5, 2, 3))
    observed[0, 0, 1] = np.nan
    at_least, largest, _ = _core.kernels.permutation_null(
        predicted, observed, orders_of(np.random.default_rng(0), 50, 5)
    )
    assert at_least[1] == 0
    assert np.isfinite(largest).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((3, 2)), np.zeros((3, 2)), [[0, 1, 2]]), r"predicted must be \(blocks, rows, voxels\)"),
        ((np.zeros((3, 1, 2)), np.zeros((3, 1, 3)), [[0, 1, 2]]), r"shape and type of predicted"),
        ((np.zeros((3, 1, 2)), np.zeros((3, 1, 2)), [[0, 1]]), r"\(permutations, 3\); got shape"),
        ((np.zeros((3, 1, 2)), np.zeros((3, 1, 2)), [[0, 1, 3]]), r"name blocks 0 to 2; got 3"),
        ((np.zeros((3, 1, 2), int), np.zeros((3, 1, 2), int), [[0, 1, 2]]), r"float32 or float64; got Long"),
    ],
)
def test_bad_input_of_the_kernel_is_named(arguments, message):
    predicted, observed, orders = arguments
    with pytest.raises(ValueError, match=message):
        _core.kernels.permutation_null(predicted, observed, np.array(orders, np.int64))


def test_permuted_scores_stay_on_the_device():
    with FakeTensorMode():
        x = torch.empty(6, 2, 9, device="cuda:1")
        orders = torch.zeros(30, 6, dtype=torch.int64, device="cuda:1")
        at_least, largest, _ = _core.kernels.permutation_null(x, x, orders)
        with pytest.raises((ValueError, RuntimeError), match="device"):
            _core.kernels.permutation_null(x, x.cpu(), orders)
    assert (at_least.device, at_least.shape, at_least.dtype) == (torch.device("cuda:1"), (9,), torch.int64)
    assert (largest.device, largest.shape, largest.dtype) == (torch.device("cuda:1"), (30,), torch.float32)


def test_all_orders_of_few_clips_give_scipy_s_exact_p():
    rng = np.random.default_rng(3)
    features, voxels = rng.standard_normal((5, 1)), rng.standard_normal((5, 6))
    encoder = b2m.VoxelwiseEncoder(alphas=[1e-6], cv=2).fit(features, voxels)
    tested = encoder.significance(features, voxels, permutations=1000)
    assert tested.permutations == 120
    predicted = encoder.predict(features)
    for v in range(6):
        expected = stats.permutation_test(
            (predicted[:, v],),
            lambda x, v=v: stats.pearsonr(x, voxels[:, v]).statistic,
            permutation_type="pairings",
            alternative="greater",
            n_resamples=np.inf,
        )
        assert tested.p[v] == pytest.approx(expected.pvalue, abs=1e-12)
        assert tested.score[v] == pytest.approx(expected.statistic, abs=1e-6)


def noisy(rng, clips, windows, voxels):
    """Windows of seven scans of noise that is alike from scan to scan."""
    noise = rng.standard_normal((clips * 10, voxels))
    for scan in range(1, len(noise)):
        noise[scan] += 0.4 * noise[scan - 1]
    scans = noise.reshape(clips, 10, voxels)
    return np.stack([scans[:, i : i + 7].mean(axis=1) for i in range(windows)], axis=1)


def unit(x):
    x = x - x.mean(axis=(0, 1))
    return x / np.sqrt((x**2).sum(axis=(0, 1)))


def test_tails_agree_with_a_million_permutations():
    """Of a hundred voxels, a third with clips that stand out: within 0.3 in log10 P down to 1e-5."""
    rng = np.random.default_rng(2)  # among them a voxel where one clip alone decides the score
    predicted = rng.standard_normal((60, 1, 100)) + 0.5 * rng.standard_normal((60, 4, 100))
    predicted *= np.where(np.arange(100) % 3 == 0, rng.standard_t(3, (60, 1, 100)), 1)
    observed = noisy(rng, 60, 4, 100)
    strength = np.linspace(0, 0.75, 100) * observed.std()
    observed = observed + strength * predicted / predicted.std(axis=(0, 1))
    predicted, observed = unit(predicted), unit(observed)
    count = np.zeros(100)
    for part in range(10):
        orders = orders_of(np.random.default_rng(10 + part), 100_000, 60)
        count += _core.kernels.permutation_null(predicted.astype("f"), observed.astype("f"), orders)[0]
    true = count / 1e6
    # Ten orders: counts say next to nothing, so every P is a tail.
    tested = _core.encoding.permutation_test(predicted, observed, orders[:10])
    compared = tested["in_tail"] & (true >= 1e-5)
    assert compared.sum() > 50
    assert (true[compared] < 1e-3).sum() > 10
    assert np.abs(np.log10(tested["p"][compared] / true[compared])).max() < 0.3
    assert (tested["p"][true < 1e-5] < 3e-5).all()


def test_the_tail_of_few_clips_is_that_of_all_their_orders():
    rng = np.random.default_rng(4)
    predicted, observed = unit(rng.standard_normal((8, 2, 12))), unit(rng.standard_normal((8, 2, 12)))
    observed = unit(observed + 0.6 * predicted)
    everything = np.array(list(itertools.permutations(range(8))), np.int64)
    exact = _core.encoding.permutation_test(predicted, observed, everything, all_orders=True)["p"]
    tails = _core.encoding.permutation_test(predicted, observed, everything[:10])
    compared = tails["in_tail"] & (exact > 1e-4) & (exact < 0.3)
    assert compared.sum() >= 8
    assert np.abs(np.log10(tails["p"][compared] / exact[compared])).max() < 0.3


def test_equal_scores_of_equal_clips_count_as_equal():
    """One-hot genre: clips of a genre are predicted alike, and orders within it score the same but for rounding."""
    rng = np.random.default_rng(5)
    genre = np.repeat(np.arange(2), 3)
    features = np.repeat(np.eye(2)[genre][:, None], 4, axis=1).astype(np.float32)
    brain = rng.standard_normal((6, 4, 50)).astype(np.float32)
    encoder = b2m.VoxelwiseEncoder(cv=3, alphas=[1.0]).fit(features, brain)
    tested = encoder.significance(features, brain, permutations=720)
    # 720 orders, 36 of which leave every clip in its genre: no P is smaller than that.
    assert tested.permutations == 720
    np.testing.assert_allclose(tested.p, np.round(tested.p * 20) / 20, atol=1e-9)
    assert tested.p.min() >= 36 / 720 - 1e-12


def test_the_largest_score_controls_the_family():
    rng = np.random.default_rng(6)
    features = rng.standard_normal((30, 1, 4)).astype(np.float32)
    brain = rng.standard_normal((30, 1, 80)).astype(np.float32)
    brain[..., 0] += 3 * features[..., 0]
    encoder = b2m.VoxelwiseEncoder(cv=5).fit(features[:15], brain[:15])
    tested = encoder.significance(features[15:], brain[15:], permutations=500, random_state=1)
    order = orders_of(np.random.default_rng(1), 500, 15)
    predicted = features[15:].astype(float) @ encoder.coef_.astype(float)
    null = scores(unit(predicted), unit(brain[15:]), order).max(axis=1)
    expected = ((null[:, None] >= tested.score - 1e-6).sum(axis=0) + 1) / 501
    np.testing.assert_allclose(tested.p_max, expected, atol=1e-9)
    assert tested.significant(correction="max")[0]
    assert (tested.p_max >= tested.p - 1e-9).all()


def shifted(encoder, x, y, runs, shifts):
    """Correlations under shifts of each run, (orders, voxels), by NumPy's roll."""
    predicted = x.astype(float) @ encoder.coef_.astype(float)
    found = []
    for own in shifts:
        rolled = np.concatenate([np.roll(predicted[runs == run], by, axis=0) for run, by in enumerate(own)])
        found.append([stats.pearsonr(rolled[:, voxel], y[:, voxel]).statistic for voxel in range(y.shape[1])])
    return np.array(found)


def test_shifts_go_round_each_run_and_any_may_be_drawn():
    rng = np.random.default_rng(7)
    runs = np.repeat([0, 1], [40, 60])
    x = rng.standard_normal((100, 3)).astype(np.float32)
    y = (0.2 * x @ rng.standard_normal((3, 6)) + rng.standard_normal((100, 6))).astype(np.float32)
    encoder = b2m.VoxelwiseEncoder(cv=2).fit(x, y, groups=runs)
    tested = encoder.significance(x, y, groups=runs, null="shifts", permutations=200, random_state=0)
    drawn = np.random.default_rng(0)
    shifts = np.stack([drawn.integers(0, length, 200) for length in (40, 60)], axis=1)
    null = shifted(encoder, x, y, runs, shifts)
    np.testing.assert_allclose(tested.p, ((null >= tested.score - 1e-6).sum(axis=0) + 1) / 201)
    assert not tested.in_tail.any()


def test_all_shifts_are_compared_where_there_are_no_more():
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((2, 41, 4)).astype(np.float32)
    encoder = b2m.VoxelwiseEncoder(cv=4).fit(x, y)
    tested = encoder.significance(x, y, null="shifts", permutations=41)
    null = shifted(encoder, x, y, np.zeros(41, int), np.arange(41)[:, None])
    np.testing.assert_allclose(tested.p, (null >= tested.score - 1e-6).mean(axis=0))
    assert tested.permutations == 41
    # Two runs of 5 and 8 scans have 40 shifts.
    runs = np.repeat([0, 1], [5, 8])
    tested = encoder.significance(x[:13], y[:13], groups=runs, null="shifts", permutations=40)
    null = shifted(encoder, x[:13], y[:13], runs, [(a, b) for a in range(5) for b in range(8)])
    np.testing.assert_allclose(tested.p, (null >= tested.score - 1e-6).mean(axis=0))
    with pytest.raises(ValueError, match="a run must have three scans or more to be shifted"):
        encoder.significance(x[:13], y[:13], groups=np.repeat([0, 1], [2, 11]), null="shifts")


def test_voxels_that_do_not_vary_are_not_tested_and_listed():
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((2, 12, 2, 6)).astype(np.float32)
    encoder = b2m.VoxelwiseEncoder(cv=3).fit(x, y)
    y[..., 2] = 1
    tested = encoder.significance(x, y, permutations=50, random_state=0)
    assert np.isnan(tested.p[2])
    assert np.isnan(tested.q[2])
    assert np.isfinite(np.delete(tested.p, 2)).all()
    assert tested.notes == (
        "1 voxels do not vary, in predictions or test data, or are NaN there, and were not tested.",
    )


def rejected(studies, null):
    """Share of voxels of pure noise that each study finds at 0.05, and whether the max-statistic finds any."""
    shares, anywhere = [], []
    for study in range(studies):
        rng = np.random.default_rng([9, study])
        features = rng.standard_normal((100, 1, 8)) + 0.5 * rng.standard_normal((100, 4, 8))
        brain = noisy(rng, 100, 4, 60)
        encoder = b2m.VoxelwiseEncoder(cv=4).fit(features[:70], brain[:70])
        tested = encoder.significance(features[70:], brain[70:], null=null, permutations=400, random_state=study)
        shares.append(float((tested.p <= 0.05).mean()))
        anywhere.append(tested.p_max is not None and bool((tested.p_max <= 0.05).any()))
    return np.array(shares), np.array(anywhere)


def test_twenty_null_studies_are_rejected_as_often_as_they_should_be():
    shares, anywhere = rejected(20, "clips")
    assert abs(shares.mean() - 0.05) < 3 * shares.std(ddof=1) / np.sqrt(20)
    assert anywhere.sum() <= 5  # of 20 at 5 %: more happen once in 3,000 times
    paper, _ = rejected(20, "paper")
    assert paper.mean() > 0.1  # windows that overlap are no independent numbers


def test_ctrl_c_stops_a_long_test():
    rng = np.random.default_rng(11)
    x, y = rng.standard_normal((2, 60, 4, 40_000)).astype(np.float32)
    orders = rng.permuted(np.tile(np.arange(60), (20_000, 1)), axis=1)
    timer = threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT))
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = time.monotonic()
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            _core.encoding.permutation_test(x, y, orders, tail=False)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, former)
    assert time.monotonic() - begun < 3.5  # a tile of 4,096 voxels takes part of a second, all of them several
