"""Where tensors live, tested without a GPU: a fake tensor made with device="cuda" carries its device through the C++
core, and an operation that would meet a tensor of another device raises."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from brain2music import _core

RUNS = [300, 100]


def KEPT():  # noqa: N802
    return torch.ones(400, dtype=torch.bool)


OPERATIONS = {
    "kernels.median_filter": lambda x: _core.kernels.median_filter(x, 161, RUNS),
    "kernels.median_filter, scans left out": lambda x: _core.kernels.median_filter(x, 161, RUNS, kept=KEPT()),
    "kernels.standardize": lambda x: _core.kernels.standardize(x, RUNS),
    "signal.median_detrend": lambda x: _core.signal.median_detrend(x, 1.5, 240.0, RUNS),
    "signal.zscore": lambda x: _core.signal.zscore(x, RUNS),
}

#: What takes a pair of (items, dimensions), and the shape that comes out for (48, 7).
METRICS = {
    "pearson_correlation, dim 0": (lambda x, y: _core.metrics.pearson_correlation(x, y, 0), (7,)),
    "pearson_correlation, dim 1": (lambda x, y: _core.metrics.pearson_correlation(x, y, 1), (48,)),
    "correlation_matrix": (_core.metrics.correlation_matrix, (48, 48)),
    "r2_score": (_core.metrics.r2_score, (7,)),
    "identification_accuracy": (_core.metrics.identification_accuracy, (48,)),
    "identification_accuracy, groups": (
        lambda x, y: _core.metrics.identification_accuracy(x, y, torch.arange(48, device=x.device) // 4),
        (48,),
    ),
    "identification_scores": (lambda x, y: _core.metrics.identification_scores(x, y, 4), (48, 48)),
    "class_agreement": (lambda x, y: _core.metrics.class_agreement(x, y, [5, 0, 2], 2), (48,)),
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


def test_operations_of_a_stage_stay_on_the_device():
    own = torch.ops.brain2music
    with FakeTensorMode():
        query, keys = (torch.empty(shape, device="cuda:1") for shape in [(3, 4, 1, 8), (3, 2, 5, 8)])
        attended = own.attend(query, keys, keys, enable_gqa=True)
        normalised = own.rms_norm(query, [8], torch.empty(8, device="cuda:1"), 1e-5)
        with pytest.raises(RuntimeError, match="devices"):
            own.attend(query, keys.cpu(), keys, enable_gqa=True)
    for result in (attended, normalised):
        assert (result.device, result.shape, result.dtype) == (torch.device("cuda:1"), (3, 4, 1, 8), torch.float32)


def test_products_with_packed_weights_have_a_shape():
    x, values = torch.empty(3, 20, device="meta"), torch.empty(2, 20, 16, device="meta")
    assert torch.ops.brain2music.packed_linear(x, values, None, None, 17).shape == (3, 17)


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


@pytest.mark.parametrize("operation", METRICS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int16])
def test_metrics_stay_on_the_device_of_the_input(operation, dtype):
    function, shape = METRICS[operation]
    with FakeTensorMode():
        x, y = (torch.empty(48, 7, dtype=dtype, device="cuda:1") for _ in range(2))
        result = function(x, y)
        assert result.device == torch.device("cuda:1")
        assert result.dtype == torch.float64
        assert result.shape == shape
        with pytest.raises(ValueError, match="must lie on one device; got cuda:1 and cpu"):
            function(x, y.cpu())
    assert function(*torch.randn(2, 48, 7)).shape == shape
    assert function(*torch.empty(2, 48, 7, device="meta")).shape == shape


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


def test_tokens_stay_on_the_device_of_the_logits():
    def arguments(device):
        integers = {"dtype": torch.int64, "device": device}
        shapes = ((6, 2), (6,), ())
        return [torch.ones(6, 40, device=device), *(torch.empty(shape, **integers) for shape in shapes)]

    with FakeTensorMode():
        there = _core.kernels.sample_tokens(*arguments("cuda:1"), 0, top_k=3)
        for i in (1, 2):  # a tensor without dimensions may come from the CPU to a fake tensor
            mixed = arguments("cuda:1")
            mixed[i] = arguments("cpu")[i]
            with pytest.raises((RuntimeError, ValueError), match="device"):
                _core.kernels.sample_tokens(*mixed, 0)
    assert there.device == torch.device("cuda:1")
    for result in (there, _core.kernels.sample_tokens(*arguments("meta"), 0)):
        assert result.shape == (6,)
        assert result.dtype == torch.int64


def test_the_method_catches_a_tensor_on_the_wrong_device():
    with FakeTensorMode(), pytest.raises(RuntimeError, match="device"):
        torch.empty(3, 3, device="cuda") + torch.eye(3)
