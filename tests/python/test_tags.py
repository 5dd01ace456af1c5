"""Tags of a tiny tagger whose probabilities NumPy knows, and their agreement."""

import warnings

import numpy as np
import pytest
import soundfile
import torch

import brain2music as b2m
from brain2music.bundles import Bundle, Tags, write

RATE = 300
CLASSES = ("Rock", "Jazz", "Blues", "Happy", "Sad")
GROUPS = {"genres": ["Rock", "Jazz", "Blues"], "moods": ["Sad", "Happy"], "tempo": ["Blues", "Sad"]}
CARD = {"name": "tiny", "source": "this test", "licence": "Apache-2.0", "replaces": "nothing"}


class Loudness(torch.nn.Module):
    """Twice the mean absolute value of each fifth of a window, which is at most half scale."""

    @torch.jit.export
    def tag(self, wave: torch.Tensor) -> torch.Tensor:
        return 2 * wave.abs().reshape(wave.size(0), 5, -1).mean(2)


def expected(waveform, hop=RATE // 2):
    """The probabilities of every window, in float64."""
    starts = range(0, len(waveform) - RATE + 1, hop)
    windows = np.stack([waveform[start : start + RATE] for start in starts]).astype(float)
    return 2 * np.abs(windows).reshape(len(windows), 5, -1).mean(2)


def write_tagger(folder, **changes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.script(Loudness())
    entry = {"methods": ["tag"], "sample_rate": RATE, "window": 1.0, "classes": list(CLASSES), "groups": GROUPS}
    roles = {"tagger": {"module": module, "card": CARD, **entry, **changes}}
    return write(folder, name="tiny", description="For tests.", roles=roles)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return Bundle(write_tagger(tmp_path_factory.mktemp("bundles") / "tagger"), device="cpu")


@pytest.fixture
def music(rng):
    """Four clips of 3 s, whose loudness changes."""
    loud = rng.uniform(0, 0.5, (4, 45)).repeat(20, axis=1)
    return (loud * rng.uniform(-1, 1, (4, 3 * RATE))).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 3, 7, 1000])
def test_tags_are_means_over_windows_whatever_the_batch(bundle, music, batch):
    tags = bundle.tag((music, RATE), hop=0.5, batch=batch)
    assert tags.values.dtype == np.float32
    np.testing.assert_allclose(tags.values, [expected(clip).mean(0) for clip in music], atol=1e-6)
    assert tags.clip_ids == ("0", "1", "2", "3")
    assert tags.classes == CLASSES
    assert tags.groups == {group: tuple(names) for group, names in GROUPS.items()}
    assert tags.hash == bundle.roles["tagger"]["sha256"]
    assert repr(tags) == "Tags(4 clips x 5 classes; genres 3, moods 2, tempo 2)"


def test_files_and_clips_of_different_lengths(bundle, music, tmp_path):
    clips = [music[0], music[1, :450], np.tile(music[2], 3)]
    paths = [tmp_path / f"{i}.wav" for i in range(3)]
    for path, clip in zip(paths, clips, strict=True):
        soundfile.write(path, np.stack([clip, clip], axis=1), RATE, subtype="FLOAT")
    means = [expected(clip).mean(0) for clip in clips]
    for batch in (2, 100):
        np.testing.assert_allclose(bundle.tag(paths, hop=0.5, batch=batch).values, means, atol=1e-6)
    named = bundle.tag(paths, ids=["a", "b", "c"], seconds=1.5, hop=0.5)
    np.testing.assert_allclose(named.values, [expected(clip[:450]).mean(0) for clip in clips], atol=1e-6)
    assert named.clip_ids == ("a", "b", "c")
    tensor = bundle.tag((torch.from_numpy(music[:, None]), RATE), hop=0.5)
    np.testing.assert_allclose(tensor.values[0], means[0], atol=1e-6)


def test_tags_join_by_clip_id(bundle, music):
    tags = bundle.tag((music, RATE), ids=list("abcd"))
    chosen = tags[["c", "a"]]
    np.testing.assert_array_equal(chosen.values, tags.values[[2, 0]])
    assert (chosen.clip_ids, chosen.classes, len(chosen)) == (("c", "a"), CLASSES, 2)
    with pytest.raises(ValueError, match=r"\[bundles.Tags\] every clip must be one of the 4 .*; got 1 of 2 .*, 'x'"):
        tags[["a", "x"]]
    assert b2m.Tags is Tags


