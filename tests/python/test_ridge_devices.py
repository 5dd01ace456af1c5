"""Ridge regression while it works: its bar, Ctrl-C, and the devices that it works on."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import brain2music as b2m
from brain2music import _core

ESTIMATORS = ["RidgeCV", "KernelRidgeCV", "BandedRidgeCV", "BatchedRidgeCV"]

pytestmark = pytest.mark.filterwarnings("ignore:.*the grid of alphas")


@pytest.fixture(autouse=True)
def _no_threads_for_small_problems(one_thread):
    with threadpool_limits(1):
        yield


def data(rng, t=300):
    X = rng.standard_normal((90, 12))
    return X, 0.5 * X @ rng.standard_normal((12, t)) + rng.standard_normal((90, t))


def made(name, **options):
    return getattr(b2m.ridge, name)(
        cv=3, **({"n_iter": 7, "random_state": 0} if name == "BandedRidgeCV" else {}), **options
    )


def assert_counts_to(text, total):
    bars = [line for line in re.split(r"[\r\n]+", text) if "[" in line]
    counts = [re.search(r"(\d+)/(\d+) \[", bar) for bar in bars]
    assert counts[-1], bars[-1]
    assert counts[-1].groups() == (str(total), str(total))
    assert [int(count[1]) for count in counts if count] == sorted(int(count[1]) for count in counts if count)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("t", [300, 5000])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_bar_counts_to_the_end(rng, capsys, name, t, threads):
    torch.set_num_threads(threads)  # one_thread sets it back
    X, Y = data(rng, t)
    X = [X] * 5 if name == "BatchedRidgeCV" else X
    quiet = made(name).fit(X, Y)
    assert capsys.readouterr().err == ""
    model = made(name, progress=True).fit(X, Y)
    out, err = capsys.readouterr()
    assert out == ""
    assert_counts_to(err, {"BandedRidgeCV": 7 * t, "BatchedRidgeCV": 5}.get(name, t))
    for a, b in zip(quiet.cv_scores_, model.cv_scores_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_bar_counts_statistics_and_one_penalty_for_all(rng, capsys):
    X, Y = data(rng)
    made("RidgeCV", progress=True).fit_statistics(b2m.ridge.FoldStatistics.gather(X, Y))
    assert_counts_to(capsys.readouterr().err, 300)
    made("RidgeCV", progress=True, alpha_per_target=False).fit(X, Y)
    assert_counts_to(capsys.readouterr().err, 300)


LONG = """
import signal
import warnings
import numpy as np
from brain2music.ridge import BandedRidgeCV, BatchedRidgeCV, RidgeCV

warnings.simplefilter("ignore")
signal.signal(signal.SIGINT, signal.default_int_handler)  # of what a shell starts in the background it is ignored
rng = np.random.default_rng(0)


def fit(n, p, t, make):
    X, Y = rng.standard_normal((n, p), np.float32), rng.standard_normal((n, t), np.float32)
    estimator = make(p)
    try:
        print("begins", flush=True)
        estimator.fit([X] * 300 if isinstance(estimator, BatchedRidgeCV) else X, Y)
    except KeyboardInterrupt:
        print("stopped", flush=True)
    else:
        print("ended", flush=True)


