"""Benchmarks are no tests of speed; but each must run, agree with its rivals, and be ready for a GPU not seen yet."""

import json

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks import __main__ as command
from benchmarks import retrieval, ridge, signal, study
from benchmarks.case import Case, Contender, measure
from benchmarks.fresh import Cost, cost


@pytest.mark.parametrize("name", sorted(command.MODULES.keys() - command.CPU_ONLY))
def test_every_cuda_case_has_a_dry_run(name):
    with FakeTensorMode():
        command.MODULES[name].dry_run(torch.device("cuda"))


def test_cases_agree_with_their_rivals_and_time_all(tmp_path):
    cpu = torch.device("cpu")
    for case in (
        *signal.cases(cpu, voxels=1000),
        *retrieval.cases(cpu, items=1000),
        ridge._encoding("small", 24, 200, 150, 1, cpu),
    ):
        figures = measure(case, rounds=1)
        assert set(figures["contenders"]) == {*case.ours, *case.rivals}
        assert set(figures["times_as_fast_as"]) == set(case.rivals)
        assert set(case.required) <= set(case.rivals)
        json.dumps(figures)


def test_a_small_run_of_the_study_is_the_rivals():
    with pytest.raises(ValueError, match="read on the CPU; got cuda"):
        study.cases(torch.device("cuda"))
    (case,) = study.cases(torch.device("cpu"), shape=(12, 12, 9))
    try:
        case.compare()
    finally:
        case.close()


def test_memory_is_what_a_process_takes_for_itself(tmp_path, monkeypatch):
    """32 MiB taken, 64 MiB mapped from a file and 16 MiB of warming up: a peak of 96, of which 32 are private."""
    (tmp_path / "example.py").write_text("""
import time
import numpy as np

def prepare(path):
    kept = np.ones(16 << 20, np.uint8)
    def work():
        mapped = np.memmap(path, np.uint8, "r")
        mapped.sum()
        taken = np.ones(32 << 20, np.uint8)
        time.sleep(0.1)
        return taken[:3] + kept[:3]
    return work

def fail():
    raise SystemExit(3)
""")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    (tmp_path / "mapped").write_bytes(bytes(64 << 20))
    measured = cost("example:prepare", tmp_path / "mapped", keep=tmp_path / "result.npy")
    assert np.load(tmp_path / "result.npy").tolist() == [2, 2, 2]
    assert 0.1 < measured.seconds < 10
    assert measured.peak_mib == pytest.approx(96, abs=4)
    assert measured.peak_private_mib == pytest.approx(32, abs=4)
    with pytest.raises(RuntimeError, match="example:fail must run to its end; got exit status 3"):
        cost("example:fail")


@pytest.mark.parametrize(("seconds", "mib", "met"), [(1.0, 10.0, True), (1.5, 10.0, False), (1.0, 15.0, False)])
def test_requirements_on_time_and_memory(seconds, mib, met):
    closed = []
    ours = Contender(lambda: Cost(seconds, peak_private_mib=mib), items=7, own_process=True)
    rival = Contender(lambda: Cost(4.0, peak_private_mib=20.0), items=7, own_process=True)
    case = Case(
        name="a",
        unit="items",
        ours={"ours": ours},
        rivals={"rival": rival},
        required={"rival": 4},
        required_memory={"rival": 2},
        compare=lambda: None,
        packages=[],
        close=lambda: closed.append(True),
    )
    figures = measure(case, rounds=3)
    assert figures["met"] is met
    assert figures["times_as_fast_as"]["rival"] == pytest.approx(4 / seconds, abs=0.01)
    assert figures["times_less_memory_than"]["rival"] == pytest.approx(20 / mib, abs=0.01)
    assert figures["contenders"]["ours"]["peak_private_mib"] == [mib] * 3
    case.compare = lambda: pytest.fail("results differ")
    with pytest.raises(pytest.fail.Exception):
        measure(case, rounds=1)
    assert closed == [True, True]


def test_kept_results_say_what_they_were_measured_on():
    kept = sorted(command.RESULTS.glob("*.json"))
    assert kept
    for path in kept:
        content = json.loads(path.read_text())
        assert {"date", "commit", "processor", "cores", "torch", "numpy"} <= set(content["machine"])
        assert content["cases"]