def test_agreement_is_that_of_the_most_likely_classes(bundle, music, rng):
    heard, made = bundle.tag((music, RATE)), bundle.tag((music + rng.uniform(-0.1, 0.1, music.shape), RATE))
    found = heard.agreement(made)
    assert list(found) == list(GROUPS)
    for group, n in {"genres": 2, "moods": 1, "tempo": 1}.items():  # the paper's; 1 where the paper has none
        columns = [CLASSES.index(name) for name in GROUPS[group]]
        best = [set(np.argsort(-row[columns])[:n]) for row in np.concatenate([heard.values, made.values])]
        shares = [len(mine & theirs) / n for mine, theirs in zip(best[:4], best[4:], strict=True)]
        np.testing.assert_array_equal(found[group].per_item, shares)
        assert found[group].mean == pytest.approx(np.mean(shares))
    assert {figure.mean for figure in heard.agreement(heard).values()} == {1.0}


def test_only_tags_of_one_tagger_and_the_same_clips_are_compared(bundle, music, tmp_path):
    tags = bundle.tag((music, RATE))
    other = Bundle(write_tagger(tmp_path / "bundle", classes=[*CLASSES[:4], "Slow"], groups={}), device="cpu")
    others = other.tag((music, RATE))
    with pytest.raises(ValueError, match=r"tags must come from one tagger; got 5 classes by [0-9a-f]{12} and 5 cl"):
        tags.agreement(others)
    with pytest.raises(ValueError, match="the tagger must have groups of classes to compare; got none"):
        others.agreement(others)
    with pytest.raises(ValueError, match=r"same clips in the same order; got 4 and 4 clips, '0' beside '3': choose"):
        tags.agreement(tags[["3", "2", "1", "0"]])
    with pytest.raises(ValueError, match=r"same clips in the same order; got 4 and 2 clips, no more alike: choose"):
        tags.agreement(tags[["0", "1"]])
    with pytest.raises(TypeError, match="other must be Tags; got ndarray"):
        tags.agreement(tags.values)
    with pytest.raises(ValueError, match="masked or missing values have no place here"):
        bundle.tag((np.ma.masked_less(music, 0), RATE))


def test_what_cannot_be_tagged_is_named(bundle, music, tmp_path):
    loud, broken = music.copy(), music.copy()
    loud[2], broken[1, 5] = 0.75, np.nan
    for what, message in (
        ((loud, RATE), r"\[embedding.tag\] role 'tagger' must return probabilities from 0 to 1; got .* to 1.5 for 2"),
        ((broken, RATE), r"\[embedding.tag\] a waveform must be finite; got NaN or Inf for 1"),
        ((music[:, :200], RATE), r"a clip must last at least one window of 1 s; got 0.66.* s for 0"),
        ((music, 0), r"\[bundles.Bundle.tag\] rate must be a positive number of Hz"),
        ([], r"\[bundles.Bundle.tag\] there must be a clip or more"),
    ):
        with pytest.raises((ValueError, RuntimeError), match=message):
            bundle.tag(what, batch=1)
    with pytest.raises(ValueError, match=r"\[bundles.Bundle.tag\] batch must be a whole number from 1; got 0"):
        bundle.tag((music, RATE), batch=0)
    with pytest.raises(TypeError, match=r"\[bundles.Bundle.tag\] music must be a study's stimuli"):
        bundle.tag(music)
    with pytest.raises(ValueError, match="must fill role 'tagger'; got codec, music_embedder in"):
        Bundle.shipped("acoustic", "cpu").tag((music, RATE))


VALUES = np.array([[0.1, 0.9], [0.5, 0.0]], np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": VALUES.astype(float)}, r"values must be \(2, 2\) float32, clip_ids and classes; got float64"),
        ({"values": VALUES[:1]}, r"got float32 \(1, 2\)"),
        ({"values": VALUES + 0.5}, "probabilities from 0 to 1; got 1.39.* for 'y' of a"),
        ({"values": np.where(VALUES == 0, np.nan, VALUES)}, "probabilities from 0 to 1; got nan for 'y' of b"),
        ({"clip_ids": ("a", "a")}, "clip_ids must differ; got 'a' twice"),
        ({"classes": ("x", "x")}, "classes must differ; got 'x' twice"),
        ({"groups": {"g": ("x", "z")}}, r"one class or more of classes; got \['z'\] for 'g'"),
        ({"groups": {"g": ()}}, r"one class or more of classes; got \(\) for 'g'"),
    ],
)
def test_tags_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        Tags(**{"values": VALUES, "clip_ids": ("a", "b"), "classes": ("x", "y"), "groups": {}, **changes})