banded = lambda p: BandedRidgeCV(np.arange(p) % 4, n_iter=200, random_state=0)
fit(1000, 300, 100, lambda p: BatchedRidgeCV(solver="cholesky"))
fit(300, 200, 80000, lambda p: RidgeCV(solver="cholesky"))
fit(400, 60, 4000, lambda p: banded(p).set_params(progress=True))
fit(1000, 300, 300, lambda p: banded(p).set_params(solver="cholesky"))
"""


LONG_FITS = ["many problems", "many targets", "bands, many targets", "bands, many features"]


@pytest.fixture(scope="module")
def stopped():
    """What became of long fits that were told to stop after a second, and after how many seconds more."""
    if os.name != "posix":
        pytest.skip("sends a signal")
    found = []
    with subprocess.Popen([sys.executable, "-c", LONG], stdout=subprocess.PIPE, text=True) as process:
        try:
            while process.stdout.readline() == "begins\n":
                time.sleep(1)
                process.send_signal(signal.SIGINT)
                begin, late = time.monotonic(), threading.Timer(15, process.kill)
                late.start()
                found.append((process.stdout.readline(), time.monotonic() - begin))
                late.cancel()
        finally:
            process.kill()
    return dict(zip(LONG_FITS, found + [("never began", 0)] * len(LONG_FITS), strict=False))


@pytest.mark.parametrize("fit", LONG_FITS)
def test_ctrl_c_ends_a_long_fit(stopped, fit):
    state, seconds = stopped[fit]
    assert state == "stopped\n"
    assert seconds < 4  # about two, where nothing else runs


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("tensors", [False, True])
def test_devices_by_name(rng, name, tensors):
    X, Y = data(rng, 4)
    given = (torch.from_numpy(X), torch.from_numpy(Y)) if tensors else (X, Y)
    expected = made(name, device="cpu").fit(*given)
    here = [None, "auto"] if tensors or not torch.cuda.is_available() else []
    for device in ("cpu", torch.device("cpu"), "cpu:0", *here):
        model = made(name, device=device).fit(*given)
        for a, b in zip(model.cv_scores_, expected.cv_scores_, strict=True):
            np.testing.assert_array_equal(a, b)
    for device in ("nonsense", "", "cuda:x", 3.5, [1]):
        with pytest.raises(
            ValueError, match=rf"^\[ridge\.{name}\] device must be 'auto' or a device of torch; got .*$"
        ):
            made(name, device=device).fit(*given)


@pytest.mark.parametrize("device", ["meta", "mps", "xpu"])
def test_devices_of_other_kinds_are_refused(rng, device):
    for name in ESTIMATORS:
        with pytest.raises(ValueError, match=rf"^\[ridge\.{name}\] device must be .*got '{device}'"):
            made(name, device=device).fit(*data(rng, 4))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_gpu_that_is_not_there_is_refused_in_one_sentence(rng, name):
    for device in ("cuda", "cuda:1", torch.device("cuda"), 0):
        with pytest.raises(ValueError, match=rf"^\[ridge\.{name}\] device must be one .* no CUDA device; got [^\n]*$"):
            made(name, device=device).fit(*data(rng, 4))


class FakeGpu(TorchDispatchMode):
    """Fakes what is on a GPU, and only that: indices of folds, on the CPU, keep their values.

    An operation between a tensor there and one here raises. Of conditions that are looked at there, all are met.
    """

    fake = FakeTensorMode(allow_non_fake_inputs=True)

    def __enter__(self):
        torch._C._ensureCUDADeviceGuardSet()
        return super().__enter__()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        leaves = tree_leaves((args, kwargs or {}))
        there = any(
            isinstance(leaf, FakeTensor) or (isinstance(leaf, torch.device) and leaf.type == "cuda") for leaf in leaves
        )
        if not there:
            return operation(*args, **(kwargs or {}))
        with self.fake:
            if operation is torch.ops.aten.to.dtype_layout:  # of a tensor that is not fake it would be done for real
                operation = torch.ops.aten._to_copy.default
            if operation is torch.ops.aten.nonzero.default:
                return torch.empty(args[0].numel(), args[0].dim(), dtype=torch.int64, device=args[0].device)
            return operation(*args, **(kwargs or {}))


def there(*shape, dtype=torch.float32):
    with FakeGpu.fake:
        return torch.empty(*shape, dtype=dtype, device="cuda:0")


def on_a_fake_gpu(work):
    """Work's result, as if there were a GPU."""
    with FakeGpu():
        return work()


def assert_there(result, shapes, dtype):
    for name, shape in shapes.items():
        assert result[name].device == torch.device("cuda:0"), name
        assert result[name].shape == shape, name
        assert result[name].dtype == (torch.int64 if name.startswith("best_d") else dtype), name


FOLDS = [np.arange(first, 40, 4) for first in range(4)]
#: Few and many of the other rows, neighbours and scattered ones, are trained on; in the last fold, all.
GAPS = [
    (np.arange(8), np.arange(8, 20)),
    (np.arange(9, 40), np.arange(7)),
    (np.arange(0, 40, 3), np.arange(1, 40, 3)),
    (np.arange(10, 40), np.arange(10)),
]
OF_TARGETS = {"best_alphas": (9,), "cv_scores": (9,), "correlations": (9,), "intercept": (9,), "cv_path": (10, 9)}


