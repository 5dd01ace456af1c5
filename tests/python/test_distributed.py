"""Blocks of targets, problems and subjects over real worker processes, beside plain fits in this one."""

import concurrent.futures
import logging
import os
import re
import signal
import subprocess
import sys
import time
import warnings

import cloudpickle
import dask
import distributed
import numpy as np
import pytest
import torch
from sklearn.model_selection import KFold

import brain2music as b2m
from brain2music.distributed import blocks, notices, problems

ALPHAS = np.logspace(-1, 4, 6)

#: Up to rounding: a product of matrices adds up in another order when it has other columns, or other threads.
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-11}

# Workers cannot import a test module: what it defines is sent to them whole.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def client():
    """Two worker processes, each watched by a nanny that starts it again when it ends."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": logging.CRITICAL}
    settings = {
        "distributed.admin.large-graph-warning-threshold": "100 kB",  # no arrays among the arguments
        # Dask gives up a worker that is not there at some moment after it ended: one that is killed twice, by chance.
        "distributed.deploy.lost-worker-timeout": "1 hour",
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(processes=True, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=30)
        yield client


def data(rng, n, p, t, dtype=np.float64):
    X = rng.standard_normal((n, p))
    Y = 0.3 * X @ rng.standard_normal((p, t)) + rng.standard_normal((n, t))
    return X.astype(dtype), Y.astype(dtype)


def fitted_attributes(model):
    parameters = model.get_params(deep=False)
    return {name: value for name, value in vars(model).items() if name not in parameters}


def assert_same(model, expected, tolerance):
    """All that a fit sets: the same names, kinds, types, shapes and, to a tolerance, numbers."""
    assert type(model) is type(expected)
    found, wanted = fitted_attributes(model), fitted_attributes(expected)
    assert found.keys() == wanted.keys()
    if getattr(expected, "solver", None) == "auto":  # may depend on how many targets there are
        del found["solver_"], wanted["solver_"]
    for name, value in wanted.items():
        many = isinstance(value, list)
        assert isinstance(found[name], list) == many
        for a, b in zip(found[name] if many else [found[name]], value if many else [value], strict=True):
            assert type(a) is type(b), name
            if not isinstance(b, (np.ndarray, np.generic, torch.Tensor)):
                assert a == b, name
                continue
            assert a.dtype == b.dtype, name
            assert a.shape == b.shape, name
            a, b = np.asarray(a), np.asarray(b)
            scale = np.abs(b[np.isfinite(b)]).max(initial=0)
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(scale, 1), err_msg=name)


def fit(estimator, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        return estimator.fit(*args, **kwargs)


def fit_targets(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        return b2m.distributed.fit_targets(*args, **kwargs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_of_targets_are_one_fit(client, rng, dtype):
    X, Y = data(rng, 90, 12, 205, dtype)
    groups = rng.integers(0, 9, 90)
    for options in ({}, {"alphas": ALPHAS, "scoring": "correlation", "keep_path": True, "keep_predictions": True}):
        model = b2m.ridge.RidgeCV(**options)
        expected = fit(b2m.ridge.RidgeCV(**options), X, Y, groups)
        result = fit_targets(model, X, Y, groups=groups, targets_at_once=60)
        assert_same(result, expected, TOLERANCE[dtype])
        assert not fitted_attributes(model)  # left as it was
        np.testing.assert_allclose(result.predict(X), expected.predict(X), atol=100 * TOLERANCE[dtype])


def test_equal_blocks_as_long_as_the_grid_of_penalties(client, rng):
    X, Y = data(rng, 60, 5, 12)
    for targets in (12, 6, 2, 1):
        model = b2m.ridge.RidgeCV(alphas=ALPHAS)
        result = fit_targets(model, X, Y[:, :targets], targets_at_once=min(6, targets // 2 or 1))
        assert_same(result, fit(model, X, Y[:, :targets]), 1e-11)


def test_blocks_differ_in_length_but_hardly():
    for targets in range(40):
        for at_once in range(1, 45):
            found = blocks.bounds(targets, at_once)
            widths = {last - first for first, last in found}
            assert [first for first, _ in found] == [0, *(last for _, last in found[:-1])]
            assert found[-1][1] == targets
            assert max(widths) <= at_once + (len(found) > 1 or targets > at_once)
            assert len(found) == 1 or (len(widths) > 1 and max(widths) - min(widths) <= 2)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_file_that_every_worker_maps(client, rng, tmp_path, monkeypatch, order):
    X, Y = data(rng, 80, 6, 150, np.float32)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "Y.npy", np.asarray(Y, order=order))
    expected = fit(b2m.ridge.RidgeCV(), X, Y)
    monkeypatch.chdir(tmp_path)
    assert_same(fit_targets(b2m.ridge.RidgeCV(), X, tmp_path / "Y.npy", targets_at_once=64), expected, 2e-5)
    assert_same(fit_targets(b2m.ridge.RidgeCV(), "X.npy", "Y.npy", targets_at_once=64), expected, 2e-5)


def test_torch_in_torch_out(client, rng):
    X, Y = (torch.from_numpy(array) for array in data(rng, 60, 5, 70, np.float32))
    for y in (Y, Y[:, 0]):
        assert_same(fit_targets(b2m.ridge.RidgeCV(), X, y, targets_at_once=32), fit(b2m.ridge.RidgeCV(), X, y), 2e-5)


def test_one_target(client, rng):
    X, Y = data(rng, 60, 5, 1)
    result = fit_targets(b2m.ridge.RidgeCV(), X, Y[:, 0])
    assert_same(result, fit(b2m.ridge.RidgeCV(), X, Y[:, 0]), 1e-11)
    result.coef_ *= 2  # ours to write to


def test_one_penalty_for_all_targets(client, rng):
    X, Y = data(rng, 90, 12, 110)
    for options in ({}, {"alphas": ALPHAS[::-1], "keep_path": True, "keep_predictions": True}):
        model = b2m.ridge.RidgeCV(alpha_per_target=False, **options)
        assert_same(fit_targets(model, X, Y, targets_at_once=40), fit(model, X, Y), 1e-11)


def test_folds_are_drawn_once(client, rng):
    X, Y = data(rng, 60, 5, 50)
    drawn = []

    class Once(KFold):
        def split(self, X, y=None, groups=None):
            for train, test in super().split(X, y, groups):
                drawn.append((train, test))
                yield train, test

    result = fit_targets(b2m.ridge.RidgeCV(cv=Once(4, shuffle=True)), X, Y, targets_at_once=11)
    assert len(drawn) == 4
    result.cv = None
    assert_same(result, fit(b2m.ridge.RidgeCV(cv=drawn), X, Y), 1e-11)
    pairs = (pair for pair in drawn)  # can be gone through once, and not copied
    assert_same(fit_targets(b2m.ridge.RidgeCV(cv=pairs), X, Y), fit(b2m.ridge.RidgeCV(cv=drawn), X, Y), 1e-11)


@pytest.mark.parametrize("kernel", ["linear", "precomputed"])
def test_kernel_ridge(client, rng, kernel):
    X, Y = data(rng, 40, 90, 70)
    model = b2m.ridge.KernelRidgeCV(kernel=kernel, keep_path=True)
    X = X @ X.T if kernel == "precomputed" else X
    result = fit_targets(model, X, Y, targets_at_once=35)
    assert_same(result, fit(model, X, Y), 1e-10)
    if kernel == "linear":
        assert result.X_fit_ is X  # does not come back
    model = b2m.ridge.KernelRidgeCV(kernel=kernel, alpha_per_target=False)
    assert_same(fit_targets(model, X, Y, targets_at_once=35), fit(model, X, Y), 1e-10)


def test_bands(client, rng, tmp_path):
    X, Y = data(rng, 60, 9, 50)
    bands = [X[:, :3], X[:, 3:4], X[:, 4:]]
    model = b2m.ridge.BandedRidgeCV(n_iter=6, random_state=0, keep_path=True)
    expected = fit(model, bands, Y)
    assert_same(fit_targets(model, bands, Y, targets_at_once=20), expected, 1e-10)
    np.save(tmp_path / "band.npy", bands[2])
    assert_same(fit_targets(model, [*bands[:2], tmp_path / "band.npy"], Y, targets_at_once=20), expected, 1e-10)
    model.bands = [0, 0, 0, 1, 2, 2, 2, 2, 2]
    assert_same(fit_targets(model, X, Y, targets_at_once=20), fit(model, X, Y), 1e-10)
    tensors = [torch.from_numpy(band) for band in bands]
    model.bands = None
    y = torch.from_numpy(Y)
    assert_same(fit_targets(model, tensors, y, targets_at_once=20), fit(model, tensors, y), 1e-10)


@pytest.mark.parametrize("state", [None, np.random.RandomState(0), np.random.default_rng(0)])
def test_the_seed_is_drawn_once(client, rng, state):
    X, Y = data(rng, 60, 6, 50)
    model = b2m.ridge.BandedRidgeCV([0, 0, 0, 1, 1, 1], n_iter=4, random_state=state)
    result = fit_targets(model, X, Y, targets_at_once=20)
    assert result.random_state is state
    model = b2m.ridge.BandedRidgeCV([0, 0, 0, 1, 1, 1], n_iter=result.gammas_)
    result.set_params(n_iter=None)
    assert_same(result, fit(model, X, Y), 1e-11)


def test_weights_of_rows(client, rng):
    X, Y = data(rng, 60, 6, 50)
    weight = rng.uniform(0.5, 2, 60)
    for model in (b2m.ridge.RidgeCV(), b2m.ridge.RidgeCV(alpha_per_target=False), b2m.ridge.KernelRidgeCV()):
        result = fit_targets(model, X, Y, sample_weight=weight, targets_at_once=20)
        assert_same(result, fit(model, X, Y, sample_weight=weight), 1e-10)
    model, xs = b2m.ridge.BatchedRidgeCV(), [X, X[:, :2]]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        result = b2m.distributed.fit_problems(model, xs, Y, sample_weight=weight)
    assert_same(result, fit(model, xs, Y, sample_weight=weight), 1e-10)


def test_a_bar(client, rng, capsys):
    X, Y = data(rng, 60, 6, 50)
    assert fit_targets(b2m.ridge.RidgeCV(progress=True), X, Y, targets_at_once=20).progress
    assert "50/50" in capsys.readouterr().err


class Unweighted(b2m.ridge.RidgeCV):
    def fit(self, X, y, groups=None):
        return super().fit(X, y, groups)


def test_warnings_are_said_once_and_count_all_targets(client, rng):
    X = rng.standard_normal((100, 10))
    Y = np.hstack([X @ rng.standard_normal((10, 70)), rng.standard_normal((100, 50))])
    for options in ({}, {"alpha_per_target": False}):
        model = b2m.ridge.RidgeCV(alphas=[1e3, 1e4, 1e5], **options)
        with pytest.warns(UserWarning, match="the grid of alphas") as expected:
            model.fit(X, Y)
        with pytest.warns(UserWarning, match="the grid of alphas") as found:
            b2m.distributed.fit_targets(model, X, Y, targets_at_once=35)
        assert [str(one.message) for one in found] == [str(one.message) for one in expected]
        assert found[0].filename == __file__
        assert "got 70 of 120 targets at its smallest, 0 at" in str(found[0].message)


def test_other_warnings_are_said_once():
    parts = [
        (8, [(UserWarning, "[a.b] few; got 2 of 8 targets"), (FutureWarning, "in {} of 8 targets")]),
        (8, [(FutureWarning, "in {} of 8 targets"), (UserWarning, "[a.b] few; got 5 rows of 8")]),
        (7, [(UserWarning, "[a.b] few; got 1 of 7 targets")]),
        (7, []),
    ]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        notices.warn_once(parts, 30, stacklevel=1)
    assert [(one.category, str(one.message)) for one in found] == [
        (UserWarning, "[a.b] few; got 3 of 30 targets"),
        (FutureWarning, "in {} of 8 targets"),
        (UserWarning, "[a.b] few; got 5 rows of 8"),
    ]


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


def halting(folder, done, pids):
    """Return an estimator whose fits stand still, in as many workers as ``pids`` says, once ``done`` fits are done."""

    class Halting(b2m.ridge.RidgeCV):
        def fit(self, X, y, groups=None):
            if len(list(folder.glob("done-*"))) >= done:
                for number in range(pids):
                    try:
                        with (folder / f"halted-{number}").open("x") as file:
                            file.write(f"{os.getpid()}\n")
                    except FileExistsError:
                        continue
                    time.sleep(60)
                    raise TimeoutError("this worker was to be killed")
            super().fit(X, y, groups)
            (folder / f"done-{os.getpid()}-{time.monotonic_ns()}").touch()
            return self

    return Halting()


@pytest.mark.parametrize(("victims", "path"), [(1, False), (2, True)])
def test_workers_killed_midway(client, rng, tmp_path, victims, path):
    """Killed while they fit a block, after others are done and while the rest waits: the same answer."""
    X, Y = data(rng, 80, 8, 300)
    np.save(tmp_path / "Y.npy", Y)
    expected = fit(b2m.ridge.RidgeCV(), X, Y)
    client.wait_for_workers(2, timeout=30)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        model = halting(tmp_path, 3, victims)
        future = thread.submit(
            fit_targets, model, X, tmp_path / "Y.npy" if path else Y, client=client, targets_at_once=30
        )
        killed = set()
        for number in range(victims):
            file = tmp_path / f"halted-{number}"
            give_up = time.monotonic() + 30
            while not (file.exists() and file.read_text().endswith("\n")):
                assert time.monotonic() < give_up
                assert not future.done(), future.exception()
                time.sleep(0.01)
            killed.add(int(file.read_text()))
        assert len(list(tmp_path.glob("done-*"))) < 10
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        result = future.result(timeout=60)
    assert len(killed) == victims
    assert os.getpid() not in killed
    assert_same_numbers(result, expected)
    workers = {int(file.name.split("-")[1]) for file in tmp_path.glob("done-*")}
    assert workers - killed


def assert_same_numbers(result, expected):
    for name in ("alphas_", "best_alphas_", "coef_", "intercept_", "cv_scores_", "cv_correlations_"):
        a, b = getattr(result, name), getattr(expected, name)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * np.abs(b).max(), err_msg=name)


def test_what_a_worker_raises_comes_back(client, rng):
    X, Y = data(rng, 60, 5, 50)
    Y[7, 33] = np.nan
    with pytest.raises(ValueError, match=r"\[ridge.RidgeCV\] Y must be finite, .* got nan at row 7, column 33"):
        fit_targets(b2m.ridge.RidgeCV(), X, Y, targets_at_once=20)
    with pytest.raises(ValueError, match=r"alphas must be positive and finite; got 0"):
        fit_targets(b2m.ridge.RidgeCV(alphas=[0]), X, Y[:, :30], targets_at_once=20)
    with pytest.raises(ValueError, match=r"X must be finite, .* got nan at row 7, column 33"):
        b2m.distributed.fit_problems(b2m.ridge.BatchedRidgeCV(), [X, Y], X)

    class Transposed(b2m.ridge.RidgeCV):
        def fit(self, X, y, groups=None):
            super().fit(X, y, groups)
            self.coef_ = self.coef_.T
            return self

    with pytest.raises(
        ValueError, match=r"targets along their last axis.*; got coef_ of shapes \[\(16, 5\), \(14, 5\)\]"
    ):
        fit_targets(Transposed(), X, Y[:, :30], targets_at_once=20)


def test_what_does_not_fit_is_never_sent(client, rng, tmp_path, monkeypatch):
    def sent(*args, **kwargs):
        raise AssertionError("sent")

    monkeypatch.setattr(client, "scatter", sent)
    monkeypatch.setattr(client, "submit", sent)
    X, Y = data(rng, 60, 5, 10)
    np.save(tmp_path / "Y.npy", Y[:-1])
    model, batch = b2m.ridge.RidgeCV(), b2m.ridge.BatchedRidgeCV()
    for name, (x, y, kwargs) in {
        "X and Y must have equal rows; got shapes (60, 5) and (59, 10)": (X, Y[:-1], {}),
        "X and Y must have equal rows; got shapes (60, 5) and (59,": (X, tmp_path / "Y.npy", {}),
        "groups must hold one label per row; got shape (59,)": (X, Y, {"groups": np.arange(59)}),
        "sample_weight must hold a number for each row; got shape (59,)": (X, Y, {"sample_weight": np.ones(59)}),
        "targets_at_once must be one target or more; got 0": (X, Y, {"targets_at_once": 0}),
    }.items():
        with pytest.raises(ValueError, match=rf"\[distributed.fit_targets\] {re.escape(name)}"):
            fit_targets(model, x, y, **kwargs)
    with pytest.raises(ValueError, match="sample_weight must be None for Unweighted, whose fit takes none"):
        fit_targets(Unweighted(), X, Y, sample_weight=np.ones(60))
    with pytest.raises(ValueError, match="got BatchedRidgeCV, which is for fit_problems"):
        fit_targets(batch, X, Y)
    with pytest.raises(FileNotFoundError):
        fit_targets(model, X, tmp_path / "Z.npy")
    for name, xs in {
        "Xs must be a list of one matrix or more; got ndarray": X,
        "Xs must be a list of one matrix or more; got list": [],
        "every X must have the 60 rows of Y; got shape (59, 5) in problem 1": [X, X[:-1]],
        "every X must have the 60 rows of Y; got shape (60,) in problem 0": [X[:, 0]],
    }.items():
        with pytest.raises(ValueError, match=rf"\[distributed.fit_problems\] {re.escape(name)}"):
            b2m.distributed.fit_problems(batch, xs, Y)


def test_a_task_that_always_ends_its_worker(client):
    """The last one for this cluster: it leaves workers that start, and may end, again."""

    def ends(subject):
        os._exit(1)

    client.wait_for_workers(2, timeout=30)
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        expected = r"succeed for every subject; got '.*(KilledWorker|a task's worker must live).* for subject 'a'"
        with pytest.raises(RuntimeError, match=expected):
            b2m.distributed.map_subjects(ends, ["a"])


def test_without_a_client_or_without_dask():
    """In a process of its own: here, there is a client."""
    code = """
import sys, brain2music as b2m
assert not {"dask", "distributed"} & sys.modules.keys()
try:
    b2m.distributed.map_subjects(print, [1])
except RuntimeError as error:
    print(error)
for name in [name for name in sys.modules if name.startswith(("brain2music.distributed", "distributed"))]:
    del sys.modules[name]
sys.modules["distributed"] = None
del b2m.distributed
try:
    b2m.distributed
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("[distributed.map_subjects] a Dask client must be given or current: client = ")
    assert second.startswith(
        '[distributed] Dask\'s scheduler must be installed: pip install "brain2music[distributed]"'
    )
