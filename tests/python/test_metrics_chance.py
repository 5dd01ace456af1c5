import numpy as np
import pytest
import torch
from scipy import stats

import brain2music as b2m
from brain2music.metrics import p_value, pair_scores, permutation_null, random_pick
from brain2music.metrics.chance import METRICS


def plain(metric, clips=None):
    """A metric as a function of two arrays, by the functions that users call."""

    def value(predicted, target):
        if metric == "identification":
            return b2m.metrics.identification_accuracy(predicted, target, clips).mean
        if clips is not None:
            predicted, target = (np.reshape(array, (-1, array.shape[-1])) for array in (predicted, target))
        return b2m.metrics.correlation(predicted, target, metric.removeprefix("correlation_")).mean()

    return value


def make(rng, n=20, r=3, d=8):
    target = rng.standard_normal((n, r, d)) + rng.standard_normal((n, 1, d))
    return 0.3 * target + rng.standard_normal((n, r, d)), target


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("windows", ["averaged", "items", "rows"])
def test_looked_up_permutations_are_those_computed_one_by_one(rng, metric, windows):
    predicted, target = make(rng)
    clips = {"averaged": None, "items": np.arange(20), "rows": np.tile(np.arange(20), 3)}[windows]
    if windows == "rows":  # windows of a clip need not be neighbours
        predicted, target = (array.swapaxes(0, 1).reshape(-1, 8) for array in (predicted, target))
    quick = permutation_null(predicted, target, metric, 20, seed=3, clips=clips)
    slow = permutation_null(predicted, target, plain(metric, clips), 20, seed=3, clips=clips)
    np.testing.assert_allclose(quick, slow, atol=1e-12)
    scores = pair_scores(predicted, target, metric, clips)
    assert np.diag(scores).mean() == pytest.approx(plain(metric, clips)(predicted, target), abs=1e-12)
    many = permutation_null(predicted, target, metric, 4000, clips=clips)
    assert many.mean() == pytest.approx(scores.mean(), abs=4 * many.std() / np.sqrt(4000))
    np.testing.assert_array_equal(quick, permutation_null(predicted, target, metric, 20, seed=3, clips=clips))
    assert np.any(quick != permutation_null(predicted, target, metric, 20, seed=4, clips=clips))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("windows", ["averaged", "items"])
def test_random_picks_are_those_made_one_by_one(rng, metric, windows):
    target = make(rng)[1]
    corpus = (1 + rng.standard_normal((50, 8))).astype(np.float32)
    clips = None if windows == "averaged" else np.arange(20)
    picks = []

    def record(guess, truth):
        assert guess.shape == truth.shape
        assert (guess == guess[:, :1]).all()  # all windows of a clip share a pick
        picks.append(guess[:, 0])
        return plain(metric, clips)(guess, truth)

    slow = random_pick(corpus, target, record, clips, repeats=30, seed=5)
    np.testing.assert_allclose(random_pick(corpus, target, metric, clips, repeats=30, seed=5), slow, atol=1e-12)
    tracks = np.array([[np.flatnonzero((corpus == row).all(1))[0] for row in pick] for pick in picks])
    assert len(np.unique(tracks)) == 50
    assert stats.chisquare(np.bincount(tracks.ravel(), minlength=50)).pvalue > 0.001


def test_a_large_library_is_sampled(rng):
    target = make(rng)[1]
    corpus = rng.standard_normal((20_000, 8), dtype=np.float32)
    values = random_pick(corpus, target, repeats=400)
    assert values.mean() == pytest.approx(0.5, abs=4 * values.std() / 20)
    windows = np.stack([corpus - 1, corpus + 1], axis=1)  # their mean is the corpus
    np.testing.assert_allclose(random_pick(windows, target, repeats=400), values, atol=0.002)


def test_embeddings_that_share_a_mean_correlate_by_chance(rng):
    shared = 3 * rng.standard_normal(16)
    target, corpus = shared + rng.standard_normal((30, 16)), shared + rng.standard_normal((500, 16))
    assert random_pick(corpus, target, "correlation_dimensions").mean() > 0.8
    assert abs(random_pick(corpus, target, "correlation_items").mean()) < 0.02
    assert random_pick(corpus, target, "identification").mean() == pytest.approx(0.5, abs=0.02)


