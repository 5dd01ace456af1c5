"""A library as people have it: what is not in the corpus is listed with its reason, and nothing vanishes."""

import json

import numpy as np
import pytest
import soundfile
from test_retrieval_build import RATE, FakeBundle, build, bytes_of, write

import brain2music as b2m
from brain2music import sound
from brain2music.cli import main
from brain2music.retrieval import Skipped, building, skipped

pytestmark = pytest.mark.filterwarnings("ignore:7 of 9 audio files", "ignore:8 of 10 audio files")

READ = ", ".join(sound.ENDINGS)


@pytest.fixture
def library(tmp_path):
    """Two tracks, and beside them all kinds of files that are none."""
    folder = tmp_path / "library"
    for number, file in enumerate(("a.wav", "genre/b.flac")):
        write(folder / file, seed=number)
    soundfile.write(folder / "silent 10.wav", np.zeros(4 * RATE), RATE)
    soundfile.write(folder / "silent 2.wav", np.zeros(4 * RATE), RATE)
    (folder / "empty.mp3").write_bytes(b"")
    (folder / "links.ogg").symlink_to("../.git/annex/objects/xx/MD5E-s9--0.ogg")
    (folder / "pointer.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    for file in ("song.m4a", "genre/Other.WMA", "genre/cover.jpg", "genre/cover 2.jpg", "list.cue", "README"):
        (folder / file).write_bytes(b"anything")
    (folder / "._a.wav").write_bytes(bytes(100))
    (folder / ".DS_Store").write_bytes(bytes(100))
    write(folder / ".trash" / "thrown away.wav", seed=5)
    return folder


def expected(ending):
    return f"its ending must be one that is read ({READ}); got {ending}: convert it, for example to .flac"


ALL = {
    "README": "no audio, by its ending; got none",
    "empty.mp3": "a file must hold audio; got 0 bytes in empty.mp3",
    "genre/Other.WMA": expected(".wma"),
    "genre/cover 2.jpg": "no audio, by its ending; got .jpg",
    "genre/cover.jpg": "no audio, by its ending; got .jpg",
    "links.ogg": "a file that is read must be here; got not fetched: run datalad get links.ogg",
    "list.cue": "no audio, by its ending; got .cue",
    "pointer.wav": "a file that is read must be here; got not fetched: run git lfs pull --include pointer.wav",
    "silent 2.wav": "there must be sound; got silence for 3 s",
    "silent 10.wav": "there must be sound; got silence for 3 s",
    "song.m4a": expected(".m4a"),
}


def test_every_file_is_listed_with_its_reason_in_natural_order(library, tmp_path):
    with pytest.warns(
        UserWarning, match=r"^7 of 9 audio files are not in the corpus, empty\.mp3 the first: .* 0 bytes"
    ):
        corpus = build(library, tmp_path / "x.index")
    assert corpus.ids.tolist() == ["a", "genre/b"]
    assert list(map(tuple, corpus.skipped)) == list(ALL.items())
    assert [one.file for one in corpus.skipped if not one.is_audio] == [
        "README", "genre/cover 2.jpg", "genre/cover.jpg", "list.cue"
    ]  # fmt: skip
    assert "7 audio files skipped" in repr(corpus)
    assert b2m.Corpus.open(tmp_path / "x.index").skipped == corpus.skipped
    assert corpus.exclude(["a"]).skipped == corpus.skipped


def test_the_summary_counts_covers_and_names_music():
    covers = [Skipped(f"{number}.jpg", "no audio") for number in range(10_000)]
    music = [Skipped(f"{number}.m4a", "not read") for number in range(20)] + [Skipped("x.wma", "not read")]
    rare = [Skipped(f"x.{ending}", "no audio") for ending in "abcdefghij"]
    assert skipped.summary([*covers, Skipped("a.wav", "there must be sound"), *music, *rare]) == [
        "skipped a.wav: there must be sound",
        "not read: 21 audio files by their endings (.m4a 20, .wma 1), 0.m4a the first: convert them, for example to "
        ".flac",
        "no audio: 10,010 other files (.jpg 10,000, .a 1, .b 1, .c 1, .d 1, .e 1, .f 1, .g 1 and 3 endings more)",
    ]
    assert skipped.summary([]) == []


def test_files_that_are_not_read_may_come_and_go_without_another_index(library, tmp_path):
    out = tmp_path / "x.index"
    first = build(library, out)
    before = bytes_of(out)
    (library / "song.m4a").unlink()
    (library / "new.aac").write_bytes(b"anything")
    (library / "new.txt").write_bytes(b"anything")
    bundle = FakeBundle()
    again = build(library, out, bundle)
    assert bundle.calls == []
    assert bytes_of(out) == before
    assert set(again.skipped) - set(first.skipped) == {
        ("new.aac", expected(".aac")), ("new.txt", "no audio, by its ending; got .txt")
    }  # fmt: skip
    assert set(first.skipped) - set(again.skipped) == {("song.m4a", expected(".m4a"))}
    write(library / "new.wav", seed=9)
    with pytest.raises(ValueError, match="got one of other files"):
        build(library, out)


def test_an_index_of_before_all_files_were_listed_is_opened(library, tmp_path):
    """It lists files that could not be used, and hidden ones among them."""
    out = tmp_path / "x.index"
    corpus = build(library, out)
    index = json.loads((out / "index.json").read_text())
    index["skipped"] = [one for one in index["skipped"] if sound.is_read(one["file"])]
    index["skipped"].append({"file": "._a.wav", "reason": "no audio"})
    (out / "index.json").write_text(json.dumps(index))
    old = b2m.Corpus.open(out)
    assert "._a.wav" in [one.file for one in old.skipped]
    assert len(old.skipped) == 6
    again = build(library, out, bundle := FakeBundle())
    assert bundle.calls == []
    assert again.skipped == corpus.skipped


def test_a_build_that_goes_on_lists_what_is_there_at_its_end(library, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "PART", 1)
    calls = iter(range(100))

    def interrupt():
        if next(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(library, tmp_path / "x.index", FakeBundle(before=interrupt))
    (library / "late.m4a").write_bytes(b"anything")
    corpus = build(library, tmp_path / "x.index", bundle := FakeBundle())
    assert sum(bundle.calls) == 1
    assert dict(corpus.skipped) == {**ALL, "late.m4a": expected(".m4a")}
    build(library, tmp_path / "whole.index")
    assert bytes_of(tmp_path / "x.index") == bytes_of(tmp_path / "whole.index")


def test_a_folder_without_music_that_is_read_says_what_it_holds(tmp_path):
    for file in ("a.m4a", "b.m4a", "c.jpg"):
        (tmp_path / file).write_bytes(b"anything")
    with pytest.raises(ValueError, match=r"got none in .* beside 3 of other endings: \.m4a 2, \.jpg 1$"):
        build(tmp_path, tmp_path / "x.index")


def test_the_command_counts_what_is_no_audio(library, tmp_path, monkeypatch, capsys):
    bundle = FakeBundle()
    monkeypatch.setattr("brain2music.cli.corpus._bundle", lambda options: bundle)
    command = ["corpus", "build", str(library), str(tmp_path / "x.index"), "--seconds", "3"]
    with pytest.warns(UserWarning, match="7 of 9 audio files"):
        assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "skipped empty.mp3: a file must hold audio; got 0 bytes in empty.mp3"
    assert lines[-3:] == [
        "not read: 2 audio files by their endings (.m4a 1, .wma 1), genre/Other.WMA the first: convert them, for "
        "example to .flac",
        "no audio: 4 other files (.jpg 2, .cue 1, without ending 1)",
        f"2 tracks in {tmp_path / 'x.index'}, 7 audio files skipped",
    ]
