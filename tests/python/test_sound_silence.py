"""Silence is judged after mixing to mono, by the file's own resolution, for stimuli and libraries alike."""

import numpy as np
import pytest
import soundfile

from brain2music.sound import mix, read_mono, read_sound, silence
from brain2music.study.events import Event
from brain2music.study.stimuli import Stimuli, load_audio, prepare_clip

RATE = 8000
SUBTYPES = {"PCM_16": 2.0**-15, "PCM_24": 2.0**-23, "FLOAT": None, "PCM_U8": 2.0**-7}


def tone(amplitude=0.3, seconds=4.0):
    return amplitude * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE + 0.1)


def dither(step, seed=0):
    """Triangular, of one least significant bit."""
    rng = np.random.default_rng(seed)
    return step * np.round(rng.uniform(-0.5, 0.5, 4 * RATE) + rng.uniform(-0.5, 0.5, 4 * RATE))


def clip_of(folder, **options):
    event = Event("a_0.00", "jazz", "a", 0.0, 4.0, 0.0, 4.0, "row 1")
    return Stimuli(folder, [event], **options)["a_0.00"][0]


@pytest.fixture
def answers(tmp_path):
    """What stimuli and library say of a sound: None where both take it."""

    def ask(sound, subtype="PCM_16", channel=None):
        soundfile.write(tmp_path / "a.wav", sound, RATE, subtype=subtype)
        library = read_mono(tmp_path, "a.wav", 4.0, channel)
        try:
            clip = clip_of(tmp_path, channel=channel)
        except ValueError as error:
            assert isinstance(library, str)
            problem = library.removeprefix("there must be sound; got ").removesuffix(" for 4 s")
            assert f"must hold sound; got {problem} from 0 to 4 s for a_0.00 in {tmp_path / 'a.wav'}" in str(error)  # noqa: PT017
            return problem
        assert not isinstance(library, str)
        np.testing.assert_allclose(np.sqrt(np.mean(clip.astype(float) ** 2)), 0.1, rtol=1e-5)
        return None

    return ask


CANCEL = "2 channels that cancel each other and are silent after mixing (take one of them with channel=0)"


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
def test_each_kind_of_silence_has_its_answer(answers, subtype):
    step = SUBTYPES[subtype] or 2.0**-24
    zeros = np.zeros(4 * RATE)
    assert answers(zeros, subtype) == "silence"
    assert answers(np.stack([zeros, zeros], 1), subtype) == "silence"
    assert answers(zeros + 0.25, subtype) == "silence"  # an offset
    assert answers(np.stack([zeros + 0.25, zeros - 0.5], 1), subtype) == "silence"
    assert answers(dither(step), subtype) == "silence"
    assert answers(np.stack([dither(step), dither(step, 1)], 1), subtype) == "silence"
    assert answers(dither(step) + 0.25, subtype) == "silence"
    assert answers(np.stack([tone(), -tone()], 1), subtype) == CANCEL
    assert answers(np.stack([tone(), -tone()], 1), subtype, channel=0) is None
    assert answers(np.stack([tone(), -tone()], 1), subtype, channel=1) is None
    nearly = np.stack([tone(), -tone() + dither(step)], 1)
    assert answers(nearly, subtype) == CANCEL
    assert answers(np.stack([tone(), zeros], 1), subtype) is None  # left only
    assert answers(np.stack([tone(), zeros], 1), subtype, channel=1) == "silence"
    assert answers(tone(), subtype) is None
    assert answers(tone() + 0.25, subtype) is None
    assert answers(np.stack([tone(), tone()], 1), subtype) is None
    assert answers(tone(20 * step), subtype) is None  # as quiet as the file can hold it


@pytest.mark.parametrize(("ending", "subtype"), [("flac", "PCM_16"), ("flac", "PCM_24"), ("ogg", None), ("mp3", None)])
def test_opposite_phases_in_other_files(tmp_path, ending, subtype):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.stack([tone(), -tone()], 1), RATE, subtype=subtype)
    sound = read_sound(path, 0.5, 3.5)
    assert sound.step == (2.0**-23 if subtype == "PCM_24" else 2.0**-15)
    assert silence(sound.channels, sound.step) == CANCEL
    assert silence(sound.channels, sound.step, channel=0) is None


def test_steps_are_those_of_the_files(tmp_path):
    path = tmp_path / "a.wav"
    for subtype, step in {**SUBTYPES, "PCM_32": 2.0**-24, "DOUBLE": None, "ULAW": 2.0**-12}.items():
        soundfile.write(path, tone(0.9), RATE, subtype=subtype)
        sound = read_sound(path)
        expected = max(2.0**-24, 2.0**-23 * np.abs(sound.channels).max()) if step is None else step
        assert sound.step == pytest.approx(expected), subtype


def test_clips_are_judged_after_their_fades():
    track = np.zeros(4 * RATE, np.float32)
    track[:8] = 0.01  # before the fade has begun
    with pytest.raises(ValueError, match=r"must hold sound; got silence from 0 to 4 s"):
        prepare_clip(track, RATE, 0.0, 4.0)
    stereo = np.stack([tone(), -tone()]).astype(np.float32)
    with pytest.raises(ValueError, match="channel=0"):
        prepare_clip(stereo, RATE, 0.0, 4.0)
    np.testing.assert_array_equal(
        prepare_clip(stereo, RATE, 0.0, 4.0, channel=0), prepare_clip(stereo[0], RATE, 0.0, 4.0)
    )
    quiet = (2.0**-16 * tone(1.0)).astype(np.float32)
    with pytest.raises(ValueError, match="got silence"):
        prepare_clip(quiet, RATE, 0.0, 4.0)
    assert prepare_clip(quiet, RATE, 0.0, 4.0, step=2.0**-24).any()


def test_a_channel_must_be_there(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([tone(), -tone()], 1), RATE)
    np.testing.assert_array_equal(load_audio(path, channel=1)[0], read_sound(path).channels[1])
    with pytest.raises(ValueError, match=rf"channel must be from 0 to 1; got 2 in {path}"):
        load_audio(path, channel=2)
    with pytest.raises(ValueError, match=rf"channel must be from 0 to 1; got 2 for a_0.00 in {path}"):
        clip_of(tmp_path, channel=2)
    assert read_mono(tmp_path, "a.wav", 4.0, 2) == "[sound.mix] channel must be from 0 to 1; got 2"
    with pytest.raises(ValueError, match="channel must be from 0 to 1; got -1"):
        mix(read_sound(path).channels, -1)


@pytest.mark.parametrize("ending", [".WAV", ".Wav", ".FLAC", ".wav"])
def test_endings_may_be_capital(tmp_path, ending):
    path = tmp_path / "genres" / "jazz" / f"a{ending}"
    path.parent.mkdir(parents=True)
    soundfile.write(path, tone(), RATE, format=ending[1:].upper())
    (path.parent / f"._a{ending}").write_bytes(b"of another system")
    assert len(clip_of(tmp_path)) == 4 * RATE
