"""A bundle of one's own music: which excerpts a folder gives, what is refused, and a tiny bundle that makes music."""

import csv
import sys
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

import brain2music as b2m
from brain2music.recipes import OwnMusic, Plan, Recipe, codec_training, language, own_music, tagger
from brain2music.recipes import recipe as recipe_module

RATE = 8000
SCRIPT = Path(__file__).parents[3] / "examples" / "train_bundle" / "train_bundle.py"


def tone(seconds, hertz):
    t = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(int(hertz)).standard_normal(len(t))
    return 0.3 * np.sin(2 * np.pi * hertz * t) * (1 + np.sin(2 * np.pi * t / 3)) / 2 + 0.02 * noise


def table(path, header, *rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Four tracks of 2, 1, 3 and 1 excerpts, one with a silent minute, one that is short, and one that is no audio."""
    folder = tmp_path_factory.mktemp("music")
    (folder / "live").mkdir()
    sounds = {
        "a.wav": tone(65.5, 440),
        "live/b.flac": np.stack([tone(29.95, 220), np.zeros(round(29.95 * RATE))], 1),
        "live/c, long.wav": np.concatenate([tone(60, 330), np.zeros(60 * RATE), tone(30, 110)]),
        "d.wav": tone(31, 550),
        "short.wav": tone(29, 660),
    }
    for name, sound in sounds.items():
        soundfile.write(folder / name, sound, RATE, subtype="PCM_24")
    (folder / "broken.mp3").write_bytes(b"no music at all")
    (folder / "e.m4a").write_bytes(b"music, but not read")
    (folder / "cover.jpg").write_bytes(b"no music")
    return folder


@pytest.fixture(scope="module")
def captions(music):
    return table(
        music.with_name("captions.csv"),
        "file,caption,start,stop",
        ("a.wav", "a loud tone", "", ""),
        ("a.wav", "a tone, the end of it", "25", "55.5"),
        ("a.wav", "a tone, so short", "33", "40"),
        ("live/b.flac", "a deep tone", "", ""),
        ("live/c, long.wav", "a tone for a minute", "0", "60"),
        ("d.wav", "a high tone, a high one", "", ""),
    )


@pytest.fixture(scope="module")
def tags(music):
    return table(
        music.with_name("tags.csv"),
        "file,group,tag",
        *[(file, "pitch", pitch) for file, pitch in (("a.wav", "high"), ("live/b.flac", "low"), ("d.wav", "high"))],
        *[(file, "colour", colour) for file in ("a.wav", "d.wav") for colour in ("tone", "noise")],
    )


def made(music, captions, tmp_path, tags=None, **options):
    with pytest.warns(UserWarning, match=r"parts of the music are left out, .* the first: .*left_out.tsv"):
        return OwnMusic(music, captions, tags, **options).excerpts(tmp_path, processes=1, progress=False)


def test_files_become_excerpts_with_their_captions_and_tags(music, captions, tags, tmp_path):
    training, validation = made(music, captions, tmp_path, tags, seed=1)
    both = {about.name: (excerpts, row) for excerpts in (training, validation) for row, about in enumerate(excerpts)}
    assert sorted(both) == [
        *("a.wav@0", "a.wav@30", "d.wav@0", "live/b.flac@0"),
        *("live/c, long.wav@0", "live/c, long.wav@120", "live/c, long.wav@30"),
    ]
    assert len({about.name.partition("@")[0] for about in validation}) == 1
    about = {name: excerpts[row] for name, (excerpts, row) in both.items()}
    assert about["a.wav@0"].captions == ((0.0, 30.0, "a loud tone"),)
    assert about["a.wav@30"].captions == ((0.0, 30.0, "a loud tone"), (0.0, 25.5, "a tone, the end of it"))
    assert about["live/c, long.wav@120"].captions == ()
    assert about["a.wav@30"].tags == ((0.0, 30.0, ("high", "noise", "tone")),)
    assert about["live/c, long.wav@0"].tags == ()
    for name, first in (("a.wav@30", 30), ("live/b.flac@0", 0)):
        excerpts, row = both[name]
        file = music / name.partition("@")[0]
        true = soundfile.read(file, dtype="float32", always_2d=True)[0].mean(1)
        true = scipy.signal.resample_poly(true, 2, 1)[first * 16_000 : (first + 30) * 16_000]
        assert np.corrcoef(excerpts.sound(row)[: len(true)], true)[0, 1] > 0.999
        assert excerpts.sound(row).shape == (480_000,)
    listed = [line.split("\t") for line in (tmp_path / "music" / "left_out.tsv").read_text().splitlines()]
    assert [what for what, _ in listed] == [
        *(
            "what",
            "e.m4a",
            "a.wav, 60 to 65.50 s",
            "a.wav, caption from 33 to 40 s",
            "broken.mp3",
            "d.wav, 30 to 31.00 s",
        ),
        *("live/c, long.wav, 60 to 90 s", "live/c, long.wav, 90 to 120 s", "live/c, long.wav, 120 to 150 s"),
        "short.wav, 0 to 29.00 s",
    ]
    assert listed[1][1].startswith("its ending must be one that is read")
    assert listed[4][1].startswith("[io.load_audio]")
    assert listed[6][1] == "there must be sound; got silence"
    assert listed[8][1].startswith("no caption of 10 s of it or more")


def test_blocks_are_written_once_and_other_music_is_refused(music, captions, tmp_path, monkeypatch):
    monkeypatch.setattr(own_music, "_BLOCK_BYTES", 1)
    first = made(music, captions, tmp_path)
    blocks = sorted(path.name for path in (tmp_path / "music").glob("excerpts-*.npy"))
    assert len(blocks) == 6
    for name in ("excerpts-000000.json", "excerpts-000000.npy"):
        (tmp_path / "music" / name).unlink()  # as if it had been stopped in the first block
    read = []
    monkeypatch.setattr(own_music, "read_mono", lambda folder, file: read.append(file) or plain(folder, file))
    second = made(music, captions, tmp_path)
    assert read == ["a.wav"]
    for one, other in zip(first, second, strict=True):
        assert list(one) == list(other)
        np.testing.assert_array_equal(one.sound(0), other.sound(0))
    with pytest.raises(ValueError, match=r"\[recipes.write_excerpts\] a folder holds excerpts of one kind; got 'own"):
        OwnMusic(music, captions, seed=9).excerpts(tmp_path, 1, False)
    (tmp_path / "identity.txt").write_text("composer")
    with pytest.raises(ValueError, match=r"\[recipes.write_excerpts\] .* got 'composer' in .*, to be filled with 'own"):
        Recipe(tmp_path, source=OwnMusic(music, captions), progress=False).excerpts()


plain = own_music.read_mono


def test_files_of_equal_bytes_are_on_one_side_and_loud_ones_are_turned_down(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    for name in ("a", "again", "b"):
        loud = 3 * tone(31, 880 if name == "b" else 440)
        soundfile.write(folder / f"{name}.wav", loud.astype(np.float32), RATE, subtype="FLOAT")
    captions = table(tmp_path / "c.csv", "file,caption", *[(f"{name}.wav", "one tone") for name in ("a", "again", "b")])
    for seed in range(4):
        sides = made(folder, captions, tmp_path / str(seed), seed=seed)
        names = [{about.name.partition(".")[0] for about in side} for side in sides]
        assert sorted(map(sorted, names)) == [["a", "again"], ["b"]]
    whole = np.concatenate([side.sound(row) for side in sides for row in range(len(side))])
    assert np.abs(whole).max() <= 1
    assert np.abs(np.diff(whole)).max() < 1.2  # what does not fit 16 bits would wrap around


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("file,caption", ("e.wav", "x"), r"path below the folder, with its ending; got 'e.wav' in row 1 of .*c.csv"),
        ("file,caption", ("a.wav", "…"), "a caption must hold letters from A to Z or digits, .*; got '…' in row 1"),
        ("file,text", ("a.wav", "x"), r"columns file and caption must be there once; got \['file', 'text'\]"),
        ("file,caption,start", ("a.wav", "x", "1:30"), "start and stop must be seconds of the file, .*; got '1:30'"),
        ("file,caption,start,stop", ("a.wav", "x", "9", "8"), "start before stop; got '9' and '8' in row 1"),
        ("file,caption", ("a.wav", "x"), r"two files or more must give excerpts with captions, .*; got 1 of 6 files"),
    ],
)
def test_captions_that_cannot_be_used_are_named(music, tmp_path, header, row, message):
    captions = table(tmp_path / "c.csv", header, row)
    with pytest.raises(ValueError, match=rf"\[recipes.OwnMusic\] .*{message}"):
        OwnMusic(music, captions).excerpts(tmp_path / "work", 1, False)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "tags must hold a row; got none in"),
        ([("a.wav", "", "x")], "a row must name a group and a tag; got '' and 'x' in row 1"),
        ([("a.wav", "g", "x"), ("d.wav", "h", "x")], "a tag must be of one group; got 'x' of 'g' and 'h' in row 2"),
    ],
)
def test_tags_that_cannot_be_used_are_named(music, captions, tmp_path, rows, message):
    with pytest.raises(ValueError, match=rf"\[recipes.OwnMusic\] {message}"):
        OwnMusic(music, captions, table(tmp_path / "t.csv", "file,group,tag", *rows))


def test_folders_without_music_are_refused(music, captions, tmp_path):
    with pytest.raises(ValueError, match=r"\[recipes.OwnMusic\] folder must hold audio files"):
        OwnMusic(tmp_path, captions)
    with pytest.raises(ValueError, match=r"\[recipes.OwnMusic\] folder must be a folder of audio files; got .*none"):
        OwnMusic(tmp_path / "none", captions)


def test_a_tiny_bundle_of_own_music_makes_music(music, captions, tmp_path, monkeypatch):
    monkeypatch.setattr(codec_training, "_BATCH", 2)
    monkeypatch.setattr(recipe_module, "train_language", partial(language.train_language, batch=2))
    plan = Plan(embedder=2, codec=2, semantic=2, acoustic=2, clusters=8, codes=8, directions=4)
    recipe = Recipe(tmp_path / "work", plan, source=OwnMusic(music, captions), processes=1, progress=False)
    with pytest.warns(UserWarning, match="left out"):
        recipe.excerpts()
    script = module()
    bundle = b2m.Bundle(recipe.bundle(tmp_path / "bundle", name="own", cards=script.cards("Test.", "CC0-1.0")))
    assert "tagger" not in bundle.roles
    with pytest.raises(ValueError, match=r"\[recipes.Recipe\] a tagger learns from tags; got none of own music, "):
        recipe.tagger()
    near = bundle.embed("text_embedder", ["a deep tone"])
    audio = b2m.MusicGenerator(bundle).generate(near.values[:, 0], seconds=1.0, seed=1)
    assert audio.waveform.shape == (1, 1, 1, 16_000)
    assert np.isfinite(audio.waveform).all()


def test_tags_of_some_files_teach_tagger_and_embedder(music, captions, tags, tmp_path, monkeypatch):
    monkeypatch.setattr(tagger, "_BATCH", 4)
    source = OwnMusic(music, captions, tags, seed=1)
    recipe = Recipe(tmp_path, Plan(embedder=1, tagger=2), source=source, processes=1, progress=False)
    with pytest.warns(UserWarning, match="left out"):
        recipe.excerpts()
    assert sum(bool(about.tags) for about in recipe.excerpts()[0]) < len(recipe.excerpts()[0])
    network, classes, groups = recipe.tagger()
    assert groups == {"colour": ["noise", "tone"], "pitch": ["high", "low"]}
    assert classes == ["noise", "tone", "high", "low"]
    assert network.groups == [2, -2]  # each file that is tagged has one pitch; some have two colours, one has none
    assert recipe.embedder().tags.out_features == 4


def module():
    spec = spec_from_file_location("train_bundle", SCRIPT)
    script = module_from_spec(spec)
    sys.modules[spec.name] = script
    spec.loader.exec_module(script)
    return script


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--music", "."], "--music and --captions go together"),
        (["--tags", "t.csv"], "--music and --captions go together, and --tags with them"),
        (["--music", ".", "--captions", "c.csv", "--excerpts", "9"], "--excerpts is for the composer"),
        (["--music", "none", "--captions", "c.csv"], "[recipes.OwnMusic] folder must be a folder of audio files"),
        (["--device", "tpu"], "device"),
    ],
)
def test_the_command_says_what_does_not_go_together(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        module().main(["work", "out", *words])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
