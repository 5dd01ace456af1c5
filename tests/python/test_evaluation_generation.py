"""Generated music beside what was heard: figures by hand, chance and oracle, and what is refused."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import pearsonr

from brain2music.evaluation import Tagged, evaluate_generation

GROUPS = {"genres": [0, 1, 2, 3], "instruments": [4, 5, 6], "moods": [7, 8]}
TOP = {"genres": 2, "instruments": 2, "moods": 1}


@dataclass
class Clips:
    ids: np.ndarray
    genre: np.ndarray


@pytest.fixture
def music(rng):
    n, s, d = 9, 2, 12
    target = rng.standard_normal((n, 4, d))
    true = target.mean(axis=1)
    generated = true[:, None] + rng.standard_normal((n, s, d))
    oracle = true[:, None] + 0.1 * rng.standard_normal((n, s, d))
    clips = Clips(np.array([f"clip{i}" for i in range(n)]), np.array(["blues", "jazz", "rock"] * 3))
    return generated, oracle, target, clips


def found(rows, metric, genre="all"):
    return next(row for row in rows if (row.metric, row.genre) == (metric, genre))


def by_hand(generated, true):
    """Identification of every piece, and the correlations of each with all clips."""
    n, s, _ = generated.shape
    r = np.array([[[pearsonr(generated[i, j], true[k])[0] for k in range(n)] for j in range(s)] for i in range(n)])
    others = ~np.eye(n, dtype=bool)
    own = np.array([[r[i, j, i] for j in range(s)] for i in range(n)])
    return np.array([[np.mean(r[i, j][others[i]] < own[i, j]) for j in range(s)] for i in range(n)])


def test_identification_and_correlation_are_those_of_the_paper(music):
    generated, oracle, target, clips = music
    rows = evaluate_generation("001", "music_embedder", generated, oracle, target, clips)
    assert {row.stage for row in rows} == {"generate-test"}
    true = target.mean(axis=1)
    for genre in ("all", "jazz"):
        rows_of = np.full(9, True) if genre == "all" else clips.genre == genre
        row = found(rows, "identification", genre)
        assert row.value == pytest.approx(by_hand(generated, true)[rows_of].mean())
        assert row.oracle == pytest.approx(by_hand(oracle, true)[rows_of].mean())
        assert row.n == 2 * rows_of.sum()
        assert 0.3 < row.chance < 0.7
    repeated = np.repeat(true, 2, axis=0)
    expected = np.mean([pearsonr(generated.reshape(18, -1)[:, j], repeated[:, j])[0] for j in range(12)])
    assert found(rows, "correlation").value == pytest.approx(expected)
    assert found(rows, "identification_p").value < 0.05
    assert found(rows, "identification").oracle > found(rows, "identification").value


def test_music_of_other_clips_is_chance(music):
    generated, oracle, target, clips = music
    turned = np.roll(generated, 1, axis=0)
    row = found(evaluate_generation("001", "x", turned, oracle, target, clips), "identification")
    # Permuted over clips it is the same music.
    whole = found(evaluate_generation("001", "x", generated, oracle, target, clips), "identification")
    assert row.value < 0.6 < whole.value
    assert row.chance == pytest.approx(whole.chance)


def likeliest(tags, group):
    return set(np.array(GROUPS[group])[np.argsort(-tags[GROUPS[group]], kind="stable")[: TOP[group]]].tolist())


def test_classes_agree_as_sets_do(music, rng):
    generated, oracle, target, clips = music
    original, made, best = rng.random((9, 9)), rng.random((9, 2, 9)), rng.random((9, 2, 9))
    tagged = Tagged(original, made, best, GROUPS)
    rows = evaluate_generation("001", "x", generated, oracle, target, clips, way="track", tagged=tagged)
    assert {row.stage for row in rows} == {"generate_track-test"}
    for group, n in TOP.items():
        every = np.array(
            [
                [
                    np.mean([len(likeliest(original[i], group) & likeliest(made[k, j], group)) / n for j in range(2)])
                    for k in range(9)
                ]
                for i in range(9)
            ]
        )
        for genre in ("all", "rock"):
            which = np.full(9, True) if genre == "all" else clips.genre == genre
            row = found(rows, f"agreement_{group}", genre)
            assert row.value == pytest.approx(every.diagonal()[which].mean())
            assert row.chance == pytest.approx(every[which].mean())
        own = [len(likeliest(original[i], group) & likeliest(best[i, j], group)) / n for i in range(9) for j in (0, 1)]
        assert found(rows, f"agreement_{group}").oracle == pytest.approx(np.mean(own))


def test_what_does_not_fit_is_named(music):
    generated, oracle, target, clips = music
    for arguments, words in (
        ((generated[:, 0], oracle, target, clips), r"generated must be \(9, samples, 12\); got \(9, 12\)"),
        ((generated, oracle[:, :1], target, clips), r"oracle must have shape \(9, 2, 12\); got \(9, 1, 12\)"),
        ((generated, oracle, target[0, 0], clips), r"target must be \(clips, windows, dimensions\)"),
        ((np.where(generated > 2, np.nan, generated), oracle, target, clips), "generated must be finite"),
    ):
        with pytest.raises(ValueError, match=words):
            evaluate_generation("001", "x", *arguments)
    tagged = Tagged(np.ones((9, 9)), np.ones((9, 2, 9)), np.ones((9, 2, 9)), {"colours": [0, 1]})
    with pytest.raises(ValueError, match="groups must be among genres, instruments, moods; got 'colours'"):
        evaluate_generation("001", "x", *music, tagged=tagged)
