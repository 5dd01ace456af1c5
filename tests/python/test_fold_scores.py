"""The kernel of ridge scores against its formula in float64."""

import re

import pytest
import torch

from brain2music import _core


@pytest.mark.parametrize(
    ("penalties", "features", "targets"), [(1, 1, 1), (3, 5, 7), (4, 2, 8), (10, 128, 515), (9, 6, 16)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_formula(device, penalties, features, targets, dtype):
    generator = torch.Generator().manual_seed(0)
    products = torch.randn(5, features, targets, generator=generator, dtype=dtype).to(device)
    weights = torch.randn(5, penalties, features, generator=generator, dtype=dtype).to(device)
    sums = _core.kernels.fold_scores(products, weights)
    c, h, n, m, g = products.double()
    w = weights.double()
    expected = torch.stack([w[0] @ c, w[1] @ (c * h), w[2] @ (c * n) + w[3] @ (c * m) + w[4] @ (c * g)])
    assert sums.dtype == torch.float64
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(sums, expected, rtol=tolerance, atol=tolerance * features)


def test_no_penalty_or_target(device):
    assert _core.kernels.fold_scores(torch.ones(5, 3, 0, device=device), torch.ones(5, 2, 3, device=device)).shape == (
        3,
        2,
        0,
    )


def test_bad_input_is_named():
    products, weights = torch.ones(5, 3, 4), torch.ones(5, 2, 3)
    for p, w, message in (
        (products[:4], weights, "got [4, 3, 4] and [5, 2, 3]"),
        (products, weights[..., :2], "got [5, 3, 4] and [5, 2, 2]"),
        (products.double(), weights, "got Double and Float"),
        (products.transpose(1, 2).contiguous().transpose(1, 2), weights, "must be contiguous"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            _core.kernels.fold_scores(p, w)
