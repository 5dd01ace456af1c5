"""The family ``frames``: a small Magenta RealTime 2 of random weights makes music, as a plain loop over its methods."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from made_magenta import TABLES, write_checkpoint

import brain2music as b2m
from brain2music import _core
from brain2music.bundles import Embeddings
from brain2music.exporters.magenta_rt2.export import write_bundle
from brain2music.exporters.magenta_rt2.roles import Checkpoint, stage
from brain2music.generation import Codec

LEVELS, CODES, RATE, WINDOW = 12, 24, 25, 42
#: Random numbers of stages and levels, of each sample (``most_numbered`` in the library).
NUMBERED = 64


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return Checkpoint(write_checkpoint(tmp_path_factory.mktemp("magenta-rt-v2")), "small", TABLES)


@pytest.fixture(scope="module")
def bundle(checkpoint, tmp_path_factory):
    return b2m.Bundle(write_bundle(checkpoint, tmp_path_factory.mktemp("bundle") / "magenta"), device="cpu")


@pytest.fixture(scope="module")
def script(checkpoint):
    return stage(checkpoint)["module"]()


@pytest.fixture(scope="module")
def conditioner(bundle):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.load(str(bundle.path / "conditioner.pt"))


@pytest.fixture(scope="module")
def generator(bundle):
    return b2m.MusicGenerator(bundle, device="cpu")


@pytest.fixture
def embedding(rng):
    """Large enough that random codewords are told apart."""
    return rng.standard_normal((2, 32)).astype(np.float32)


def changed(bundle, folder, **fields):
    """The bundle with other fields of its stage."""
    shutil.copytree(bundle.path, folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["stages"][0].update(fields)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return b2m.Bundle(folder, device="cpu")


def channels_of(style, guidance=20):
    """All 144 codes from the twelve of the style."""
    return torch.cat([style, torch.tensor([[-1] * 129 + [guidance, 10, 2]])], 1)


def draw(logits, level, frame, seed, sample):
    arguments = (
        logits,
        torch.tensor([[0, CODES]]),
        torch.tensor([sample * NUMBERED**2 + level]),
        torch.tensor(frame),
        seed,
    )
    return _core.kernels.sample_tokens(*arguments, temperature=1.3, top_k=CODES)


def by_hand(script, styles, frames, *, seed=0, sample=0, first=0, known=(), guidance=20):
    """Codes (levels, frames) of a window, by calls of the stage's methods; ``styles`` gives a frame's style codes."""
    state = script.init_state(1, frames, None)
    previous, written = torch.full((1, LEVELS), -1), []
    with torch.inference_mode():
        for frame in range(frames):
            position = torch.tensor(frame)
            script.source(channels_of(styles(first + frame), guidance), position, state)
            h = script.temporal(previous, position, state)
            if frame < len(known):
                previous = known[frame][None]
            else:
                codes = [draw(script.depth_first(h, state), 0, first + frame, seed, sample)]
                for level in range(1, LEVELS):
                    logits = script.depth_next(codes[-1], level, state)
                    codes.append(draw(logits, level, first + frame, seed, sample))
                previous = torch.stack(codes, 1)
            written.append(previous[0])
    return torch.stack(written)


def sound_of(bundle, codes, seconds):
    return Codec(bundle).decode(codes.t()[None])[0, :, : round(48000 * seconds)].numpy()


# ---- codes -----------------------------------------------------------------------------------------------------------


def test_music_is_that_of_a_loop_over_the_methods(bundle, generator, script, conditioner, embedding):
    """More frames than attention sees."""
    audio = generator.generate(embedding, seconds=2.5, samples=2, seed=7)
    assert audio.waveform.shape == (2, 2, 2, 120_000)
    assert audio.rate == 48000
    frames = int(np.ceil(2.5 * RATE))
    assert frames > WINDOW
    for i, sample in ((0, 0), (1, 1)):
        style = conditioner.quantize(torch.from_numpy(embedding[i : i + 1]))
        codes = by_hand(script, lambda frame, style=style: style, frames, seed=7, sample=sample)
        assert codes.unique().numel() > 15
        np.testing.assert_array_equal(audio.waveform[i, sample], sound_of(bundle, codes, 2.5))


def test_windows_begin_with_what_is_known(bundle, script, conditioner, embedding, tmp_path):
    windowed = changed(bundle, tmp_path / "windowed", window=1.2, overlap=0.4)
    audio = b2m.MusicGenerator(windowed, device="cpu").generate(embedding[:1], seconds=2.4)
    style = conditioner.quantize(torch.from_numpy(embedding[:1]))
    codes = by_hand(script, lambda frame: style, 30)
    for first in (20, 40):
        end = min(first + 30, 60)
        window = by_hand(script, lambda frame: style, end - first, first=first, known=codes[first:])
        codes = torch.cat([codes[:first], window])
    np.testing.assert_array_equal(audio.waveform[0, 0], sound_of(bundle, codes, 2.4))


def test_a_style_track_is_quantised_frame_by_frame(bundle, generator, script, conditioner, embedding):
    """Between the middles of two windows, at 0.5 s and 1.5 s, the embedding moves from one to the other."""
    audio = generator.generate(embedding[None], seconds=2, window=1.0, hop=1.0)
    one, other = torch.from_numpy(embedding)

    def style(frame):
        share = float(np.clip((frame + 0.5) / RATE - 0.5, 0, 1))
        return conditioner.quantize((one * (1 - share) + other * share)[None])

    told = torch.cat([style(frame) for frame in range(50)])
    assert 10 < len(told.unique(dim=0)) < 50
    np.testing.assert_array_equal(audio.waveform[0, 0], sound_of(bundle, by_hand(script, style, 50), 2))
    still = generator.generate(embedding[:1], seconds=2).waveform
    np.testing.assert_array_equal(audio.waveform[0, 0, :, :20_000], still[0, 0, :, :20_000])
    assert (audio.waveform[0, 0, :, 48_000:] != still[0, 0, :, 48_000:]).any()
    track = Embeddings.from_arrays(embedding[None], ["a"], window=1.0, hop=1.0)
    np.testing.assert_array_equal(generator.generate(track, seconds=2).waveform, audio.waveform)


def test_guidance_is_a_code(bundle, generator, script, conditioner, embedding):
    style = conditioner.quantize(torch.from_numpy(embedding[:1]))
    sounds = {}
    for guidance, code in ((-1.0, 0), (1.0, 10), (3.0, 20), (7.0, 40)):
        codes = by_hand(script, lambda frame: style, 20, guidance=code)
        sounds[guidance] = generator.generate(embedding[:1], seconds=0.8, guidance=guidance).waveform
        np.testing.assert_array_equal(sounds[guidance][0, 0], sound_of(bundle, codes, 0.8))
    np.testing.assert_array_equal(generator.generate(embedding[:1], seconds=0.8).waveform, sounds[3.0])
    assert (sounds[-1.0] != sounds[7.0]).any()


# ---- batches, blocks, memory -----------------------------------------------------------------------------------------


def test_a_sample_alone_equals_the_sample_in_a_batch(generator, embedding):
    together = generator.generate(embedding, seconds=2, samples=3, seed=2).waveform
    for row in range(2):
        alone = generator.generate(embedding[row : row + 1], seconds=2, samples=3, seed=2).waveform
        np.testing.assert_array_equal(alone[0], together[row])
    assert (together[:, 0] != together[:, 1]).any(axis=(1, 2)).all()
    track = np.stack([embedding, embedding[::-1]])
    followed = generator.generate(track, seconds=2, hop=1.0, window=1.0).waveform
    alone = generator.generate(track[1:], seconds=2, hop=1.0, window=1.0).waveform
    np.testing.assert_array_equal(followed[1:], alone)


def test_a_longer_piece_begins_as_a_shorter_one(generator, embedding):
    track = embedding[None]
    short = generator.generate(track, seconds=1, hop=1.0, window=1.0).waveform
    long = generator.generate(track, seconds=4, hop=1.0, window=1.0).waveform
    np.testing.assert_allclose(long[..., : 48_000 - 1920], short[..., : 48_000 - 1920], atol=1e-6)


@pytest.mark.parametrize("block", [0.1, 0.7, 30.0])
def test_blocks_one_behind_the_other_are_the_piece(generator, embedding, block):
    whole = generator.generate(embedding, seconds=2.1, seed=1).waveform
    blocks = list(generator.stream(embedding, seconds=2.1, seed=1, block=block))
    assert len(blocks) == max(1, int(np.ceil(53 / np.ceil(block * RATE - 1e-9))))
    np.testing.assert_allclose(np.concatenate(blocks, -1), whole, atol=1e-6)


def test_a_step_is_a_frame(generator, embedding):
    steps = []
    options = {"seconds": 1.0, "samples": 1, "seed": 0, "window": 0.0, "hop": 0.0, "unit_length": False}
    options |= {"memory_limit": None, "sampling": {}, "stages": {}}
    blocks = generator._core.stream(embedding, 0.2, {**options, "progress": lambda *step: steps.append(step)})
    assert blocks.next().shape == (2, 1, 2, 9600)
    assert steps == [(step, 25) for step in range(1, 7)]  # the codec looks a frame ahead
    while blocks.next() is not None:
        pass
    assert steps[-1] == (25, 25)


def test_memory_does_not_grow_with_the_length(generator, embedding):
    needed = set()
    for seconds in (2.0, 10.0, 3600.0):
        with pytest.raises(ValueError, match="states for one piece must fit into memory") as error:
            generator.generate(embedding, seconds=seconds, memory_limit=1000)
        needed.add(str(error.value).partition("got ")[2])
    assert len(needed) == 1


def test_batches_of_what_fits_into_memory_change_nothing(generator, embedding):
    whole = generator.generate(embedding, seconds=1, samples=2).waveform
    limited = generator.generate(embedding, seconds=1, samples=2, memory_limit=400_000).waveform
    np.testing.assert_array_equal(limited, whole)


def test_bfloat16_makes_music(bundle, embedding):
    narrow = b2m.MusicGenerator(bundle, device="cpu", dtype="bfloat16")
    sound = narrow.generate(embedding, seconds=0.4).waveform
    assert np.isfinite(sound).all()


# ---- requests that are refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("guidance", [-1.2, 7.3, float("nan")])
def test_guidance_without_a_code_is_refused(generator, embedding, guidance):
    with pytest.raises(ValueError, match=r"guidance must be a number from -1 to 7, of which the stage has codes; got"):
        generator.generate(embedding, seconds=1, guidance=guidance)


def test_embeddings_of_a_named_network_are_refused(generator, embedding):
    space = {"role": "music_embedder", "hash": "0123456789abcdef" * 4}
    track = Embeddings.from_arrays(embedding, ["a", "b"], **space)
    with pytest.raises(ValueError, match=r"embeddings must state no network, as the bundle .* names none"):
        generator.generate(track, seconds=1)


def test_a_bound_on_the_length_is_kept(bundle, embedding, tmp_path):
    bounded = changed(bundle, tmp_path / "bounded", max_length=50)
    generator = b2m.MusicGenerator(bounded, device="cpu")
    generator.generate(embedding[:1], seconds=2)
    with pytest.raises(ValueError, match=r"at most 50 positions \(max_length of stage 'music'\); got 51 for 2.04 s"):
        generator.generate(embedding[:1], seconds=2.04)


# ---- channels --------------------------------------------------------------------------------------------------------


def lay_out(folder, frame_rate, channels, seconds, codes, **options):
    """The channels of a stage behind one that writes 5 frames a second of two levels."""
    hash_ = "0123456789abcdef" * 4
    card = {"name": "N", "source": "S", "licence": "L", "replaces": "R"}
    network = {"file": "n.pt", "sha256": hash_, "dtypes": ["float32"], "card": card}
    methods = ["init_state", "source", "temporal", "depth_first", "depth_next"]
    shared = {**network, "methods": methods, "family": "frames", "vocabulary": 64}
    plan = {**shared, "name": "plan", "frame_rate": 5, "codes": [64, 64], "sampling": {"temperature": 1}}
    plan["layout"] = {"channels": [{"code": 0}], "start": 0}
    music = {**shared, "name": "music", "frame_rate": frame_rate, "codes": [64], "window": 2.0, "overlap": 1.0}
    music |= {"layout": {"channels": channels, "start": -1}, "sampling": {"temperature": 1}}
    conditioner = {**network, "methods": ["quantize"], "dimension": 8, "levels": 3, "vocabulary": 64}
    manifest = {"schema": 1, "name": "N", "description": "D", "space": {"dimension": 8, "roles": []}}
    manifest |= {"stages": [plan, music], "roles": {"conditioner": conditioner}}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    nothing = torch.zeros(2, 1, 0, dtype=torch.int64)
    return _core.generation.lay_out(folder / "bundle.json", "music", seconds, 1, codes, nothing, **options)


@pytest.mark.parametrize("frame_rate", [5, 10, 25])
def test_channels_are_columns_at_the_frames_where_they_change(tmp_path, frame_rate):
    rng = np.random.default_rng(0)
    plan = torch.from_numpy(rng.integers(0, 2, (2, 2, 15)))
    style = torch.from_numpy(rng.integers(0, 64, (2, 3, 1)))
    channels = [{"from": "plan"}, {"code": -1, "count": 2}, {"guidance": {"lowest": 0, "step": 0.5, "codes": 9}}]
    channels += [{"from": "conditioner"}, {"code": 7}]
    sources = {"plan": plan, "conditioner": style}
    laid = lay_out(tmp_path, frame_rate, channels, 3.0, sources, guidance=1.5)
    first, fresh, end = laid["windows"][1]
    assert (first, fresh, end) == (frame_rate, 2 * frame_rate, 3 * frame_rate)
    assert laid["steps"] == end - fresh
    by_frame = []
    for frame in range(first, end):
        told = [plan[:, :, frame * 5 // frame_rate], torch.tensor([[-1, -1, 3]] * 2), style[:, :, 0]]
        by_frame.append(torch.cat([*told, torch.tensor([[7]] * 2)], 1))
    changes = [0] + [i for i in range(1, end - first) if not torch.equal(by_frame[i], by_frame[i - 1])]
    assert laid["changes"] == changes
    assert torch.equal(laid["channels"], torch.stack([by_frame[i] for i in changes]))


def test_what_never_changes_is_told_once(tmp_path):
    laid = lay_out(tmp_path, 25, [{"code": 3}, {"code": 0, "count": 2}], 3.0, {})
    assert laid["changes"] == [0]
    assert laid["channels"].tolist() == [[[3, 0, 0]] * 2]
