import csv
import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal as dsp

pretty_midi = pytest.importorskip("pretty_midi")
pytest.importorskip("fluidsynth")
soundfile = pytest.importorskip("soundfile")
pytest.importorskip("sklearn")
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.svm import SVC  # noqa: E402

from brain2music.simulation import music  # noqa: E402
from brain2music.simulation.music import synthesis, theory  # noqa: E402
from brain2music.simulation.music.genres import STYLES  # noqa: E402
from brain2music.simulation.music.instruments import DRUMS, KITS, PROGRAMS  # noqa: E402

every_genre = pytest.mark.parametrize("genre", music.GENRES)


def rms_db(sound):
    return 10 * np.log10(np.mean(np.square(sound, dtype=float)))


def part(score, name):
    return next((part for part in score.midi.instruments if part.name == name), None)


def note_lists(score):
    return [
        (part.name, part.program, [(n.start, n.end, n.pitch, n.velocity) for n in part.notes])
        for part in score.midi.instruments
    ]


def single_note(instrument, key, seconds=2.0):
    midi = pretty_midi.PrettyMIDI()
    midi.instruments.append(pretty_midi.Instrument(PROGRAMS[instrument], name="lead"))
    midi.instruments[0].notes.append(pretty_midi.Note(100, key, 0.5, seconds))
    return midi


def test_same_seed_same_bytes(tmp_path):
    wanted = [(genre, 3) for genre in music.GENRES]
    tables = [music.write_tracks(tmp_path / name, wanted, seed=5, seconds=4, progress=False) for name in "ab"]
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 12
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    assert tables[0].read_text() == tables[1].read_text()


def test_other_processes_give_the_same_samples(tmp_path):
    code = "import sys; from brain2music.simulation import music; music.write_tracks(sys.argv[1], [('pop', 0)], 1, 2)"
    subprocess.run([sys.executable, "-c", code, tmp_path / "other"], check=True, capture_output=True)
    music.write_tracks(tmp_path / "here", [("jazz", 1), ("pop", 0)], 1, 2, progress=False)
    file = "genres/pop/pop.00000.wav"
    assert (tmp_path / "other" / file).read_bytes() == (tmp_path / "here" / file).read_bytes()


def test_gtzan_layout_table_and_sidecar(tmp_path):
    table = music.write_tracks(tmp_path, 2, seconds=1, progress=False)
    names = {f"genres/{genre}/{genre}.0000{number}.wav" for genre in music.GENRES for number in range(2)}
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.wav")} == names
    assert "genres/hiphop/hiphop.00001.wav" in names
    info = soundfile.info(tmp_path / "genres/hiphop/hiphop.00001.wav")
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (22050, 1, "PCM_16", 22050)
    with table.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 20
    assert list(rows[0]) == list(json.loads(table.with_suffix(".json").read_text()))
    for row in rows:
        again = music.compose(row["genre"], int(row["seed"]), 1)
        assert f"{again.tempo:.4g}" == row["tempo_bpm"]
        assert again.seed == music.track_seed(0, row["genre"], int(row["track"][-5:]))
    assert all(all(row.values()) for row in rows)


def test_a_second_call_goes_on_and_touches_nothing_else(tmp_path):
    music.write_tracks(tmp_path, [("rock", 0)], seconds=1, progress=False)
    first = tmp_path / "genres/rock/rock.00000.wav"
    stamp = first.stat().st_mtime_ns
    music.write_tracks(tmp_path, [("rock", 0), ("rock", 1)], seconds=1, progress=False)
    assert first.stat().st_mtime_ns == stamp
    whole = first.read_bytes()
    music.write_tracks(tmp_path, [("rock", 0)], seed=9, seconds=1, progress=False)
    assert first.read_bytes() != whole
    assert not list(tmp_path.rglob("*.part"))
    soundfile.write(first, np.zeros(100), 22050)
    with pytest.raises(FileExistsError, match=r"rock\.00000\.wav"):
        music.write_tracks(tmp_path, [("rock", 0)], seconds=1, progress=False)


