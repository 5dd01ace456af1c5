"""Delayed features against the Delayer of the Voxelwise Encoding Model tutorials, alone and before a regression."""

import hashlib
import importlib.util
import tarfile

import numpy as np
import pytest
import torch
from from_pypi import downloaded
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import make_pipeline

import brain2music as b2m
from brain2music.encoding import delayed

pytestmark = pytest.mark.filterwarnings("ignore:.*the grid of alphas should reach beyond.*")

NAME, VERSION = "voxelwise_tutorials", "0.2.3"
SHA256 = "3fb211cf14883764f817a59abad01e6b043789bd13a70f58017c5ded354ddfd8"


@pytest.fixture(scope="module")
def delayer(tmp_path_factory):
    """The class, out of an archive that is downloaded once into build/wheels.

    Its package would bring pycortex, datalad and nltk along; the class needs NumPy and scikit-learn alone.
    """
    archive = downloaded(f"{NAME}-{VERSION}.tar.gz", f"{NAME}=={VERSION}", f"--no-binary={NAME}")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == SHA256
    source = tmp_path_factory.mktemp(NAME) / "delayer.py"
    with tarfile.open(archive) as files:
        source.write_bytes(files.extractfile(f"{NAME}-{VERSION}/{NAME}/delayer.py").read())
    spec = importlib.util.spec_from_file_location("delayer", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Delayer


@pytest.fixture
def rng():
    return np.random.default_rng(0)


DELAYS = [[0], [1, 2, 3, 4], [4, 0, 4], [1, 30], [0, 200]]
DTYPES = [np.float64, np.float32, np.int16, np.int64, np.uint8, bool]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("delays", DELAYS)
def test_delays_are_those_of_the_tutorials(rng, delayer, delays, dtype):
    """Bit by bit: of one run, of runs apart, and on tensors, also where a delay is longer than a run."""
    x = (100 * rng.random((60, 3))).astype(dtype)
    expected = delayer(delays=delays).fit_transform(x)
    made = delayed(x, delays)
    assert made.dtype == expected.dtype
    np.testing.assert_array_equal(made, expected)
    on_tensors = delayed(torch.from_numpy(x), delays)
    assert on_tensors.dtype == torch.from_numpy(x).dtype
    np.testing.assert_array_equal(on_tensors.numpy(), expected)
    runs = np.repeat(["b", "a", "c"], [25, 34, 1])
    apart = [delayer(delays=delays).fit_transform(x[runs == run]) for run in ("b", "a", "c")]
    np.testing.assert_array_equal(delayed(x, delays, runs), np.concatenate(apart))
    turned = np.asfortranarray(x)[::-1]
    np.testing.assert_array_equal(delayed(turned, delays), delayer(delays=delays).fit_transform(turned))


def test_a_look_ahead_is_a_delay_of_what_is_turned_round(rng, delayer):
    """The Delayer takes negative delays, features of scans to come; delayed() refuses them, and this replaces them."""
    x = rng.standard_normal((20, 2))
    np.testing.assert_array_equal(delayed(x[::-1], [3])[::-1], delayer(delays=[-3]).fit_transform(x))
    with pytest.raises(ValueError, match=r"\[encoding.delayed\] delays must be whole numbers of scans, 0 or more"):
        delayed(x, [-3, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_encoder_with_delays_is_a_pipeline_of_scikit_learn(rng, delayer, dtype):
    x = rng.standard_normal((120, 5)).astype(dtype)
    y = (delayed(x, [1, 2]) @ rng.standard_normal((10, 8)) + 5 * rng.standard_normal((120, 8))).astype(dtype)
    train, test = slice(90), slice(90, None)
    pipeline = make_pipeline(delayer(delays=[1, 2, 3, 4]), b2m.ridge.RidgeCV(cv=KFold(5), device="cpu"))
    pipeline.fit(x[train], y[train])
    encoder = b2m.VoxelwiseEncoder(cv=KFold(5), delays=[1, 2, 3, 4], device="cpu").fit(x[train], y[train])
    np.testing.assert_array_equal(encoder.coef_, pipeline[-1].coef_)
    np.testing.assert_array_equal(encoder.best_alphas_, pipeline[-1].best_alphas_)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(encoder.predict(x[test]), pipeline.predict(x[test]), atol=tolerance)
    assert encoder.n_features_in_ == pipeline[0].n_features_in_


def test_an_encoder_with_delays_and_runs_is_himalaya_s_ridge_regression(rng, delayer):
    from himalaya.backend import set_backend
    from himalaya.ridge import RidgeCV
    from himalaya.scoring import r2_score

    set_backend("numpy")
    runs = np.repeat([3, 1, 2], [50, 40, 60])
    x = rng.standard_normal((150, 5))
    apart = np.concatenate([delayer(delays=[1, 2, 3]).fit_transform(x[runs == run]) for run in (3, 1, 2)])
    y = apart @ rng.standard_normal((15, 8)) + 3 * rng.standard_normal((150, 8))
    alphas = np.logspace(-1, 3, 5)
    rival = RidgeCV(
        alphas=alphas,
        cv=list(GroupKFold(3).split(x, groups=runs)),
        fit_intercept=True,
        solver_params={"score_func": r2_score, "warn": False},
    ).fit(apart, y)
    encoder = b2m.VoxelwiseEncoder(alphas=alphas, delays=[1, 2, 3], device="cpu").fit(x, y, groups=runs)
    np.testing.assert_allclose(encoder.best_alphas_, rival.best_alphas_)
    np.testing.assert_allclose(encoder.cv_scores_, rival.cv_scores_.ravel(), atol=1e-9)
    np.testing.assert_allclose(encoder.coef_, rival.coef_, atol=1e-9)
    np.testing.assert_allclose(encoder.predict(x, groups=runs), rival.predict(apart), atol=1e-9)
