"""Ridge regression on a GPU beside the same on the CPU, which its own oracles have judged."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import GroupKFold

import brain2music as b2m
from brain2music import _core
from brain2music.ridge import BandedRidgeCV, BatchedRidgeCV, FoldStatistics, KernelRidgeCV, RidgeCV

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        not torch.cuda.is_available() or not _core.cuda_architectures(), reason="no CUDA device, or no kernels for it"
    ),
    pytest.mark.filterwarnings("ignore:.*the grid of alphas"),
]

ALPHAS = np.logspace(-1, 4, 6)


def data(rng, n=90, p=12, t=300, dtype=np.float64):
    X = rng.standard_normal((n, p)) + rng.standard_normal(p)
    Y = 0.5 * X @ rng.standard_normal((p, t)) / np.sqrt(p) + rng.standard_normal((n, t)) + rng.standard_normal(t)
    return X.astype(dtype), Y.astype(dtype)


def host(x):
    return x.cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def assert_same(model, expected, dtype, path=True):
    """The same scores; the same choices but at ties; the same coefficients where the choice is the same."""
    bound = 1e-5 if dtype == np.float32 else 1e-10
    if path:
        np.testing.assert_allclose(host(model.cv_scores_path_), host(expected.cv_scores_path_), atol=2 * bound)
    np.testing.assert_allclose(host(model.cv_scores_), host(expected.cv_scores_), atol=2 * bound)
    same = np.isclose(host(model.best_alphas_), host(expected.best_alphas_), rtol=1e-6)
    if hasattr(model, "best_gammas_"):
        same &= np.isclose(host(model.best_gammas_), host(expected.best_gammas_), rtol=1e-5).all(0)
    assert same.mean() > 0.99
    for name in ("coef_", "intercept_"):
        ours, theirs = (np.atleast_2d(host(getattr(m, name)).T).T for m in (model, expected))
        ours, theirs = (x[..., same] if x.shape[-1] == len(same) else x for x in (ours, theirs))
        assert np.linalg.norm(ours - theirs) <= bound * max(np.linalg.norm(theirs), 1e-3), name


SHAPES = [(90, 12, 300), (60, 100, 7), (60, 100, 300), (200, 40, 1), (50, 1, 5), (300, 150, 5000)]


@pytest.mark.parametrize("solver", ["eigenbasis", "cholesky", "kernel"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_solver(rng, solver, dtype, shape):
    X, Y = data(rng, *shape, dtype=dtype)
    options = {"alphas": ALPHAS, "solver": solver, "keep_path": True}
    model = RidgeCV(**options, device="cuda").fit(X, Y)
    assert model.solver_ == solver
    expected = RidgeCV(**options, device="cpu").fit(X, Y)
    assert isinstance(model.coef_, np.ndarray)
    assert_same(model, expected, dtype)
    np.testing.assert_allclose(model.predict(X), expected.predict(X), atol=2e-3 if dtype == np.float32 else 1e-8)


@pytest.mark.parametrize("solver", ["eigenbasis", "cholesky", "kernel"])
@pytest.mark.parametrize(
    "options",
    [
        {"fit_intercept": False},
        {"alpha_per_target": False},
        {"scoring": "correlation"},
        {"alphas": None},
        {"cv": GroupKFold(4)},
        {"weighted": True},
        {"keep_predictions": True},
    ],
    ids=str,
)
def test_every_option(rng, solver, options):
    options = dict(options)
    X, Y = data(rng)
    more = {"groups": rng.integers(0, 7, len(X))} if "cv" in options else {}
    if options.pop("weighted", False):
        more["sample_weight"] = rng.uniform(0, 2, len(X))
    options = {"alphas": ALPHAS, "solver": solver, "keep_path": True} | options
    model = RidgeCV(**options, device="cuda").fit(X, Y, **more)
    expected = RidgeCV(**options, device="cpu").fit(X, Y, **more)
    assert_same(model, expected, np.float64)
    if "keep_predictions" in options:
        np.testing.assert_allclose(model.cv_predictions_, expected.cv_predictions_, atol=1e-9)


@pytest.mark.parametrize("kind", ["on the GPU", "tensors", "Fortran", "strided", "float16", "int16", "memory map"])
def test_every_kind_of_input(rng, kind, tmp_path):
    X, Y = data(rng, dtype=np.float32)
    if kind == "float16":
        X, Y = X.astype(np.float16), Y.astype(np.float16)
    if kind == "int16":
        X, Y = (1000 * X).astype(np.int16), (1000 * Y).astype(np.int16)
    given = {
        "on the GPU": lambda x: torch.from_numpy(x).cuda(),
        "tensors": torch.from_numpy,
        "Fortran": np.asfortranarray,
        "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    }.get(kind, lambda x: x)
    y = given(Y)
    if kind == "memory map":
        np.save(tmp_path / "Y.npy", Y)
        y = np.load(tmp_path / "Y.npy", mmap_mode="r")
    device = "auto" if kind == "on the GPU" else "cuda"
    model = RidgeCV(ALPHAS, keep_path=True, device=device).fit(given(X), y)
    expected = RidgeCV(ALPHAS, keep_path=True, device="cpu").fit(X, Y)
    assert_same(model, expected, np.float32)
    if kind == "on the GPU":
        for name in ("coef_", "intercept_", "best_alphas_", "cv_scores_", "cv_correlations_", "cv_scores_path_"):
            assert getattr(model, name).is_cuda, name
        assert model.predict(given(X)).is_cuda


def test_targets_larger_than_what_is_allowed_come_in_blocks(rng, tmp_path):
    X, Y = data(rng, n=400, p=20, t=30_000, dtype=np.float32)
    np.save(tmp_path / "Y.npy", Y)
    y = np.load(tmp_path / "Y.npy", mmap_mode="r")
    expected = RidgeCV(ALPHAS, device="cpu").fit(X, Y)
    RidgeCV(ALPHAS, device="cuda").fit(X, Y[:, :100])  # what cuBLAS takes for itself, once
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    model = RidgeCV(ALPHAS, device="cuda", memory_limit="24 MiB").fit(X, y)
    assert torch.cuda.max_memory_allocated() - before < 1.1 * 24 * 2**20
    assert_same(model, expected, np.float32, path=False)
    np.testing.assert_allclose(
        model.cv_scores_, RidgeCV(ALPHAS, device="cuda").fit(X, Y).cv_scores_, atol=1e-6
    )  # of one block


@pytest.mark.parametrize("share", [3e8, 1e8])
def test_blocks_are_halved_where_another_took_the_memory(rng, share):
    """The plan goes by what the driver says is free; the allocator may be allowed less."""
    X, Y = data(rng, n=2000, p=128, t=20_000, dtype=np.float32)
    expected = RidgeCV(ALPHAS, device="cpu").fit(X, Y)
    RidgeCV(ALPHAS, device="cuda").fit(X, Y[:, :100])
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(
        (torch.cuda.memory_reserved() + share) / torch.cuda.get_device_properties(0).total_memory
    )
    try:
        model = RidgeCV(ALPHAS, device="cuda").fit(X, Y)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert_same(model, expected, np.float32, path=False)


@pytest.mark.parametrize("solver", ["eigenbasis", "cholesky"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_hard_features(rng, solver, dtype, scale):
    X, Y = data(rng)
    X[:, 3] = X[:, 4]
    X[:, 5] = 0
    X[:, 6] = 7
    Y[:, 0] = 3
    X, Y = (scale * X).astype(dtype), Y.astype(dtype)
    options = {"solver": solver, "keep_path": True}
    model = RidgeCV(**options, device="cuda").fit(X, Y)
    assert_same(model, RidgeCV(**options, device="cpu").fit(X, Y), dtype)
    assert model.cv_scores_[0] == 0


@pytest.mark.parametrize("name", ["X", "Y"])
def test_nan_is_refused_by_row_and_column(rng, name):
    X, Y = data(rng)
    (X if name == "X" else Y)[17, 5] = np.nan
    for on_gpu in (False, True):
        given = [torch.from_numpy(x).cuda() if on_gpu else x for x in (X, Y)]
        with pytest.raises(ValueError, match=rf"{name} must be finite.*row 17, column 5"):
            RidgeCV(ALPHAS, device="cuda").fit(*given)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("t", [7, 3000])
def test_regions(rng, dtype, t):
    _, Y = data(rng, n=120, t=t, dtype=dtype)
    xs = [(rng.standard_normal((120, p)) + 0.3 * Y[:, :1]).astype(dtype) for p in (3, 61, 100, 100, 150)]
    model = BatchedRidgeCV(ALPHAS, keep_path=True, device="cuda").fit(xs, Y)
    expected = BatchedRidgeCV(ALPHAS, keep_path=True, device="cpu").fit(xs, Y)
    bound = 1e-5 if dtype == np.float32 else 1e-10
    for i, _ in enumerate(xs):
        np.testing.assert_allclose(model.cv_scores_path_[i], expected.cv_scores_path_[i], atol=2 * bound)
        same = model.best_alphas_[i] == expected.best_alphas_[i]
        assert same.mean() > 0.99 or t < 100
        ours, theirs = (m.coef_[i][:, same] for m in (model, expected))
        assert np.linalg.norm(ours - theirs) <= bound * np.linalg.norm(theirs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["eigenbasis", "cholesky", "kernel"])
def test_bands(rng, dtype, solver):
    X, Y = data(rng, p=20, dtype=dtype)
    options = {"n_iter": 7, "random_state": 0, "solver": solver}
    bands = np.repeat(np.arange(4), 5)
    model = BandedRidgeCV(bands, ALPHAS, **options, device="cuda").fit(X, Y)
    expected = BandedRidgeCV(bands, ALPHAS, **options, device="cpu").fit(X, Y)
    assert_same(model, expected, dtype, path=False)
    np.testing.assert_allclose(
        model.predict(X, split=True), expected.predict(X, split=True), atol=2e-3 if dtype == np.float32 else 1e-8
    )


@pytest.mark.parametrize("kernel", ["linear", "rbf", "precomputed"])
def test_kernels(rng, kernel):
    X, Y = data(rng, n=60, p=90)
    X = X @ X.T if kernel == "precomputed" else X
    options = {"alphas": ALPHAS, "kernel": kernel, "keep_path": True}
    model, expected = (KernelRidgeCV(**options, device=device).fit(X, Y) for device in ("cuda", "cpu"))
    np.testing.assert_allclose(model.cv_scores_path_, expected.cv_scores_path_, atol=1e-9)
    np.testing.assert_allclose(model.predict(X), expected.predict(X), atol=1e-8)


def test_statistics(rng, tmp_path):
    X, Y = data(rng)
    there = FoldStatistics.gather(torch.from_numpy(X).cuda(), torch.from_numpy(Y).cuda())
    here = FoldStatistics.gather(X, Y)
    expected = RidgeCV(ALPHAS, keep_path=True, device="cpu").fit_statistics(here)
    model = RidgeCV(ALPHAS, keep_path=True).fit_statistics(there)
    assert model.coef_.is_cuda
    assert_same(model, expected, np.float64)
    assert_same(RidgeCV(ALPHAS, keep_path=True, device="cuda").fit_statistics(here), expected, np.float64)
    there.save(tmp_path / "sums.safetensors")
    again = RidgeCV(ALPHAS, keep_path=True, device="cpu").fit_statistics(
        FoldStatistics.load(tmp_path / "sums.safetensors")
    )
    assert_same(again, expected, np.float64)


def test_another_stream(rng):
    """Work is queued where the caller's is."""
    X, Y = data(rng, n=400, p=64, t=6000, dtype=np.float32)
    expected = RidgeCV(ALPHAS, device="cpu").fit(X, Y)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        x, y = torch.from_numpy(X).cuda(), torch.from_numpy(Y).cuda()
        model = RidgeCV(ALPHAS).fit(x, y)
        model.coef_ = model.coef_.clone()
    stream.synchronize()
    assert_same(model, expected, np.float32, path=False)


