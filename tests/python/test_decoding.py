"""The brain decoder against a plain script of the paper's method, known truth, and bad input."""

import json
import re
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

import brain2music as b2m
from brain2music import _core
from brain2music.bundles import Embeddings, EmbeddingSpace

RUNS = np.repeat(np.arange(6), 10)
ALPHAS = np.logspace(0, 4, 5)


def simulated(rng, signal=1.0, clips=60, scans=10, windows=4, dimensions=8, regions=5, voxels=20):
    """Responses, targets and labels; regions 1 and 2 know the music, the others do not."""
    music = rng.standard_normal((clips, windows, dimensions))
    labels = np.repeat(np.arange(regions + 1), voxels)  # 0: outside
    labels = rng.permutation(labels)
    brain = rng.standard_normal((clips, scans, len(labels)))
    for region in (1, 2):
        inside = labels == region
        brain[:, :, inside] += signal * (music.mean(1) @ rng.standard_normal((dimensions, inside.sum())))[:, None]
    return brain.astype(np.float32), music, labels


def plain_script(brain, music, labels, n_rois, test):
    """The method in the paper's words, with scikit-learn's Ridge."""
    clips, windows, dimensions = music.shape
    length = brain.shape[1] - windows + 1

    def averaged(x):
        return np.stack([np.nanmean(x[:, w : w + length].astype(float), axis=1) for w in range(windows)], axis=1)

    rows = averaged(brain).reshape(clips * windows, -1)
    y = music.reshape(clips * windows, dimensions)
    splits = list(GroupKFold(5).split(rows, groups=np.repeat(RUNS, windows)))
    found = {}
    for label in np.unique(labels[labels > 0]):
        x = rows[:, labels == label]
        r2 = np.zeros((len(ALPHAS), dimensions))
        r = np.zeros((len(ALPHAS), dimensions))
        for train, held in splits:
            for number, alpha in enumerate(ALPHAS):
                predicted = Ridge(alpha=alpha).fit(x[train], y[train]).predict(x[held])
                r2[number] += 1 - ((y[held] - predicted) ** 2).sum(0) / ((y[held] - y[held].mean(0)) ** 2).sum(0)
                r[number] += [np.corrcoef(a, b)[0, 1] for a, b in zip(y[held].T, predicted.T, strict=True)]
        best = r2.argmax(0)
        found[label] = r[best, range(dimensions)].mean() / len(splits), ALPHAS[best], x
    order = sorted(found, key=lambda label: -found[label][0])[:n_rois]
    new = averaged(test).reshape(len(test) * windows, -1)
    predictions = []
    for label in order:
        _, alphas, x = found[label]
        columns = [Ridge(alpha=a).fit(x, y[:, d]).predict(new[:, labels == label]) for d, a in enumerate(alphas)]
        predictions.append(np.stack(columns, axis=1))
    return order, {label: score for label, (score, *_) in found.items()}, np.mean(predictions, axis=0)


