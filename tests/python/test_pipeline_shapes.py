"""Studies of other shapes, from files to report: six-second clips without test runs, clips of unequal length; and
embeddings of one's own."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.model_selection import KFold
from small_study import AFFINE

import brain2music as b2m
from brain2music import pipeline
from brain2music.cli import main

#: The signal is strong enough for small penalties.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:\[[a-zA-Z.]+\] the grid of alphas:UserWarning"),
    pytest.mark.filterwarnings("ignore:1 of 4 audio files are not in the corpus, song.m4a:UserWarning"),
]

SHAPE, REGIONS = (6, 5, 4), 6
GENRES = ("ambient", "country", "metal", "rocknroll", "symphonic")
RATE = 22050


class Listening:
    """A study like ds000113: clips of 6 s at a TR of 2 s, all of them heard in every run, no test task.

    Voxels of two regions follow the embeddings of the music, 4 s late.
    """

    def __init__(self, root, seconds=lambda clip: 6.0, runs=3, tr=2.0, repeated=True):
        self.root, self.tr, self.runs, self.repeated = root, tr, runs, repeated
        rng = np.random.default_rng(0)
        self.clips = [f"{genre}_{number:03d}" for genre in GENRES for number in range(5)]
        self.seconds = {name: seconds(number) for number, name in enumerate(self.clips)}
        (root / "stimuli").mkdir(parents=True)
        for number, clip in enumerate(self.clips):
            soundfile.write(root / "stimuli" / f"{clip}.wav", self._music(number, self.seconds[clip]), RATE)
        bundle = b2m.Bundle.default()
        waves = [soundfile.read(root / "stimuli" / f"{clip}.wav", dtype="float32")[0] for clip in self.clips]
        length = min(10.0, *self.seconds.values())
        embedded = bundle.embed("music_embedder", (waves, RATE), window=length, hop=tr, equal=False).values
        self.means = np.nanmean(embedded, axis=1)
        weights = rng.standard_normal((self.means.shape[1], np.prod(SHAPE)))
        labels = (np.arange(np.prod(SHAPE)) % REGIONS + 1).reshape(SHAPE).astype(np.int16)
        self.signal = (self.means - self.means.mean(axis=0)) @ weights
        self.signal *= 15 / self.signal.std(axis=0)
        self.signal[:, labels.ravel() > 2] = 0
        nib.save(nib.Nifti1Image(labels, AFFINE), root / "labels.nii.gz")
        rows = [f"{n}\tregion {n}" for n in range(1, REGIONS + 1)]
        (root / "labels.tsv").write_text("\n".join(["index\tname", *rows]) + "\n")
        (root / "corpus").mkdir()
        (root / "corpus" / "song.m4a").write_bytes(b"no decoder for it")
        for number in range(3):
            soundfile.write(root / "corpus" / f"track_{number}.wav", self._music(100 + number, 15), RATE)
        for run in range(1, runs + 1):
            self._run(run, rng)
        rules = {
            **{"train_task": "listen", "test_task": None, "track": "stim", "track_name": "{track}", "genre": "genre"},
            **{"genres": None, "start": None, "end": None, "dummies": 0, "train_repeats": True},
        }
        self.rules = root.parent / "rules.json"
        self.rules.write_text(json.dumps(rules))

    def _music(self, number, seconds):
        rng = np.random.default_rng(number)
        time = np.arange(round(seconds * RATE)) / RATE
        notes = 110 * 2 ** (rng.integers(0, 36, 8) / 12)
        tune = notes[(time * (2 + number % 5)).astype(int) % 8]
        sound = np.sin(2 * np.pi * np.cumsum(tune) / RATE) + 0.05 * (number // 5) * rng.standard_normal(len(time))
        return (0.2 * sound).astype(np.float32)

    def _run(self, run, rng):
        order = rng.permutation(len(self.clips)) if self.repeated else np.arange(run - 1, len(self.clips), self.runs)
        bold = 10 * rng.standard_normal((np.prod(SHAPE), 4000)) + 1000
        rows, onset = [], 0.0
        for index in order:
            clip = self.clips[index]
            scans = round(self.seconds[clip] / self.tr)
            first = round(onset / self.tr) + round(4 / self.tr)
            bold[:, first : first + scans] += self.signal[index][:, None]
            rows.append((f"{onset + 0.01:.2f}", self.seconds[clip], f"{clip}.wav", clip.split("_")[0], 0))
            onset += (scans + 3) * self.tr
        name = f"sub-01_task-listen_run-{run}"
        func = self.root / "sub-01" / "func"
        func.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame(rows, columns=["onset", "duration", "stim", "genre", "catch"])
        table.to_csv(func / f"{name}_events.tsv", sep="\t", index=False)
        volumes = round(onset / self.tr)
        image = nib.Nifti1Image(bold[:, :volumes].reshape(*SHAPE, volumes).astype(np.float32), AFFINE)
        image.header.set_xyzt_units("mm", "sec")
        image.header.set_zooms((3, 3, 3, self.tr))
        nib.save(image, func / f"{name}_bold.nii")

    def command(self, *more):
        return [str(self.root), "--events", str(self.rules), "--rois", str(self.root / "labels.nii.gz"),
                "--min-regions", "6", "--assume-aligned", "--n-rois", "2", "--delay", "4", *more]  # fmt: skip


def figure(out, metric, stage="decode-test", embedding="music_embedder"):
    table = pd.read_csv(out / "evaluate.tsv", sep="\t")
    chosen = table[(table.stage == stage) & (table.metric == metric) & (table.genre == "all")]
    return float(chosen[chosen.embedding == embedding].value.iloc[0])


@pytest.fixture(scope="module")
def six_seconds(tmp_path_factory):
    """The study, and the results of ``brain2music run``."""
    folder = tmp_path_factory.mktemp("six")
    study = Listening(folder / "study")
    out = folder / "out"
    corpus = b2m.Corpus.from_embeddings(study.means, [f"other {name}" for name in study.clips])
    corpus.save(folder / "own.index")
    more = ["--no-generation", "--embeddings", "music_embedder", "codec"]
    assert main(["run", "--quiet", *study.command()[:1], str(out), *study.command()[1:], *more]) == 0
    return study, out, folder


def test_windows_are_as_long_as_short_clips(six_seconds):
    _, out, _ = six_seconds
    (path,) = (out / "embed").glob("music_embedder*.safetensors")
    embedded = b2m.Embeddings.load(path)
    assert (embedded.window, embedded.hop, embedded.values.shape) == (6, 2, (25, 1, 128))
    waveform, rate = pipeline.Context.open(out, progress=False).study.stimuli["country_003.wav_0.00"]
    whole = np.tile(waveform, 2)[: 10 * rate]  # the network's own 10 s
    alone = b2m.Bundle.default().embed("music_embedder", (whole[None], rate)).values[0]
    np.testing.assert_allclose(embedded[["country_003.wav_0.00"]].values[0], alone, rtol=1e-3, atol=1e-4)
    (path,) = (out / "embed").glob("codec*.safetensors")
    assert b2m.Embeddings.load(path).values.shape[1] == 3  # a window of 1.5 s at each scan


def test_without_test_runs_every_clip_is_decoded_by_others(six_seconds):
    _, out, _ = six_seconds
    assert figure(out, "identification") > 0.75
    assert figure(out, "identification_p") < 0.01
    table = pd.read_csv(out / "evaluate.tsv", sep="\t")
    assert set(table[table.metric == "identification"].n) >= {25}
    context = pipeline.Context.open(out, progress=False)
    decoded = pipeline.decode(context, "01", "music_embedder")
    assert decoded.without_test
    np.testing.assert_array_equal(decoded.test, decoded.cross_validated)
    assert np.abs(decoded.test - decoded.train).max() > 0.1  # nothing that saw the clip
    notes = " ".join(decoded.notes)
    assert "There are no test runs: each of 25 clips was decoded by a decoder that was fitted to the clips of" in notes
    assert "All training clips were first heard in one run" in notes
    assert "25 training clips are heard up to 3 times: their responses are averaged." in notes
    page = (out / "report.html").read_text()
    assert "25 clips, cross-validated" in page
    assert "There were no test runs" in page
    assert "1 of 4 audio files could not be used, song.m4a the first" in page


def test_cross_validated_predictions_are_those_of_folds_by_hand(six_seconds):
    _, out, _ = six_seconds
    context = pipeline.Context.open(out, progress=False)
    brain = context.study.responses("01", 2)
    music = pipeline.embed(context, "music_embedder")[0][brain.train_clips]
    decoded = pipeline.decode(context, "01", "music_embedder")
    for rest, held in KFold(5, shuffle=True, random_state=0).split(brain.train):
        decoder = b2m.BrainDecoder(n_rois=2, cv=5, tr=2.0)
        decoder.fit(brain.train[rest], music[brain.train_clips.ids[rest]], rois=brain.rois)
        np.testing.assert_allclose(decoded.test[held], decoder.predict(brain.train[held]), rtol=1e-5, atol=1e-5)


def test_encoding_is_cross_validated_too(six_seconds):
    _, out, _ = six_seconds
    table = pd.read_csv(out / "encode.tsv", sep="\t").set_index(["features", "test"])
    assert set(table.index.get_level_values("test")) == {"test", "genre"}
    assert table.loc[("music_embedder", "test"), "fdr"] > 15  # of 40 voxels that follow the music
    assert table.loc[("random", "test"), "fdr"] < 5
    encoded = pipeline.encode(pipeline.Context.open(out, progress=False), "01", "music_embedder")
    found = encoded.voxels["q"] <= 0.05
    assert np.isin(encoded.voxels["region"][found], [1, 2]).mean() > 0.9


def test_a_check_says_what_a_run_does(six_seconds, capsys):
    study, _, _ = six_seconds
    assert main(["check", *study.command()]) == 0
    assert "sub-01: 3 runs, 25 clips, to be cross-validated, 120 voxels in 6 regions" in capsys.readouterr().out


def test_embeddings_of_ones_own_take_the_place_of_the_bundles(six_seconds, tmp_path):
    study, _, folder = six_seconds
    ids = [f"{clip}.wav_0.00" for clip in study.clips]
    more = np.random.default_rng(1).standard_normal((4, study.means.shape[1]))
    own = b2m.Embeddings.from_arrays(np.concatenate([study.means, more]), [*ids, *"abcd"], window=6, hop=2)
    own.save(tmp_path / "mert.safetensors")
    command = [*study.command()[:1], str(tmp_path / "out"), *study.command()[1:]]
    file = ["--embeddings-file", str(tmp_path / "mert.safetensors"), "--no-encoding"]
    assert main(["run", "--quiet", *command, *file]) == 0
    out = tmp_path / "out"
    assert figure(out, "identification", embedding="own") > 0.75
    page = (out / "report.html").read_text()
    assert "embeddings from mert.safetensors" in page
    assert "the nearest of 4 tracks" in page
    assert "cannot make any from embeddings of your own" in page
    with_index = [*command[:1], str(tmp_path / "indexed"), *command[2:], "--corpus", str(folder / "own.index")]
    assert main(["run", "--quiet", *with_index, *file]) == 0
    assert "the nearest of 25 tracks" in (tmp_path / "indexed" / "report.html").read_text()
    own[ids].save(tmp_path / "clips.safetensors")
    alone = [*command[:1], str(tmp_path / "alone"), *command[2:]]
    assert (
        main(["run", "--quiet", *alone, "--embeddings-file", str(tmp_path / "clips.safetensors"), "--no-encoding"]) == 0
    )
    assert "Music retrieved" not in (tmp_path / "alone" / "report.html").read_text()
    assert main(["retrieve", str(tmp_path / "alone")]) == 1


def test_what_is_wrong_with_ones_own_embeddings_is_told_by_the_check(six_seconds, tmp_path, capsys):
    study, _, folder = six_seconds
    ids = [f"{clip}.wav_0.00" for clip in study.clips]
    path = tmp_path / "own.safetensors"
    command = ["check", *study.command(), "--embeddings-file", str(path)]
    b2m.Embeddings.from_arrays(study.means[1:], ids[1:], 6, 2).save(path)
    assert main(command) == 1
    assert "embeddings_file must hold every clip of the study; got none for 1 of 25, 'ambient_000.wav_0.00'" in (
        capsys.readouterr().out
    )
    b2m.Embeddings.from_arrays(study.means, ids, 2, 2).save(path)
    assert main(command) == 1
    assert "got 1 in place of 3 windows of 2.0 s every 2.0 s" in capsys.readouterr().out
    b2m.Embeddings.from_arrays(study.means[:, :5], ids, 6, 2).save(path)
    assert main([*command, "--corpus", str(folder / "own.index")]) == 1
    assert "the library must be embedded as the embeddings of embeddings_file, 5 dimensions" in capsys.readouterr().out


def test_clips_of_unequal_length(tmp_path):
    study = Listening(tmp_path / "study", lambda number: 10.5 + 1.5 * (number % 4), tr=1.5, repeated=False, runs=5)
    text = json.loads(study.rules.read_text())
    arguments = [*study.command()[:1], str(tmp_path / "out"), *study.command()[1:]]
    options = [*arguments, "--no-generation", "--embeddings", "music_embedder", "--no-held-out-genres"]
    assert main(["run", "--quiet", *options]) == 1  # not unless the rules say so
    study.rules.write_text(json.dumps({**text, "equal_lengths": False}))
    assert main(["run", "--quiet", *options]) == 0
    context = pipeline.Context.open(tmp_path / "out", progress=False)
    brain = context.study.responses("01", 3)
    assert brain.train.shape[1] == 10
    lengths = (~np.isnan(brain.train[:, :, 0])).sum(axis=1)
    assert sorted(set(lengths.tolist())) == [7, 8, 9, 10]
    embedded = pipeline.embed(context, "music_embedder")[0]
    assert embedded.present.sum(axis=1).tolist() == [1 + number % 4 for number in range(25)]
    decoded = pipeline.decode(context, "01", "music_embedder")
    np.testing.assert_array_equal(np.isnan(decoded.test[:, :, 0]), ~embedded[decoded.test_clips.ids].present)
    assert figure(tmp_path / "out", "identification") > 0.7
    assert "Clips last 10.5 to 15 s" in " ".join(decoded.notes)