def test_p_values():
    null = np.arange(99.0)
    assert p_value(1000, null) == 0.01
    assert p_value(98, null) == 0.02
    assert p_value(-1, torch.from_numpy(null)) == 1
    assert p_value(98 + 1e-14, null) == 0.02  # as large, but for rounding
    with pytest.raises(ValueError, match="must be finite; got nan"):
        p_value(np.nan, null)


def smooth_noise(rng, *shape):
    """Windows of 7 scans in steps of one over white noise: neighbours share six of seven."""
    *clips, r, d = shape
    scans = rng.standard_normal((*clips, r + 6, d))
    return np.stack([scans[..., i : i + 7, :].mean(-2) for i in range(r)], axis=-2)


def test_block_permutation_is_calibrated_where_the_plain_null_is_not(one_thread):
    """Pure noise of 60 clips x 4 overlapping windows: a null of 240 independent rows calls 18 % of it significant."""
    rng = np.random.default_rng(1)
    studies = 400
    plain_p, block_p, single_p = [], [], []
    for study in range(studies):
        predicted, target = smooth_noise(rng, 2, 60, 4, 1)
        rows = predicted.reshape(-1, 1), target.reshape(-1, 1)
        r = float(b2m.metrics.correlation(*rows)[0])
        plain_p.append(stats.pearsonr(rows[0][:, 0], rows[1][:, 0], alternative="greater").pvalue)
        null = permutation_null(predicted, target, "correlation_items", 199, seed=study, clips=np.arange(60))
        block_p.append(p_value(r, null))
        single_p.append(p_value(r, permutation_null(*rows, "correlation_items", 199, seed=study)))
    within = stats.binomtest(int(np.sum(np.array(block_p) <= 0.05)), studies, 0.05)
    assert within.pvalue > 0.01, within
    for wrong in (plain_p, single_p):
        assert 0.12 < np.mean(np.array(wrong) <= 0.05) < 0.25


def test_the_null_of_identification_is_calibrated(one_thread):
    rng = np.random.default_rng(2)
    studies, clips = 300, np.arange(24)
    block_p, single_p = [], []
    for study in range(studies):
        predicted, target = smooth_noise(rng, 2, 24, 4, 6)
        value = b2m.metrics.identification_accuracy(predicted, target, clips).mean
        block_p.append(p_value(value, permutation_null(predicted, target, "identification", 199, study, clips)))
        rows = predicted.reshape(-1, 6), target.reshape(-1, 6)
        own = b2m.metrics.identification_accuracy(*rows).mean
        single_p.append(p_value(own, permutation_null(*rows, "identification", 199, study)))
    assert stats.binomtest(int(np.sum(np.array(block_p) <= 0.05)), studies, 0.05).pvalue > 0.01
    assert stats.kstest(block_p, "uniform").pvalue > 0.01
    assert np.mean(np.array(single_p) <= 0.05) > 0.1  # windows permuted singly: noise found significant too often


def test_bad_input_is_refused_with_what_it_was(rng):
    predicted, target = make(rng)
    with pytest.raises(ValueError, match=r"metric must be one of identification, .*; got 'r2'"):
        permutation_null(predicted, target, "r2")
    with pytest.raises(ValueError, match=r"\[metrics.random_pick\] metric must be one of .*; got 'r2'"):
        random_pick(predicted, target, "r2")
    with pytest.raises(ValueError, match=r"equally many rows, to be permuted whole; got 1 to 2"):
        permutation_null(predicted[:3, 0], target[:3, 0], clips=[0, 0, 1])
    with pytest.raises(ValueError, match="n_permutations must be a positive integer; got 0"):
        permutation_null(predicted, target, n_permutations=0)
    with pytest.raises(ValueError, match=r"repeats must be a positive integer; got 1\.5"):
        random_pick(predicted, target, repeats=1.5)
    with pytest.raises(ValueError, match="two clips or more; got 1"):
        permutation_null(predicted[:1], target[:1])
    with pytest.raises(ValueError, match=r"tracks of 8 dimensions; got shape \(20, 3, 7\)"):
        random_pick(predicted[..., 1:], target)
    corpus = rng.standard_normal((800, 8))
    corpus[123] = 0
    with pytest.raises(ValueError, match=r"must be finite and vary over its dimensions; got .* in row 123 of corpus"):
        random_pick(corpus, target)
