"""Workers that are killed, functions that raise, and what is refused before it is sent."""

import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import time

import cloudpickle
import dask
import numpy as np
import pytest
from cluster_fits import data, fit, fit_targets

import brain2music as b2m

# Workers cannot import a test module: what it defines is sent to them whole.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Unweighted(b2m.ridge.RidgeCV):
    def fit(self, X, y, groups=None):
        return super().fit(X, y, groups)


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
