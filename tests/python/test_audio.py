import librosa
import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from torch._subclasses.fake_tensor import FakeTensorMode

from brain2music import _core

RATES = [(22050, 16000), (22050, 24000), (44100, 22050), (8000, 48000), (3, 7)]


def noise(rng, *shape):
    return (0.3 * rng.standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resample_equals_torchaudio(rng, device, from_rate, to_rate, dtype):
    waveform = torch.from_numpy(noise(rng, 2, 3001).astype(dtype))
    ours = _core.audio.resample(waveform.to(device), from_rate, to_rate).cpu()
    theirs = torchaudio.functional.resample(
        waveform.double(),  # in float32 its filters are too rough to compare with
        from_rate,
        to_rate,
        lowpass_filter_width=64,
        rolloff=0.9475937167399596,
        resampling_method="sinc_interp_kaiser",
        beta=14.769656459379492,
    )
    assert ours.dtype == waveform.dtype
    tolerance = 2e-6 if dtype == np.float32 else 1e-7  # theirs takes the window's beta in float32
    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=tolerance)


def test_resampling_keeps_tones_and_kills_what_would_alias():
    rate, seconds = 44100, 2
    time = np.arange(rate * seconds) / rate
    tone = np.sin(2 * np.pi * 440 * time)
    kept = _core.audio.resample(tone, rate, 22050)
    expected = np.sin(2 * np.pi * 440 * np.arange(22050 * seconds) / 22050)
    assert np.abs(kept - expected)[500:-500].max() < 1e-5
    killed = _core.audio.resample(np.sin(2 * np.pi * 12_000 * time), rate, 22050)
    assert np.abs(killed[500:-500]).max() < 1e-4


def test_resample_takes_any_leading_shape_and_equal_rates(rng):
    waveform = noise(rng, 2, 3, 500)
    result = _core.audio.resample(waveform, 3, 2)
    assert result.shape == (2, 3, 334)
    np.testing.assert_allclose(result[1, 2], _core.audio.resample(waveform[1, 2], 3, 2), atol=1e-6)
    np.testing.assert_array_equal(_core.audio.resample(waveform, 5, 5), waveform)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rate": 16000, "n_fft": 400, "hop": 160, "n_mels": 40},
        {"n_fft": 1024, "hop": 300, "n_mels": 64, "f_min": 50.0, "f_max": 8000.0},
    ],
)
def test_log_mel_equals_librosa(rng, device, options):
    waveform = noise(rng, 2, 22050)
    ours = _core.audio.log_mel(torch.from_numpy(waveform).to(device), **options).cpu().numpy()
    rate = options.get("rate", 22050)
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=rate,
        n_fft=options.get("n_fft", 2048),
        hop_length=options.get("hop", 512),
        n_mels=options.get("n_mels", 128),
        fmin=options.get("f_min", 0.0),
        fmax=options.get("f_max") or rate / 2,
    )
    np.testing.assert_allclose(ours, librosa.power_to_db(power, top_db=None), atol=2e-3)


def test_silence_is_the_floor():
    np.testing.assert_allclose(_core.audio.log_mel(np.zeros(5000, np.float32)), -100, atol=1e-4)


@pytest.mark.parametrize("function", [lambda x: _core.audio.resample(x, 22050, 16000), _core.audio.log_mel])
def test_audio_stays_on_its_device(function):
    with FakeTensorMode():
        assert function(torch.empty(2, 22050, device="cuda")).device.type == "cuda"


def test_bad_options_are_refused(rng):
    waveform = noise(rng, 5000)
    with pytest.raises(ValueError, match=r"\[audio.resample\] rates must be positive .*; got 0 and 5"):
        _core.audio.resample(waveform, 0, 5)
    with pytest.raises(ValueError, match="float32 or float64; got Short"):
        _core.audio.resample(waveform.astype(np.int16), 3, 2)
    with pytest.raises(ValueError, match=r"every band must hold a frequency.* band 0 from 0 to .* fewer bands"):
        _core.audio.log_mel(waveform, n_fft=256, n_mels=128)
    with pytest.raises(ValueError, match="at most half the rate; got 0 to 12000 Hz at 22050 Hz"):
        _core.audio.log_mel(waveform, f_max=12000)


@pytest.mark.parametrize("ending", ["wav", "au", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("channels", [1, 2])
def test_files_are_read_as_soundfile_reads_them(rng, tmp_path, ending, channels):
    path = tmp_path / f"x.{ending}"
    soundfile.write(path, noise(rng, 22050, channels).clip(-1, 1), 22050)
    expected, rate = soundfile.read(path, dtype="float32", always_2d=True)
    waveform, our_rate = _core.io.load_audio(str(path))
    assert our_rate == rate
    # soundfile brings a libsndfile of its own, whose decoders may round otherwise.
    tolerance = 0 if ending in ("wav", "au", "flac") else 1e-6
    np.testing.assert_allclose(waveform, expected.T, rtol=0, atol=tolerance)
    part, _ = _core.io.load_audio(str(path), 0.2, 0.5)
    start = round(0.2 * rate)
    if ending in ("wav", "au", "flac"):
        np.testing.assert_array_equal(part, expected.T[:, start : round(0.5 * rate)])
    else:
        np.testing.assert_allclose(part, expected.T[:, start : round(0.5 * rate)], atol=1e-4)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_sound_is_written_as_soundfile_reads_it(rng, tmp_path, ending):
    waveform = noise(rng, 2, 1000).clip(-1, 1)
    path = tmp_path / f"x.{ending}"
    _core.io.save_audio(str(path), waveform, 24000)
    read, rate = soundfile.read(path, dtype="float32")
    assert rate == 24000
    np.testing.assert_allclose(read.T, waveform, atol=2 / 32768)
    with pytest.raises(ValueError, match=r"lie in \[-1, 1\]; got a peak of 1.5"):
        _core.io.save_audio(str(path), np.full((1, 3), 1.5, np.float32), 24000)
    with pytest.raises(ValueError, match=r"got a peak of -?nan"):
        _core.io.save_audio(str(path), np.full((1, 3), np.nan, np.float32), 24000)
    with pytest.raises(ValueError, match=r"path must end in \.wav or \.flac; got .*x\.mp3"):
        _core.io.save_audio(tmp_path / "x.mp3", waveform, 24000)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_bad_files_are_refused_by_name(rng, tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(rng, 1000), 22050)
    with pytest.raises(RuntimeError, match=r"long enough; got 0.0453515 s where 0 to 1 s .*x\.wav"):
        _core.io.load_audio(str(path), 0, 1)
    with pytest.raises(ValueError, match=r"stop must lie after start; got 1 to 0.5 s"):
        _core.io.load_audio(str(path), 1, 0.5)
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio at all")
    with pytest.raises(RuntimeError, match=r"must be audio that libsndfile reads; got '.*' for .*bad\.wav"):
        _core.io.load_audio(str(bad))
    with pytest.raises(RuntimeError, match=r"none\.wav"):
        _core.io.load_audio(str(tmp_path / "none.wav"))


@pytest.mark.parametrize("ending", ["wav", "au", "flac", "ogg", "mp3"])
def test_files_that_were_cut_short_are_refused(rng, tmp_path, ending):
    path = tmp_path / f"x.{ending}"
    soundfile.write(path, noise(rng, 9000).clip(-1, 1), 22050)
    whole = path.read_bytes()
    path.write_bytes(whole[: 2 * len(whole) // 3])
    with pytest.raises(RuntimeError, match=rf"must be whole.*x\.{ending}"):
        _core.io.load_audio(path)