def decoder(**options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        return b2m.BrainDecoder(**({"n_rois": 2, "alphas": ALPHAS} | options))


def fit(model, *arguments, **named):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the grid of alphas")
        return model.fit(*arguments, **named)


@pytest.mark.parametrize("windows", [1, 4, 10])
def test_equals_a_plain_script_of_the_method(rng, windows):
    brain, music, labels = simulated(rng, windows=windows)
    brain[[9, 19, 29], 7:] = np.nan  # the last clip of a run has seven of its ten scans
    if windows == 10:
        brain = np.nan_to_num(brain)  # there, windows without a scan would be left out
    test = rng.standard_normal((7, 10, len(labels))).astype(np.float32)
    model = fit(decoder(n_rois=3), brain, music, rois=labels, groups=RUNS)
    order, scores, predicted = plain_script(brain, music, labels, 3, test)
    assert model.selected_rois_.tolist() == order
    assert model.roi_scores_ == pytest.approx(scores, abs=2e-6)
    assert model.alphas_.shape == (3, 8)
    result = model.predict(test)
    assert result.shape == (7, windows, 8)
    np.testing.assert_allclose(result.reshape(-1, 8), predicted, rtol=1e-5, atol=1e-5)


def test_regions_that_know_the_music_are_found(rng):
    brain, music, labels = simulated(rng)
    model = fit(decoder(), brain, music, rois=labels, groups=RUNS)
    assert set(model.selected_rois_) == {1, 2}
    assert model.roi_scores_[1] > 0.2 > max(model.roi_scores_[label] for label in (3, 4, 5))
    assert model.roi_scores_[model.selected_rois_[0]] >= model.roi_scores_[model.selected_rois_[1]]


def test_without_signal_identification_is_at_chance():
    accuracies = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        brain, music, labels = simulated(rng, signal=0.0)
        model = fit(decoder(), brain[:40], music[:40], rois=labels, groups=RUNS[:40])
        predicted, true = model.predict(brain[40:]).mean(1), music[40:].mean(1)
        r = np.corrcoef(predicted, true)[:20, 20:]
        accuracies.append(np.sum(r < np.diag(r)[:, None]) / (20 * 19))
    assert abs(np.mean(accuracies) - 0.5) < 3 * np.std(accuracies) / np.sqrt(len(accuracies))


def test_windows_in_seconds(rng):
    brain, music, labels = simulated(rng, windows=7)
    named = SimpleNamespace(values=music, window=5.0, hop=1.5)
    model = fit(decoder(), brain, named, rois=SimpleNamespace(labels=labels, names={1: "planum"}), groups=RUNS)
    assert model.windows_.sum(1).tolist() == [4] * 7  # scans at 0, 1.5, 3 and 4.5 s start inside the first
    assert model.roi_names_ == {1: "planum"}
    with pytest.raises(ValueError, match="got 7 in place of 4 windows"):
        fit(decoder(), brain, SimpleNamespace(values=music, window=10.0, hop=1.5), rois=labels, groups=RUNS)


def test_a_window_without_a_scan_is_left_out_and_listed(rng):
    brain, music, labels = simulated(rng, windows=10)
    brain[9, 7:] = np.nan
    model = fit(decoder(), brain, music, rois=labels, groups=RUNS)
    assert model.notes_ == (
        "3 windows hold no scan and were left out of the fit: clip 9 window 7, clip 9 window 8, clip 9 window 9.",
    )
    music[9, 7:] = 1e6  # nothing looks at their targets
    again = fit(decoder(), brain, music, rois=labels, groups=RUNS)
    np.testing.assert_array_equal(again.alphas_, model.alphas_)
    with pytest.raises(ValueError, match="got none in clip 9, window 7"):
        model.predict(brain)
    predicted = model.predict(brain, missing="nan")
    assert np.isnan(predicted[9, 7:]).all()
    assert np.isfinite(np.delete(predicted, 9, axis=0)).all()
    assert np.isfinite(predicted[9, :7]).all()


def test_small_regions_are_noted(rng):
    brain, music, labels = simulated(rng)
    labels[np.flatnonzero(labels == 5)[9:]] = 0
    model = fit(decoder(), brain, music, rois=labels, groups=RUNS)
    assert 5 not in model.roi_scores_
    assert model.notes_ == ("1 regions have fewer than 10 voxels and were passed over: 5 (9).",)
    assert 5 in fit(decoder(min_voxels=9), brain, music, rois=labels, groups=RUNS).roi_scores_


def test_regions_larger_than_the_rows(rng):
    brain, music, labels = simulated(rng, voxels=300, windows=1)
    labels[labels > 2] = 1
    model = fit(decoder(n_rois=1), brain, music, rois=labels, groups=RUNS)
    order, scores, predicted = plain_script(brain, music, labels, 1, brain[:5])
    assert model.selected_rois_.tolist() == order
    assert model.roi_scores_ == pytest.approx(scores, abs=1e-5)
    np.testing.assert_allclose(model.predict(brain[:5]).reshape(5, 8), predicted, atol=2e-5)


def test_torch_types_and_layouts(rng):
    brain, music, labels = simulated(rng)
    expected = fit(decoder(), brain, music.astype(np.float32), rois=labels, groups=RUNS).predict(brain)
    tensor = fit(decoder(), torch.from_numpy(brain), torch.from_numpy(music).float(), rois=labels, groups=RUNS)
    assert isinstance(tensor.predict(torch.from_numpy(brain)), torch.Tensor)
    np.testing.assert_allclose(tensor.predict(brain), expected, atol=1e-6)
    fortran = fit(
        decoder(), np.asfortranarray(brain), torch.from_numpy(music), rois=labels.astype(np.int16), groups=RUNS
    )
    np.testing.assert_allclose(fortran.predict(np.asfortranarray(brain)), expected, atol=1e-5)
    double = fit(decoder(), brain.astype(float), music, rois=labels, groups=RUNS)
    np.testing.assert_allclose(double.predict(brain.astype(float)), expected, atol=1e-5)


def test_a_saved_decoder_predicts_the_same(rng, tmp_path):
    brain, music, labels = simulated(rng)
    named = SimpleNamespace(labels=labels, names={1: "planum", 2: "Heschl"})
    model = fit(decoder(), brain, music, rois=named, groups=RUNS)
    path = tmp_path / "decoder.safetensors"
    model.save(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    same = b2m.load(path)
    np.testing.assert_array_equal(same.predict(brain), model.predict(brain))
    for name in ("roi_scores_", "notes_", "roi_names_"):
        assert getattr(same, name) == getattr(model, name)
    np.testing.assert_array_equal(same.alphas_, model.alphas_)
    assert clone(same).get_params()["n_rois"] == 2
    with safe_open(path, "numpy") as file:
        assert json.loads(file.metadata()["brain2music"])["kind"] == "BrainDecoder"
    (tmp_path / "other.safetensors").write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"\[brain2music.load\] a model that brain2music saved is expected"):
        b2m.load(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError):
        b2m.load(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        model.save(tmp_path / "decoder.pickle")


def averaged(model, brain):
    """What the documentation of the file says of predictions."""
    means = np.stack([brain[:, window].mean(axis=1) for window in model.windows_], axis=1)
    return np.mean([means[..., roi["voxels"]] @ roi["coef"] + roi["intercept"] for roi in model.rois_], axis=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("regions", [1, 3])  # one region: all voxels
def test_cpp_and_python_read_what_either_wrote(rng, tmp_path, dtype, regions):
    brain, music, labels = simulated(rng, windows=7)
    brain = brain.astype(dtype)
    ids = tuple(map(str, range(len(music))))
    targets = Embeddings(music.astype(np.float32), ids, 5.0, 1.5, "music_embedder", "0f" * 32)
    rois = labels if regions > 1 else np.ones_like(labels)
    model = fit(decoder(n_rois=regions), brain, targets, rois=rois, groups=RUNS)
    model.save(tmp_path / "python.safetensors")
    read = _core.decoding.load_decoder(tmp_path / "python.safetensors")
    assert read["space"] == ("music_embedder", "0f" * 32, 5.0, 1.5)
    assert [roi["score"] for roi in read["rois"]] == [roi["score"] for roi in model.rois_]
    assert read["rois"][0]["coef"].dtype == model.rois_[0]["coef"].dtype
    predicted = _core.decoding.predict(brain, read["members"], read["voxels"], read["rois"])
    np.testing.assert_array_equal(predicted, model.predict(brain))
    np.testing.assert_allclose(predicted, averaged(model, brain), atol=1e-6)
    _core.decoding.save_decoder(
        tmp_path / "cpp.safetensors", read["members"], read["voxels"], read["rois"], read["space"]
    )
    same = b2m.load(tmp_path / "cpp.safetensors")
    np.testing.assert_array_equal(same.predict(brain), predicted)
    assert same.space_ == model.space_ == targets.space
    assert same.get_params()["n_rois"] == regions
    assert same.roi_scores_ == {roi["label"]: roi["score"] for roi in model.rois_}


def test_predicted_embeddings_know_their_space(rng, tmp_path):
    brain, music, labels = simulated(rng, windows=7)
    ids = tuple(f"blues.{number:05}" for number in range(len(music)))
    targets = Embeddings(music.astype(np.float32), ids, 5.0, 1.5, "music_embedder", "0f" * 32)
    model = fit(decoder(), torch.from_numpy(brain), targets, rois=labels, groups=RUNS)
    assert model.space_ == targets.space == EmbeddingSpace("music_embedder", "0f" * 32, 5.0, 1.5)
    assert str(model.space_) == "music_embedder 0f0f0f0f0f0f, windows of 5 s every 1.5 s"
    for given in (ids, np.array(ids), SimpleNamespace(ids=np.array(ids))):
        predicted = model.predict_embeddings(torch.from_numpy(brain), given)
        assert (predicted.clip_ids, predicted.space) == (ids, targets.space)
        np.testing.assert_array_equal(predicted.values, model.predict(brain))
    assert model.predict_embeddings(brain.astype(float), ids).values.dtype == np.float32
    with pytest.raises(ValueError, match="clip_ids must name each clip; got 59 ids for 60 clips"):
        model.predict_embeddings(brain, ids[1:])
    for odd in ("blues", list(range(60)), 60):
        with pytest.raises(TypeError, match="clip"):
            model.predict_embeddings(brain, odd)
    plain = fit(decoder(), brain, music, rois=labels, groups=RUNS)
    assert plain.space_ is None
    with pytest.raises(ValueError, match="fit it to Embeddings, or call predict"):
        plain.predict_embeddings(brain, ids)
    plain.save(tmp_path / "plain.safetensors")
    assert b2m.load(tmp_path / "plain.safetensors").space_ is None
    assert _core.decoding.load_decoder(tmp_path / "plain.safetensors")["space"] is None


def test_embeddings_that_state_no_space_are_decoded_without_one(rng, tmp_path):
    brain, music, labels = simulated(rng, windows=7)
    ids = tuple(f"blues.{number:05}" for number in range(len(music)))
    targets = Embeddings.from_arrays(music, ids, 5.0, 1.5)
    model = fit(decoder(), brain, targets, rois=labels, groups=RUNS)
    stated = fit(decoder(), brain, replace(targets, role="mine", hash="0f" * 32), rois=labels, groups=RUNS)
    assert model.space_ is None
    model.save(tmp_path / "decoder.safetensors")
    assert _core.decoding.load_decoder(tmp_path / "decoder.safetensors")["space"] is None
    for each in (model, b2m.load(tmp_path / "decoder.safetensors")):
        predicted = each.predict_embeddings(brain, ids)
        assert (predicted.space, predicted.role, predicted.hash) == (None, None, None)
        assert (predicted.window, predicted.hop, each.window_, each.hop_) == (5.0, 1.5, 5.0, 1.5)
        np.testing.assert_array_equal(predicted.values, stated.predict_embeddings(brain, ids).values)
    stated.save(tmp_path / "stated.safetensors")
    read = b2m.load(tmp_path / "stated.safetensors")
    assert (read.space_, read.window_, read.hop_) == (stated.space_, 5.0, 1.5)


def test_a_file_of_before_spaces_is_read(rng, tmp_path):
    brain, music, labels = simulated(rng)
    model = fit(decoder(), brain, music, rois=labels, groups=RUNS)
    path = tmp_path / "decoder.safetensors"
    model.save(path)
    tensors, metadata = _core.io.load_safetensors(path)
    described = json.loads(metadata["brain2music"])
    for field in ("space", "window", "hop"):
        del described["fitted"][field]
    _core.io.save_safetensors(path, tensors, {"brain2music": json.dumps(described)})
    assert b2m.load(path).space_ is None
    described["fitted"]["n_voxels"] = 7
    _core.io.save_safetensors(path, tensors, {"brain2music": json.dumps(described)})
    with pytest.raises(ValueError, match=r"\[brain2music.load\] .*decoder.safetensors: .*field 'voxels.0' must lie in"):
        b2m.load(path)


def test_damaged_files_are_read_or_refused_by_name(rng, tmp_path):
    brain, music, labels = simulated(rng)
    path = tmp_path / "decoder.safetensors"
    fit(decoder(), brain, music, rois=labels, groups=RUNS).save(path)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    messages = []
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[rng.integers(8, header)] = rng.integers(32, 127)
        path.write_bytes(damaged)
        try:
            read = _core.decoding.load_decoder(path)
        except RuntimeError as error:
            messages.append(str(error))
            continue
        predicted = _core.decoding.predict(brain[:2], read["members"], read["voxels"], read["rois"])
        assert np.isfinite(predicted).all()
    assert 250 < len(messages) < 500
    assert all("decoder.safetensors" in message for message in messages)


def test_conventions(rng):
    model = b2m.BrainDecoder(n_rois=3, cv=4)
    assert clone(model).get_params() == model.get_params()
    brain, music, labels = simulated(rng)
    assert fit(decoder(cv=3), brain, music, rois=labels, groups=RUNS).roi_scores_.keys() == {1, 2, 3, 4, 5}
    assert fit(decoder(cv=3), brain, music, rois=labels).roi_scores_.keys() == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": None}, "cv='runs' needs groups, the run of each clip; got None"),
        ({"groups": np.zeros(60)}, "cv='runs' needs two runs or more; got 1"),
        ({"groups": RUNS[:-1]}, "groups must hold one label per row; got shape (59,) for 60 rows"),
        ({"rois": None}, "rois must hold the region of each voxel; got None"),
        ({"rois": np.ones(3, int)}, "rois must hold an integer for each voxel; got [3]"),
        ({"rois": np.zeros(120, int)}, "got 0 of 10 or more for n_rois 2, and 0 smaller"),
        ({"rois": np.zeros(120)}, "rois must be integers; got float64"),
        ({"targets": np.zeros((60, 4))}, "targets must have three dimensions, none of them 0; got shape (60, 4)"),
        ({"targets": np.zeros((59, 4, 8))}, "got [59, 4, 8] for [60, 10, 120] in 4 windows"),
        ({"targets": np.zeros((60, 11, 8))}, "got 11 windows, 10 scans"),
        ({"responses": np.zeros((60, 10))}, "responses must have three dimensions"),
    ],
)
def test_bad_input_is_named(rng, change, message):
    brain, music, labels = simulated(rng)
    given = {"responses": brain, "targets": music, "rois": labels, "groups": RUNS} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        decoder().fit(**given)


def test_values_that_are_not_finite_are_named(rng):
    brain, music, labels = simulated(rng)
    labels[50] = 1
    for value, column in ((np.nan, 50), (np.inf, 50)):
        bad = brain.copy()
        bad[3, 2, column] = value
        with pytest.raises(ValueError, match="at clip 3, scan 2, voxel"):
            decoder().fit(bad, music, rois=labels, groups=RUNS)
    music[5, 1, 2] = np.nan
    with pytest.raises(
        ValueError,
        match="targets must be finite, or NaN in all dimensions of a window; got NaN in some at clip 5, window 1",
    ):
        decoder().fit(brain, music, rois=labels, groups=RUNS)
    with pytest.raises(ValueError, match="voxels must be 'rois'; got 'all'"):
        decoder(voxels="all").fit(brain, music, rois=labels, groups=RUNS)
