"""Benchmarks are no tests of speed; but each must run, agree with its rivals, and be ready for a GPU not seen yet."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_magenta import TABLES
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks import __main__ as command
from benchmarks import encoding, generation, retrieval, ridge, signal, steps, study
from benchmarks.case import Case, Contender, measure
from benchmarks.fresh import Cost, cost
from benchmarks.kept import RESULTS
from benchmarks.ridge import alone, operations
from benchmarks.ridge.problem import Shape

CPU = torch.device("cpu")
SMALL = Shape(rows=150, features=24, targets=200, penalties=4, folds=3)


@pytest.mark.parametrize("name", sorted(command.MODULES.keys() - command.CPU_ONLY))
def test_every_cuda_case_has_a_dry_run(name):
    with FakeTensorMode():
        command.MODULES[name].dry_run(torch.device("cuda"))


def small_cases():
    made = {**signal.cases(CPU, voxels=1000), **retrieval.cases(CPU, items=1000)}
    made["encoding"] = lambda: ridge.encoding(SMALL, CPU, required=1)
    made["encoding, batches"] = lambda: ridge.encoding(replace(SMALL, targets=1100), CPU, backends=["torch"])
    made["encoding, few targets"] = lambda: ridge.encoding(replace(SMALL, targets=2), CPU)
    made["decoding"] = lambda: ridge.decoding([replace(SMALL, features=p, targets=9) for p in range(5, 75, 10)], CPU)
    made["banded"] = lambda: ridge.banded(SMALL, CPU, draws=3)
    made["draws"] = lambda: ridge.by_draws(SMALL, CPU, (2, 4))
    made |= encoding.cases(CPU, SMALL, permutations=50)
    return {**made, **generation.cases(CPU, steps.Sizes(2, 64, 4, 176, 6), TABLES, clips=3)}


@pytest.mark.parametrize("name", small_cases())
def test_cases_agree_with_their_rivals_and_time_all(name):
    case = small_cases()[name]()
    figures = measure(case, rounds=1)
    assert set(figures["contenders"]) == {*case.ours, *case.rivals}
    assert set(figures["times_as_fast_as"]) == set(case.rivals)
    assert set(case.required) <= set(case.rivals)
    if case.operations:
        products = figures["products"]
        assert products["operations"] > 0
        assert products["machine_gflops"] > 0
        assert products["share"] == pytest.approx(products["gflops"] / products["machine_gflops"], abs=0.02)
    json.dumps(figures)


@pytest.mark.parametrize("change", ["alphas", "scores", "coef", "path"])
def test_fits_that_differ_do_not_agree(change):
    alphas, path = SMALL.alphas[[0, 1, 2, 3]], np.eye(4)
    fit = ridge.fits.Fit(alphas, np.ones((5, 4)), np.ones(4), path)
    other = {"alphas": alphas[::-1], "scores": np.ones(4) + 2e-5, "coef": np.full((5, 4), 1.0002), "path": 1 - path}
    ridge.fits.agree(fit, fit, SMALL)
    for pair in ((fit, replace(fit, **{change: other[change]})), (replace(fit, **{change: other[change]}), fit)):
        with pytest.raises(AssertionError, match="differ"):
            ridge.fits.agree(*pair, SMALL)


@pytest.mark.parametrize(
    "of",
    [lambda: alone.memory(SMALL, CPU, backends=["torch"]), lambda: alone.streaming(SMALL, in_memory=50)],
    ids=["memory", "streaming"],
)
def test_small_fits_in_processes_of_their_own_agree(of):
    case = of()
    try:
        case.compare()
    finally:
        case.close()


def test_useful_operations_are_counted():
    """Of 10 rows, 2 features, 3 targets, 4 penalties: all share 10 x 4 + 2 x 10 x 6 + 2 x 4 x 3 = 184."""
    shape = Shape(rows=10, features=2, targets=3, penalties=4, folds=5)
    assert operations.eigenbasis(shape) == 184 + 5 * 3 * 3 * 8
    assert operations.eigenbasis(shape, draws=7) == 184 + 7 * 5 * 3 * 3 * 8
    assert operations.cholesky(shape) == pytest.approx(184 + 5 * 4 * (8 / 3 + 3 * 12))
    assert operations.cholesky(replace(shape, penalties=60)) == pytest.approx(184 + 5 * 7 * (8 / 3 + 3 * 12))
    few_held_out = replace(shape, folds=10)
    assert operations.eigenbasis(few_held_out) == 184 + 10 * 3 * (2 * 8 + 2 * 2 * 1)


def test_a_small_run_of_the_study_is_the_rivals():
    with pytest.raises(ValueError, match="read on the CPU; got cuda"):
        study.cases(torch.device("cuda"))
    (of,) = study.cases(CPU, shape=(12, 12, 9)).values()
    case = of()
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
    assert measure(replace(case, memory_within_mib=mib), rounds=1)["met"] is met
    assert not measure(replace(case, memory_within_mib=mib - 1), rounds=1)["met"]
    rate = measure(case, rounds=1)["contenders"]["ours"]["items_per_second"]
    assert measure(replace(case, least_rate=rate), rounds=1)["met"] is met
    assert not measure(replace(case, least_rate=rate * 1.1), rounds=1)["met"]
    assert measure(replace(case, most_rounds=2), rounds=3)["rounds"] == 2
    closed.clear()
    case.compare = lambda: pytest.fail("results differ")
    with pytest.raises(pytest.fail.Exception):
        measure(case, rounds=1)
    assert closed == [True]


def toy_case(seconds):
    """Of ours and a rival that takes so long."""
    contenders = [
        Contender(lambda took=took: Cost(took, peak_private_mib=1.0), 1, own_process=True) for took in (1.0, seconds)
    ]
    return Case("items", {"a": contenders[0]}, {"b": contenders[1]}, {"b": 1}, lambda: None, ["numpy"])


@pytest.fixture
def toys(monkeypatch):
    """Two benchmarks in place of the real ones; which of their cases were made."""
    made = []

    def cases_of(**seconds):
        def of(name):
            made.append(name)
            return toy_case(seconds[name])

        return SimpleNamespace(cases=lambda device: {name: lambda name=name: of(name) for name in seconds})

    there = {"one": cases_of(red=2.0, green=3.0), "two": cases_of(redder=4.0, slow=0.5)}
    monkeypatch.setattr(command, "MODULES", there)
    monkeypatch.setattr(command, "CPU_ONLY", {"two"})
    for name in command.SLOWING:
        monkeypatch.delenv(name, raising=False)
    return made


def test_cases_are_chosen_by_part_of_their_name(toys, capsys):
    def chosen(*names, device="cpu"):
        return {name: list(cases) for name, cases in command.select(names, torch.device(device)).items()}

    assert chosen() == {"one": ["red", "green"], "two": ["redder", "slow"]}
    assert chosen(device="cuda") == {"one": ["red", "green"]}
    assert chosen("two:red") == {"two": ["redder"]}
    assert chosen("one:green", "one:red", "two") == {"one": ["green", "red"], "two": ["redder", "slow"]}
    with pytest.raises(ValueError, match="unknown benchmark three; there are one, two"):
        chosen("three")
    with pytest.raises(ValueError, match="no case of one contains 'blue'; --list says which there are"):
        chosen("one:blue")
    with pytest.raises(ValueError, match="two runs on the CPU alone; got --device cuda"):
        chosen("two:red", device="cuda")
    assert command.main(["--list", "two"]) == 0
    assert capsys.readouterr().out == "two:redder\ntwo:slow\n"
    assert toys == []


def test_each_case_is_kept_at_once_and_replaces_what_was_kept_of_it(toys, tmp_path, capsys):
    path = tmp_path / "new" / "kept.json"
    before = {"machine": {"date": "yesterday"}, "unit": "items"}

    def kept():
        return json.loads(path.read_text())["cases"]

    assert command.main(["one:red", "--json", str(path), "--rounds", "1"]) == 0
    assert list(kept()) == toys == ["red"]
    path.write_text(json.dumps({"cases": {"old": before, **kept(), "redder": before}}))
    assert command.main(["two:red", "--json", str(path), "--rounds", "1"]) == 0
    assert list(kept()) == ["old", "red", "redder"]
    assert kept()["old"] == before
    assert kept()["redder"]["times_as_fast_as"] == {"b": 4.0}
    assert {"date", "commit", "processor", "torch", "numpy"} <= set(kept()["redder"]["machine"])

    assert command.main(["two:slow", "--json", str(path)]) == 1, "too slow"
    assert not kept()["slow"]["met"]
    assert not list(path.parent.glob("*.part"))


def test_kept_results_say_what_they_were_measured_on():
    kept = sorted(RESULTS.glob("*.json"))
    assert kept
    for path in kept:
        cases = json.loads(path.read_text())["cases"]
        assert cases
        for case in cases.values():
            assert {"date", "commit", "processor", "cores", "torch", "numpy"} <= set(case["machine"])


def test_the_page_is_drawn_from_what_was_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "docs"))
    page = importlib.import_module("draw_benchmarks")
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    machine = {"date": "2026-01-02T03:04", "commit": "abc", "gpu": None, "processor": "P", "cores": 2, "torch": "2"}
    figures = {"machine": machine, **measure(toy_case(2.0), rounds=1)}
    (tmp_path / "one-cpu.json").write_text(json.dumps({"cases": {"red": figures}}))
    out = tmp_path / "page" / "page.rst"
    page.main(out)
    assert "holds no sweeps, so their figure is left out" in capsys.readouterr().out
    assert "figure::" not in out.read_text()
    assert "P, 2 cores; torch 2; 2026-01-02, commit abc." in out.read_text()

    seconds = {"brain2music": {"seconds": [1.0, 2.0, 3.0]}, "himalaya": {"seconds": [5.0, 6.0, 7.0]}}
    rest = {"machine": machine, "contenders": seconds, "times_as_fast_as": {"himalaya": 3}}
    sweeps = {f"sweep, {number}": {**rest, "shape": vars(shape)} for number, shape in enumerate(ridge.sweep())}
    assert len(sweeps) == 1 + sum(len(sizes) - 1 for sizes in ridge.SWEEPS.values())
    (tmp_path / "ridge-cpu.json").write_text(json.dumps({"cases": {**sweeps, "red": figures}}))
    page.main(out)
    assert not capsys.readouterr().out
    assert out.read_text().count("red\n~~~") == 2
    assert out.read_text().count("figure::") == 1
    assert "1,920 rows, 128 features, 5,000 targets, 10 penalties, 5 folds" in out.read_text()
    assert (out.parent / "ridge-cpu-sweeps.png").read_bytes().startswith(b"\x89PNG")
