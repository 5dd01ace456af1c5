"""How much memory ridge regression takes, measured in a process of its own, and what it may take."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import brain2music as b2m
from brain2music.ridge.options import memory_in_bytes

ROWS, TARGETS = 1920, 40_000  # 307 MB of float32
SIZE = 4 * ROWS * TARGETS
NAMES = ["RidgeCV", "KernelRidgeCV", "BandedRidgeCV", "BatchedRidgeCV"]

pytestmark = pytest.mark.filterwarnings("ignore:.*the grid of alphas")


@pytest.fixture(autouse=True)
def _no_threads_for_small_problems(one_thread):
    with threadpool_limits(1):
        yield


#: Fits in many ways, one after the other, and prints how much the memory of the process grew at most each time.
MEASURE = """
import ctypes, gc, json, sys, threading, time, warnings
import numpy as np, torch
from brain2music.ridge import BandedRidgeCV, FoldStatistics, RidgeCV

warnings.simplefilter("ignore")
torch.set_num_threads(2)
rng = np.random.default_rng(0)
path = sys.argv[1]
some = [np.load(path.replace("y.npy", "x.npy"))]
some.append(np.hstack([some[0], rng.standard_normal((len(some[0]), 136)).astype("f4")]))
X, wide = some
on_file = np.load(path, mmap_mode="r")
results, fits = {}, {}


def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def measure(name, work):
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before does not hide what is taken now
    before, most, done = anonymous(), [0], threading.Event()

    def look():
        while not done.is_set():
            most[0] = max(most[0], anonymous())
            time.sleep(0.001)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        fits[name] = work()
    except Exception as error:
        results[name] = repr(error)
    else:
        results[name] = max(most[0], anonymous()) - before
    done.set()
    thread.join()


def fit(x, y, sample_weight=None, **options):
    return RidgeCV([10.0, 1e3], cv=3, **options).fit(x, y, sample_weight=sample_weight)


for solver in ("cholesky", "eigenbasis"):  # so that libraries have what they keep
    fit(X[:600], on_file[:600, :700].astype(float), solver=solver)
weights = rng.exponential(size=len(X))
half = on_file[:, :20000]
in_columns = np.memmap(path, np.float32, "r", offset=on_file.offset, shape=on_file.shape[::-1]).T  # other targets
measure("file, eigenbasis, 60 MB", lambda: fit(X, on_file, solver="eigenbasis", memory_limit="60 MB"))
measure("file, cholesky, 80 MB", lambda: fit(wide, half, solver="cholesky", memory_limit="80 MB"))
bands = {"bands": np.arange(64) % 2, "alphas": [10.0, 1e3], "cv": 3, "n_iter": [[0.3, 0.7], [0.5, 0.5], [0.9, 0.1]]}
banded = BandedRidgeCV(**bands, solver="eigenbasis", memory_limit="100 MB")
measure("file, bands, 100 MB", lambda: banded.fit(X, on_file).coef_)
measure("file in columns, bands, 100 MB", lambda: banded.fit(X, in_columns).coef_)
measure("file in columns, 60 MB", lambda: fit(X, in_columns, solver="eigenbasis", memory_limit="60 MB"))
folds = {"cv": 40, "alphas": [10.0, 1e3], "solver": "eigenbasis", "memory_limit": "40 MB"}
measure("file, 40 folds, 40 MB", lambda: RidgeCV(**folds).fit(X[:, :8], on_file))
statistics = []
measure("file, statistics", lambda: statistics.append(FoldStatistics.gather(X[:, :8], on_file, cv=3)))
sums = statistics.pop()
results["held by statistics"] = sum(8 * v.numel() for v in (sums.gram_, sums.cross_, sums.y_squares_))
del sums
y = np.array(on_file)
measure("eigenbasis", lambda: fit(X, y, solver="eigenbasis"))
measure("cholesky", lambda: fit(X, y, solver="cholesky"))
measure("weights and path", lambda: fit(X, y, weights, keep_path=True))
measure("one alpha", lambda: fit(X, y, alpha_per_target=False))
fits["half, cholesky"] = fit(wide, half, solver="cholesky")
found = ["coef_", "intercept_", "cv_scores_", "cv_correlations_"]
for limited, free in (
    ("file, eigenbasis, 60 MB", "eigenbasis"),
    ("file, cholesky, 80 MB", "half, cholesky"),
):
    pairs = [[getattr(fits[name], of) for name in (limited, free)] for of in found] if limited in fits else [[1, 0]]
    results[f"apart, {limited}"] = max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def growth(tmp_path_factory):
    """Bytes by which memory grew, at most, in each fit; targets have a mean many times their spread."""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is measured by /proc/self/status, which is not there")
    path = tmp_path_factory.mktemp("large") / "y.npy"
    rng = np.random.default_rng(0)
    y = np.lib.format.open_memmap(path, "w+", np.float32, (ROWS, TARGETS))
    signal = rng.standard_normal((ROWS, 64), np.float32)
    for first in range(0, TARGETS, 4000):
        y[:, first : first + 4000] = 0.3 * signal @ rng.standard_normal((64, 4000), np.float32) + 100
        y[:, first : first + 4000] += rng.standard_normal((ROWS, 4000), np.float32)
    del y
    np.save(path.with_name("x.npy"), signal)
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=False)
    path.unlink()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("fit", "p"), [("eigenbasis, 60 MB", 64), ("cholesky, 80 MB", 200)])
