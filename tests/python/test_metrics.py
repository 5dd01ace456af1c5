import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import r2_score

import brain2music as b2m
from brain2music import _core
from brain2music.metrics import CLASS_GROUPS, TOP_N, group_indices


def make(rng, n=60, r=4, d=16, signal=0.3, dtype=np.float32):
    target = rng.standard_normal((n, r, d)).astype(dtype)
    return (signal * target + rng.standard_normal((n, r, d))).astype(dtype), target


def exact_identification(predicted, target, groups):
    """The definition in whole numbers, without rounding: r is compared by its sign and square."""

    def centred(row):
        return [len(row) * int(value) - int(sum(row)) for value in row]

    predicted, target = ([centred(row) for row in array.tolist()] for array in (predicted, target))
    result = []
    for i, row in enumerate(predicted):
        products = [sum(a * b for a, b in zip(row, other, strict=True)) for other in target]
        # The variance of the predicted row is common to all of its correlations.
        strength = [Fraction(p * abs(p), sum(b * b for b in other)) for p, other in zip(products, target, strict=True)]
        rivals = [strength[j] for j in range(len(target)) if groups[j] != groups[i]]
        points = sum(Fraction(2 * (strength[i] > s) + (strength[i] == s), 2) for s in rivals)
        result.append(float(points / len(rivals)))
    return np.array(result)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 12), st.integers(2, 6), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_identification_is_the_definition_ties_included(n, d, windows, level, seed):
    rng = np.random.default_rng(seed)

    def rows():
        x = rng.integers(-level, level + 1, (n * windows, d))
        x[:, 0] += x.max(axis=1) == x.min(axis=1)  # a row without variance is refused
        return x

    predicted, target = rows(), rows()
    order = rng.permutation(n * windows)
    clips = np.repeat(np.arange(n), windows)
    for groups in (np.arange(n * windows), clips, clips[order]):
        ours = b2m.metrics.identification_accuracy(predicted.astype(np.float32), target, clips=groups)
        np.testing.assert_allclose(ours.per_item, exact_identification(predicted, target, groups), atol=1e-12)
        assert ours.mean == pytest.approx(ours.per_item.mean())
    scores = _core.metrics.identification_scores(predicted, target, windows)
    np.testing.assert_allclose(np.diag(scores), exact_identification(predicted, target, clips), atol=1e-12)


def test_shapes_of_identification(rng, device):
    predicted, target = make(rng)
    there = [torch.from_numpy(array).to(device) for array in (predicted, target)]
    ids = np.array([f"clip {i}" for i in range(60)])

    clips = b2m.metrics.identification_accuracy(*there, correlations=True)
    means = predicted.mean(1, dtype=float), target.mean(1, dtype=float)
    matrix = np.corrcoef(*means)[:60, 60:]
    expected = np.mean(np.diag(matrix)[:, None] > matrix, axis=1) * 60 / 59
    np.testing.assert_allclose(clips.per_item.cpu(), expected, atol=1e-12)
    np.testing.assert_allclose(clips.correlations.cpu(), matrix, atol=1e-12)
    assert clips.per_item.device.type == device.type

    windows = b2m.metrics.identification_accuracy(*there, clips=ids)
    assert windows.per_item.shape == (60, 4)
    flat = b2m.metrics.identification_accuracy(
        predicted.reshape(-1, 16), target.reshape(-1, 16), clips=np.repeat(ids, 4)
    )
    np.testing.assert_array_equal(flat.per_item.reshape(60, 4), windows.per_item.cpu())
    assert windows.correlations is None
    matrix = np.corrcoef(predicted.reshape(-1, 16), target.reshape(-1, 16))[:240, 240:]
    own = np.repeat(np.arange(60), 4)
    expected = [np.mean(matrix[i, i] > matrix[i, own != own[i]]) for i in range(240)]
    np.testing.assert_allclose(windows.per_item.cpu().ravel(), expected, atol=1e-12)


