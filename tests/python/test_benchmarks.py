"""Benchmarks are no tests of speed; but each must run, agree with its rivals, and be ready for a GPU not seen yet."""

import json

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks import __main__ as command
from benchmarks import retrieval, signal
from benchmarks.case import measure


@pytest.mark.parametrize("module", command.MODULES.values(), ids=command.MODULES)
def test_every_cuda_case_has_a_dry_run(module):
    with FakeTensorMode():
        module.dry_run(torch.device("cuda"))


def small_cases():
    return [*signal.cases(torch.device("cpu"), voxels=1000), *retrieval.cases(torch.device("cpu"), items=1000)]


def test_cases_agree_with_their_rivals_and_time_all():
    for case in small_cases():
        figures = measure(case, rounds=1)
        assert set(figures["contenders"]) == {*case.ours, *case.rivals}
        assert set(figures["times_as_fast_as"]) == set(case.rivals)
        assert set(case.required) <= set(case.rivals)
        json.dumps(figures)


def test_kept_results_say_what_they_were_measured_on():
    kept = sorted(command.RESULTS.glob("*.json"))
    assert kept
    for path in kept:
        content = json.loads(path.read_text())
        assert {"date", "commit", "processor", "cores", "torch", "numpy"} <= set(content["machine"])
        assert content["cases"]
