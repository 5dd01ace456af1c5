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


def test_fold_scores_stay_on_the_device():
    with FakeTensorMode():
        products = torch.empty(5, 6, 70, device="cuda:1")
        sums = _core.kernels.fold_scores(products, torch.empty(5, 4, 6, device="cuda:1"))
        assert sums.device == torch.device("cuda:1")
        with pytest.raises(RuntimeError, match="device"):
            _core.kernels.fold_scores(products, torch.empty(5, 4, 6))
    real = _core.kernels.fold_scores(torch.randn(5, 6, 70), torch.randn(5, 4, 6))
    assert sums.shape == real.shape
    assert sums.dtype == real.dtype == torch.float64


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name.startswith("signal.")])
def test_small_integers_widen_on_the_device(operation):
    with FakeTensorMode():
        result = OPERATIONS[operation](torch.empty(400, 3, dtype=torch.int16, device="cuda"))
    assert result.device.type == "cuda"
    assert result.dtype == torch.float32


def test_the_method_catches_a_tensor_on_the_wrong_device():
    with FakeTensorMode(), pytest.raises(RuntimeError, match="device"):
        torch.empty(3, 3, device="cuda") + torch.eye(3)
