"""Clips shorter than a window, clips of unequal length, and what is fitted to windows that not all of them have."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import TimeSeriesSplit

import brain2music as b2m
from brain2music.encoding import cross_validate, mean_embedding, on_grid, random_embedding

RATE = 22050


@pytest.fixture(scope="module")
def bundle():
    return b2m.Bundle.default()


def waves(rng, *seconds):
    return [rng.uniform(-0.1, 0.1, round(length * RATE)).astype(np.float32) for length in seconds]


def test_a_short_window_is_repeated_to_fill_the_networks_own(rng, bundle):
    (wave,) = waves(rng, 6)
    short = bundle.embed("music_embedder", ([wave], RATE), window=4, hop=1.5)
    assert (short.window, short.values.shape) == (4, (1, 2, 128))
    for number in range(2):
        piece = wave[round(1.5 * number * RATE) :][: 4 * RATE]
        whole = bundle.embed("music_embedder", ([np.tile(piece, 3)[: 10 * RATE]], RATE))
        # Resampled as a whole, a window has its neighbours' samples at its ends.
        assert_allclose(short.values[0, number], whole.values[0, 0], rtol=1e-2, atol=2e-3)
    tags = bundle.tag(([wave], RATE), window=6)
    assert_allclose(tags.values, bundle.tag(([np.tile(wave, 2)[: 10 * RATE]], RATE)).values, atol=2e-3)
    with pytest.raises(ValueError, match="window must be at most that of role 'music_embedder', 10 s; got 11 s"):
        bundle.embed("music_embedder", (waves(rng, 12), RATE), window=11)
    with pytest.raises(ValueError, match="at least one window of 10 s; got 6 s for 0"):
        bundle.embed("music_embedder", ([wave], RATE))
    with pytest.raises(ValueError, match="window must be at most that of role 'tagger'"):
        bundle.tag(([wave], RATE), window=11)


def test_windows_that_a_shorter_clip_lacks_are_nan_when_asked(rng, bundle):
    clips = waves(rng, 15, 11.5, 13, 10)
    with pytest.raises(ValueError, match="every clip must give as many windows"):
        bundle.embed("music_embedder", (clips, RATE))
    embedded = bundle.embed("music_embedder", (clips, RATE), equal=False)
    assert embedded.values.shape == (4, 4, 128)
    assert embedded.present.sum(axis=1).tolist() == [4, 2, 3, 1]
    for number, clip in enumerate(clips):
        alone = bundle.embed("music_embedder", ([clip], RATE)).values[0]
        assert_allclose(embedded.values[number, : len(alone)], alone, atol=1e-5)
    assert embedded[["1", "3"]].present.tolist() == [[True, True, False, False], [True, False, False, False]]


def test_only_last_windows_may_be_missing_and_only_as_a_whole(rng, tmp_path):
    values = rng.standard_normal((3, 4, 5)).astype(np.float32)
    values[1, 2:] = np.nan
    own = b2m.Embeddings.from_arrays(values, ["a", "b", "c"])
    own.save(tmp_path / "own.safetensors")
    assert_array_equal(b2m.Embeddings.load(tmp_path / "own.safetensors").values, values)
    for hole in (np.s_[2, 1], np.s_[2, 3, 1], np.s_[0], np.s_[1, 3]):
        odd = values.copy()
        odd[hole] = rng.standard_normal(odd[hole].shape) if hole == np.s_[1, 3] else np.nan
        with pytest.raises(ValueError, match=r"values must be finite in float32; got .* for [abc]"):
            b2m.Embeddings.from_arrays(odd, ["a", "b", "c"])
    odd = values.copy()
    odd[1, 3] = np.inf
    with pytest.raises(ValueError, match=r"values must be finite in float32; got (nan|inf) for b"):
        b2m.Embeddings.from_arrays(odd, ["a", "b", "c"])


@pytest.fixture
def unequal(rng):
    """Music and responses of 48 clips of 13 s and 15 s."""
    music = rng.standard_normal((48, 4, 6)).astype(np.float32)
    brain = rng.standard_normal((48, 10, 40)).astype(np.float32)
    brain[:, :, :20] += 2 * (music.mean(axis=1) @ rng.standard_normal((6, 20)))[:, None]
    music[::2, 3:], brain[::2, 9:] = np.nan, np.nan
    return music, brain


def test_a_decoder_is_fitted_to_the_windows_there_are(unequal):
    music, brain = unequal
    rois, runs = np.repeat([1, 2], 20), np.arange(48) // 12
    own = b2m.Embeddings.from_arrays(music, [str(clip) for clip in range(48)])
    decoder = b2m.BrainDecoder(n_rois=1).fit(brain, own, rois=rois, groups=runs)
    assert "24 windows have no target (NaN) and were left out of the fit." in decoder.notes_
    members = decoder.windows_
    x = np.stack([[np.nanmean(clip[window], axis=0) for window in members] for clip in brain])[..., :20]
    there = ~np.isnan(music[:, :, 0])
    ridge = b2m.ridge.RidgeCV(cv=4).fit(x[there], music[there], groups=np.repeat(runs, 4).reshape(48, 4)[there])
    predicted = decoder.predict(brain)
    assert_allclose(predicted[there], ridge.predict(x[there]), rtol=1e-3, atol=1e-3)
    some = music.copy()
    some[3, 1, 2] = np.nan
    with pytest.raises(ValueError, match="NaN in all dimensions of a window; got NaN in some at clip 3, window 1"):
        b2m.BrainDecoder(n_rois=1).fit(brain, some, rois=rois, groups=runs)


def test_an_encoder_takes_the_windows_that_all_clips_have(unequal):
    music, brain = unequal
    runs = np.arange(48) // 12
    own = b2m.Embeddings.from_arrays(music, [str(clip) for clip in range(48)])
    encoder = b2m.VoxelwiseEncoder().fit(own, brain, groups=runs)
    assert encoder.notes_ == ("1 of 4 windows are not there in all clips and were left out.",)
    averaged = np.stack([[np.nanmean(clip[k : k + 7], axis=0) for k in range(3)] for clip in brain])
    plain = b2m.VoxelwiseEncoder().fit(music[:, :3], averaged, groups=runs)
    assert_allclose(encoder.coef_, plain.coef_, rtol=1e-4, atol=1e-5)
    tested = encoder.significance(own, brain, permutations=100, random_state=0)
    assert_allclose(tested.score, plain.score(music[:, :3], averaged), rtol=1e-4, atol=1e-5)
    found = cross_validate(b2m.VoxelwiseEncoder(), own, brain, runs, permutations=100, random_state=0)
    assert found.significance.significant()[:20].sum() > 15


def test_grids_and_controls_keep_what_is_missing(rng):
    values = rng.standard_normal((5, 7, 3)).astype(np.float32)
    values[2, 5:] = np.nan
    short = b2m.Embeddings.from_arrays(values, list("abcde"), window=6, hop=1.5)
    grid = on_grid(short)
    assert grid.present.tolist() == [[True] * 4] * 2 + [[True, True, True, False]] + [[True] * 4] * 2
    assert_allclose(grid.values[2, 2], values[2, 2:5].mean(axis=0), rtol=1e-5)
    for made in (mean_embedding(grid), random_embedding(grid, 0)):
        assert_array_equal(made.present, grid.present)
    assert_allclose(mean_embedding(grid).values[0], np.nanmean(grid.values, axis=0), rtol=1e-5, atol=1e-6)


def test_scans_that_are_left_out_are_no_rows_but_their_music_counts(rng):
    """Music that goes on, with delays: a row needs its own scan, not the scans before it."""
    x, runs = rng.standard_normal((120, 3)), np.repeat([1, 2, 3], 40)
    y = rng.standard_normal((120, 10))
    y[1:] += x[:-1] @ rng.standard_normal((3, 10))
    lost = [4, 5, 70]
    y[lost] = np.nan
    encoder = b2m.VoxelwiseEncoder(cv=3, delays=(1, 2)).fit(x, y, groups=runs)
    assert encoder.notes_ == ("3 of 120 scans were not measured and were left out.",)
    kept = np.setdiff1d(np.arange(120), lost)
    delayed = np.concatenate(
        [np.concatenate([np.r_[np.zeros((k, 3)), run[:-k]] for run in np.split(x, 3)]) for k in (1, 2)], 1
    )
    plain = b2m.VoxelwiseEncoder(cv=3).fit(delayed[kept], y[kept], groups=runs[kept])
    assert_allclose(encoder.coef_, plain.coef_, rtol=1e-6, atol=1e-7)
    tested = encoder.significance(x, y, runs, null="shifts", permutations=50, random_state=0)
    assert np.isfinite(tested.p).all()


@pytest.mark.filterwarnings("ignore:.*the grid of alphas:UserWarning")
@pytest.mark.parametrize("lost", [[], [3, 30]])
def test_folds_of_an_encoder_are_of_clips(rng, lost):
    """Windows of a clip stay together, and clips that were left out keep their numbers."""
    music = rng.standard_normal((48, 3, 4))
    brain = rng.standard_normal((48, 3, 10))
    brain[:, :, :5] += music @ rng.standard_normal((4, 5))
    brain[lost, 1] = np.nan
    splitter = TimeSeriesSplit(4)
    encoder = b2m.VoxelwiseEncoder(cv=splitter).fit(music, brain)
    kept = np.setdiff1d(np.arange(48), lost)
    rows = np.arange(len(kept) * 3).reshape(-1, 3)
    folds = [tuple(rows[np.isin(kept, part)].ravel() for part in split) for split in splitter.split(music)]
    plain = b2m.ridge.RidgeCV(cv=folds).fit(music[kept].reshape(-1, 4), brain[kept].reshape(-1, 10))
    assert_array_equal(encoder.best_alphas_, plain.best_alphas_)
    assert_allclose(encoder.cv_scores_, plain.cv_scores_)
    pairs = b2m.VoxelwiseEncoder(cv=list(splitter.split(music))).fit(music, brain)
    assert_array_equal(pairs.coef_, encoder.coef_)
