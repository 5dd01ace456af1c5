"""Music made by the main job with small random networks: every way, several samples, and what is refused."""

import json
import warnings

import made_bundle
import numpy as np
import pytest

import brain2music as b2m
from brain2music import pipeline
from brain2music.cli import main


@pytest.fixture(scope="module")
def run(simulated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    made_bundle.write(folder / "bundle", window=2.0)
    settings = pipeline.Settings(
        str(simulated),
        bundle=str(folder / "bundle"),
        subjects=("001",),
        held_out_genres=False,
        samples=2,
        tagger="composer",
        device="cpu",
    )
    context = pipeline.Context(settings, folder / "results", progress=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*the grid of alphas", UserWarning)
        pipeline.do(context, "generate")
    return context


def test_each_way_gives_the_generator_what_it_says(run):
    decoded = pipeline.decode(run, "001", "music_embedder")
    music, _ = pipeline.embed(run, "music_embedder")
    generator = b2m.MusicGenerator(run.bundle, "cpu")
    clips = decoded.test_clips.ids
    mean, _ = pipeline.average(decoded.test, decoded.test_target)
    held_out, heard = pipeline.average(decoded.cross_validated, decoded.train_target)
    matched = b2m.MomentMatching.fit(held_out, heard).apply(mean)
    given = {"clip": (mean, {}), "moments": (matched, {}), "track": (decoded.test, {"hop": music.hop})}
    for way, (values, options) in given.items():
        made, _ = pipeline.generate(run, "001", way)
        assert made.clips == tuple(clips.tolist())
        if np.isnan(values).any():  # a window that no scan measured takes the nearest one's prediction
            values = np.where(np.isnan(values), values[:, [-2]], values)
        audio = generator.generate(values, seconds=15, samples=2, seed=0, **options)
        for i, clip in ((0, made.clips[0]), (7, made.clips[7])):
            sound, rate = made.sound(clip, sample=1)
            wave = audio.waveform[i, 1, 0]
            assert rate == audio.rate
            np.testing.assert_allclose(sound, wave / max(1, np.abs(wave).max()), atol=2 / 32768)
    oracle = pipeline.generate_oracle(run)
    true = music[clips].values.mean(axis=1)
    wave = generator.generate(true, seconds=15, samples=2, seed=0).waveform[3, 0, 0]
    np.testing.assert_allclose(oracle.sound(oracle.clips[3])[0], wave / max(1, np.abs(wave).max()), atol=2 / 32768)


def test_held_out_predictions_are_not_those_of_a_decoder_that_knew_the_clip(run):
    decoded = pipeline.decode(run, "001", "music_embedder")
    errors = [
        np.nanmean((predicted - decoded.train_target) ** 2) for predicted in (decoded.train, decoded.cross_validated)
    ]
    assert errors[0] < errors[1]


def test_what_was_heard_in_the_music_is_kept(run):
    made, _ = pipeline.generate(run, "001", "clip")
    classes = b2m.Bundle.shipped("composer").roles["tagger"]["classes"]
    assert made.embedded.shape == (20, 2, made_bundle.D)
    assert made.tags.shape == (20, 2, len(classes))
    rows, _ = pipeline.evaluate(run)
    stages = {row.stage for row in rows if row.metric == "agreement_genres"}
    assert stages == {"generate-test", "generate_moments-test", "generate_track-test"}
    assert {row.n for row in rows if (row.stage, row.genre, row.metric) == ("generate-test", "all", "correlation")} == {
        40
    }


def test_nothing_is_made_again(run, capsys):
    files = {path: path.stat().st_mtime_ns for path in (run.out / "generate").rglob("*")}
    assert main(["generate", str(run.out), "--quiet"]) == 0
    assert {path: path.stat().st_mtime_ns for path in (run.out / "generate").rglob("*")} == files


def test_a_bundle_that_makes_no_music_is_named(simulated, run, tmp_path, capsys):
    config = {**json.loads((run.out / "config.json").read_text()), "bundle": "acoustic"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["generate", str(tmp_path), "--quiet"]) == 1
    assert "generate takes a bundle that makes music from the first of embeddings" in capsys.readouterr().err
    assert main(["generate", str(run.out), "--guidance", "2", "--quiet"]) == 1
    assert "settings of its own, in config.json; got --guidance" in capsys.readouterr().err
    assert main(["generate", str(tmp_path / "none.wav"), "--quiet"]) == 1
    assert "music is made from --text, --audio or --embedding" in capsys.readouterr().err
    for settings, words in (
        ({"conditioning": ("clip", "dream")}, "conditioning must be among clip, moments, track; got 'dream'"),
        ({"samples": 0}, "samples must be a whole number from 1; got 0"),
    ):
        with pytest.raises(ValueError, match=words):
            pipeline.Settings(str(simulated), **settings)
    settings = pipeline.Settings(str(simulated), tagger="acoustic")
    with pytest.raises(ValueError, match="tagger must be a bundle with the role tagger"):
        _ = pipeline.Context(settings, tmp_path).tagger
