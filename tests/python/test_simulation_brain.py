"""The parts of a simulated brain, each against something known."""

import numpy as np
import pytest
from scipy import signal, stats

from brain2music.simulation.brain import motion
from brain2music.simulation.brain.anatomy import anatomy, region_names, smooth_fields
from brain2music.simulation.brain.cochlea import CHANNELS_HZ, cochleagram, modulation_features
from brain2music.simulation.brain.noise import BodyNoise
from brain2music.simulation.brain.subject import slice_times
from brain2music.simulation.brain.voxels import AUDITORY, _nonlinear, _sampled_response
from brain2music.study.motion import Realigner
from brain2music.study.regions import DESTRIEUX
from brain2music.study.tables import read_table
from brain2music.study.volumes import Grid

RATE = 22050


def tone(hertz, seconds=2.0, depth=0.0, modulation=4.0):
    time = np.arange(round(seconds * RATE)) / RATE
    envelope = 1 + depth * np.sin(2 * np.pi * modulation * time)
    return (0.1 * envelope * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


@pytest.mark.parametrize("channel", [2, 10, 20, 28])
def test_a_tone_excites_its_own_channel_most(channel):
    loudness = cochleagram(tone(CHANNELS_HZ[channel]), RATE)
    assert loudness.shape == (200, 32)
    assert np.argmax(loudness[50:150].mean(axis=0)) == channel
    assert np.allclose(loudness[50:150, channel], 0.1**0.3, rtol=0.05)


@pytest.mark.parametrize("channel", [4, 15, 27])
def test_channels_are_those_of_a_gammatone_filter(channel, rng):
    # SciPy's filter is the recursive approximation of Slaney; envelopes of noise through both go together.
    noise = (0.1 * rng.standard_normal(2 * RATE)).astype(np.float32)
    b, a = signal.gammatone(CHANNELS_HZ[channel], "iir", fs=RATE)
    theirs = np.abs(signal.hilbert(signal.lfilter(b, a, noise)))
    ours = cochleagram(noise, RATE)[20:180, channel] ** (1 / 0.3)
    edges = np.arange(20, 181) * RATE // 100

    def late(lag):
        means = np.add.reduceat(theirs, np.append(edges + lag, len(theirs) - 1))[:160]
        return means / np.diff(edges)

    # Theirs is causal: it comes some milliseconds later.
    best = max(range(0, 600, 20), key=lambda lag: np.corrcoef(ours, late(lag))[0, 1])
    assert np.corrcoef(ours, late(best))[0, 1] > 0.97
    assert ours.mean() == pytest.approx(late(best).mean(), rel=0.15)


@pytest.mark.parametrize("rate", [2, 4, 8, 16])
def test_a_fluctuation_excites_its_own_rate_most(rate):
    names, values = modulation_features(cochleagram(tone(1000.0, 4.0, 0.5, rate), RATE))
    means = dict(zip(names, values[100:300].mean(axis=0), strict=True))
    by_rate = {hertz: sum(means[f"rate_{hertz}_band_{band}"] for band in (1, 2, 3, 4)) for hertz in (1, 2, 4, 8, 16)}
    assert max(by_rate, key=by_rate.get) == rate


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_a_moving_ripple_excites_its_own_scale_most(scale):
    time, octave = np.arange(400)[:, None] / 100, np.log2(CHANNELS_HZ / CHANNELS_HZ[0])[None, :]
    place = np.linspace(0, octave[0, -1], 32)[None, :]  # channels as evenly spaced as the transform takes them
    names, values = modulation_features(1 + 0.3 * np.sin(2 * np.pi * (4 * time + scale * place)))
    means = dict(zip(names, values[100:300].mean(axis=0), strict=True))
    scales = {name: value for name, value in means.items() if name.startswith("rate_4_scale")}
    assert max(scales, key=scales.get) == f"rate_4_scale_{scale:g}"


def test_too_low_a_rate_is_refused():
    with pytest.raises(ValueError, match=r"\[simulation.cochleagram\] rate must be at least 16000 Hz; got 8000"):
        cochleagram(np.zeros(100, np.float32), 8000)


@pytest.fixture(scope="module")
def head():
    return anatomy(3.0, seed=0, subject=1)


def test_a_head_has_150_regions_in_both_hemispheres(head):
    labels = {int(row["index"]): row["name"] for row in read_table(DESTRIEUX, ["index", "name"])}
    assert region_names() == labels
    present = np.unique(head.labels[head.labels > 0])
    assert set(present) == set(labels)
    assert not (head.labels[~head.brain] > 0).any()
    cortex = head.labels > 0
    assert 53_421 <= cortex.sum() * 27 / 8 <= 64_701
    x = head.positions(cortex)[:, 0]
    left = np.array([labels[label].startswith("ctx_lh") for label in head.labels[cortex]])
    assert (x[left] < 0).all()
    assert (x[~left] >= 0).all()


def test_a_head_is_as_wide_as_ds003720_and_differs_between_subjects(head):
    assert anatomy(6.0, 0, 1).brain.shape == (32, 32, 23)
    assert not np.array_equal(head.labels, anatomy(3.0, seed=0, subject=2).labels)
    # Nothing of the brain is cut off in front or behind, nor on its sides.
    assert not head.brain[[0, -1]].any()
    assert not head.brain[:, [0, -1]].any()


def test_auditory_cortex_lies_where_it_does_in_a_head(head):
    names = {name: label for label, name in region_names().items()}
    heschl = head.positions(head.labels == names["ctx_lh_G_temp_sup-G_T_transv"]).mean(axis=0)
    # Maximum of probability of left primary auditory cortex (Morosan et al., 2001), about.
    assert np.linalg.norm(heschl - [-45, -21, 8]) < 8
    assert all(any(name.endswith(region) for name in names) for region in AUDITORY)


def test_fields_are_gaussian_and_smooth(rng):
    places = rng.uniform(-60, 60, (4000, 3))
    fields = smooth_fields(rng, 40, 10.0, places)
    assert fields.mean() == pytest.approx(0, abs=0.1)
    assert fields.std() == pytest.approx(1, abs=0.05)
    generator = np.random.default_rng(5)
    near = smooth_fields(generator, 200, 10.0, np.array([[0, 0, 0], [3.0, 0, 0], [40.0, 0, 0]]))
    assert np.corrcoef(near[0], near[1])[0, 1] > 0.9
    assert abs(np.corrcoef(near[0], near[2])[0, 1]) < 0.3


def test_responses_to_music_are_convolutions_sampled_once_a_tr(rng):
    drive = rng.standard_normal((600, 3)).astype(np.float32)
    matrix = _sampled_response(5.0, 1.0, 0.3, 600, 40, 1.5)
    pulse = np.zeros((600, 1), np.float32)
    pulse[0] = 1
    kernel = np.array([(_sampled_response(5.0, 1.0, 0.0, 600, 600, 0.1) @ pulse)[:, 0]])[0]
    assert np.argmax(kernel) == 50  # peaks after five seconds
    assert kernel[100:200].min() < 0  # undershoots
    full = np.stack([np.convolve(column, kernel)[:600] for column in drive.T], axis=1)
    np.testing.assert_allclose(matrix @ drive, full[3::15][:40], rtol=0, atol=1e-4)


def test_nonlinear_responses():
    drive = np.array([[-2.0, -2.0, -2.0, -2.0], [2.0, 2.0, 2.0, 2.0]], np.float32)
    other = np.array([[1.0] * 4, [-2.0] * 4], np.float32)
    bent = _nonlinear(drive, other, np.arange(4))
    np.testing.assert_allclose(bent, [[-2, 0, np.tanh(-3), 0], [2, 2, np.tanh(3), 0]], rtol=1e-6)


def test_noise_has_variance_one_and_the_autocorrelation_of_fmri():
    places = np.random.default_rng(1).uniform(-60, 60, (500, 3))
    body = BodyNoise(places, seed=0, subject=1)
    runs = [
        body.run(np.random.default_rng(n), 400, 1.5).noise(np.random.default_rng([n, 1]), slice(0, 500))
        for n in range(8)
    ]
    noise = np.concatenate(runs)
    assert noise.dtype == np.float32
    assert np.mean(noise.var(axis=0)) == pytest.approx(1, abs=0.05)
    lagged = np.mean([stats.pearsonr(run[1:, v], run[:-1, v])[0] for run in runs for v in range(0, 500, 25)])
    assert 0.1 < lagged < 0.5
    drift = body.run(np.random.default_rng(0), 400, 1.5).drift(slice(0, 500))
    # All of it is slower than the 240 s that the median filter spans.
    power = np.abs(np.fft.rfft(drift - drift.mean(axis=0), axis=0)) ** 2
    assert power[:5].sum() > 0.85 * power.sum()


def test_a_moved_head_is_found_again(head):
    parameters = np.zeros((3, 6))
    parameters[1] = [1.0, -0.5, 0.8, 0, 0, 0]
    parameters[2] = [0.3, 0.2, -0.4, 0.02, -0.01, 0.015]
    volumes = np.repeat(head.intensity.T[None], 3, axis=0).astype(np.int16)
    motion.move(volumes, parameters, head.affine)
    assert np.array_equal(volumes[0], head.intensity.T.astype(np.int16))
    grid = Grid(head.brain.shape, head.affine)
    inner = head.labels > 0
    realigner = Realigner(volumes[0].T.astype(np.float32), grid, inner)
    for volume in volumes[1:]:
        before = np.corrcoef(volume.T[inner], head.intensity[inner])[0, 1]
        after = np.corrcoef(realigner(volume.T.astype(np.float32)), head.intensity[inner])[0, 1]
        assert 1 - after < 0.6 * (1 - before)  # what is left is the blur of one linear interpolation
    # The farthest voxel turns by 0.027 rad at some 100 mm.
    assert 1.0 < realigner.largest < 4.5


def test_drawn_motion_begins_at_rest_and_stays_small(rng):
    drawn = motion.draw_motion(rng, 410)
    assert drawn.shape == (410, len(motion.PARAMETERS))
    assert not drawn[0].any()
    assert 0.05 < np.abs(drawn[:, :3]).max() < 5
    assert np.abs(drawn[:, 3:]).max() < 0.1


def test_slices_are_taken_as_in_ds003720(ds003720):
    import json

    sidecar = next(ds003720.glob("sub-001/func/*Training_run-01_bold.json"))
    real = json.loads(sidecar.read_text())["SliceTiming"]
    ours = slice_times(68, 1.5)
    assert len(ours) == len(real) == 68
    assert np.abs(np.array(ours) - real).max() < 0.03
