"""Music from embeddings: each sample its own, alone, in a batch, in blocks; every bad request one sentence."""

import json
import signal
import threading
from dataclasses import replace

import made_bundle
import numpy as np
import pytest
import soundfile
import torch

import brain2music as b2m
from brain2music.bundles import Embeddings
from brain2music.cli import main


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return made_bundle.write(tmp_path_factory.mktemp("bundle") / "whole")


@pytest.fixture(scope="module")
def windowed(tmp_path_factory):
    return made_bundle.write(tmp_path_factory.mktemp("bundle") / "windowed", window=2.0)


@pytest.fixture(scope="module")
def generator(bundle):
    return b2m.MusicGenerator(bundle, device="cpu")


@pytest.fixture(scope="module")
def by_windows(windowed):
    return b2m.MusicGenerator(windowed, device="cpu")


@pytest.fixture
def embedding(rng):
    return rng.standard_normal((3, made_bundle.D)).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.01, 1.0, 3.33, 5.0])
def test_music_has_the_length_asked_for(generator, by_windows, embedding, seconds):
    for each in (generator, by_windows):
        audio = each.generate(embedding, seconds=seconds, samples=2)
        assert audio.waveform.shape == (3, 2, 1, round(400 * seconds))
        assert audio.waveform.dtype == np.float32
        assert np.isfinite(audio.waveform).all()
        assert np.abs(audio.waveform).max() <= 1
        assert (audio.waveform.std(-1) > 1e-3).all() or seconds < 0.1
        assert audio.seconds == pytest.approx(seconds, abs=1e-9)