def test_what_the_program_allows_elsewhere_costs_no_digits(rng):
    X, Y = data(rng, n=400, p=64, t=3000, dtype=np.float32)
    expected = RidgeCV(ALPHAS, device="cpu").fit(X, Y)
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        model = RidgeCV(ALPHAS, device="cuda").fit(X, Y)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
    assert_same(model, expected, np.float32, path=False)


def test_many_regions(rng):
    """More than are made ready together, of all sizes, some of which go alone: with more features than rows."""
    _, Y = data(rng, n=80, t=5)
    xs = [rng.standard_normal((80, int(p))) + Y[:, :1] for p in rng.permutation(np.r_[np.arange(1, 75), 90, 200])]
    model, expected = (BatchedRidgeCV(device=device).fit(xs, Y) for device in ("cuda", "cpu"))
    assert set(model.solver_) == {"cholesky", "kernel"}
    for i, _ in enumerate(xs):
        np.testing.assert_allclose(model.cv_scores_[i], expected.cv_scores_[i], atol=1e-9)
        np.testing.assert_allclose(model.coef_[i], expected.coef_[i], atol=1e-7)


def test_the_decoder(rng):
    labels = np.repeat(np.arange(6), 20)
    brain = rng.standard_normal((60, 10, 120)).astype(np.float32)
    music = rng.standard_normal((60, 4, 8)) + brain[:, :4, 25:33]
    runs = np.repeat(np.arange(6), 10)
    models = [
        b2m.BrainDecoder(n_rois=3, alphas=ALPHAS, device=device).fit(brain, music, labels, groups=runs)
        for device in ("cuda", "cpu")
    ]
    np.testing.assert_allclose(*(model.predict(brain) for model in models), atol=1e-4)
