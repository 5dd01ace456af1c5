"""Cross-validation over all clips: nothing held out is seen, P is honest, controls score nothing."""

import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.model_selection import GroupKFold

import brain2music as b2m
from brain2music.bundles import Embeddings
from brain2music.encoding import cross_validate, mean_embedding, random_embedding

CLIPS, WINDOWS, FEATURES, VOXELS = 60, 4, 5, 24
RUNS = np.repeat(np.arange(10), 6)
GENRES = np.tile(["blues", "jazz", "metal"], 20)


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    music = rng.standard_normal((CLIPS, WINDOWS, FEATURES))
    brain = rng.standard_normal((CLIPS, WINDOWS, VOXELS))
    brain[..., :8] += music @ rng.standard_normal((FEATURES, 8))
    return music.astype(np.float32), brain.astype(np.float32)


def quiet(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # noise takes the largest penalty
        return cross_validate(b2m.VoxelwiseEncoder(), *args, **options)


def test_each_fold_is_an_encoder_fitted_to_the_others(made):
    music, brain = made
    found = quiet(music, brain, RUNS, random_state=3)
    for number, (train, test) in enumerate(GroupKFold(5).split(RUNS, groups=RUNS)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            encoder = b2m.VoxelwiseEncoder().fit(music[train], brain[train], groups=RUNS[train])
        tested = encoder.significance(music[test], brain[test], random_state=3 + number)
        np.testing.assert_allclose(found.scores[number], tested.score, rtol=1e-6)
        np.testing.assert_allclose(found.p[number], tested.p)
    np.testing.assert_allclose(found.significance.score, found.scores.mean(axis=0))
    z = stats.norm.isf(found.p.clip(1e-300, 1000 / 1001)).sum(axis=0) / np.sqrt(2 * 5)
    np.testing.assert_allclose(found.significance.p, stats.norm.sf(z))
    assert found.significance.significant()[:8].all()
    assert found.significance.significant()[8:].sum() <= 1
    assert found.significance.significant(correction="max")[:8].all()


def test_there_are_no_more_folds_than_runs(made):
    assert len(quiet(*made, RUNS // 4).labels) == 3
    assert len(quiet(*made, RUNS).labels) == 5


def test_labels_hold_out_a_genre_at_a_time(made):
    music, brain = made
    found = quiet(music, brain, RUNS, held_out=GENRES, random_state=0)
    assert found.labels.tolist() == ["blues", "jazz", "metal"]
    rest = GENRES != "jazz"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoder = b2m.VoxelwiseEncoder().fit(music[rest], brain[rest], groups=RUNS[rest])
    np.testing.assert_allclose(found.scores[1], encoder.score(music[~rest], brain[~rest]), rtol=1e-5)


def test_a_change_of_held_out_responses_changes_no_prediction_of_them(made, monkeypatch):
    music, brain = made
    seen = []
    fit = b2m.VoxelwiseEncoder.fit
    monkeypatch.setattr(
        b2m.VoxelwiseEncoder, "fit", lambda self, x, y, groups=None: seen.append(y) or fit(self, x, y, groups)
    )
    quiet(music, brain, RUNS)
    for y, (train, _) in zip(seen, GroupKFold(5).split(RUNS, groups=RUNS), strict=True):
        np.testing.assert_array_equal(y, brain[train])


def test_p_of_noise_is_uniform_or_larger_and_a_plain_sum_would_not_be():
    """Each fold helps to predict the others: their z are correlated, and an independent sum finds what is not there."""
    honest, plain = [], []
    for seed in range(20):
        rng = np.random.default_rng([7, seed])
        music = rng.standard_normal((CLIPS, 1, 3)) + 0.5 * rng.standard_normal((CLIPS, WINDOWS, 3))
        brain = rng.standard_normal((CLIPS, 1, 100)) + rng.standard_normal((CLIPS, WINDOWS, 100))
        found = quiet(music, brain, RUNS, held_out=2, permutations=500, random_state=seed)
        honest.append((found.significance.p <= 0.05).mean())
        z = stats.norm.isf(found.p.clip(1e-300, 500 / 501))
        plain.append((stats.norm.sf(z.sum(axis=0) / np.sqrt(2)) <= 0.05).mean())
    error = np.std(honest, ddof=1) / np.sqrt(len(honest))
    assert np.mean(honest) <= 0.05 + 3 * error
    assert np.mean(honest) > 0.02  # nor does it find too little
    assert np.mean(plain) > 0.07


def test_clips_without_scans_are_left_out_with_their_labels(made):
    music, brain = made
    holed = brain.copy()
    holed[17, 3] = np.nan
    found = quiet(music, holed, RUNS, held_out=GENRES, random_state=0)
    kept = np.arange(CLIPS) != 17
    whole = quiet(music[kept], brain[kept], RUNS[kept], held_out=GENRES[kept], random_state=0)
    np.testing.assert_array_equal(found.significance.p, whole.significance.p)
    assert "1 clips have a window without a scan and were left out: 17." in found.significance.notes


def test_a_voxel_that_does_not_vary_in_a_fold_is_not_tested(made):
    music, brain = made
    still = brain.copy()
    still[RUNS < 4, :, 2] = 0
    found = quiet(music, still, RUNS, held_out=(RUNS // 2), random_state=0)
    assert np.isnan(found.significance.p[2])
    assert np.isnan(found.significance.score[2])
    assert np.isnan(found.significance.p_max[2])
    assert np.isfinite(found.significance.q[3])
    assert any("1 voxels do not vary" in note for note in found.significance.notes)


def test_tensors_do_as_arrays_do(made):
    music, brain = made
    found = quiet(torch.from_numpy(music), torch.from_numpy(brain), RUNS, random_state=1)
    np.testing.assert_allclose(
        found.significance.p, quiet(music, brain, RUNS, random_state=1).significance.p, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"held_out": 1}, "a number of folds from 2 to 10; got 1"),
        ({"held_out": 2.5}, "got 2.5"),
        ({"held_out": "genre"}, "got 'genre'"),
        ({"held_out": np.array([None, *GENRES[1:]], object)}, "held_out must hold labels of one kind; got"),
        ({"permutations": 98}, "permutations must be a whole number from 99; got 98"),
        ({"permutations": 100.5}, "got 100.5"),
        ({"random_state": np.random.default_rng(0)}, "random_state must be a whole number or None"),
        ({"groups": 3}, r"groups must hold a label for each of 60 clips; got shape \(\)"),
        ({"held_out": 11}, "from 2 to 10; got 11"),
        ({"held_out": True}, "got True"),
        ({"groups": np.zeros(CLIPS)}, "from 2 to 1; got 1"),
        ({"held_out": np.zeros(CLIPS)}, "two folds or more of three clips or more; got 1 folds"),
        ({"held_out": np.arange(CLIPS) // 2}, "1 folds|got 30 folds, 2 clips in 0"),
        ({"held_out": GENRES[:-1]}, r"held_out must hold a label for each of 60 clips; got shape \(59,\)"),
        ({"groups": RUNS[:-1]}, r"groups must hold a label for each of 60 clips; got shape \(59,\)"),
    ],
)
def test_what_makes_no_folds_is_refused(made, changes, problem):
    with pytest.raises(ValueError, match=problem):
        quiet(*made, **{"groups": RUNS} | changes)


def test_rows_are_refused(made):
    music, brain = made
    with pytest.raises(ValueError, match="must be of clips"):
        quiet(music[:, 0], brain[:, 0], RUNS)


def embeddings(values):
    return Embeddings(values, tuple(f"{n:03d}" for n in range(len(values))), 10.0, 1.5)


def test_the_mean_embedding_tells_no_clip_from_another(made):
    music, brain = made
    mean = mean_embedding(embeddings(music))
    assert mean.values.shape == music.shape
    np.testing.assert_allclose(mean.values[0], music.mean(axis=0), atol=1e-6)
    assert (mean.values == mean.values[:1]).all()
    found = quiet(mean.values, brain, RUNS, random_state=0).significance
    assert not found.significant(0.05, "none")[np.isfinite(found.p)].any()


def test_the_random_embedding_varies_as_the_real_one_does_and_predicts_nothing():
    rng = np.random.default_rng(5)
    real = (
        rng.standard_normal((4000, 1, 2)) * [3.0, 0.2] + rng.standard_normal((4000, WINDOWS, 2)) * [0.5, 2.0] + [1, 9]
    )
    drawn = random_embedding(embeddings(real.astype(np.float32)), random_state=0).values
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean(axis=(0, 1)), real.mean(axis=(0, 1)), atol=0.15)
    for part in (lambda x: x.mean(axis=1), lambda x: x - x.mean(axis=1, keepdims=True)):
        np.testing.assert_allclose(part(drawn).std(axis=0), part(real).std(axis=0), rtol=0.05)
    np.testing.assert_array_equal(drawn, random_embedding(embeddings(real.astype(np.float32)), 0).values)
    assert abs(np.corrcoef(drawn[..., 0].ravel(), real[..., 0].ravel())[0, 1]) < 0.05


def test_what_few_clips_cannot_tell_is_said():
    rng = np.random.default_rng(1)
    music = rng.standard_normal((15, WINDOWS, 3))
    brain = np.repeat(music @ rng.standard_normal((3, 4)), 1, axis=2)
    found = quiet(music, brain, np.repeat(np.arange(5), 3), random_state=0).significance
    # Five folds of three clips, six orders each: z of 1/6 five times, over the root of ten.
    least = stats.norm.sf(5 * stats.norm.isf(1 / 6) / np.sqrt(10))
    np.testing.assert_allclose(found.p, least, rtol=1e-6)
    assert f"no P can be below {least:.2g}" in found.notes[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoder = b2m.VoxelwiseEncoder(cv=3).fit(music[:12], brain[:12])
    assert encoder.significance(music[12:], brain[12:]).notes == ("There are 6 orders alone: no P can be below 0.17.",)


def test_small_folds_of_noise_are_not_called_improbable_or_certain():
    p = []
    for seed in range(12):
        rng = np.random.default_rng([3, seed])
        music, brain = rng.standard_normal((2, CLIPS, WINDOWS, 30))
        found = quiet(music[..., :3], brain, np.arange(CLIPS) // 3, held_out=20, permutations=200, random_state=seed)
        p.append(found.significance.p)
    assert 0.35 < np.mean(p) < 0.75
    assert (np.array(p) <= 0.05).mean() < 0.07


def test_arrays_that_run_backwards_are_read_as_they_are(made):
    music, brain = (values[::-1] for values in made)
    found = quiet(music, brain, RUNS, random_state=0).significance
    np.testing.assert_array_equal(found.p, quiet(music.copy(), brain.copy(), RUNS, random_state=0).significance.p)