def test_a_second_piece_equals_a_first(generator, embedding):
    first = generator.generate(embedding, seconds=3, samples=2, seed=5).waveform
    np.testing.assert_array_equal(generator.generate(embedding, seconds=3, samples=2, seed=5).waveform, first)
    other = generator.generate(embedding, seconds=3, samples=2, seed=6).waveform
    assert (other != first).any(axis=(2, 3)).all()
    assert (first[:, 0] != first[:, 1]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("which", ["generator", "by_windows"])
def test_a_sample_alone_equals_the_sample_in_a_batch(which, embedding, request):
    each = request.getfixturevalue(which)
    together = each.generate(embedding, seconds=5, samples=3, seed=2).waveform
    for row in range(3):
        alone = each.generate(embedding[row : row + 1], seconds=5, samples=3, seed=2).waveform
        np.testing.assert_array_equal(alone[0], together[row])
    fewer = each.generate(embedding, seconds=5, samples=1, seed=2).waveform
    np.testing.assert_array_equal(fewer[:, 0], together[:, 0])


def test_memory_is_planned_and_batches_change_nothing(generator, embedding):
    whole = generator.generate(embedding, seconds=3, samples=2).waveform
    with pytest.raises(ValueError, match=r"states for one piece must fit into memory, 0.0009\d* MiB; got 0.\d+ MiB"):
        generator.generate(embedding, seconds=3, samples=2, memory_limit=1000)
    np.testing.assert_array_equal(
        generator.generate(embedding, seconds=3, samples=2, memory_limit=150_000).waveform, whole
    )


def test_threads_change_nothing(generator, embedding):
    whole = generator.generate(embedding, seconds=2).waveform
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        np.testing.assert_array_equal(generator.generate(embedding, seconds=2).waveform, whole)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("which", ["generator", "by_windows"])
@pytest.mark.parametrize("block", [0.1, 0.7, 30.0])
def test_blocks_one_behind_the_other_are_the_piece(which, block, embedding, request):
    each = request.getfixturevalue(which)
    whole = each.generate(embedding, seconds=4.25, samples=2, seed=1).waveform
    blocks = list(each.stream(embedding, seconds=4.25, samples=2, seed=1, block=block))
    assert len(blocks) == max(1, int(np.ceil(np.ceil(4.25 * 10) / max(1, np.ceil(block * 10 - 1e-9)))))
    np.testing.assert_allclose(np.concatenate(blocks, -1), whole, atol=1e-6)


def test_the_first_block_comes_before_the_rest_is_written(by_windows, embedding):
    steps = []
    blocks = by_windows._core.stream(
        embedding,
        0.5,
        {
            "seconds": 6.0,
            "samples": 1,
            "seed": 0,
            "window": 0.0,
            "hop": 0.0,
            "unit_length": False,
            "memory_limit": None,
            "sampling": {},
            "stages": {},
            "progress": lambda done, total: steps.append((done, total)),
        },
    )
    assert blocks.next().shape == (3, 1, 1, 200)
    done, total = steps[-1]
    assert done < total / 2
    while blocks.next() is not None:
        pass
    assert steps[-1] == (total, total)
    assert [step for step, _ in steps] == list(range(1, total + 1))


def test_a_longer_piece_begins_as_a_shorter_one(by_windows, embedding):
    short = by_windows.generate(embedding, seconds=2.0).waveform
    long = by_windows.generate(embedding, seconds=5.0).waveform
    # the last frame's sound depends on the frame behind it
    np.testing.assert_allclose(long[..., : 800 - 40], short[..., : 800 - 40], atol=1e-6)


def test_tensors_in_tensors_out(generator, embedding):
    audio = generator.generate(torch.from_numpy(embedding), seconds=1)
    assert isinstance(audio.waveform, torch.Tensor)
    np.testing.assert_array_equal(audio.waveform, generator.generate(embedding.astype(np.float64), seconds=1).waveform)


def test_temperature_0_takes_the_most_probable_code(generator, embedding):
    first = generator.generate(embedding, seconds=2, temperature=0, seed=1).waveform
    np.testing.assert_array_equal(generator.generate(embedding, seconds=2, temperature=0, seed=2).waveform, first)
    np.testing.assert_array_equal(generator.generate(embedding, seconds=2, top_k=1, seed=3).waveform, first)
    fine = {"fine": 0.0}
    assert (generator.generate(embedding, seconds=2, temperature=fine, seed=2).waveform != first).any()


def test_a_style_track_is_followed(by_windows, rng):
    one, other = rng.standard_normal((2, made_bundle.D)).astype(np.float32)
    track = np.stack([one] * 4 + [other] * 4)[None]
    steady = by_windows.generate(one[None], seconds=8, temperature=0).waveform
    moving = by_windows.generate(track, hop=1.0, window=1.0, seconds=8, temperature=0).waveform
    np.testing.assert_allclose(moving[..., :700], steady[..., :700], atol=1e-6)
    assert (moving[..., 2000:] != steady[..., 2000:]).any()
    constant = by_windows.generate(np.stack([one] * 8)[None], hop=1.0, window=1.0, seconds=8, temperature=0).waveform
    np.testing.assert_allclose(constant, steady, atol=1e-6)


def test_normalised_embeddings_forget_their_length(generator, embedding):
    one = generator.generate(embedding, seconds=1, normalize="unit").waveform
    np.testing.assert_array_equal(generator.generate(embedding * 4, seconds=1, normalize="unit").waveform, one)


def test_embeddings_are_matched_before_music_is_made(generator, bundle, embedding, rng, tmp_path):
    predicted, target = 0.2 * rng.standard_normal((50, made_bundle.D)), 3 + rng.standard_normal((50, made_bundle.D))
    matching = b2m.MomentMatching.fit(predicted, target)
    by_hand = (embedding - predicted.mean(0)) / predicted.std(0) * target.std(0) + target.mean(0)
    expected = generator.generate(by_hand.astype(np.float32), seconds=1)
    for kind in (np.asarray, torch.from_numpy):
        audio = generator.generate(kind(embedding), seconds=1, normalize=matching)
        np.testing.assert_array_equal(audio.waveform, expected.waveform)
    streamed = list(generator.stream(embedding, seconds=1, normalize=matching))
    np.testing.assert_allclose(np.concatenate(streamed, -1), expected.waveform, atol=1e-6)
    track = Embeddings.from_arrays(np.stack([embedding, 2 * embedding], axis=1), ["a", "b", "c"], 1.0, 1.0)
    matched = generator.generate(track, seconds=2, normalize=matching).waveform
    np.testing.assert_array_equal(matched, generator.generate(matching.apply(track), seconds=2).waveform)
    audio.save(tmp_path)
    recorded = {"kind": "moments", "sha256": matching.sha256}
    assert json.loads((tmp_path / "0.json").read_text())["normalize"] == audio.settings["normalize"] == recorded
    assert expected.settings["normalize"] is None
    assert generator.generate(embedding, seconds=1, normalize="unit").settings["normalize"] == "unit"


def test_the_command_line_normalises(bundle, embedding, tmp_path):
    predicted = tmp_path / "predicted.npy"
    np.save(predicted, embedding[:1])
    asked = ["generate", "--bundle", str(bundle.path), "--embedding", str(predicted), "--device", "cpu"]
    main([*asked, "--seconds", "1", "--normalize", "unit", "--quiet", str(tmp_path / "one.wav")])
    assert json.loads((tmp_path / "one.json").read_text())["normalize"] == "unit"


def test_moments_of_another_space_are_refused(generator, bundle, embedding):
    ours = music(bundle, clips=8)
    matching = b2m.MomentMatching.fit(ours, ours)
    assert matching.space == ours.space
    one = ours[["0", "1"]]
    assert generator.generate(one, seconds=1, normalize=matching).waveform.shape == (2, 1, 1, 400)
    theirs = replace(matching, space=replace(ours.space, hash="e" * 64))
    with pytest.raises(ValueError, match=r"of the space that the bundle 'Random' makes music from .* got .* eeeeeeeee"):
        generator.generate(embedding, seconds=1, normalize=theirs)
    with pytest.raises(ValueError, match="embeddings must be finite"):
        generator.generate(np.where(embedding == embedding[0, 0], np.nan, embedding), seconds=1, normalize=matching)


def test_stereo(tmp_path, embedding):
    audio = b2m.MusicGenerator(made_bundle.write(tmp_path / "b", channels=2), device="cpu").generate(
        embedding, seconds=1
    )
    assert audio.waveform.shape == (3, 1, 2, 400)
    assert (audio.waveform[:, :, 0] != audio.waveform[:, :, 1]).any()
    assert "stereo" in repr(audio)
    audio.save(tmp_path / "out")
    sound, rate = soundfile.read(tmp_path / "out" / "0.wav")
    assert (sound.shape, rate) == ((400, 2), 400)


def test_stages_run_in_the_type_asked_for(tmp_path, embedding):
    entries = [{**entry, "dtypes": ["float32", "bfloat16"]} for entry in made_bundle.stages()]
    bundle = made_bundle.write(tmp_path / "b", entries=entries)
    audio = b2m.MusicGenerator(bundle, device="cpu", dtype="bfloat16").generate(embedding, seconds=2, temperature=0)
    assert audio.settings["dtype"] == "bfloat16"
    assert np.isfinite(audio.waveform).all()
    whole = b2m.MusicGenerator(bundle, device="cpu").generate(embedding, seconds=2, temperature=0)
    assert (audio.waveform != whole.waveform).any()
    with pytest.raises(ValueError, match=r"stage 'semantic' runs in float32, bfloat16; got float16"):
        b2m.MusicGenerator(bundle, device="cpu", dtype="float16")


# ---- the space of embeddings -------------------------------------------------------------------------------------


def music(bundle, clips=3, seconds=4.0, hop=1.0):
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (clips, int(400 * seconds)))
    return bundle.embed("music_embedder", (noise, 400), hop=hop)


