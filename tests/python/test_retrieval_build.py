"""Building a corpus from audio files, with a stand-in for a bundle."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import brain2music as b2m
from brain2music.bundles import Embeddings
from brain2music.retrieval import building

RATE = 4000
SECONDS = 3.0


class FakeBundle:
    """Embeds windows of 2 s every 0.5 s as four statistics of their samples."""

    def __init__(self, name="a", before=lambda: None):
        self.hash = name * 64
        self.roles = {"music_embedder": {"window": 2.0, "sha256": name.upper() * 64}}
        self.calls = []
        self.before = before

    def embed(self, role, what):
        assert role == "music_embedder"
        waveforms, rate = what
        self.before()
        self.calls.append(len(waveforms))
        if any(np.abs(waveform).max() > 0.99 for waveform in waveforms):
            raise ValueError("[fake] a clip is too loud")
        starts = np.arange(0, len(waveforms[0]) - 2 * rate + 1, rate // 2)
        cut = np.stack([[waveform[start : start + 2 * rate] for start in starts] for waveform in waveforms])
        powers = [np.abs(cut) ** power for power in (0.5, 1, 2, 3)]
        values = np.stack([power.mean(axis=2) for power in powers], axis=2).astype(np.float32)
        values[[round(waveform[0] * 1000) == 123 for waveform in waveforms]] = 0
        ids = tuple(map(str, range(len(waveforms))))
        return SimpleNamespace(values=values, clip_ids=ids, window=2.0, hop=0.5)


def write(path, seconds=4.0, rate=RATE, seed=0, channels=1, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    soundfile.write(path, noise * np.random.default_rng(seed + 1).uniform(0.2, 1), rate, **how)


@pytest.fixture
def library(tmp_path):
    folder = tmp_path / "library"
    for number, ending in enumerate(["wav", "flac", "ogg", "mp3", "au", "WAV"]):
        write(folder / f"genre {number % 2}" / f"{number:03}.{ending}", rate=[8000, 16000][number % 2], seed=number)
    write(folder / "stereo.wav", channels=2, seed=50)
    (folder / "notes.txt").write_text("no audio, by its ending")
    return folder


def build(library, out, bundle=None, **options):
    return b2m.Corpus.build(library, bundle or FakeBundle(), out, **{"seconds": SECONDS, "progress": False, **options})


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_of_all_kinds_are_embedded(library, tmp_path):
    bundle = FakeBundle()
    corpus = build(library, tmp_path / "x.index", bundle)
    assert corpus.ids.tolist() == [
        "genre 0/000", "genre 0/002", "genre 0/004", "genre 1/001", "genre 1/003", "genre 1/005", "stereo"
    ]  # fmt: skip
    assert corpus.files[:2].tolist() == ["genre 0/000.wav", "genre 0/002.ogg"]
    assert corpus.skipped == [("notes.txt", "no audio, by its ending; got .txt")]
    assert (corpus.role, corpus.seconds, corpus.window, corpus.hop) == ("music_embedder", SECONDS, 2.0, 0.5)
    assert corpus.bundle_hash == bundle.hash
    assert "music_embedder of bundle aaaaaaaaaaaa" in repr(corpus)
    wave, rate = soundfile.read(library / "stereo.wav", dtype="float32")
    wave = wave[: round(SECONDS * rate)].mean(axis=1)
    expected = FakeBundle().embed("music_embedder", ([wave], rate)).values.mean(axis=1)[0]
    np.testing.assert_allclose(corpus.values[6], expected / np.linalg.norm(expected), rtol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["library", "x.index"]


def test_files_that_cannot_be_used_are_listed(library, tmp_path):
    write(library / "a short.wav", seconds=2.5)
    (library / "b text.mp3").write_text("no audio at all")
    whole = (library / "genre 0" / "000.wav").read_bytes()
    (library / "c cut.wav").write_bytes(whole[: len(whole) // 2])
    soundfile.write(library / "d silent.flac", np.zeros(4 * RATE), RATE)
    soundfile.write(library / "e loud.wav", np.tile([0.999, 0.99], 2 * RATE), RATE)
    soundfile.write(library / "f zero.wav", np.tile([0.123, 0.12], 2 * RATE), RATE)
    (library / "g link.ogg").symlink_to("nowhere.ogg")
    (library / "h tab\t.wav").write_bytes(whole)
    (library / os.fsdecode(b"i \xff.wav")).write_bytes(whole)
    with pytest.warns(
        UserWarning, match=r"9 of 16 audio files are not in the corpus, a short\.wav the first: .* 2\.5 s"
    ):
        corpus = build(library, tmp_path / "x.index")
    assert len(corpus) == 7
    reasons = {each.file: each.reason for each in corpus.skipped if each.file != "notes.txt"}
    expected = {
        "a short.wav": "long enough; got 2.5 s where 0 to 3 s were asked, in a short.wav",
        "b text.mp3": "must be audio",
        "c cut.wav": "must be whole",
        "d silent.flac": "got silence for 3 s",
        "e loud.wav": "the bundle refused it: [fake] a clip is too loud",
        "f zero.wav": "its embedding must be finite and not zero",
        "g link.ogg": "got a link to nowhere (nowhere.ogg): fetch or",
        "h tab\t.wav": "control characters",
        "i \\xff.wav": "UTF-8",
    }
    assert list(reasons) == list(expected)
    for file, reason in expected.items():
        assert reason in reasons[file]
    assert str(tmp_path) not in (tmp_path / "x.index" / "index.json").read_text()
    assert "9 audio files skipped" in repr(corpus)
    # Built already: opened as it is.
    assert build(library, tmp_path / "x.index").skipped == corpus.skipped


def test_the_result_depends_on_content_alone(library, tmp_path):
    first = build(library, tmp_path / "x.index", jobs=1)
    copy = tmp_path / "elsewhere"
    library.rename(copy)
    (copy / "stereo.wav").touch()
    second = build(copy, tmp_path / "y.index", jobs=3)
    assert bytes_of(tmp_path / "x.index") == bytes_of(tmp_path / "y.index")
    np.testing.assert_array_equal(first.values, second.values)


def test_links_to_folders_are_followed_once(library, tmp_path):
    (library / "loop").symlink_to(library)
    (tmp_path / "more").mkdir()
    write(tmp_path / "more" / "extra.wav", seed=9)
    (library / "linked").symlink_to(tmp_path / "more")
    assert "linked/extra" in build(library, tmp_path / "x.index").ids.tolist()


def test_an_index_that_is_there_is_opened_only_if_it_is_the_one(library, tmp_path):
    out = tmp_path / "x.index"
    build(library, out)
    bundle = FakeBundle()
    build(library, out, bundle)
    assert bundle.calls == []
    with pytest.raises(ValueError, match=r"out must be a new folder, or the index .*; got one of bundle aaa"):
        build(library, out, FakeBundle("b"))
    with pytest.raises(ValueError, match=r"got one of bundle .* 3 s"):
        build(library, out, seconds=3.5)
    changed = library / "stereo.wav"
    os.utime(changed, (time.time() + 10, time.time() + 10))
    with pytest.raises(ValueError, match=r"got one that is older than 1 of them, stereo\.wav the first"):
        build(library, out)
    changed.unlink()
    with pytest.raises(ValueError, match="got one of other files"):
        build(library, out)
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match=r"out must be a new folder, or an index; got .*other and .*index\.json"):
        build(library, tmp_path / "other")


def test_embeddings_of_another_space_are_refused(library, tmp_path):
    bundle = FakeBundle()
    corpus = build(library, tmp_path / "x.index", bundle)
    bundle.roles["text_embedder"] = {"sha256": "T" * 64}

    def search(bundle=None, **changes):
        fields = {"window": 2.0, "hop": 0.5, "role": "music_embedder", "hash": "A" * 64, **changes}
        return corpus.search(Embeddings(corpus.values[:2, None], ("a", "b"), **fields), 1, bundle=bundle)[1].tolist()

    assert search() == search(hop=1.0) == [[0], [1]]  # windows are averaged, wherever they start
    assert search(bundle, role="text_embedder", hash="T" * 64, window=15.0) == [[0], [1]]
    # a space that is not stated is not compared, as that of a plain array
    assert search(role=None, hash=None) == search(bundle, role=None, hash=None, window=9.0) == [[0], [1]]
    expected = "queries must lie in the space of the corpus, music_embedder of network AAAAAAAAAAAA with windows of 2 s"
    for change, got in (
        ({"role": "codec"}, "codec of network AAAAAAAAAAAA with windows of 2 s"),
        ({"hash": "B" * 64}, "music_embedder of network BBBBBBBBBBBB with windows of 2 s"),
        ({"window": 3.0}, "music_embedder of network AAAAAAAAAAAA with windows of 3 s"),
    ):
        with pytest.raises(ValueError, match=f"{expected}; got {got}"):
            search(**change)
    with pytest.raises(ValueError, match="embeddings of texts must come with bundle="):
        search(role="text_embedder", hash="T" * 64)
    with pytest.raises(
        ValueError, match=r"text_embedder of network TTTTTTTTTTTT .*; got text_embedder of network UUUU"
    ):
        search(bundle, role="text_embedder", hash="U" * 64)
    index = tmp_path / "x.index" / "index.json"
    index.write_text(index.read_text().replace(f' "network_hash": "{"A" * 64}",\n', ""))
    corpus = b2m.Corpus.open(tmp_path / "x.index")  # of before networks were told: role and window are compared
    assert corpus.network_hash is None
    assert search(hash="B" * 64) == [[0], [1]]
    with pytest.raises(ValueError, match="of network unknown with windows of 2 s; got codec"):
        search(role="codec", hash="C" * 64)
    assert search(role=None, hash=None) == [[0], [1]]


def test_another_bundle_is_refused(library, tmp_path):
    corpus = build(library, tmp_path / "x.index")
    b2m.Corpus.open(tmp_path / "x.index", FakeBundle())
    with pytest.raises(ValueError, match=r"\[retrieval.Corpus.open\] queries must come from .* aaa.*; got bbb"):
        b2m.Corpus.open(tmp_path / "x.index", FakeBundle("b"))
    with pytest.raises(ValueError, match=r"\[retrieval.Corpus.search\] queries must come from .*; got bbb"):
        corpus.search(corpus.values, 1, bundle=FakeBundle("b"))
    corpus.search(corpus.values, 1, bundle=FakeBundle())
    rest = corpus.exclude(["stereo"])
    assert rest.bundle_hash == corpus.bundle_hash
    assert len(rest.files) == 6
    assert rest.network_hash == corpus.network_hash == "A" * 64
    given = b2m.Corpus.from_embeddings(corpus.values, corpus.ids)
    with pytest.raises(ValueError, match="which is not known; got aaa"):
        given.search(corpus.values, 1, bundle=FakeBundle())


def test_bad_settings_are_refused(library, tmp_path):
    out = tmp_path / "x.index"
    with pytest.raises(ValueError, match="must fill role 'codec'; got one with music_embedder"):
        build(library, out, role="codec")
    with pytest.raises(ValueError, match="a window of the role or more, 2 s; got 1 s"):
        build(library, out, seconds=1)
    with pytest.raises(ValueError, match="seconds must be a positive number; got nan"):
        build(library, out, seconds=float("nan"))
    with pytest.raises(ValueError, match="jobs must be 1 or more; got 0"):
        build(library, out, jobs=0)
    with pytest.raises(ValueError, match=r"must be a folder of audio files; got .*none"):
        build(tmp_path / "none", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"must hold audio files \(\.aif, .*\); got none in .*empty"):
        build(tmp_path / "empty", out)
    (tmp_path / "empty" / "x.wav").write_text("no audio")
    with pytest.raises(ValueError, match=r"a file must be usable; got none in .*empty: x\.wav: .*must be audio"):
        build(tmp_path / "empty", out)
    assert not out.exists()


def test_one_process_builds_at_a_time(library, tmp_path):
    inside, go_on = threading.Event(), threading.Event()

    def wait():
        inside.set()
        go_on.wait(10)

    slow = threading.Thread(target=build, args=(library, tmp_path / "x.index", FakeBundle(before=wait)))
    slow.start()
    assert inside.wait(10)
    with pytest.raises(
        RuntimeError, match=r"one process at a time builds an index; got another one at work in .*building"
    ):
        build(library, tmp_path / "x.index")
    go_on.set()
    slow.join()
    assert len(b2m.Corpus.open(tmp_path / "x.index")) == 7


def test_an_interrupted_build_goes_on_where_it_was(library, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "PART", 2)
    for number in range(8):
        write(library / "more" / f"{number}.wav", seed=100 + number)
    build(library, tmp_path / "whole.index")
    calls = iter(range(100))

    def interrupt():
        if next(calls) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(library, tmp_path / "x.index", FakeBundle(before=interrupt))
    assert not (tmp_path / "x.index").exists()
    kept = set((tmp_path / ".x.index.building").glob("*.json"))
    assert kept
    write(library / "stereo.wav", channels=2, seed=50)  # the same content, written again: its part is made again
    bundle = FakeBundle()
    build(library, tmp_path / "x.index", bundle)
    assert 0 < sum(bundle.calls) < 15
    assert bytes_of(tmp_path / "x.index") == bytes_of(tmp_path / "whole.index")


KILL_BUILDS = """
import os, random, signal, sys, time
sys.path.insert(0, {tests!r})
import test_retrieval_build as fake
from brain2music.retrieval import building

