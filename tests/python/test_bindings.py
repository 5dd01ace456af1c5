"""What the boundary between Python and C++ promises: no copies, no lock held, no reference lost."""

import gc
import re
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import brain2music as b2m
from brain2music import _core


def test_results_share_memory_with_the_library(tmp_path):
    array = np.arange(12.0).reshape(3, 4)
    np.save(tmp_path / "a.npy", array)
    mapped = _core.io.load_npy(str(tmp_path / "a.npy"))
    np.testing.assert_array_equal(mapped, array)
    assert not mapped.flags.owndata
    assert mapped.base is not None


def peak_memory():
    """Peak resident bytes since the last reset."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def test_arguments_and_results_cross_without_a_copy():
    """A 400 MB array in, one of its size out: memory grows by the result alone, read-only arrays included."""
    scans, voxels = 100, 1_000_000
    bold = np.ones((scans, voxels), np.float32)
    bold.flags.writeable = False
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = peak_memory()
    result = b2m.signal.zscore(bold)
    grown = peak_memory() - before
    assert result.nbytes == bold.nbytes
    assert 0.9 * bold.nbytes < grown < 1.3 * bold.nbytes


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_no_reference_is_lost_or_kept(kind):
    array = np.zeros((50, 4), np.float32)
    argument = kind(array)
    before = sys.getrefcount(array), sys.getrefcount(argument)
    for _ in range(20):
        b2m.signal.zscore(argument)
        with pytest.raises(ValueError, match="odd"):
            _core.kernels.median_filter(argument, 2)
    gc.collect()
    assert (sys.getrefcount(array), sys.getrefcount(argument)) == before


def test_a_result_outlives_its_argument():
    array = np.random.default_rng(0).standard_normal((300, 50), dtype=np.float32)
    expected = b2m.signal.zscore(array.copy())
    result = b2m.signal.zscore(array)
    del array
    gc.collect()
    np.testing.assert_array_equal(result, expected)


def test_the_interpreter_lock_is_released():
    bold = np.random.default_rng(0).standard_normal((400, 20_000), dtype=np.float32)
    ticks = []
    done = threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    b2m.signal.median_detrend(bold)
    end = time.perf_counter()
    done.set()
    thread.join()
    inside = [t for t in ticks if start < t < end]
    assert len(inside) > 5, f"{len(inside)} ticks in {end - start:.3f} s"


def test_dispatcher_and_bindings_agree():
    x = torch.randn(200, 7)
    assert torch.equal(torch.ops.brain2music.median_filter(x, 161), _core.kernels.median_filter(x, 161))
    assert torch.equal(torch.ops.brain2music.standardize(x, [100, 100]), _core.kernels.standardize(x, [100, 100]))
    found = torch.ops.brain2music.cosine_top_k(x, x, 3), _core.kernels.cosine_top_k(x, x, 3)
    for operation, binding in zip(*found, strict=True):
        assert torch.equal(operation, binding)
    rows = x, torch.tensor([[0, 7]] * 200), torch.arange(200), torch.tensor(1), 2
    options = {"temperature": 0.8, "top_k": 5, "top_p": 0.9}
    drawn = torch.ops.brain2music.sample_tokens(*rows, **options)
    assert torch.equal(drawn, _core.kernels.sample_tokens(*rows, **options))
    with pytest.raises(ValueError, match="odd"):
        torch.ops.brain2music.median_filter(x, 160)


@pytest.mark.parametrize("function", [b2m.signal.zscore, b2m.signal.median_detrend])
def test_a_gradient_is_refused_rather_than_wrong(function):
    x = torch.randn(20, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="not implemented"):
        (function(x) * x).sum().backward()
    with pytest.raises(RuntimeError, match="not implemented"):
        torch.ops.brain2music.cosine_top_k(x, x.detach(), 3)[0].sum().backward()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 3, 4)])
def test_numpy_reads_what_is_written(tmp_path, dtype, shape):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    for layout in (array, np.array(array, order="F")):
        _core.io.save_npy(tmp_path / "a.npy", layout)
        read = np.load(tmp_path / "a.npy")
        assert read.dtype == array.dtype
        assert read.shape == array.shape
        np.testing.assert_array_equal(read, array)


def test_a_written_file_replaces_only_a_file(tmp_path):
    array = np.zeros(3)
    target = tmp_path / "private.npy"
    target.write_bytes(b"")
    target.chmod(0o600)
    link = tmp_path / "link.npy"
    link.symlink_to(target)
    _core.io.save_npy(link, array)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    np.testing.assert_array_equal(np.load(target), array)
    with pytest.raises(RuntimeError, match="only a regular file is replaced"):
        _core.io.save_npy(Path("/dev/null"), array)
    assert not Path("/dev/null").is_file()


def test_many_writers_of_one_file_leave_one_whole_file(tmp_path):
    path = tmp_path / "a.npy"

    def write(value):
        for _ in range(20):
            _core.io.save_npy(path, np.full(5000, value))

    threads = [threading.Thread(target=write, args=(value,)) for value in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            read = np.load(path)
            assert np.all(read == read[0])
    assert [file.name for file in tmp_path.iterdir()] == ["a.npy"]


def test_versions(capsys):
    b2m.show_versions()
    printed = capsys.readouterr().out
    assert f"brain2music   {b2m.__version__}" in printed
    for name in ("CUDA kernels", "CUDA devices", "torch", "numpy", "Python", "processor"):
        assert name in printed
