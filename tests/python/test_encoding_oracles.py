"""What encoding's maps and tests rely on in SciPy, statsmodels, himalaya and nilearn, held where it surprises."""

import hashlib
import importlib
import sys
import zipfile

import nibabel as nib
import numpy as np
import pytest
from from_pypi import downloaded
from himalaya.backend import set_backend
from himalaya.ridge import RidgeCV
from himalaya.scoring import correlation_score, r2_score, r2_score_split
from nilearn import datasets, surface
from nilearn.maskers import SurfaceMasker
from scipy import stats

import brain2music as b2m
from brain2music.encoding import benjamini_hochberg, to_fsaverage5

STATSMODELS = "statsmodels-0.15.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"
SHA256 = "b67886b66d9c7ca118526accedb5c6de7ffd74c015dc0492ea0b1690192b65da"
#: The module and the plain Python that it imports; the rest would bring patsy and formulaic along.
MEMBERS = ("stats/multitest", "tools/validation/__init__", "tools/validation/validation", "compat/scipy")


@pytest.fixture(scope="module")
def fdrcorrection(tmp_path_factory):
    """The function of statsmodels, out of a wheel that is downloaded once into build/wheels."""
    wheel = downloaded(
        STATSMODELS,
        "statsmodels==0.15.0",
        "--only-binary=:all:",
        "--python-version=3.11",
        "--platform=manylinux_2_28_x86_64",
    )
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == SHA256
    folder = tmp_path_factory.mktemp("statsmodels")
    with zipfile.ZipFile(wheel) as files:
        for member in MEMBERS:
            files.extract(f"statsmodels/{member}.py", folder)
    for package in ("", "stats", "tools", "compat"):
        (folder / "statsmodels" / package / "__init__.py").touch()
    (folder / "statsmodels" / "stats" / "_knockoff.py").write_text("RegressionFDR = None\n")
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("statsmodels.stats.multitest").fdrcorrection
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "statsmodels"]:
            del sys.modules[name]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("count", [1, 2, 3000])
def test_false_discovery_rates_are_those_of_statsmodels(rng, fdrcorrection, count):
    p = rng.random(count) ** 4
    p[count // 2 :] = p[: count - count // 2]  # ties
    q = benjamini_hochberg(p)
    rejected, expected = fdrcorrection(p, alpha=0.05)
    np.testing.assert_allclose(q, expected, rtol=1e-12)
    np.testing.assert_array_equal(q <= 0.05, rejected)


def test_p_of_nan_is_no_test_and_others_do_otherwise(fdrcorrection):
    p = np.array([0.01, 0.03, np.nan, 0.04])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.03, 0.04, np.nan, 0.04])
    with pytest.raises(ValueError, match="only numbers between 0 and 1"):
        stats.false_discovery_control(p)
    assert not np.allclose(fdrcorrection(p)[1][[0, 1, 3]], [0.03, 0.04, 0.04])  # NaN counts as a fourth test


def test_scipy_permutes_both_samples_where_both_are_given(rng):
    x, y = rng.standard_normal((2, 4))
    options = {"permutation_type": "pairings", "n_resamples": np.inf}
    both = stats.permutation_test((x, y), lambda a, b: stats.pearsonr(a, b).statistic, **options)
    one = stats.permutation_test((x,), lambda a: stats.pearsonr(a, y).statistic, **options)
    assert (len(both.null_distribution), len(one.null_distribution)) == (576, 24)


def test_p_of_the_paper_s_null_does_not_vanish_in_float32(rng):
    x = rng.standard_normal(300)
    y = x + 0.4 * rng.standard_normal(300)
    r = np.float32(stats.pearsonr(x, y).statistic)
    assert stats.pearsonr(x.astype("f"), y.astype("f"), alternative="greater").pvalue == 0
    expected = stats.pearsonr(x, y, alternative="greater").pvalue
    assert 0 < expected < 1e-100
    assert b2m.encoding.independent_gaussian_p(r, 300) == pytest.approx(expected, rel=1e-3)


