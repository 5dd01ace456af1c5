"""The bundle that comes with brain2music: its statistics against librosa and scikit-learn, and what they tell."""

import zipfile
from itertools import pairwise

import librosa
import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler
from torch._subclasses.fake_tensor import FakeTensorMode

from brain2music.bundles import Bundle, acoustic

RATE = acoustic.RATE


@pytest.fixture(scope="module")
def bundle():
    return Bundle.shipped("acoustic", device="cpu")


def tones(rng, seconds, n=1):
    """Chords that come and go over noise: something of everything that the statistics look at."""
    time = np.arange(round(seconds * RATE)) / RATE
    pulse = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(1, 6, (n, 1)) * time)
    sound = pulse * sum(np.sin(2 * np.pi * rng.uniform(100, 3000, (n, 1)) * time) for _ in range(4))
    return (0.05 * sound + 0.02 * rng.standard_normal((n, len(time)))).astype(np.float32)


def power_spectrum(wave, hop):
    spectrum = librosa.stft(wave.astype(np.float64), n_fft=2048, hop_length=hop, pad_mode="constant")
    return np.abs(spectrum[..., : len(wave) // hop]) ** 2


def mel_of_librosa(bands):
    filters = librosa.filters.mel(sr=RATE, n_fft=2048, n_mels=bands, fmin=30, htk=True, norm=None, dtype=np.float64)
    return filters / filters.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("bands", [64, 128])
def test_bands_are_librosas(bands):
    np.testing.assert_allclose(acoustic.mel_bands(bands), mel_of_librosa(bands), atol=1e-12)


def test_frames_are_librosas(rng):
    wave = tones(rng, 1.5)[0]
    expected = np.log10(mel_of_librosa(128) @ power_spectrum(wave, 441) + 1e-5).T
    ours = acoustic.FrameEmbedder().embed(torch.from_numpy(wave)[None])[0]
    assert ours.shape == (75, 128)
    np.testing.assert_allclose(ours, expected, atol=2e-4)


def test_statistics_are_numpys(rng):
    wave = tones(rng, 10)[0]
    spectrum = power_spectrum(wave / (np.sqrt(np.mean(wave.astype(float) ** 2)) + 1e-5), 735)
    mel = np.log10(mel_of_librosa(64) @ spectrum + 1e-3)
    change = np.diff(mel)
    hertz = np.arange(151) * 30 / 300

    def means(power, edges):
        ranges = [(hertz >= low) & (hertz < high) for low, high in pairwise(edges)]
        return np.stack([power[..., inside].mean(-1) for inside in ranges], -1)

    slow = mel.reshape(8, 8, 300).mean(1)
    slow = (slow - slow.mean(1, keepdims=True)) * np.hanning(300)
    modulation = means(np.abs(np.fft.rfft(slow)) ** 2, acoustic.MODULATION_HZ)
    onsets = np.concatenate([[0], np.maximum(change, 0).mean(0)])
    onsets = (onsets - onsets.mean()) * np.hanning(300)
    rhythm = means(np.abs(np.fft.rfft(onsets)) ** 2, acoustic.TEMPO_HZ)

    frequencies = librosa.fft_frequencies(sr=RATE, n_fft=2048)
    pitch = np.full((12, 300), 1e-3)
    for i, frequency in enumerate(frequencies):
        if 80 <= frequency <= 2000:
            key = librosa.hz_to_midi(frequency)
            share = key % 1
            pitch[int(key) % 12] += (1 - share) * spectrum[i]
            pitch[(int(key) + 1) % 12] += share * spectrum[i]
    pitch /= pitch.sum(0)
    expected = np.concatenate(
        [
            mel.mean(1),
            mel.std(1, ddof=1),
            np.abs(change).mean(1),
            np.log10(modulation + 1e-3).ravel(),
            np.log10(rhythm + 1e-6),
            pitch.mean(1),
            pitch.std(1, ddof=1),
            np.abs(np.fft.rfft(pitch.mean(1)))[1:],
            [mel.mean(0).std(ddof=1), onsets.std(ddof=1)],
        ]
    )
    ours = acoustic.MusicStatistics()(torch.from_numpy(wave)[None])[0]
    np.testing.assert_allclose(ours, expected, atol=2e-3)


def test_components_are_scikit_learns(rng):
    clips = tones(rng, 15, n=40)
    embedder, frames = acoustic.fit(clips)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # not slower, and far faster beside other work
    windows = torch.from_numpy(np.stack([clip[i * 33075 : i * 33075 + 220500] for clip in clips for i in range(4)]))
    with torch.inference_mode():
        statistics = acoustic.MusicStatistics()(windows).double().numpy()
        embedded = embedder.embed(windows).numpy()
        mel = frames.embed(torch.from_numpy(clips)).reshape(-1, 128).numpy()
    torch.set_num_threads(threads)
    pca = PCA(60).fit(StandardScaler().fit_transform(statistics))
    variance = pca.explained_variance_ * (len(statistics) - 1) / len(statistics)
    expected = pca.transform(StandardScaler().fit_transform(statistics)) / np.sqrt(variance + acoustic.SHRINKAGE)
    signs = np.sign(np.sum(expected * embedded[:, :60], axis=0))
    np.testing.assert_allclose(embedded[:, :60], expected * signs, atol=2e-2)
    np.testing.assert_allclose(mel.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(mel.std(0), 1, atol=1e-3)


def test_the_shipped_bundle_is_of_this_code(bundle, tmp_path, rng):
    """Its numbers take minutes to make again; that its programs are those of this file is seen at once."""
    built = tmp_path / "bundle"
    original = acoustic.training_clips
    try:
        acoustic.training_clips = lambda tracks, progress: iter(tones(rng, 15, n=35))
        acoustic.build(built, progress=False)
    finally:
        acoustic.training_clips = original
    for role, entry in bundle.roles.items():
        with zipfile.ZipFile(bundle.path / entry["file"]) as shipped, zipfile.ZipFile(built / entry["file"]) as ours:
            assert shipped.namelist() == ours.namelist()
            assert not [name for name in shipped.namelist() if "debug" in name]
            for name in shipped.namelist():
                if name.endswith(".py") or name.endswith("data.pkl"):
                    assert shipped.read(name) == ours.read(name), f"{role}: build it again"
        assert {**Bundle(built).roles[role], "sha256": 0} == {**entry, "sha256": 0}
    assert sum(path.stat().st_size for path in bundle.path.iterdir()) < 1_000_000


@pytest.mark.parametrize(("role", "r"), [("music_embedder", 4), ("codec", 10)])
def test_a_batch_of_any_size_gives_the_same(bundle, rng, role, r):
    music = tones(rng, 15, n=5)
    expected = bundle.embed(role, (music, RATE)).values
    assert expected.shape == (5, r, 128)
    for batch in (1, 3, 7, 50):
        np.testing.assert_allclose(bundle.embed(role, (music, RATE), batch=batch).values, expected, atol=1e-5)
    np.testing.assert_allclose(bundle.embed(role, (music[3:4], RATE)).values[0], expected[3], atol=1e-5)


def test_what_should_not_matter_to_music_does_not(bundle, rng):
    music = tones(rng, 10, n=3)
    expected = bundle.embed("music_embedder", (music, RATE)).values
    louder = bundle.embed("music_embedder", (4 * music, RATE)).values
    np.testing.assert_allclose(louder, expected, atol=0.02)
    silence = bundle.embed("music_embedder", (np.zeros((1, 10 * RATE)), RATE)).values
    assert np.isfinite(silence).all()


@pytest.mark.parametrize(("dtype", "least"), [("bfloat16", 0.99), ("float16", 0.9999)])
def test_narrow_weights_give_what_wide_ones_do(bundle, rng, dtype, least):
    music = tones(rng, 10, n=4)
    for role in bundle.roles:
        wide = bundle.embed(role, (music, RATE)).values
        narrow = Bundle.shipped("acoustic", "cpu", dtype).embed(role, (music, RATE)).values
        assert np.corrcoef(wide.ravel(), narrow.ravel())[0, 1] > least
        assert not np.array_equal(wide, narrow)


@pytest.mark.parametrize(
    ("make", "shape"),
    [(acoustic.FrameEmbedder, (2, 75, 128)), (lambda: acoustic.MusicEmbedder(0, 1, np.eye(288)), (2, 288))],
)
def test_embedders_stay_on_their_device(make, shape):
    with FakeTensorMode(allow_non_fake_inputs=True):
        embedder = make().to("cuda:1")
        seconds = 1.5 if len(shape) == 3 else 10
        result = embedder.embed(torch.empty(2, round(seconds * RATE), device="cuda:1"))
    assert result.device == torch.device("cuda:1")
    assert result.shape == shape


def test_devices_give_the_same(bundle, rng, device):
    music = tones(rng, 10, n=3)
    there = Bundle.shipped("acoustic", device)
    for role in bundle.roles:
        expected = bundle.embed(role, (music, RATE)).values
        np.testing.assert_allclose(there.embed(role, (music, RATE)).values, expected, rtol=1e-3, atol=1e-4)


def test_genres_lie_apart(bundle):
    """Nearest class mean on tracks of seeds that the bundle has not seen; one in ten is chance.

    With 40 tracks a genre in place of 5 it is right for nine tracks in ten.
    """
    pytest.importorskip("fluidsynth")
    from brain2music.simulation import music

    def library(seed, tracks):
        wanted = [(genre, number) for genre in music.GENRES for number in range(tracks)]
        scores = (music.compose(genre, music.track_seed(seed, genre, number), 11.5) for genre, number in wanted)
        sounds = np.stack([music.render(score) for score in scores])
        return bundle.embed("music_embedder", (sounds, RATE)).values.mean(1), [genre for genre, _ in wanted]

    x, genres = library(seed=31, tracks=5)
    assert NearestCentroid().fit(x, genres).score(*library(seed=47, tracks=3)) > 0.5
