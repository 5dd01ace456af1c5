"""Where tensors live, tested without a GPU: a fake tensor made with device="cuda" carries its device through the C++
core, and an operation that would meet a tensor of another device raises."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from brain2music import _core

RUNS = [300, 100]

OPERATIONS = {
    "kernels.median_filter": lambda x: _core.kernels.median_filter(x, 161, RUNS),
    "kernels.standardize": lambda x: _core.kernels.standardize(x, RUNS),
    "signal.median_detrend": lambda x: _core.signal.median_detrend(x, 1.5, 240.0, RUNS),
    "signal.zscore": lambda x: _core.signal.zscore(x, RUNS),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_stay_on_the_device_of_the_input(operation, dtype):
    with FakeTensorMode():
        x = torch.empty(400, 12, dtype=dtype, device="cuda:1")
        result = OPERATIONS[operation](x)
    assert result.device == torch.device("cuda:1")
    assert result.shape == x.shape
    assert result.dtype == dtype
    assert result.is_contiguous()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_meta_agrees_with_what_is_computed(operation):
    x = torch.randn(12, 400).t()
    real = OPERATIONS[operation](x)
    shape_only = OPERATIONS[operation](x.to("meta"))
    assert shape_only.shape == real.shape
    assert shape_only.dtype == real.dtype
    assert shape_only.stride() == real.stride()


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name.startswith("signal.")])
def test_small_integers_widen_on_the_device(operation):
    with FakeTensorMode():
        result = OPERATIONS[operation](torch.empty(400, 3, dtype=torch.int16, device="cuda"))
    assert result.device.type == "cuda"
    assert result.dtype == torch.float32


def test_a_search_stays_on_the_device_of_its_queries():
    with FakeTensorMode():
        queries, items = torch.empty(7, 12, device="cuda:1"), torch.empty(400, 12, device="cuda:1")
        found = _core.kernels.cosine_top_k(queries, items, 5)
        with pytest.raises((RuntimeError, ValueError), match="device"):
            _core.kernels.cosine_top_k(queries, items.to("cuda:0"), 5)
        with pytest.raises((RuntimeError, ValueError), match="device"):
            _core.kernels.cosine_top_k(queries, torch.empty(400, 12), 5)
    real = _core.kernels.cosine_top_k(torch.randn(7, 12), torch.randn(400, 12), 5)
    shape_only = _core.kernels.cosine_top_k(torch.randn(7, 12).to("meta"), torch.randn(400, 12).to("meta"), 5)
    for there, here, meta in zip(found, real, shape_only, strict=True):
        assert there.device == torch.device("cuda:1")
        assert there.shape == here.shape == meta.shape == (7, 5)
        assert there.dtype == here.dtype == meta.dtype
        assert there.stride() == here.stride() == meta.stride()


def test_the_method_catches_a_tensor_on_the_wrong_device():
    with FakeTensorMode(), pytest.raises(RuntimeError, match="device"):
        torch.empty(3, 3, device="cuda") + torch.eye(3)