def test_windows_of_a_clip_are_no_distractors():
    """Targets that do not move within a clip: nearly all ties are with the clip itself, and must not count."""
    target = np.repeat(np.random.default_rng(0).standard_normal((10, 1, 5)), 4, axis=1)
    assert b2m.metrics.identification_accuracy(target, target, clips=np.arange(10)).mean == 1
    each = b2m.metrics.identification_accuracy(target.reshape(-1, 5), target.reshape(-1, 5)).mean
    assert each == pytest.approx((36 + 3 / 2) / 39)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_correlation_equals_scipy(rng, device, dtype):
    predicted, target = (array[:, 0] for array in make(rng, dtype=dtype))
    there = [torch.from_numpy(array).to(device) for array in (predicted, target)]
    for over, axis in (("items", 0), ("dimensions", 1)):
        ours = b2m.metrics.correlation(*there, over=over)
        theirs = stats.pearsonr(predicted.astype(float), target.astype(float), axis=axis).statistic
        np.testing.assert_allclose(ours.cpu(), theirs, atol=1e-14)
    theirs = r2_score(target.astype(float), predicted.astype(float), multioutput="raw_values")
    np.testing.assert_allclose(b2m.metrics.r2_score(*there).cpu(), theirs, rtol=1e-12)
    averaged = b2m.metrics.correlation(*make(rng))
    assert averaged.shape == (16,)


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(2, 30),
    d=st.integers(1, 30),
    offset=st.sampled_from([0, 1e3, -1e6]),
    scale=st.sampled_from([1e-6, 1, 1e6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_correlation_of_any_shape_offset_and_scale(n, d, offset, scale, seed):
    rng = np.random.default_rng(seed)
    predicted, target = offset + rng.standard_normal((2, n, d)), scale * rng.standard_normal((n, d))
    predicted = predicted[0]
    tolerance = 1e-12 * max(1, abs(offset))
    ours = b2m.metrics.correlation(predicted, target)
    np.testing.assert_allclose(
        ours, [stats.pearsonr(predicted[:, i], target[:, i])[0] for i in range(d)], atol=tolerance
    )
    assert np.abs(ours).max() <= 1
    np.testing.assert_allclose(b2m.metrics.correlation(target, target), 1, rtol=1e-14)
    np.testing.assert_allclose(b2m.metrics.r2_score(target, target), 1)
    np.testing.assert_allclose(
        b2m.metrics.r2_score(np.broadcast_to(target.mean(0), target.shape), target), 0, atol=1e-12
    )


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "i4", "i8", "f2", ">f4", "f8"])
def test_types(rng, dtype):
    predicted, target = (np.round(10 * array + 100).clip(0, 120) for array in make(rng))
    whole = [array.astype(dtype) for array in (predicted, target)]
    for function in (
        lambda a, b: b2m.metrics.identification_accuracy(a, b, clips=np.arange(60)).per_item,
        b2m.metrics.correlation,
        b2m.metrics.r2_score,
    ):
        np.testing.assert_array_equal(function(*whole), function(*(array.astype(float) for array in whole)))


@pytest.mark.parametrize("layout", ["fortran", "sliced", "reversed", "read-only"])
def test_layouts_give_one_answer(rng, layout):
    def other(array):
        return {
            "fortran": lambda: np.asfortranarray(array),
            "sliced": lambda: np.repeat(array, 3, axis=1)[:, ::3],
            "reversed": lambda: array[::-1, ::-1].copy()[::-1, ::-1],
            "read-only": lambda: np.frombuffer(array.tobytes(), np.float32).reshape(array.shape),
        }[layout]()

    predicted, target = make(rng)
    for arrays in ((predicted, target), (predicted[:, 0], target[:, 0])):
        moved = [other(array) for array in arrays]
        np.testing.assert_allclose(b2m.metrics.correlation(*moved), b2m.metrics.correlation(*arrays), atol=1e-14)
        ours, theirs = (b2m.metrics.identification_accuracy(*pair).per_item for pair in (moved, arrays))
        np.testing.assert_array_equal(ours, theirs)


def test_what_goes_in_comes_out(rng):
    arrays = make(rng)
    for kind, expected in ((np.asarray, np.ndarray), (torch.from_numpy, torch.Tensor), (np.ndarray.tolist, np.ndarray)):
        pair = [kind(array) for array in arrays]
        found = b2m.metrics.identification_accuracy(*pair, clips=list(range(60)), correlations=True)
        assert isinstance(found.mean, float)
        results = [found.per_item, found.correlations, b2m.metrics.correlation(*pair), b2m.metrics.r2_score(*pair)]
        if kind is not np.ndarray.tolist:
            results += [
                b2m.metrics.permutation_null(*pair, n_permutations=3),
                b2m.metrics.random_pick(pair[0], pair[1], repeats=3),
                b2m.metrics.pair_scores(*pair, "identification"),
            ]
        for result in results:
            assert isinstance(result, expected)
            assert result.dtype in (np.float64, torch.float64)


def test_memory_stays_bounded():
    """6,000 x 6,000 correlations would be 288 MB, and several such arrays are compared.

    In a process of its own, in which freed blocks go back at once: else the peak is what the allocator keeps.
    """
    code = """
import re
from pathlib import Path
import numpy as np
from brain2music import _core

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

predicted, target = np.random.default_rng(0).standard_normal((2, 6000, 8), dtype=np.float32)
_core.metrics.identification_accuracy(predicted[:2000], target[:2000])  # maps code, starts threads
Path("/proc/self/clear_refs").write_text("5")  # resets the peak
before = peak()
per_item = _core.metrics.identification_accuracy(predicted, target)
print(peak() - before, per_item.mean())
"""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    grown, accuracy = map(float, done.stdout.split())
    assert grown < 80
    assert accuracy == pytest.approx(0.5, abs=0.02)