@every_genre
def test_level_peaks_and_silence(genre):
    for seed in (1, 2):
        score = music.compose(genre, seed, 8)
        sound = music.render(score)
        assert sound.dtype == np.float32
        assert sound.shape == (8 * music.RATE,)
        assert np.abs(sound).max() <= 0.97
        assert abs(rms_db(sound) - score.loudness) < 1
        assert -30 < rms_db(sound) < -10
        assert rms_db(sound[: music.RATE // 5]) > rms_db(sound) - 20, "silence at the start"
        seconds = rms_db_of_windows(sound, music.RATE)
        assert seconds.min() > rms_db(sound) - 30, "a second of silence"
        assert np.abs(np.diff(sound[-40:])).max() < 0.1, "a click at the end"


def rms_db_of_windows(sound, length):
    return np.array([rms_db(window) for window in sound.reshape(-1, length)])


@every_genre
def test_seeds_differ_and_length_only_cuts(genre):
    scores = [music.compose(genre, seed) for seed in range(12)]
    assert len({str(note_lists(score)) for score in scores}) == 12
    assert len({score.key for score in scores}) >= 5
    assert len({score.feel for score in scores}) >= 2
    assert len({tuple(score.instruments.values()) for score in scores}) >= 8
    assert np.ptp([score.tempo for score in scores]) > 15
    for name, program, notes in note_lists(music.compose(genre, 3, 10)):
        longer = next(other for other in note_lists(scores[3]) if other[0] == name)
        assert program == longer[1]
        early = [note for note in notes if note[1] < 9.9]
        assert early == [note for note in longer[2] if note[1] < 9.9]


@pytest.mark.parametrize(("instrument", "key"), [("flute", 69), ("flute", 84), ("grand piano", 57), ("clarinet", 64)])
def test_pitch_is_that_of_the_key(instrument, key):
    sound = synthesis.synthesise(single_note(instrument, key), 2.0)[music.RATE :]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 2**19))
    hertz = np.fft.rfftfreq(2**19, 1 / music.RATE)
    expected = 440 * 2 ** ((key - 69) / 12)
    near = np.abs(1200 * np.log2(np.maximum(hertz, 1) / expected)) < 300
    found = hertz[near][spectrum[near].argmax()]
    assert abs(1200 * np.log2(found / expected)) < 20
    assert spectrum[near].max() > 0.2 * spectrum.max()


def test_sound_begins_where_the_note_does():
    for instrument in ("grand piano", "steel-string guitar", "marimba"):
        sound = synthesis.synthesise(single_note(instrument, 60), 2.0)
        first = np.flatnonzero(np.abs(sound) > 0.05 * np.abs(sound).max())[0] / music.RATE
        assert 0.5 <= first + 64 / music.RATE < 0.515


@pytest.mark.parametrize("genre", ["blues", "disco", "metal", "reggae"])
def test_spectral_flux_peaks_where_the_drums_are(genre):
    """Onsets found in the sound (Bello et al., 2005) are onsets of the score."""
    score = music.compose(genre, 4, 12)
    drums = pretty_midi.PrettyMIDI()
    drums.instruments = [part(score, "drums")]
    sound = synthesis.synthesise(drums, 12)
    hop = 128
    spectrum = np.log1p(1000 * np.abs(dsp.stft(sound, nperseg=512, noverlap=512 - hop)[2]))
    flux = np.maximum(np.diff(spectrum, axis=1), 0).sum(axis=0)
    peaks = dsp.find_peaks(flux, prominence=0.25 * flux.max())[0] * hop / music.RATE
    starts = np.array([note.start for note in drums.instruments[0].notes])
    assert len(peaks) > 8
    error = np.abs(peaks[:, None] - starts).min(axis=1)
    assert np.mean(error < 0.025) > 0.95
    # A grid of the same size beside the notes fits much worse: the agreement is not that of any dense set of onsets.
    assert np.mean(np.abs(peaks[:, None] + 0.05 - starts).min(axis=1) < 0.025) < 0.6


def test_genres_keep_their_idioms():
    def scores(genre, feel=None):
        found = [music.compose(genre, seed, 12) for seed in range(24)]
        return [score for score in found if feel in (None, score.feel)]

    def hits(score, piece):
        return np.array([note.start for note in part(score, "drums").notes if note.pitch == DRUMS[piece]])

    assert all(part(score, "drums") is None for score in scores("classical"))
    for score in scores("disco"):
        distance = np.abs(hits(score, "kick")[:, None] - score.beats).min(axis=0)
        assert np.mean(distance < 0.03) > 0.9, "four on the floor"
    for score in scores("jazz", "swing"):
        assert {DRUMS["ride"], DRUMS["pedal"]} <= {note.pitch for note in part(score, "drums").notes}
        assert score.swing > 0.55
        steps = np.diff([note.pitch for note in part(score, "bass").notes])
        assert np.mean((np.abs(steps) > 0) & (np.abs(steps) <= 7)) > 0.6, "a bass that walks"
    for score in scores("reggae", "one drop"):
        starts = np.unique(np.round([note.start for note in part(score, "skank").notes], 1))
        distance = np.abs(starts[:, None] - score.downbeats).min(axis=1)
        assert np.mean(distance > 0.15) > 0.95, "no chords on the first beat"
    for score in scores("metal"):
        assert "distorted guitar" in score.instruments.values()
        assert score.minor
    blues = scores("blues", "shuffle")
    assert {len(score.progression.split()) for score in blues} <= {8, 12}
    assert all(score.swing > 0.6 for score in blues)


