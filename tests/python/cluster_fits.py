"""What tests of fits over worker processes share: data, fits without the usual warnings, whether two are alike."""

import warnings

import numpy as np
import torch

import brain2music as b2m

ALPHAS = np.logspace(-1, 4, 6)

#: Up to rounding: a product of matrices adds up in another order when it has other columns, or other threads.
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-11}


def data(rng, n, p, t, dtype=np.float64):
    X = rng.standard_normal((n, p))
    Y = 0.3 * X @ rng.standard_normal((p, t)) + rng.standard_normal((n, t))
    return X.astype(dtype), Y.astype(dtype)


def fitted_attributes(model):
    parameters = model.get_params(deep=False)
    return {name: value for name, value in vars(model).items() if name not in parameters}


def assert_same(model, expected, tolerance):
    """All that a fit sets: the same names, kinds, types, shapes and, to a tolerance, numbers."""
    assert type(model) is type(expected)
    found, wanted = fitted_attributes(model), fitted_attributes(expected)
    assert found.keys() == wanted.keys()
    if getattr(expected, "solver", None) == "auto":  # may depend on how many targets there are
        del found["solver_"], wanted["solver_"]
    for name, value in wanted.items():
        many = isinstance(value, list)
        assert isinstance(found[name], list) == many
        for a, b in zip(found[name] if many else [found[name]], value if many else [value], strict=True):
            assert type(a) is type(b), name
            if not isinstance(b, (np.ndarray, np.generic, torch.Tensor)):
                assert a == b, name
                continue
            assert a.dtype == b.dtype, name
            assert a.shape == b.shape, name
            a, b = np.asarray(a), np.asarray(b)
            scale = np.abs(b[np.isfinite(b)]).max(initial=0)
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(scale, 1), err_msg=name)


def fit(estimator, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        return estimator.fit(*args, **kwargs)


def fit_targets(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        return b2m.distributed.fit_targets(*args, **kwargs)