def test_embeddings_bring_their_track(generator, bundle):
    embedded = music(bundle)
    audio = generator.generate(embedded, seconds=2)
    plain = generator.generate(embedded.values, hop=1.0, seconds=2)
    np.testing.assert_array_equal(audio.waveform, plain.waveform)
    assert audio.settings["embeddings"] == {"role": "music_embedder", "hash": embedded.hash}
    with pytest.raises(ValueError, match=r"hop must be that of the embeddings, 1 s; got 2 s"):
        generator.generate(embedded, seconds=2, hop=2.0)


def test_embeddings_of_another_space_are_refused(generator, bundle):
    values = np.ones((1, 1, made_bundle.D), np.float32)
    theirs = Embeddings(values, ("a",), 1.0, 1.0, "music_embedder", "e" * 64)
    with pytest.raises(
        ValueError, match=r"of the space that the bundle 'Random' makes music from .* got .* eeeeeeeeeeee"
    ):
        generator.generate(theirs)


def test_embeddings_that_state_no_space_are_taken_as_arrays_are(generator, bundle):
    embedded = music(bundle)
    unstated = replace(embedded, role=None, hash=None)
    audio = generator.generate(unstated, seconds=2)
    np.testing.assert_array_equal(audio.waveform, generator.generate(embedded, seconds=2).waveform)
    assert "embeddings" not in audio.settings
    json.dumps(audio.settings)