def test_captions_of_a_study():
    scores = [music.compose(genre, seed) for genre in music.GENRES for seed in range(9)]
    clips = [score for score in scores for _ in range(6)]
    spans = [(start, start + 14.99) for _ in scores for start in np.linspace(0, 15, 6)]
    texts = music.captions(clips, spans, seed=1)
    assert len(set(texts)) == len(texts) == 540
    assert texts[:30] == music.captions(clips[:30], spans[:30], seed=1)
    assert texts[:30] != music.captions(clips[:30], spans[:30], seed=2)
    assert 42 <= np.mean([len(text.split()) for text in texts]) <= 50
    assert 250 <= np.mean([len(text) for text in texts]) <= 300
    assert 4 <= np.mean([text.count(".") for text in texts]) <= 5
    for clip, text in zip(clips, texts, strict=True):
        assert text.endswith(".")
        assert re.match("[A-Z]", text)
        assert not re.search(r"[{}]|\s\s|\.\.|\b[Aa] (?!one\b)[aeiou]", text), text
        assert clip.genre in text.lower() or clip.genre == "hiphop"
        if "minor key" in text:
            assert clip.minor
    same = music.captions([scores[0]] * 50)
    assert len(set(same)) == 50


def test_truth_counts_what_is_heard():
    score = music.compose("country", 2)
    whole, half = music.truth(score), music.truth(score, 15, 30)
    pitched = [note for part in score.midi.instruments if not part.is_drum for note in part.notes]
    assert whole.note_density == pytest.approx(len(pitched) / 30)
    assert half.note_density == pytest.approx(sum(note.start > 15 for note in pitched) / 15)
    assert whole.tempo_bpm == pytest.approx(60 / np.median(np.diff(score.beats)))
    assert all(-1 <= value <= 1 for value in (whole.valence, whole.arousal))
    with pytest.raises(ValueError, match=re.escape("[simulation.music.truth]")):
        music.truth(score, 20, 31)


@every_genre
def test_features_are_finite_and_add_up(genre):
    score = music.compose(genre, 6)
    names, values = music.features(score, 2.0)
    assert len(set(names)) == len(names)
    assert values.shape == (60, len(names))
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    column = dict(zip(names, values.T, strict=True))
    velocity = sum(n.velocity / 127 for part in score.midi.instruments if not part.is_drum for n in part.notes)
    assert column["note_onsets"].sum() / 2 == pytest.approx(velocity, rel=1e-5)
    parts = column["bass_onsets"] + column["melody_onsets"] + column["chord_onsets"]
    np.testing.assert_allclose(parts, column["note_onsets"], atol=1e-5)
    both = column["on_beat_onsets"] + column["off_beat_onsets"]
    np.testing.assert_allclose(both, column["note_onsets"] + column["drum_onsets"], atol=1e-4)
    assert set(np.unique(music.features(score, 100)[1][:, names.index("chord_mode")]).round(2)) & {-1, 1}
    # Twice the rate is the same truth, finer.
    finer = music.features(score, 4.0)[1].reshape(60, 2, -1).mean(axis=1)
    for name in ("note_onsets", "polyphony", "chord_mode", "beat_cos", "tempo"):
        np.testing.assert_allclose(finer[:, names.index(name)], column[name], atol=0.02)


@every_genre
def test_the_shortest_tracks_are_described_too(genre):
    for seed in range(12):
        score = music.compose(genre, seed, 0.1)
        figures = [value for value in vars(music.truth(score)).values() if isinstance(value, float)]
        assert np.isfinite(figures).all()
        assert np.isfinite(music.features(score, 10)[1]).all()
        assert music.captions([score])
    assert music.render(score).shape == (2205,)