def test_a_memory_limit_is_kept_with_targets_in_a_file(growth, fit, p):
    coefficients = 4 * p * (TARGETS if p == 64 else TARGETS // 2)
    limit = memory_in_bytes(fit.split(", ")[1], "")
    assert limit < SIZE / 1.9
    assert coefficients < growth[f"file, {fit}"] <= 1.1 * limit
    assert growth[f"apart, file, {fit}"] < 1e-6


@pytest.mark.parametrize("fit", ["file, bands, 100 MB", "file in columns, 60 MB", "file in columns, bands, 100 MB"])
def test_it_is_kept_by_bands_and_whatever_the_layout(growth, fit):
    assert 4 * 64 * TARGETS < growth[fit] <= 1.1 * memory_in_bytes(fit.rsplit(", ", 1)[1], "")


def test_it_is_kept_by_many_folds_of_few_features(growth):
    assert 4 * 8 * TARGETS < growth["file, 40 folds, 40 MB"] <= 1.1 * memory_in_bytes("40 MB", "")


@pytest.mark.parametrize("what", ["eigenbasis", "cholesky", "weights and path", "one alpha"])
def test_nothing_of_the_size_of_the_targets_is_made(growth, what):
    assert 4 * 64 * TARGETS < growth[what] < 0.5 * SIZE


def test_statistics_of_a_file_take_little_more_than_they_hold(growth):
    held = growth["held by statistics"]
    assert held == 8 * 4 * (9 * 9 + 9 * TARGETS + TARGETS)
    assert growth["file, statistics"] < 2 * held + 0.25 * SIZE


def small(rng, dtype=np.float32, t=300, p=12):
    X = rng.standard_normal((90, p))
    return X.astype(np.float32), (0.5 * X @ rng.standard_normal((p, t)) + rng.standard_normal((90, t))).astype(dtype)


def in_norm(result, expected):
    return np.linalg.norm(result - expected) / np.linalg.norm(expected)


def needed(estimator, X, Y):
    """MiB that the least memory_limit must be, and those of the results: from what is said where it is less."""
    with pytest.raises(ValueError, match=r"memory_limit must be at least") as refused:
        estimator.set_params(memory_limit=1).fit(X, Y)
    match = re.search(r"at least ([0-9.e+-]+) MiB, of which results take ([0-9.e+-]+); got", str(refused.value))
    return float(match.group(1)), float(match.group(2))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16])