# ---- bad requests ------------------------------------------------------------------------------------------------

NAN = np.full((1, made_bundle.D), np.nan, np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding": NAN}, r"embeddings must be finite; got NaN or Inf"),
        ({"embedding": np.zeros((1, made_bundle.D))}, r"an embedding must not be all zero"),
        ({"embedding": np.ones((1, 5))}, r"embeddings must have 12 dimensions, those of the bundle's space; got 5"),
        ({"embedding": np.ones(made_bundle.D)}, r"embeddings must be \(q, d\), or \(q, r, d\)"),
        ({"embedding": np.ones((0, made_bundle.D))}, r"must be floating-point numbers; got Double of shape \[0, 12\]"),
        ({"embedding": np.ones((1, 2, made_bundle.D))}, r"a style track must have a hop in seconds; got 0 for 2"),
        ({"seconds": 0}, r"seconds must be a positive number; got 0"),
        ({"seconds": -1}, r"seconds must be a positive number; got -1"),
        ({"seconds": float("nan")}, r"seconds must be a positive number; got nan"),
        ({"seconds": 1e-6}, r"seconds must hold a sample of sound"),
        ({"seconds": 1000}, r"at most 400 positions \(max_length of stage 'semantic'\); got \d+ for 1000 s"),
        ({"samples": 0}, r"samples must be a positive number; got 0"),
        ({"samples": 1.5}, r"samples must be a whole number; got 1.5"),
        ({"seed": "a"}, r"seed must be a whole number; got 'a'"),
        ({"temperature": -1}, r"temperature must be a number from 0; got -1 for stage 'semantic'"),
        ({"temperature": float("inf")}, r"temperature must be a number from 0; got inf"),
        ({"temperature": "hot"}, r"temperature must be a number, or a mapping from stage to number; got 'hot'"),
        ({"top_k": 44}, r"top_k must be 0 \(all\) or at most the vocabulary, 43; got 44 for stage 'semantic'"),
        ({"top_k": 2.5}, r"top_k must be a whole number; got 2.5"),
        ({"top_p": 0}, r"top_p must lie above 0 and be at most 1; got 0"),
        (
            {"guidance": 3.0},
            r"guidance must be .* 1 where the manifest tells nothing unconditional; got 3 for stage 'co",
        ),
        ({"guidance": {"fine": -1.0}}, r"guidance must be a number from 0, .* got -1 for stage 'fine'"),
        ({"temperature": {"finest": 1.0}}, r"sampling must be for a stage of the bundle; got 'finest'"),
        ({"normalize": "l1"}, r"normalize must be None, 'unit' or a MomentMatching; got 'l1'"),
        ({"normalize": np.ones(2)}, r"normalize must be None, 'unit' or a MomentMatching; got array"),
        ({"memory_limit": 0}, r"memory_limit must be a positive number of bytes; got 0"),
        ({"embedding": np.ma.masked_equal(np.ones((1, made_bundle.D)), 1)}, r"masked"),
    ],
)
def test_bad_requests_are_one_sentence(generator, embedding, change, message):
    with pytest.raises(ValueError, match=message):
        generator.generate(**{"embedding": embedding, "seconds": 1.0, **change})