@pytest.mark.parametrize(
    ("solver", "p", "dtype", "more"),
    [
        ("eigenbasis", 6, torch.float32, {"weighted": True}),
        ("eigenbasis", 60, torch.float64, {"alpha_per_target": False}),
        ("cholesky", 6, torch.float32, {"alpha_per_target": False}),
        ("cholesky", 60, torch.float64, {"weighted": True}),
        ("kernel", 6, torch.float64, {"fit_intercept": False}),
        ("kernel", 60, torch.float32, {"weighted": True}),
    ],
)
@pytest.mark.parametrize("folds", [FOLDS, GAPS])
def test_results_stay_on_the_device_of_the_input(solver, p, dtype, more, folds):
    options = {"solver": solver, "keep_path": True, "keep_predictions": True} | more
    if options.pop("weighted", False):
        options["sample_weight"] = there(40, dtype=torch.float64)
    x, y = there(40, p, dtype=dtype), there(40, 9, dtype=dtype)
    result = on_a_fake_gpu(lambda: _core.ridge.ridge_cv(x, y, folds, options))
    assert_there(result, OF_TARGETS | {"coef": (p, 9), "predictions": (40, 9)}, dtype)
    real = _core.ridge.ridge_cv(torch.randn(40, p), torch.randn(40, 9), folds, {"keep_path": True})
    assert {name: real[name].shape for name in OF_TARGETS} == {name: result[name].shape for name in OF_TARGETS}


@pytest.mark.parametrize("alphas", [[], [1.0, 10.0]])
@pytest.mark.parametrize("more", [{}, {"alpha_per_target": False}, {"fit_intercept": False}, {"solver": "eigenbasis"}])
@pytest.mark.parametrize("folds", [FOLDS, GAPS])
def test_regions_stay_there(alphas, more, folds):
    xs = [there(40, p) for p in (6, 7, 30)]
    options = {"keep_path": True, "alphas": alphas} | more
    results = on_a_fake_gpu(lambda: _core.ridge.batched_ridge_cv(xs, there(40, 9), folds, options))
    for x, result in zip(xs, results, strict=True):
        shapes = OF_TARGETS | {"coef": (x.shape[1], 9), "cv_path": (len(alphas) or 10, 9)}
        assert_there(result, shapes, torch.float32)


@pytest.mark.parametrize("t", [9, 90])
@pytest.mark.parametrize("folds", [FOLDS, GAPS])
def test_kernels_stay_there(t, folds):
    options = {"keep_path": True, "keep_predictions": True}
    result = on_a_fake_gpu(lambda: _core.ridge.kernel_ridge_cv(there(40, 40), there(40, t), folds, options))
    assert_there(
        result, {"coef": (40, t), "intercept": (t,), "cv_path": (10, t), "predictions": (40, t)}, torch.float32
    )


@pytest.mark.parametrize("solver", ["eigenbasis", "cholesky", "kernel"])
@pytest.mark.parametrize("folds", [FOLDS, GAPS])
def test_bands_stay_there(solver, folds):
    bands, gammas = torch.tensor([0, 0, 0, 1, 1, 1]), torch.rand(3, 2, dtype=torch.float64)
    options = {"solver": solver, "keep_path": True}
    result = on_a_fake_gpu(
        lambda: _core.ridge.banded_ridge_cv(there(40, 6), bands, gammas, there(40, 9), folds, options)
    )
    assert_there(result, OF_TARGETS | {"coef": (6, 9), "best_draw": (9,)}, torch.float32)


def test_statistics_stay_there():
    sums = on_a_fake_gpu(lambda: _core.ridge.fold_statistics(there(40, 6), there(40, 9), FOLDS, there(40)))
    shapes = {"x_offset": (6,), "y_offset": (9,), "gram": (5, 7, 7), "cross": (5, 7, 9), "y_squares": (5, 9)}
    assert_there({name: getattr(sums, name) for name in shapes}, shapes, torch.float64)
    options = {"keep_path": True}
    result = on_a_fake_gpu(lambda: _core.ridge.ridge_cv_of_statistics(sums, there(1), options))
    assert_there(result, OF_TARGETS | {"coef": (6, 9)}, torch.float64)


def test_two_devices_are_refused():
    for x, y in ((there(40, 6), torch.randn(40, 9)), (torch.randn(40, 6), there(40, 9))):
        with pytest.raises(ValueError, match=r"X and Y must lie on one device; got (cuda:0 and cpu|cpu and cuda:0)"):
            on_a_fake_gpu(lambda x=x, y=y: _core.ridge.ridge_cv(x, y, FOLDS, {}))


def test_the_method_catches_a_tensor_on_the_wrong_device():
    with pytest.raises(RuntimeError, match="device"):
        on_a_fake_gpu(lambda: there(3, 3) + torch.eye(3))