def test_features_of_a_score_known_by_hand():
    score = replace(music.compose("pop", 0, 4), midi=single_note("violin", 72, 2.0), seconds=4.0)
    names, values = music.features(score, 1.0)
    column = dict(zip(names, values.T, strict=True))
    np.testing.assert_allclose(column["melody_onsets"], [100 / 127, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(column["polyphony"], [0.5, 1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(column["height"], [1, 1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(column["family_strings"][1], 100 / 127, rtol=1e-6)
    np.testing.assert_allclose(column["fifths_cos"], [1, 1, 0, 0], atol=1e-6)
    assert not column["dissonance"].any()
    assert not column["drum_onsets"].any()


@every_genre
def test_styles_are_written_without_slips(genre):
    """A tab of 15 or 17 characters would still play, and drift against the bar."""
    style = STYLES[genre]
    for feel in style.feels:
        tabs = {**feel.drums, **{name: part.tabs for name, part in feel.band.items()}}
        for name, alternatives in tabs.items():
            for bar in re.split(r"[ |]", alternatives):
                assert len(bar) / feel.beats in (2, 3, 4, 8), (feel.name, name, bar)
                assert re.fullmatch(r"[-.xXo?1-9pdewa]+", bar), (feel.name, name, bar)
        assert set(feel.drums) <= set(DRUMS)
        assert set(feel.kits.split(", ")) <= set(KITS)
        played = [part.instruments for part in feel.band.values()] + [feel.lead.instruments]
        assert set(", ".join(played).split(", ")) <= set(PROGRAMS)
    for mode, texts in style.progressions.items():
        assert mode in theory.SCALES
        assert all(theory.progression(text, 0) for text in texts)


def test_chords_in_numerals():
    names = ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]

    def spelled(text, key=0):
        return [[names[tone] for tone in chord.pitch_classes] for bar in theory.progression(text, key) for chord in bar]

    assert spelled("ii7 V7-Imaj7") == [["D", "F", "A", "C"], ["G", "B", "D", "F"], ["C", "E", "G", "B"]]
    assert spelled("bVI iidim I5", key=9) == [["F", "A", "C"], ["B", "D", "F"], ["A", "E"]]
    for wrong in ("H", "I7-", "Ixyz", "iV7"):
        with pytest.raises(ValueError, match=re.escape("[simulation.music.progression]")):
            theory.progression(wrong, 0)


def log_mel_statistics(sound, bands=40, size=1024):
    """Mean and standard deviation over time of log-mel bands, free of level; SciPy alone, nothing of the library."""
    mel = np.linspace(*2595 * np.log10(1 + np.array([40, 10000]) / 700), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    hertz = np.fft.rfftfreq(size, 1 / music.RATE)
    rise = (hertz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - hertz) / np.diff(edges)[1:, None]
    power = np.abs(dsp.stft(sound / np.sqrt(np.mean(sound**2)), nperseg=size, noverlap=size // 2)[2]) ** 2
    log_mel = np.log(np.maximum(0, np.minimum(rise, fall)) @ power + 1e-6)
    return np.concatenate([log_mel.mean(axis=1), log_mel.std(axis=1)])


def test_sound_tells_the_genre_and_tempo_does_not():
    train, test, seconds = 18, 8, 10
    labels = np.repeat(np.arange(10), train + test)
    held_out = np.tile(np.arange(train + test) >= train, 10)
    scores = [music.compose(genre, 100 + seed, seconds) for genre in music.GENRES for seed in range(train + test)]
    sounds = np.stack([log_mel_statistics(music.render(score)) for score in scores])
    tempi = np.log([[score.tempo] for score in scores])

    def accuracy(model, x):
        return model.fit(x[~held_out], labels[~held_out]).score(x[held_out], labels[held_out])

    assert accuracy(make_pipeline(StandardScaler(), SVC(C=10)), sounds) >= 0.8
    for neighbours in (1, 5, 15):
        assert accuracy(KNeighborsClassifier(neighbours), tempi) <= 0.5


def test_bad_input_is_named():
    for call in (
        lambda: music.compose("polka", 0),
        lambda: music.compose("jazz", -1),
        lambda: music.compose("jazz", 0, 0),
        lambda: music.features(music.compose("jazz", 0, 1), 0),
        lambda: music.captions([], [(0, 1)]),
        lambda: music.track_seed(0, "polka", 0),
        lambda: music.write_tracks("unused", [("jazz", 0), ("jazz", 0)]),
    ):
        with pytest.raises(ValueError, match=r"^\[simulation\.music\.\w+\] .*; got "):
            call()


def test_missing_fluidsynth_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    with pytest.raises(ImportError, match=r"libfluidsynth3.*conda-forge fluidsynth"):
        music.render(music.compose("jazz", 0, 1))


def test_the_library_itself_needs_no_synthesiser():
    code = (
        "import sys, brain2music.cli, brain2music.pipeline; assert not {'pretty_midi', 'fluidsynth'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_packages_are_told():
    code = "import sys; sys.modules['pretty_midi'] = None; import brain2music.simulation"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'brain2music[simulate]'" in run.stderr