def test_class_agreement(rng):
    names = [name for group in CLASS_GROUPS.values() for name in group] + ["Speech"]
    assert {group: len(members) for group, members in CLASS_GROUPS.items()} == {
        "genres": 25,
        "instruments": 18,
        "moods": 6,
    }
    order = rng.permutation(len(names))
    groups = group_indices([names[i] for i in order])
    original, reconstructed = rng.random((2, 40, len(names)))
    original[:, groups["moods"][2]] = 2  # always the most likely mood
    agreement = b2m.metrics.class_agreement(original, reconstructed, groups, TOP_N)
    for group, columns in groups.items():
        n = TOP_N[group]
        tops = [np.argsort(x[:, columns])[:, ::-1][:, :n] for x in (original, reconstructed)]
        expected = [len(set(a) & set(b)) / n for a, b in zip(*tops, strict=True)]
        np.testing.assert_array_equal(agreement[group].per_item, expected)
        assert agreement[group].mean == pytest.approx(np.mean(expected))
    same = b2m.metrics.class_agreement(torch.from_numpy(original), torch.from_numpy(original), groups, TOP_N)
    assert all(group.mean == 1 and isinstance(group.per_item, torch.Tensor) for group in same.values())
    ties = b2m.metrics.class_agreement(np.zeros((1, 3)), np.array([[0.1, 0.2, 0.3]]), {"g": [2, 0, 1]}, {"g": 1})
    assert ties["g"].mean == 1  # of equal probabilities the class listed first


def test_bad_input_is_refused_with_what_it_was(rng):
    predicted, target = make(rng)
    flat = target.copy()
    flat[7] = 3
    for function in (b2m.metrics.identification_accuracy, b2m.metrics.correlation, b2m.metrics.r2_score):
        bad = predicted.copy()
        bad[7, 0, 2] = np.nan
        with pytest.raises(ValueError, match=r"predicted must be finite.*; got nan at .*7"):
            function(bad, target)
        with pytest.raises(ValueError, match=r"one shape; got \(60, 4, 16\) and \(59, 4, 16\)"):
            function(predicted, target[1:])
        with pytest.raises(ValueError, match="real numbers; got bool"):
            function(predicted > 0, target)
        with pytest.raises(ValueError, match=r"must be \(n, d\) or \(n, r, d\); got shape \(16,\)"):
            function(predicted[0, 0], target[0, 0])
        with pytest.raises(ValueError, match="masked or missing values have no place here"):
            function(np.ma.masked_greater(predicted, 1), target)
        with pytest.raises(ValueError, match=r"got shape \(60, 0, 16\)"):
            function(predicted[:, :0], target[:, :0])
        with pytest.raises(ValueError, match="real numbers; got"):
            function(np.array([["a", "b"], ["c", "d"]]), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"\[metrics.identification_accuracy\] row 7 of target must vary.*; got 3 in"):
        b2m.metrics.identification_accuracy(predicted, flat)
    with pytest.raises(ValueError, match="row 28 of predicted must vary"):
        b2m.metrics.identification_accuracy(flat, target, clips=np.arange(60))
    with pytest.raises(ValueError, match="one id for each of the 60 items; got shape"):
        b2m.metrics.identification_accuracy(predicted, target, clips=np.arange(61))
    with pytest.raises(ValueError, match="clips must be ids; got nan at item 0"):
        b2m.metrics.identification_accuracy(predicted, target, clips=np.full(60, np.nan))
    with pytest.raises(ValueError, match="every item must have a distractor; got none for item 0"):
        b2m.metrics.identification_accuracy(predicted, target, clips=np.zeros(60))
    with pytest.raises(ValueError, match="over must be 'items' or 'dimensions'; got 'clips'"):
        b2m.metrics.correlation(predicted, target, over="clips")
    with pytest.raises(ValueError, match="two values or more; got 1"):
        b2m.metrics.correlation(predicted[:1], target[:1])
    with pytest.raises(ValueError, match="class 'Pop music' of genres must be there once; got it 0 times among 1"):
        group_indices(["Speech"])
    with pytest.raises(ValueError, match=r"n must have the groups' names; got \['a'\] and \['b'\]"):
        b2m.metrics.class_agreement(predicted[0], target[0], {"a": [0]}, {"b": 1})


def test_pairs_may_differ_in_kind_but_not_in_device(rng):
    predicted, target = make(rng)
    mixed = b2m.metrics.correlation(torch.from_numpy(predicted), target)
    assert isinstance(mixed, torch.Tensor)
    with pytest.raises(ValueError, match="must lie on one device; got cpu and meta"):
        b2m.metrics.correlation(torch.from_numpy(predicted), torch.from_numpy(target).to("meta"))
