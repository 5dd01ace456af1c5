import numpy as np
import pytest
import soundfile

from brain2music.study import Study
from brain2music.study.stimuli import Stimuli, load_audio, prepare_clip, read_captions

RATE = 8000


@pytest.fixture(scope="module")
def clips():
    from pathlib import Path

    return Study(Path(__file__).parents[1] / "data" / "ds003720", cache=False).clips


def tone(seconds=30.0, rate=RATE, frequency=440.0, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write_tracks(folder, clips, extension=".wav", layout="genres/{genre}/{track}"):
    for clip in clips:
        path = folder / (layout.format(genre=clip.genre, track=clip.track) + extension)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(), RATE)


@pytest.mark.parametrize(
    ("extension", "layout"),
    [
        (".wav", "genres/{genre}/{track}"),
        (".au", "genres/{genre}/{track}"),
        (".wav", "genres_original/{genre}/{track}"),
        (".flac", "{genre}/{track}"),
        (".ogg", "{track}"),
        (".mp3", "genres/{genre}/{track}"),
    ],
)
def test_tracks_are_found_and_cut(tmp_path, clips, extension, layout):
    few = clips[:3]
    write_tracks(tmp_path, few, extension, layout)
    stimuli = Stimuli(tmp_path, few)
    assert stimuli.ids == [clip.clip for clip in few]
    for (waveform, rate), clip in zip(stimuli, few, strict=True):
        assert rate == RATE
        assert waveform.dtype == np.float32
        assert len(waveform) == round((clip.end - clip.start) * RATE)
        assert np.sqrt(np.mean(waveform.astype(float) ** 2)) == pytest.approx(0.1, rel=1e-5)


def test_cut_fade_and_level():
    noise = np.random.default_rng(0).standard_normal(30 * RATE).astype(np.float32)
    clip = prepare_clip(noise, RATE, 6.46, 21.46)
    cut = noise[51680:171680].astype(float)
    envelope = np.minimum(1, np.minimum(np.arange(120000), np.arange(120000)[::-1]) / 16000)
    expected = cut * envelope
    expected *= 0.1 / np.sqrt(np.mean(expected**2))
    np.testing.assert_allclose(clip, expected, atol=1e-6)
    assert clip[0] == clip[-1] == 0


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "a.wav"
    stereo = np.stack([tone(1), 0.5 * tone(1)], axis=1)
    soundfile.write(path, stereo, RATE, subtype="FLOAT")
    waveform, rate = load_audio(path)
    assert rate == RATE
    np.testing.assert_allclose(waveform, stereo.mean(axis=1), atol=1e-7)


def test_bad_audio_is_refused(tmp_path, clips):
    few = clips[:2]
    with pytest.raises(FileNotFoundError, match=rf"one file must hold track {few[0].track} .*; got none in {tmp_path}"):
        Stimuli(tmp_path, few)
    write_tracks(tmp_path, few)
    write_tracks(tmp_path, few[1:], ".au")
    with pytest.raises(ValueError, match=rf"one file must hold track {few[1].track} .*; got .*\.au and .*\.wav in"):
        Stimuli(tmp_path, few)
    stimuli = Stimuli(tmp_path, few[:1])
    path = stimuli.path(few[0].clip)
    with pytest.raises(KeyError, match="clip must be one of the study's 1; got 'x'"):
        stimuli["x"]
    soundfile.write(path, tone(few[0].end - 0.05), RATE)
    with pytest.warns(UserWarning, match="a clip ends at .* s, its track at .* s: shortened"):
        assert len(stimuli[few[0].clip][0]) == round(14.95 * RATE)
    soundfile.write(path, tone(20), RATE)
    with pytest.raises(
        ValueError, match=rf"must last until end, {few[0].end:g} s; got 20.000 s for {few[0].clip} in {path}"
    ):
        stimuli[few[0].clip]
    soundfile.write(path, 0 * tone(), RATE)
    with pytest.raises(ValueError, match=rf"a clip must hold sound; got silence from .* for {few[0].clip} in {path}"):
        stimuli[few[0].clip]
    path.write_bytes(b"RIFF")
    with pytest.raises(RuntimeError, match=rf"must be audio that libsndfile reads; got .* for {path}"):
        stimuli[few[0].clip]
    soundfile.write(path, np.full(100, np.nan, np.float32), RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match=rf"audio must hold finite samples; got 100 samples in {path}"):
        load_audio(path)


def test_captions_are_joined_by_clip_or_track(tmp_path, clips):
    path = tmp_path / "captions.csv"
    for names in ([clip.clip for clip in clips], [clip.track + ".wav" for clip in clips]):
        rows = [f'{name},"{i}, a ""song"".\nIt rocks."' for i, name in enumerate(names)]
        path.write_text("clip,caption\r\n" + "\r\n".join(reversed(rows)) + "\r\n", encoding="utf-8")
        captions, others = read_captions(path, clips)
        assert others == []
        assert list(captions) == [clip.clip for clip in clips]
        assert captions[clips[7].clip] == '7, a "song".\nIt rocks.'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "clip,caption\nx,y\n",
            r"every clip must have a caption; .* \(1 rows are of no clip, 'x' the first\), in",
        ),
        ("clip,caption\nC,y\nC,z\n", "got a second caption for clip 'C' in row 2 of"),
        ("clip,caption\nC, \n", "got an empty caption for clip 'C' in row 1 of"),
        ("clip,caption\nC\n", "a row must have 2 fields, as the header; got another number in row 1 of"),
        ("clip,caption\nC,a,b\n", "a row must have 2 fields, as the header; got another number in row 1 of"),
        ("clip,text\nC,a\n", r"columns clip and caption must be there once; got \['clip', 'text'\] in"),
        ("", r"columns clip and caption must be there once; got \[\] in"),
        ("clip,caption\nC,a\n", "every clip must have a caption; got none for 1 clips, D the first, in"),
        ('clip,caption\nC,"a\n', "captions must be CSV in UTF-8; got 'unexpected end of data' in"),
    ],
)
def test_bad_captions_are_refused(tmp_path, clips, text, message):
    first, second = clips[:2]
    path = tmp_path / "captions.csv"
    path.write_text(text.replace("C", first.clip))
    message = message.replace("'C'", f"'{first.clip}'").replace("D", second.clip)
    with pytest.raises(ValueError, match=message + f" {path}"):
        read_captions(path, [first, second])


def test_study_finds_stimuli_and_captions_beside_it(study_folder):
    study = Study(study_folder.root, cache=False)
    with pytest.raises(FileNotFoundError, match="stimuli must be given; got no folder stimuli in"):
        _ = study.stimuli
    with pytest.raises(FileNotFoundError, match=r"captions must be given; got no captions\.csv in"):
        _ = study.captions
    (study_folder.root / "stimuli" / "genres").mkdir(parents=True)
    for clip in study.clips:
        path = study_folder.root / "stimuli" / "genres" / clip.genre / f"{clip.track}.wav"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    captions = study_folder.root / "captions.csv"
    captions.write_text("clip,caption\n" + "".join(f"{clip.clip},song\n" for clip in study.clips))
    study = Study(study_folder.root, cache=False)
    assert len(study.stimuli) == len(study.captions) == 540
    assert study.stimuli.ids == list(study.captions)
    with pytest.raises(FileNotFoundError, match="stimuli must exist; got nowhere"):
        Study(study_folder.root, stimuli="nowhere")
