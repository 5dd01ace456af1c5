"""Voxel-wise encoding against scikit-learn and SciPy, and its estimator's manners."""

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.metrics import r2_score

import brain2music as b2m
from brain2music.encoding import (
    benjamini_hochberg,
    delayed,
    independent_gaussian_p,
    noise_ceiling,
    on_grid,
    one_hot,
    to_gifti,
    to_nifti,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*the grid of alphas should reach beyond.*")


def study(rng, clips=60, windows=4, features=6, voxels=40, signal=1.0):
    """Make features, and responses that follow them in the first half of the voxels."""
    music = rng.standard_normal((clips, 1, features)) + 0.5 * rng.standard_normal((clips, windows, features))
    noise = rng.standard_normal((clips, 1, voxels)) + rng.standard_normal((clips, windows, voxels))
    noise[..., : voxels // 2] += signal * (music @ rng.standard_normal((features, voxels // 2)))
    return music.astype(np.float32), noise.astype(np.float32), np.repeat(np.arange(6), clips // 6)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_an_encoder_is_a_ridge_regression_of_windows_in_folds_of_runs(rng):
    music, brain, runs = study(rng)
    encoder = b2m.VoxelwiseEncoder().fit(music, brain, groups=runs)
    rows = b2m.ridge.RidgeCV(cv=5).fit(music.reshape(-1, 6), brain.reshape(-1, 40), groups=np.repeat(runs, 4))
    np.testing.assert_array_equal(encoder.coef_, rows.coef_)
    np.testing.assert_array_equal(encoder.best_alphas_, rows.best_alphas_)
    predicted = encoder.predict(music)
    assert predicted.shape == brain.shape
    np.testing.assert_allclose(predicted.reshape(-1, 40), rows.predict(music.reshape(-1, 6)), atol=1e-6)
    # The same as rows: a window each.
    flat = b2m.VoxelwiseEncoder().fit(music.reshape(-1, 6), brain.reshape(-1, 40), groups=np.repeat(runs, 4))
    np.testing.assert_array_equal(flat.coef_, encoder.coef_)


def test_scores_are_those_of_scipy_and_scikit_learn(rng):
    music, brain, runs = study(rng)
    encoder = b2m.VoxelwiseEncoder().fit(music[:40], brain[:40], groups=runs[:40])
    test = brain[40:].reshape(-1, 40).copy()
    test[:, 7] = 2.5
    # In float64: where the penalty is large, float32 predictions are an intercept and rounding.
    predicted = music[40:].reshape(-1, 6).astype(float) @ encoder.coef_.astype(float) + encoder.intercept_
    r = encoder.score(music[40:], test.reshape(20, 4, 40))
    r2 = encoder.score(music[40:], test.reshape(20, 4, 40), metric="r2")
    varies = np.arange(40) != 7
    np.testing.assert_allclose(r[varies], stats.pearsonr(predicted[:, varies], test[:, varies]).statistic, atol=1e-6)
    expected = r2_score(test[:, varies], predicted[:, varies], multioutput="raw_values")
    np.testing.assert_allclose(r2[varies], expected, atol=1e-5)
    assert np.isnan(r[7])
    assert np.isnan(r2[7])


@pytest.mark.parametrize("value", [0.1, 0.3, -0.7, 1e6 / 3])
def test_a_voxel_that_does_not_vary_has_no_score_whatever_rounding_leaves(rng, value):
    music, brain, runs = (each.astype(float) for each in study(rng))
    encoder = b2m.VoxelwiseEncoder().fit(music, brain, groups=runs)
    brain[..., 3] = value
    others = np.arange(40) != 3
    for metric in ("correlation", "r2"):
        scores = encoder.score(music, brain, metric=metric)
        assert np.isnan(scores[3])
        assert np.isfinite(scores[others]).all()
    for null in ("clips", "paper"):
        tested = encoder.significance(music, brain, null=null, permutations=50, random_state=0)
        assert np.isnan([tested.score[3], tested.p[3], tested.q[3]]).all()
        assert np.isfinite(tested.p[others]).all()


def test_scans_are_averaged_in_the_windows_of_embeddings(rng):
    values = rng.standard_normal((12, 4, 5)).astype(np.float32)
    music = b2m.Embeddings.from_arrays(values, [f"c{i}" for i in range(12)], window=10, hop=1.5)
    scans = rng.standard_normal((12, 10, 9)).astype(np.float32)
    runs = np.repeat([0, 1, 2], 4)
    windows = np.stack([scans[:, i : i + 7].mean(axis=1) for i in range(4)], axis=1)
    encoder = b2m.VoxelwiseEncoder(alphas=[1.0]).fit(music, scans, groups=runs)
    plain = b2m.VoxelwiseEncoder(alphas=[1.0]).fit(values, windows, groups=runs)
    np.testing.assert_allclose(encoder.coef_, plain.coef_, atol=1e-6)
    on_tensors = b2m.VoxelwiseEncoder(alphas=[1.0], device="cpu").fit(music, torch.from_numpy(scans), groups=runs)
    assert isinstance(on_tensors.coef_, torch.Tensor)
    np.testing.assert_allclose(on_tensors.coef_, plain.coef_, atol=1e-6)
    assert on_tensors.predict(music).shape == (12, 4, 9)
    scans[3] = np.nan
    encoder.fit(music, scans, groups=runs)
    assert encoder.notes_ == ("1 clips have a window without a scan and were left out: 3.",)
    kept = np.arange(12) != 3
    plain.fit(values[kept], windows[kept], groups=runs[kept])
    np.testing.assert_allclose(encoder.coef_, plain.coef_, atol=1e-6)


@pytest.mark.parametrize("kind", ["windows", "scans", "rows", "tensor"])
def test_vertices_that_are_nan_throughout_keep_their_place_and_are_not_tested(rng, kind):
    """A medial wall that is marked by NaN; clip 7 was not measured in any voxel."""
    music, brain, runs = study(rng)
    wall = [0, 3, 39]
    if kind == "scans":
        music = b2m.Embeddings.from_arrays(music, [f"c{i}" for i in range(60)], window=10, hop=1.5)
        brain = np.repeat(brain, 3, axis=1)[:, :10]
    elif kind == "rows":
        music, brain, runs = music[:, 0], brain[:, 0], np.arange(60) // 10
    elif kind == "tensor":
        music, brain = torch.from_numpy(music), torch.from_numpy(brain)
    brain[7] = float("nan")
    plain = b2m.VoxelwiseEncoder(device="cpu").fit(music, brain, groups=runs)
    marked = brain.clone() if kind == "tensor" else brain.copy()
    marked[..., wall] = float("nan")
    encoder = b2m.VoxelwiseEncoder(device="cpu").fit(music, marked, groups=runs)
    others = np.delete(np.arange(40), wall)
    np.testing.assert_allclose(encoder.coef_[:, others], plain.coef_[:, others], rtol=1e-5, atol=1e-6)
    assert not np.asarray(encoder.coef_[:, wall]).any()
    assert "3 voxels are NaN throughout: 0 there." in encoder.notes_
    tested = encoder.significance(music, marked, permutations=50, random_state=0)
    expected = plain.significance(music, brain, permutations=50, random_state=0)
    np.testing.assert_allclose(np.asarray(tested.p)[others], np.asarray(expected.p)[others], rtol=1e-2)
    assert np.isnan(np.asarray(tested.q)[wall]).all()
    assert any("left out" in note for note in tested.notes)
    assert any(note.startswith("3 voxels do not vary") for note in tested.notes)
    assert np.isnan(np.asarray(marked[..., wall])).all()  # the caller's own array is as it was


def test_delays_reach_no_other_run(rng):
    x = rng.standard_normal((9, 2))
    runs = [0, 0, 0, 0, 1, 1, 1, 1, 1]
    made = delayed(x, [0, 2, 7], runs)
    assert made.shape == (9, 6)
    # A finite impulse response is a convolution with an impulse at each delay, run by run.
    for column in range(2):
        for place, delay in enumerate([0, 2, 7]):
            kernel = np.zeros(8)
            kernel[delay] = 1
            whole = np.concatenate([np.convolve(part[:, column], kernel)[: len(part)] for part in (x[:4], x[4:])])
            np.testing.assert_allclose(made[:, place * 2 + column], whole)
    np.testing.assert_array_equal(delayed(torch.from_numpy(x), [0, 2, 7], runs).numpy(), made)
    weights = rng.standard_normal((6, 3))
    y = made @ weights
    encoder = b2m.VoxelwiseEncoder(alphas=[1e-9], cv=2, delays=[0, 2, 7]).fit(x, y, groups=runs)
    np.testing.assert_allclose(encoder.predict(x, groups=runs), y, atol=1e-4)
    assert encoder.n_features_in_ == 2


def test_false_discovery_rates_are_those_of_scipy(rng):
    p = rng.random(200) ** 3
    p[::7] = np.nan
    q = benjamini_hochberg(p)
    np.testing.assert_allclose(q[~np.isnan(p)], stats.false_discovery_control(p[~np.isnan(p)]), rtol=1e-12)
    assert (np.isnan(q) == np.isnan(p)).all()
    assert torch.equal(benjamini_hochberg(torch.from_numpy(p)).nan_to_num(9), torch.from_numpy(q).nan_to_num(9))
    assert benjamini_hochberg(np.zeros((0,))).shape == (0,)
    with pytest.raises(ValueError, match=r"\[encoding.benjamini_hochberg\] .* got 1.5"):
        benjamini_hochberg([0.1, 1.5])


def test_the_paper_s_null_is_that_of_scipy(rng):
    x, y = rng.standard_normal((2, 240, 5))
    y += [0, 0.1, 0.3, 1, -0.5] * x
    expected = stats.pearsonr(x, y, alternative="greater")
    np.testing.assert_allclose(independent_gaussian_p(expected.statistic, 240), expected.pvalue, rtol=1e-9)


def test_the_noise_ceiling_is_what_a_perfect_model_scores(rng):
    clips, voxels = 4000, 3
    signal = rng.standard_normal((clips, voxels)) * [1.0, 0.5, 0.0]
    repeats = signal[:, None] + rng.standard_normal((clips, 4, voxels))
    mean = repeats.mean(axis=1)
    ceiling = noise_ceiling(repeats)
    reached = [stats.pearsonr(signal[:, v], mean[:, v]).statistic for v in range(2)]
    np.testing.assert_allclose(ceiling[:2], reached, atol=0.02)
    assert ceiling[2] < 0.2
    repeats[::5, 3] = np.nan  # not measured
    repeats[1, 1:] = np.nan  # heard once
    np.testing.assert_allclose(noise_ceiling(repeats)[:2], reached, atol=0.02)
    assert np.isnan(noise_ceiling(np.ones((5, 2, 1)))).all()
    windows = noise_ceiling(rng.standard_normal((50, 4, 3, 7)))
    assert windows.shape == (7,)
    with pytest.raises(ValueError, match=r"two repeats or more; got shape \(5, 1, 3\)"):
        noise_ceiling(np.zeros((5, 1, 3)))


def test_the_noise_ceiling_of_an_encoder_is_that_of_its_windows(rng):
    values = rng.standard_normal((12, 4, 5)).astype(np.float32)
    music = b2m.Embeddings.from_arrays(values, [f"c{i}" for i in range(12)], window=10, hop=1.5)
    scans = (rng.standard_normal((12, 1, 10, 9)) + rng.standard_normal((12, 3, 10, 9))).astype(np.float32)
    scans[4, 2] = np.nan  # not measured
    windows = np.stack([scans[:, :, i : i + 7].mean(axis=2) for i in range(4)], axis=2)
    encoder = b2m.VoxelwiseEncoder()
    ceiling = encoder.noise_ceiling(music, scans)
    np.testing.assert_allclose(ceiling, noise_ceiling(windows), rtol=1e-6)
    assert not np.allclose(ceiling, noise_ceiling(scans), rtol=1e-3)  # single scans are noisier than windows
    np.testing.assert_allclose(encoder.noise_ceiling(values, windows), ceiling, rtol=1e-6)
    on_tensors = encoder.noise_ceiling(music, torch.from_numpy(scans))
    np.testing.assert_allclose(on_tensors.numpy(), ceiling, rtol=1e-6)
    short = values.copy()
    short[3, 2:] = np.nan  # a shorter clip: its windows are left out of all clips, as in fit
    music = b2m.Embeddings.from_arrays(short, music.clip_ids, window=10, hop=1.5)
    np.testing.assert_allclose(encoder.noise_ceiling(music, scans), noise_ceiling(windows[:, :, :2]), rtol=1e-6)
    with pytest.raises(ValueError, match="scans beside Embeddings, which know their windows; got 10 for 4 windows"):
        encoder.noise_ceiling(values, scans)
    with pytest.raises(ValueError, match=r"of equal clips; got shapes \(11, 4, 5\) and \(12, 3, 10, 9\)"):
        encoder.noise_ceiling(values[:11], scans)


def test_maps_are_images_that_nilearn_reads(rng, tmp_path):
    from nilearn.maskers import NiftiMasker

    music, brain, runs = study(rng)
    inside = np.zeros((4, 5, 6), np.uint8)
    inside.flat[rng.permutation(120)[:40]] = 1
    mask = nib.Nifti1Image(inside, np.diag([3, 3, 3, 1]))
    mask.header["sform_code"] = 4  # MNI
    nib.save(mask, tmp_path / "mask.nii.gz")
    encoder = b2m.VoxelwiseEncoder().fit(music, brain, groups=runs)
    r = encoder.score(music, brain)
    for given in (mask, tmp_path / "mask.nii.gz"):
        image = encoder.to_nifti(r, given)
        assert image.get_data_dtype() == np.float32
        np.testing.assert_allclose(image.get_fdata()[inside > 0], r, rtol=1e-6)
        assert np.isnan(image.get_fdata()[inside == 0]).all()
        assert int(image.header["sform_code"]) == int(nib.load(tmp_path / "mask.nii.gz").header["sform_code"])
    nib.save(to_nifti(np.stack([r, -r]), mask), tmp_path / "maps.nii.gz")
    read = NiftiMasker(mask, standardize=None).fit().transform(tmp_path / "maps.nii.gz")
    np.testing.assert_allclose(read, [r, -r], rtol=1e-6)
    with pytest.raises(ValueError, match=r"number for each of 40 voxels of the mask, .* shape \(39,\)"):
        to_nifti(r[1:], mask)
    with pytest.raises(ValueError, match=r"number for each of 40 voxels or vertices; got shape \(39,\)"):
        encoder.to_nifti(r[1:], mask)


def test_surfaces_are_two_hemispheres(rng, tmp_path):
    values = rng.standard_normal((2, 20_484))
    for image, name, part in zip(
        to_gifti(values), ("CortexLeft", "CortexRight"), (values[:, :10_242], values[:, 10_242:]), strict=True
    ):
        nib.save(image, tmp_path / f"{name}.func.gii")
        read = nib.load(tmp_path / f"{name}.func.gii")
        assert read.meta["AnatomicalStructurePrimary"] == name
        assert [array.data.dtype for array in read.darrays] == [np.float32] * 2
        np.testing.assert_allclose(read.agg_data(), part, rtol=1e-6)
    left, right = to_gifti(values[0] > 0, vertices=10_000)
    assert len(left.agg_data()) == 10_000
    assert set(np.unique(right.agg_data())) == {0, 1}
    with pytest.raises(ValueError, match=r"two hemispheres, left then right; got 7 with half"):
        to_gifti(np.zeros(7))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_what_goes_in_comes_out(rng, kind, tmp_path):
    music, brain, runs = study(rng)
    if kind == "torch":
        music, brain = torch.from_numpy(music), torch.from_numpy(brain)
    encoder = b2m.VoxelwiseEncoder(device="cpu").fit(music, brain, groups=runs)
    tested = encoder.significance(music, brain, random_state=0)
    for array in (encoder.coef_, encoder.predict(music), encoder.score(music, brain), tested.p, tested.q, tested.score):
        assert type(array) is type(music)
    assert bool(tested.significant()[:20].all())
    np.testing.assert_allclose(np.asarray(tested.score), np.asarray(encoder.score(music, brain)), atol=1e-6)
    encoder.save(tmp_path / "encoder.safetensors")
    again = b2m.load(tmp_path / "encoder.safetensors")
    assert again.get_params() == encoder.get_params()
    np.testing.assert_allclose(again.predict(np.asarray(music)), np.asarray(encoder.predict(music)), atol=1e-6)
    assert clone(encoder).get_params() == encoder.get_params()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e, x, y, g: e.fit(x, y), r"cv='runs' needs groups, the run of each row or clip; got None"),
        (lambda e, x, y, g: e.fit(x, y, groups=g[:3]), r"one label for each of 60; got shape \(3,\)"),
        (lambda e, x, y, g: e.fit(x, y[:, :3], groups=g), r"equal clips and windows; got \(60, 4, 6\) and \(60, 3"),
        (lambda e, x, y, g: e.fit(x, y, groups=[None, *g[1:]]), r"each of 60; got 1 without, number 0 the first"),
        (
            lambda e, x, y, g: e.fit(x, y, groups=g).significance(x, y, permutations=0),
            r"number, 1 or more; got 0",
        ),
        (lambda e, x, y, g: e.fit(x, y, groups=g).significance(x, y, permutations=9.5), r"1 or more; got 9.5"),
        (lambda e, x, y, g: e.set_params(delays=4, cv=2).fit(x[:, 0], y[:, 0]), r"whole numbers of scans.*; got 4"),
        (lambda e, x, y, g: e.set_params(delays=[np.nan], cv=2).fit(x[:, 0], y[:, 0]), r"whole .* got \[nan\]"),
        (lambda e, x, y, g: e.fit(x[:, 0], y, groups=g), r"both be \(rows, ...\) or both"),
        (lambda e, x, y, g: e.fit(x, y, groups=g).predict(x[..., :2]), r"must have 6 columns, as in fit"),
        (lambda e, x, y, g: e.fit(x, y, groups=g).score(x, y[..., :2]), r"must have 40 voxels, as in fit; got 2"),
        (lambda e, x, y, g: e.fit(x, y, groups=g).significance(x, y, null="t"), r"null must be .*; got 't'"),
        (lambda e, x, y, g: e.fit(x, y, groups=g).significance(x, y, null="shifts"), r"rows that are scans"),
        (lambda e, x, y, g: e.fit(x, y, groups=g).significance(x[:2], y[:2]), r"three clips or more; got 2"),
        (lambda e, x, y, g: e.fit(x, np.full_like(y, 1j, complex), groups=g), r"must hold real numbers"),
        (lambda e, x, y, g: e.set_params(delays=[1]).fit(x, y, groups=g), r"delays are for rows that are scans"),
    ],
)
def test_bad_input_is_named(rng, call, message):
    music, brain, runs = study(rng)
    with pytest.raises(ValueError, match=message):
        call(b2m.VoxelwiseEncoder(), music, brain, runs)