building.PART = 1
chance = random.Random(0)
killed = 0
while True:
    child = os.fork()
    if child == 0:
        fake.build(fake.Path({library!r}), fake.Path({out!r}), fake.FakeBundle(before=lambda: time.sleep(0.04)))
        os._exit(0)
    time.sleep(chance.uniform(0.01, 0.15) * (1 + killed / 20))
    os.kill(child, signal.SIGKILL)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
    killed += 1
print(killed)
"""


def test_a_killed_build_ends_with_the_same_bytes(tmp_path):
    library = tmp_path / "library"
    for number in range(25):
        write(library / f"{number}.wav", seconds=3.1, rate=1000, seed=number)
    build(library, tmp_path / "whole.index")
    out = tmp_path / "x.index"
    program = KILL_BUILDS.format(tests=str(Path(__file__).parent), library=str(library), out=str(out))
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 3  # 25 parts take a second or more, four children live for 0.65 s at most
    build(library, out)
    assert bytes_of(out) == bytes_of(tmp_path / "whole.index")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["library", "whole.index", "x.index"]


def test_one_channel_is_taken_where_asked(library, tmp_path):
    tone = 0.3 * np.sin(0.4 * np.arange(4 * RATE))
    soundfile.write(library / "opposite.wav", np.stack([tone, -tone], 1), RATE)
    with pytest.warns(
        UserWarning, match=r"opposite\.wav the first: there must be sound; got 2 channels that cancel each"
    ):
        build(library, tmp_path / "x.index")
    with pytest.warns(UserWarning, match="channel must be from 0 to 0; got 1"):  # of those of one channel
        corpus = build(library, tmp_path / "y.index", channel=1)
    assert "opposite" in corpus.ids
    with pytest.raises(ValueError, match=r"got one of bundle .*, channel 1 in"):
        build(library, tmp_path / "y.index")
    assert "opposite" in build(library, tmp_path / "y.index", channel=1).ids
    with pytest.raises(ValueError, match="channel must be None, or a number from 0; got -1"):
        build(library, tmp_path / "z.index", channel=-1)


def test_more_kinds_of_files_are_read_and_one_name_twice_is_two_tracks(tmp_path):
    folder = tmp_path / "library"
    kinds = {"aiff": "AIFF", "aif": "AIFF", "aifc": "AIFF", "caf": "CAF", "oga": "OGG", "opus": "OGG", "W64": "W64"}
    for number, (ending, kind) in enumerate(kinds.items()):
        subtype = {"oga": "VORBIS", "opus": "OPUS"}.get(ending, "PCM_16")
        write(folder / f"{number}.{ending}", rate=48000, seed=number, format=kind, subtype=subtype)
    for ending in ("flac", "wav"):
        write(folder / f"same.{ending}", seed=9)
    corpus = build(folder, tmp_path / "x.index")
    assert corpus.ids.tolist() == ["0", "1", "2", "3", "4", "5", "6", "same.flac", "same.wav"]
    assert list(corpus.skipped) == []
    np.testing.assert_allclose(corpus.values[-1], corpus.values[-2], atol=1e-3)  # one noise, in 16 bits both
    again = build(folder, tmp_path / "x.index")
    assert again.ids.tolist() == corpus.ids.tolist()