@pytest.mark.parametrize("mapped", [True, False])
def test_targets_of_any_layout_and_type(rng, tmp_path, order, dtype, mapped):
    X, Y = small(rng)
    Y = (10 * Y).astype(dtype)
    expected = b2m.ridge.RidgeCV(cv=3, keep_predictions=True).fit(X, Y.astype(np.float64))
    np.save(tmp_path / "y.npy", np.asarray(Y, order=order))
    y = np.load(tmp_path / "y.npy", mmap_mode="r" if mapped else None)
    assert y.flags.f_contiguous == (order == "F")
    model = b2m.ridge.RidgeCV(cv=3, keep_predictions=True)
    least, _ = needed(model, X, y)
    for limit in (f"{1.01 * least} MiB", f"{2 * least} MiB", None):
        model.set_params(memory_limit=limit).fit(X, y)
        assert model.coef_.dtype == (np.float64 if dtype == np.float64 else np.float32)
        for name in ("coef_", "intercept_", "cv_scores_", "cv_predictions_"):
            assert in_norm(getattr(model, name), getattr(expected, name)) < 1e-5, name


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_below_the_results_is_refused_and_says_what_is_needed(rng, name):
    X, Y = small(rng, t=2000)
    model = getattr(b2m.ridge, name)(cv=3, **({"n_iter": 5} if name == "BandedRidgeCV" else {}))
    least, results = needed(model, X, Y)
    model.set_params(memory_limit=f"{1.01 * least} MiB").fit(X, Y)
    coef = model.dual_coef_ if name == "KernelRidgeCV" else model.coef_
    size = (coef[0] if isinstance(coef, list) else coef).nbytes / 2**20
    assert size < results < size + 2000 * 8 * 20 / 2**20
    assert results < least
    with pytest.raises(ValueError, match=r"memory_limit must be at least"):
        model.set_params(memory_limit=f"{0.98 * least} MiB").fit(X, Y)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_limit_of_next_to_nothing_is_refused_on_any_number_of_threads(rng, threads):
    import torch

    torch.set_num_threads(threads)  # one_thread sets it back
    X, Y = small(rng)
    for name in NAMES:
        with pytest.raises(ValueError, match=r"memory_limit must be at least"):
            getattr(b2m.ridge, name)(memory_limit=1).fit(X, Y)


@pytest.mark.parametrize(
    ("limit", "size"),
    [
        (10**9, 10**9),
        (2.5e9, 2_500_000_000),
        (np.int64(7), 7),
        ("1000", 1000),
        ("12 B", 12),
        ("500 MB", 500 * 10**6),
        ("1.5kb", 1500),
        (" 2 GiB ", 2 * 2**30),
        ("0.5 TiB", 2**39),
        ("3 mib", 3 * 2**20),
        ("1 KiB", 1024),
        ("4 GB", 4 * 10**9),
        ("1 TB", 10**12),
    ],
)
def test_units_of_a_limit(rng, limit, size):
    assert memory_in_bytes(limit, "") == size
    if size < 10_000:
        with pytest.raises(ValueError, match=r"memory_limit must be at least") as refused:
            b2m.ridge.RidgeCV(memory_limit=limit).fit(*small(rng))
        assert float(str(refused.value).rsplit("got ", 1)[1]) == pytest.approx(size / 2**20, rel=1e-4)
    else:
        b2m.ridge.RidgeCV(memory_limit=limit).fit(*small(rng, p=2, t=2))


@pytest.mark.parametrize(
    "limit", [0, -1, "", "much", "-5 MB", "0 GB", "5 XB", "1 2 MB", "1.2.3 MB", "MB", float("nan"), float("inf"), True]
)
def test_what_is_no_size_is_refused(rng, limit):
    X, Y = small(rng)
    for name in NAMES:
        with pytest.raises(
            ValueError, match=r"memory_limit must be bytes, or a number and a unit such as '2 GiB'; got"
        ):
            getattr(b2m.ridge, name)(memory_limit=limit).fit(X, Y)