@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")
def test_one_constant_column_spoils_all_rank_correlations_of_scipy(rng):
    x = rng.standard_normal((20, 3))
    x[:, 1] = 1
    assert np.isnan(stats.spearmanr(x).statistic).shape == ()


def test_himalaya_takes_the_largest_of_equally_good_penalties(rng):
    set_backend("numpy")
    x, y = rng.standard_normal((20, 3)), np.zeros((20, 1))
    for alphas in ([100, 1, 10], [1, 10, 100]):
        rival = RidgeCV(alphas=alphas, cv=4).fit(x, y)
        np.testing.assert_allclose(rival.best_alphas_, 100)
        np.testing.assert_allclose(rival.cv_scores_, 1e-10 * np.log(100))  # what breaks the tie is left in the scores


@pytest.mark.filterwarnings("ignore:nan in y_pred", "ignore:divide by zero", "ignore:y_true has to be zero-mean")
def test_scores_of_himalaya_are_oracles_where_targets_vary_and_are_centred(rng):
    set_backend("numpy")
    true, predicted = rng.standard_normal((2, 10, 2))
    predicted[0, 1] = np.nan
    correlation_score(true, predicted)
    assert np.isfinite(predicted).all()  # it wrote into the caller's array
    still = np.stack([np.full(10, 0.1), np.ones(10)], axis=1)
    rounded, exact = r2_score(still, rng.standard_normal((10, 2)))
    assert rounded < -1e30
    assert exact == 0
    parts = rng.standard_normal((2, 30, 2))
    shifted = rng.standard_normal((30, 2)) + 5
    whole = parts.sum(axis=0)
    assert not np.allclose(r2_score_split(shifted, parts).sum(axis=0), r2_score(shifted, whole))
    centred = shifted - shifted.mean(axis=0)
    np.testing.assert_allclose(r2_score_split(centred, parts).sum(axis=0), r2_score(centred, whole))


AFFINE = np.array([[4.0, 0, 0, -82], [0, 4, 0, -116], [0, 0, 4, -74], [0, 0, 0, 1]])
SHAPE = (41, 50, 41)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_masked_voxels_leak_into_nilearn_s_surfaces_and_not_into_ours():
    inside = np.indices(SHAPE)[0] % 2 == 1
    volume = np.where(inside, 1.0, 1000.0)
    mask = nib.Nifti1Image(inside.astype(np.uint8), AFFINE)
    mask.header["sform_code"] = 4
    pial = datasets.load_fsaverage("fsaverage5")["pial"].parts["left"]
    leaked = surface.vol_to_surf(nib.Nifti1Image(volume, AFFINE), pial, mask_img=mask)
    assert np.nanmax(leaked) > 500
    for side in to_fsaverage5(volume[inside], mask):
        assert set(side[np.isfinite(side)].tolist()) == {1.0}


def test_the_flat_mesh_has_vertices_without_a_face_and_the_inflated_one_has_none():
    meshes = datasets.load_fsaverage("fsaverage5")
    for kind, lost in (("flat", [777, 705]), ("inflated", [0, 0])):
        sides = [meshes[kind].parts[side] for side in ("left", "right")]
        assert [len(side.coordinates) - len(np.unique(side.faces)) for side in sides] == lost


def test_nilearn_s_masker_drops_vertices_where_ours_keep_their_places(rng):
    values = {side: rng.random((10242, 3)).astype(np.float32) for side in ("left", "right")}
    values["left"][5, 1] = np.nan
    image = surface.SurfaceImage(datasets.load_fsaverage("fsaverage5")["pial"], values)
    masker = SurfaceMasker(standardize=None)
    with pytest.warns(UserWarning, match="Non-finite values detected"):
        masker.fit(image)
    assert masker.transform(image).shape == (3, 20483)
    first, _ = b2m.encoding.to_gifti(np.concatenate([values["left"], values["right"]]).T)
    assert [len(one.data) for one in first.darrays] == [10242] * 3
    assert np.isnan(first.darrays[1].data[5])
