"""Problems and subjects over real worker processes."""

import os
import sys
import time
import warnings

import cloudpickle
import numpy as np
import pytest
from cluster_fits import TOLERANCE, assert_same, fit

import brain2music as b2m
from brain2music.distributed import problems

# Workers cannot import a test module: what it defines is sent to them whole.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_problems_of_unequal_size_are_one_fit(client, rng, tmp_path, dtype):
    sizes = (3, 61, 150, 1, 40, 4, 4, 4)
    Y = rng.standard_normal((100, 7)).astype(dtype)
    xs = [(Y @ rng.standard_normal((7, p)) + 3 * rng.standard_normal((100, p))).astype(dtype) for p in sizes]
    groups = np.repeat(np.arange(10), 10)
    model = b2m.ridge.BatchedRidgeCV(keep_path=True, keep_predictions=True)
    expected = fit(model, xs, Y, groups)
    np.save(tmp_path / "Y.npy", Y)
    np.save(tmp_path / "X.npy", xs[2])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        for x, y in ((xs, Y), ([*xs[:2], tmp_path / "X.npy", *xs[3:]], tmp_path / "Y.npy")):
            result = b2m.distributed.fit_problems(model, x, y, groups=groups)
            assert_same(result, expected, 10 * TOLERANCE[dtype])  # more features than rows in one
    for a, b in zip(result.predict(xs), expected.predict(xs), strict=True):
        np.testing.assert_allclose(a, b, atol=100 * TOLERANCE[dtype])


def test_large_problems_go_first_and_small_ones_together():
    assert problems._packed([1, 50, 2, 30, 1, 0], tasks=4) == [[1], [3], [2, 0, 4, 5]]
    assert problems._packed([0, 0], tasks=8) == [[0, 1]]
    assert problems._packed([1] * 6, tasks=3) == [[0, 1], [2, 3], [4, 5]]


def test_subjects(client):
    def moments(subject, data, *, power):
        if subject == "003":
            time.sleep(0.2)  # last to finish, and yet in its place
        return subject, os.getpid(), float((data**power).sum())

    found = b2m.distributed.map_subjects(moments, ["003", "001", "002"], np.full(200_000, 2.0), power=2)
    assert list(found) == ["003", "001", "002"]
    assert [(name, total) for name, _, total in found.values()] == [(name, 800_000) for name in found]
    assert os.getpid() not in {pid for _, pid, _ in found.values()}

    def fails(subject):
        return 1 / (subject - 2)

    with pytest.raises(
        RuntimeError, match=r"succeed for every subject; got 'ZeroDivisionError.*' for subject 2"
    ) as one:
        b2m.distributed.map_subjects(fails, [1, 2, 3])
    assert isinstance(one.value.__cause__, ZeroDivisionError)
    with pytest.raises(ValueError, match="subjects must be given once each; got 1 twice"):
        b2m.distributed.map_subjects(fails, [1, 3, 1])
    assert b2m.distributed.map_subjects(fails, []) == {}