def test_a_bundle_without_stages_makes_no_music():
    with pytest.raises(ValueError, match=r"the bundle must have stages to make music; got none in"):
        b2m.MusicGenerator(b2m.Bundle.shipped("acoustic", device="cpu"))


def test_no_blocks_without_the_codecs_context(tmp_path, embedding):
    generator = b2m.MusicGenerator(made_bundle.write(tmp_path / "b", context=False), device="cpu")
    assert generator.generate(embedding, seconds=1).waveform.shape == (3, 1, 1, 400)
    with pytest.raises(ValueError, match=r"role 'codec' must have the field 'context'"):
        generator.stream(embedding, seconds=1)


def test_a_network_that_runs_out_of_range_is_named(generator, embedding):
    with pytest.raises(
        RuntimeError, match=r"stage 'fine' must give a finite logit for a code that may be drawn; got none"
    ):
        generator.generate(embedding * 1e30, seconds=1)


def test_ctrl_c_is_heard_within_a_step(generator, embedding):
    timer = threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT))
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            generator.generate(embedding, seconds=20, samples=200)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, former)


# ---- what is saved -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_pieces_are_saved_with_what_they_were_made_with(generator, bundle, embedding, tmp_path, format):
    audio = generator.generate(embedding, seconds=1, samples=2, seed=3, temperature={"fine": 0.5}, top_k=5)
    paths = audio.save(tmp_path, names=["a", "b", "c"], format=format)
    assert [path.name for path in paths[:3]] == [f"a_sample-0.{format}", f"a_sample-1.{format}", f"b_sample-0.{format}"]
    sound, rate = soundfile.read(paths[3], dtype="float32")
    assert rate == 400
    np.testing.assert_allclose(sound, audio.waveform[1, 1, 0], atol=2 / 32768)
    settings = json.loads(paths[3].with_suffix(".json").read_text())
    assert settings["seed"] == 3
    assert settings["bundle"] == {"name": "Random", "hash": bundle.hash}
    assert settings["sampling"] == {"top_k": 5}
    assert settings["stages"] == {"fine": {"temperature": 0.5}}
    assert (settings["embedding"], settings["sample"], settings["gain"]) == (1, 1, 1.0)


def test_sound_beyond_full_scale_is_made_quieter_and_told(tmp_path):
    audio = b2m.Audio(np.array([[[[0.5, -2.0, 1.0]]]], np.float32), 400)
    with pytest.warns(UserWarning, match=r"0.wav exceeds full scale: it is written at 0.5"):
        audio.save(tmp_path)
    sound, _ = soundfile.read(tmp_path / "0.wav")
    np.testing.assert_allclose(sound, [0.25, -1.0, 0.5], atol=1e-4)
    assert json.loads((tmp_path / "0.json").read_text())["gain"] == 0.5


def test_names_and_formats_are_checked(tmp_path):
    audio = b2m.Audio(np.zeros((2, 1, 1, 4), np.float32), 400)
    for names in (["a"], ["a", "a"], ["a", "b/c"], ["a", ""]):
        with pytest.raises(ValueError, match=r"names must be 2 different file names"):
            audio.save(tmp_path / "out", names=names)
    with pytest.raises(ValueError, match=r"format must be one of wav, flac; got 'mp3'"):
        audio.save(tmp_path / "out", format="mp3")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=r"waveform must be \(q, samples, channels, time\); got shape \(4,\)"):
        b2m.Audio(np.zeros(4), 400)


def test_a_disk_that_is_full_leaves_nothing(tmp_path):
    audio = b2m.Audio(np.zeros((1, 1, 1, 4), np.float32), 400)
    (tmp_path / "0.json").mkdir()
    with pytest.raises(Exception, match=r"0\.json"):
        audio.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["0.json"]


def test_audio_plays_itself(generator, embedding):
    shown = generator.generate(embedding, seconds=0.5, samples=5)._repr_html_()
    assert shown.count("<audio controls src='data:audio/flac;base64,") == 12
    assert "and 3 more" in shown
