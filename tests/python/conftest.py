import numpy as np
import pytest
import torch

import brain2music._core as core


@pytest.fixture(
    params=[
        "cpu",
        pytest.param("cuda", marks=pytest.mark.cuda),
    ]
)
def device(request):
    """Devices that the device-independent test bodies run on."""
    if request.param == "cuda":
        if not core.cuda_architectures():
            pytest.skip("this build has no CUDA kernels")
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device here")
    return torch.device(request.param)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
