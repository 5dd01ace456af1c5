"""The main job, from a simulated study to the report; and that it finds nothing where there is nothing."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings

import nibabel as nib
import numpy as np
import pytest

import brain2music as b2m
import brain2music.simulation.study
from brain2music import metrics, pipeline
from brain2music.cli import main
from brain2music.evaluation import read_rows
from brain2music.simulation import simulate

#: Little to do, all of it real.
OPTIONS = ["--subjects", "001", "--embeddings", "music_embedder", "--no-held-out-genres", "--examples", "2"]
OPTIONS += ["--no-generation", "--quiet"]


@pytest.fixture(scope="module")
def results(simulated, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "results"
    with warnings.catch_warnings():
        # On 80 clips a dimension or two of a thousand may like the smallest penalty best.
        warnings.filterwarnings("ignore", ".*the grid of alphas should reach", UserWarning)
        assert main(["run", str(simulated), str(out), "--examples", "2", "--conditioning", "clip", "--quiet"]) == 0
    return out


def test_every_figure_stands_beside_chance_and_oracle(results):
    rows = read_rows(results / "evaluate.tsv")
    stages = {"decode-test", "decode-train", "decode-heldout", "retrieve-test", "generate-test"}
    assert {row.stage for row in rows} == stages
    assert {row.subject for row in rows} == {"001", "002"}
    assert {row.embedding for row in rows} == {"music_embedder", "text_embedder", "semantic_encoder", "codec"}
    assert {f"agreement_{group}" for group in metrics.TOP_N} < {row.metric for row in rows}
    headline = [row for row in rows if row.genre == "all" and row.metric == "identification"]
    assert len(headline) == 2 * (4 * 3 + 1 + 1)
    for row in headline:
        # What is made of the true embedding does better; chance is that of a random pick.
        assert row.value <= row.oracle + 0.05 * row.stage.startswith("generate")
        assert row.chance == pytest.approx(0.5, abs=0.02)
    assert all(row.oracle == 1 for row in headline if row.stage.startswith("decode"))


def test_music_is_decoded_where_there_is_music(results):
    rows = read_rows(results / "evaluate.tsv")
    found = [
        row.value for row in rows if (row.stage, row.genre, row.metric) == ("decode-test", "all", "identification")
    ]
    assert np.mean(found) > 0.6


def test_music_is_generated_as_long_as_what_was_heard(results):
    context = pipeline.Context.open(results, progress=False)
    made, decoded = pipeline.generate(context, "001", "clip")
    assert list(made.clips) == decoded.test_clips.ids.tolist()
    for clip in made.clips:
        waveform, rate = made.sound(clip)
        assert len(waveform) == 15 * rate
        assert waveform.std() > 1e-3
    other = pipeline.generate(context, "002", "clip")[0]
    folders = {made.folder, pipeline.generate_oracle(context).folder, other.folder}
    assert len({(folder / f"{made.clips[0]}.wav").read_bytes() for folder in folders}) == 3
    # What was written is what was listened to.
    waveform, rate = made.sound(made.clips[0])
    again = context.bundle.embed("music_embedder", (waveform[None], rate)).values.mean(axis=1)[0]
    np.testing.assert_allclose(again, made.embedded[0, 0], atol=0.02)


def test_regions_that_predict_best_are_those_that_hear(simulated, results):
    context = pipeline.Context.open(results, progress=False)
    decoded = pipeline.decode(context, "001", "music_embedder")
    assert b2m.load(decoded.folder / "decoder.safetensors").space_ == pipeline.embed(context, "music_embedder")[0].space
    best = [decoded.roi_names[label] for label in decoded.rois]
    heard = ("transv", "temp_sup", "Lat_Fis-post", "temporal_sup")
    assert sum(any(part in name for part in heard) for name in best) >= 3, best


def test_every_feature_space_and_control_is_encoded(results):
    context = pipeline.Context.open(results, progress=False)
    tables = {}
    for name in ("encode", "encode-regions"):
        lines = [line.split("\t") for line in (results / f"{name}.tsv").read_text().splitlines()]
        assert list(json.loads((results / f"{name}.json").read_text())) == lines[0]
        tables[name] = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    rows = {(row["subject"], row["features"], row["test"]): row for row in tables["encode"]}
    spaces = (*context.embeddings, "genre", "mean", "random")
    extra = {(subject, context.embeddings[0], test) for subject in context.subjects for test in ("all", "genre")}
    assert rows.keys() == {(subject, name, "test") for subject in context.subjects for name in spaces} | extra
    for subject in context.subjects:
        for control in ("mean", "random"):
            assert int(rows[subject, control, "test"]["max"]) <= 1
        # All clips tell more than the test clips alone, genres that were never heard less.
        found = [int(rows[subject, context.embeddings[0], test]["fdr"]) for test in ("genre", "test", "all")]
        assert found[0] < found[2]
        assert found[1] < found[2]
    best = max(
        tables["encode-regions"], key=lambda row: float("-inf") if row["r_mean"] == "n/a" else float(row["r_mean"])
    )
    assert "temp" in best["region"]


def test_voxels_that_are_encoded_are_those_that_hear(results):
    context = pipeline.Context.open(results, progress=False)
    found = pipeline.encode(context, "001", "music_embedder")
    row = next(row for row in found.rows if row.test == "test")
    decoded = pipeline.decode(context, "001", "music_embedder")
    p, q = (nib.load(found.folder / f"{name}.nii.gz").get_fdata() for name in ("p", "q"))
    labels = nib.load(decoded.folder / "labels.nii.gz").get_fdata()
    heard = ("transv", "temp_sup", "Lat_Fis-post", "temporal_sup")
    hears = np.isin(labels, [n for n, name in decoded.roi_names.items() if any(part in name for part in heard)])
    tested = np.isfinite(p)
    assert tested.sum() == row.voxels
    assert (q <= 0.05).sum() == row.fdr
    # Twenty test clips show a voxel in five of those that hear; of the others, few more than one in twenty.
    assert (p[hears & tested] <= 0.05).mean() > 0.12
    assert (p[~hears & tested] <= 0.05).mean() < 0.08
    assert b2m.load(found.folder / "encoder.safetensors").coef_.shape[1] == tested.sum()


def test_the_report_says_what_the_table_says(results):
    page = (results / "report.html").read_text()
    rows = read_rows(results / "evaluate.tsv")
    values = [
        row.value
        for row in rows
        if (row.stage, row.embedding, row.genre, row.metric)
        == ("decode-test", "music_embedder", "all", "identification")
    ]
    assert f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" in page
    assert page.count("<audio") == 2 * 5
    assert len(page) < 25_000_000
    assert "Never seen" in page
    assert "Where each feature of music lives" in page
    assert "data-cortex" in page


def test_no_track_of_the_study_is_in_its_library(simulated, results, tmp_path):
    context = pipeline.Context.open(results, progress=False)
    corpus = pipeline.library(context).corpus
    heard = set(context.tracks)
    assert not heard & {track.rpartition("/")[2] for track in corpus.ids}
    # A library that holds them: they are taken out, unless asked for.
    mixed = tmp_path / "mixed"
    shutil.copytree(simulated / "corpus", mixed, copy_function=os.link)
    name = sorted(heard)[0]
    genre = name.partition(".")[0]
    os.link(simulated / f"stimuli/genres/{genre}/{name}.wav", mixed / f"genres/{genre}/{name}.wav")
    b2m.Corpus.build(mixed, context.bundle, tmp_path / "mixed.index", progress=False)
    for include, expected in ((False, 30), (True, 31)):
        settings = pipeline.Settings(str(simulated), corpus=str(tmp_path / "mixed.index"), include_stimuli=include)
        assert len(pipeline.library(pipeline.Context(settings, tmp_path / "out", False)).corpus) == expected


def test_a_bundle_whose_card_changed_gets_an_index_of_its_own(simulated, tmp_path):
    shutil.copytree(b2m.Bundle.shipped("acoustic", device="cpu").path, tmp_path / "bundle")
    settings = pipeline.Settings(str(simulated), bundle=str(tmp_path / "bundle"), embeddings=("music_embedder",))
    first = pipeline.library(pipeline.Context(settings, tmp_path / "out", progress=False)).corpus
    manifest = tmp_path / "bundle" / "bundle.json"
    described = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**described, "description": "The same networks, told anew."}))
    again = pipeline.library(pipeline.Context(settings, tmp_path / "out", progress=False)).corpus
    np.testing.assert_array_equal(again.ids, first.ids)
    assert len(list((tmp_path / "out" / "retrieve").glob("*.index"))) == 2


def test_a_second_run_does_nothing_again(results):
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()}
    assert main(["decode", str(results), "--quiet"]) == 0
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()} == before
    assert json.loads((results / "config.json").read_text())["examples"] == 2


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def test_killed_at_random_points_it_ends_with_the_same_bytes(simulated, tmp_path):
    command = [sys.executable, "-m", "brain2music", "run", str(simulated)]
    subprocess.run([*command, str(tmp_path / "whole"), *OPTIONS], check=True)
    whole = tree(tmp_path / "whole")
    draw = random.Random(0)
    kills = 0
    # By what has been written, not by the clock: a machine may be busy once and idle the next time.
    for files in sorted(draw.sample(range(1, len(whole) - 3), 3)):
        run = subprocess.Popen([*command, str(tmp_path / "killed"), *OPTIONS])
        while run.poll() is None and sum(len(names) for *_, names in os.walk(tmp_path / "killed")) < files:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.1))
        if run.poll() is None:
            run.send_signal(signal.SIGKILL)
            run.wait()
            kills += 1
    subprocess.run([*command, str(tmp_path / "killed"), *OPTIONS], check=True)
    assert kills >= 2
    killed = tree(tmp_path / "killed")
    assert whole.keys() == killed.keys()
    assert [name for name in whole if whole[name] != killed[name]] == []


# Where there is nothing to find, the best penalty may well be the greatest.
@pytest.mark.filterwarnings("ignore:.*the grid of alphas should reach")
def test_twenty_null_studies_decode_at_chance(simulated, simulated_settings, tmp_path):
    folder = tmp_path / "null"
    settings = {**simulated_settings, "subjects": 20, "voxel_size": 6.0, "signal": 0.0, "corpus": 0}
    brain2music.simulation.study._claim(folder, brain2music.simulation.study._Settings(**settings))
    shutil.copytree(simulated / "stimuli", folder / "stimuli", copy_function=os.link)
    simulate(folder, **settings, progress=False)
    study = b2m.Study(folder, rois="destrieux", cache=False)
    assert len(study.subjects) == 20
    music = b2m.Bundle.default().embed("music_embedder", study.stimuli)
    scores, nulls = [], []
    for subject in study.subjects:
        brain = study.responses(subject)
        decoder = b2m.BrainDecoder(min_voxels=5)
        decoder.fit(brain.train, music[brain.train_clips], rois=brain.rois, groups=brain.train_clips.run)
        predicted, target = decoder.predict(brain.test, missing="nan"), music[brain.test_clips].values
        pair = pipeline.average(predicted, target)
        scores.append(metrics.identification_accuracy(*pair).mean)
        nulls.append(np.mean(metrics.permutation_null(*pair, n_permutations=200, seed=0)))
    apart = np.array(scores) - np.array(nulls)
    assert abs(apart.mean()) < 3 * apart.std(ddof=1) / np.sqrt(len(apart))
    assert 0.005 < apart.std(ddof=1) < 0.2  # they differ: it is no constant that was compared


def test_bad_settings_are_named(simulated, tmp_path, capsys):
    for options, words in (
        (["--n-rois", "0"], "n_rois must be a whole number from 1; got 0"),
        (["--cv", "folds"], "cv must be 'runs' or a number of folds from 2; got 'folds'"),
        (["--subjects", "009"], "subjects must be among 001, 002; got 009"),
        (["--bundle", "acoustic", "--embeddings", "text_embedder"], "the bundle must fill the roles asked for"),
        (["--corpus", str(tmp_path / "none.index")], "none.index"),
    ):
        assert main(["run", str(simulated), str(tmp_path / "out"), *options, "--quiet"]) == 1
        assert words in capsys.readouterr().err
    assert main(["report", str(tmp_path / "nowhere"), "--quiet"]) == 1
    assert "must hold config.json" in capsys.readouterr().err
    path = tmp_path / "config.json"
    path.write_text('{"study": "x", "nois": 3}')
    assert main(["run", str(tmp_path / "out"), "--config", str(path), "--quiet"]) == 1
    assert "got ['nois']" in capsys.readouterr().err