def test_feature_spaces_come_onto_one_grid(rng):
    ids = ("a", "b")
    short = b2m.Embeddings(rng.standard_normal((2, 10, 3)).astype(np.float32), ids, 1.5, 1.5)
    grid = on_grid(short)
    assert grid.values.shape == (2, 4, 3)
    assert (grid.window, grid.hop, grid.clip_ids) == (10.0, 1.5, ids)
    for window in range(4):  # 10 s hold six whole windows of 1.5 s
        np.testing.assert_allclose(grid.values[:, window], short.values[:, window : window + 6].mean(axis=1), atol=1e-6)
    whole = b2m.Embeddings(rng.standard_normal((2, 1, 3)).astype(np.float32), ids, 15.0, 15.0)
    np.testing.assert_array_equal(on_grid(whole).values, np.repeat(whole.values, 4, axis=1))
    own = b2m.Embeddings(rng.standard_normal((2, 4, 3)).astype(np.float32), ids, 10.0, 1.5)
    np.testing.assert_array_equal(on_grid(own).values, own.values)
    genres = one_hot(["rock", "blues"], ids)
    np.testing.assert_array_equal(genres.values[:, 2], [[0, 1], [1, 0]])
    with pytest.raises(ValueError, match=r"every window of 1.0 s must hold a window .* got windows of 1.5 s"):
        on_grid(short, window=1.0, hop=1.0)
