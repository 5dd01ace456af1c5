"""Moments of decoded embeddings against SciPy's formulas and scikit-learn's cross-validated predictions."""

import hashlib

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict

import brain2music as b2m
from brain2music.bundles import Embeddings, EmbeddingSpace


@pytest.fixture
def pair(rng):
    """Cross-validated predictions of a ridge regression that shrinks, and the targets beside them."""
    music = rng.standard_normal((80, 6))
    target = music * [0.1, 0.5, 1, 2, 5, 10] + [0, 1, -3, 10, 0, 50]
    brain = music @ rng.standard_normal((6, 40)) + 2 * rng.standard_normal((80, 40))
    predicted = cross_val_predict(Ridge(1e3), brain, target, cv=KFold(5))
    assert (predicted.std(axis=0) < 0.8 * target.std(axis=0)).all()
    return predicted, target


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matched_predictions_have_the_moments_of_the_targets(pair, dtype):
    predicted, target = (each.astype(dtype) for each in pair)
    matching = b2m.MomentMatching.fit(predicted, target)
    matched = matching.apply(predicted)
    assert matched.dtype == dtype
    expected = stats.zscore(predicted.astype(float)) * np.std(target, axis=0, dtype=float) + target.mean(0, dtype=float)
    tolerance = {np.float32: 1e-5, np.float64: 1e-12}[dtype]
    np.testing.assert_allclose(matched, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(matched.std(axis=0, dtype=float), target.std(axis=0, dtype=float), rtol=tolerance)
    np.testing.assert_allclose(matched.mean(axis=0, dtype=float), target.mean(axis=0, dtype=float), atol=tolerance * 50)
    # the order of clips is kept, dimension by dimension
    assert all(stats.spearmanr(matched[:, i], predicted[:, i])[0] > 1 - 1e-9 for i in range(6))


def test_held_out_predictions_of_a_decoder_are_matched(rng):
    music = rng.standard_normal((60, 4, 8))
    brain = rng.standard_normal((60, 10, 30))
    brain += (music.mean(axis=1) @ rng.standard_normal((8, 30)))[:, None]
    runs, rois = np.repeat(np.arange(6), 10), np.ones(30, int)
    decoder = b2m.BrainDecoder(n_rois=1, alphas=[100.0])
    predicted = cross_val_predict(
        decoder, brain, music, groups=runs, cv=GroupKFold(3), params={"rois": rois, "groups": runs}
    )
    matched = b2m.MomentMatching.fit(predicted, music).apply(predicted)
    assert (predicted.std(axis=(0, 1)) < 0.9 * music.std(axis=(0, 1))).all()
    np.testing.assert_allclose(matched.std(axis=(0, 1)), music.std(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_allclose(matched.mean(axis=(0, 1)), music.mean(axis=(0, 1)), atol=1e-6)


def test_new_embeddings_are_moved_by_the_moments_of_the_fit(pair, rng):
    predicted, target = pair
    matching = b2m.MomentMatching.fit(torch.from_numpy(predicted), target)
    new = rng.standard_normal((3, 4, 6)).astype(np.float32)
    expected = (new - predicted.mean(0)) / predicted.std(0) * target.std(0) + target.mean(0)
    np.testing.assert_allclose(matching.apply(new), expected, rtol=1e-5)
    tensor = matching.apply(torch.from_numpy(new))
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy(), matching.apply(new))
    for name, moments in (("predicted", predicted), ("target", target)):
        np.testing.assert_allclose(getattr(matching, f"{name}_mean"), np.mean(moments, axis=0))
        np.testing.assert_allclose(getattr(matching, f"{name}_std"), np.sqrt(np.var(moments, axis=0)))


def test_windows_count_as_rows(rng):
    predicted, target = rng.standard_normal((2, 10, 4, 5))
    by_window = b2m.MomentMatching.fit(predicted, target)
    by_row = b2m.MomentMatching.fit(predicted.reshape(40, 5), target.reshape(40, 5))
    assert by_window.sha256 == by_row.sha256


def test_the_hash_is_of_the_numbers(pair):
    predicted, target = pair
    matching = b2m.MomentMatching.fit(predicted, target)
    moments = [predicted.mean(0), predicted.std(0), target.mean(0), target.std(0)]
    assert matching.sha256 == hashlib.sha256(np.concatenate(moments).astype("<f8").tobytes()).hexdigest()
    assert matching.sha256 != b2m.MomentMatching.fit(predicted[1:], target[1:]).sha256
    assert repr(matching) == f"MomentMatching(6 dimensions; {matching.sha256[:12]})"
    with pytest.raises(ValueError, match="read-only"):
        matching.target_mean[0] = 1


def test_a_constant_target_is_its_value(pair):
    predicted, target = pair
    target = target.copy()
    target[:, 2] = 7.0
    np.testing.assert_array_equal(b2m.MomentMatching.fit(predicted, target).apply(predicted)[:, 2], 7.0)


# ---- embeddings of clips -----------------------------------------------------------------------------------------


def embeddings(values, ids=None, **changes):
    fields = {"window": 10.0, "hop": 1.5, "role": "music_embedder", "hash": "0f" * 32, **changes}
    return Embeddings.from_arrays(values, [str(i) for i in range(len(values))] if ids is None else ids, **fields)


def test_embeddings_are_matched_by_clip(pair):
    predicted, target = (embeddings(each[:, None]) for each in pair)
    matching = b2m.MomentMatching.fit(predicted, target)
    assert matching.space == EmbeddingSpace("music_embedder", "0f" * 32, 10.0, 1.5)
    backwards = b2m.MomentMatching.fit(predicted, target[target.clip_ids[::-1]])
    np.testing.assert_allclose(backwards.target_std, matching.target_std, rtol=1e-12)
    matched = matching.apply(predicted)
    assert (matched.clip_ids, matched.space) == (predicted.clip_ids, predicted.space)
    np.testing.assert_array_equal(matched.values, matching.apply(predicted.values))
    unstated = embeddings(pair[0][:, None], role=None, hash=None)
    assert b2m.MomentMatching.fit(unstated, unstated).space is None
    assert b2m.MomentMatching.fit(unstated, target).space == b2m.MomentMatching.fit(predicted, pair[1][:, None]).space
    np.testing.assert_array_equal(matching.apply(unstated).values, matched.values)
    assert matching.apply(unstated).space is None
    with pytest.raises(ValueError, match=r"MomentMatching.apply\] embedding must lie in the space .* got .* eeeeee"):
        matching.apply(embeddings(pair[0][:, None], hash="e" * 64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": [*map(str, range(79)), "x"]}, "hold one set of clips; got 2 in one alone, '79' the first"),
        ({"hash": "e" * 64}, "lie in one space; got music_embedder 0f0f0f0f0f0f.* and music_embedder eeeeee"),
        ({"hop": 2.0}, "have one window and hop; got 10 s every 1.5 s and 10 s every 2 s"),
        ({"window": 5.0, "role": None, "hash": None}, "have one window and hop; got 10 s every 1.5 s and 5 s every"),
    ],
)
def test_embeddings_of_other_clips_or_spaces_are_refused(pair, change, message):
    predicted, target = (each[:, None] for each in pair)
    with pytest.raises(ValueError, match=rf"\[decoding.MomentMatching.fit\] predicted and target must {message}"):
        b2m.MomentMatching.fit(embeddings(predicted), embeddings(target, **change))


# ---- bad input ---------------------------------------------------------------------------------------------------

GOOD = np.random.default_rng(1).standard_normal((10, 3))
NAN = np.where(GOOD[4, 2] == GOOD, np.nan, GOOD)
FLAT = GOOD.copy()
FLAT[:, [1, 2]] = 0.1
ROUNDING = GOOD.astype(np.float32)
ROUNDING[:, 1] = 1000 + np.arange(10) % 2 * np.float32(6.1e-5)


@pytest.mark.parametrize(
    ("predicted", "target", "message"),
    [
        (GOOD, GOOD[1:], r"one shape; got \(10, 3\) and \(9, 3\)"),
        (GOOD[:, None], GOOD, r"one shape; got \(10, 1, 3\) and \(10, 3\)"),
        (NAN, GOOD, r"predicted must be finite; got nan at \[4, 2\]"),
        (GOOD, NAN, r"target must be finite; got nan at \[4, 2\]"),
        (GOOD[:1], GOOD[:1], "predicted must have two rows or more; got 1"),
        (FLAT, GOOD, "predicted must vary in every dimension; got 2 of 3 that do not, dimension 1 the first"),
        (ROUNDING, GOOD, "predicted must vary in every dimension; got 1 of 3 that do not, dimension 1 the first"),
        (GOOD[0], GOOD[0], r"predicted must be \(n, d\) or \(n, r, d\), none of them 0; got shape \(3,\)"),
        (GOOD, np.ones((10, 3), int), "target must be float32 or float64; got int64"),
        (GOOD, np.ma.masked_less(GOOD, 0), "masked or missing values have no place here"),
    ],
)
def test_bad_samples_are_refused(predicted, target, message):
    with pytest.raises(ValueError, match=message):
        b2m.MomentMatching.fit(predicted, target)


def test_bad_moments_and_embeddings_are_refused():
    one = np.ones(3)
    for moments, message in (
        ((one, one, one, np.ones(2)), r"target_std must have the shape \(d,\) of all; got \(2,\) beside \(3,\)"),
        ((one, 0 * one, one, one), "predicted_std must be finite, .*; got 0.0 in dimension 0"),
        ((one, one, one, -one), "target_std must be finite, .*; got -1.0 in dimension 0"),
        ((one, one, [1, 1, np.inf], one), "target_mean must be finite, .*; got inf in dimension 2"),
    ):
        with pytest.raises(ValueError, match=rf"\[decoding.MomentMatching\] {message}"):
            b2m.MomentMatching(*moments)
    matching = b2m.MomentMatching(one, one, one, 0 * one)
    for wrong, message in (
        (np.ones((2, 4)), r"embedding must have 3 dimensions, as the moments have; got shape \(2, 4\)"),
        (np.ones((2, 3), int), "embedding must hold floating-point numbers; got int64"),
        (torch.ones(2, 3, dtype=torch.int64), "embedding must hold floating-point numbers; got torch.int64"),
    ):
        with pytest.raises(ValueError, match=rf"\[decoding.MomentMatching.apply\] {message}"):
            matching.apply(wrong)
