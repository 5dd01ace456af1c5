"""Opening, embedding with and writing bundles, on tiny networks whose result NumPy knows."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import brain2music as b2m
from brain2music import _core
from brain2music.bundles import Bundle, describe, write
from brain2music.bundles.by_name import DEFAULT, bundle_folder
from brain2music.cli.main import main
from brain2music.pipeline.context import Context
from brain2music.pipeline.settings import Settings
from brain2music.study import Study, Windows
from brain2music.study.stimuli import Stimuli

RATE = 300
CARD = {"name": "tiny", "source": "this test", "licence": "Apache-2.0", "replaces": "nothing"}
MUSIC = {"methods": ["embed"], "sample_rate": RATE, "window": 1.0, "dimension": 2, "card": CARD}
FRAMES = {**MUSIC, "frame_rate": 10}
TEXT = {"window": 15.0, "dimension": 2, "card": CARD}


class Loudness(torch.nn.Module):
    """Mean and power of a window."""

    @torch.jit.export
    def embed(self, wave: torch.Tensor) -> torch.Tensor:
        return torch.stack([wave.mean(1), wave.square().mean(1)], 1)


class Frames(torch.nn.Module):
    """Mean and power of ten frames a second."""

    @torch.jit.export
    def embed(self, wave: torch.Tensor) -> torch.Tensor:
        frames = wave.reshape(wave.size(0), -1, 30)
        return torch.stack([frames.mean(2), frames.square().mean(2)], 2)


class Texts(torch.nn.Module):
    """Letters of a text; or the sum of its tokens and how many count."""

    @torch.jit.export
    def embed(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([[float(len(text)), 1.0] for text in texts])

    @torch.jit.export
    def embed_ids(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.stack([(ids * mask).sum(1).float(), mask.sum(1).float()], 1)


def scripted(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(module.eval())


def write_tiny(folder, **roles):
    roles = roles or {
        "music_embedder": {"module": scripted(Loudness()), **MUSIC},
        "codec": {"module": scripted(Frames()), **FRAMES},
    }
    return write(folder, name="tiny", description="For tests.", roles=roles)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def music(rng):
    """Three clips of 3 s, (clips, samples)."""
    return rng.uniform(-0.5, 0.5, (3, 3 * RATE)).astype(np.float32)


def loudness(waveform, window=RATE, hop=RATE // 2):
    starts = range(0, len(waveform) - window + 1, hop)
    cuts = np.stack([waveform[start : start + window] for start in starts]).astype(float)
    return np.stack([cuts.mean(1), np.square(cuts).mean(1)], 1)


@pytest.mark.parametrize("role", ["music_embedder", "codec"])
@pytest.mark.parametrize("batch", [1, 2, 5, 7, 1000])
def test_windows_are_embedded_whatever_the_batch(tiny, music, role, batch):
    embeddings = Bundle(tiny).embed(role, (music, RATE), hop=0.5, batch=batch)
    assert embeddings.values.shape == (3, 5, 2)
    assert embeddings.values.dtype == np.float32
    np.testing.assert_allclose(embeddings.values, [loudness(clip) for clip in music], atol=1e-6)
    assert (embeddings.window, embeddings.hop, embeddings.role) == (1.0, 0.5, role)
    assert embeddings.clip_ids == ("0", "1", "2")
    assert embeddings.hash == Bundle(tiny).roles[role]["sha256"]


@pytest.mark.parametrize(
    "shape_into",
    [
        lambda x: torch.from_numpy(x),
        lambda x: x.astype(np.float64),
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[:, ::-1][:, ::-1],
        lambda x: x[:, None],
        lambda x: torch.from_numpy(x)[:, None].expand(-1, 2, -1),
        lambda x: np.stack([x + 0.25, x - 0.25], axis=1),
        lambda x: list(x),
        lambda x: [x[0], x[1][None], torch.from_numpy(x[2])],
        lambda x: [row.tolist() for row in x],
        lambda x: np.concatenate([x, x[:, :10]], axis=1).astype(">f4")[:, :-10],
        lambda x: torch.from_numpy(x).requires_grad_(),
    ],
)
def test_the_kind_of_array_changes_nothing(tiny, music, shape_into):
    expected = Bundle(tiny).embed("music_embedder", (music, RATE)).values
    given = shape_into(music)
    np.testing.assert_allclose(Bundle(tiny).embed("music_embedder", (given, RATE)).values, expected, atol=1e-6)


def test_narrow_floats_are_taken(tiny, music):
    expected = Bundle(tiny).embed("music_embedder", (music, RATE)).values
    for narrow in (music.astype(np.float16), torch.from_numpy(music).bfloat16()):
        np.testing.assert_allclose(Bundle(tiny).embed("music_embedder", (narrow, RATE)).values, expected, atol=2e-3)


def test_music_of_another_rate_is_resampled_as_audio_does(tiny, rng):
    fast = rng.uniform(-0.5, 0.5, (2, 3 * 882)).astype(np.float32)
    slow = _core.audio.resample(fast, 882, RATE)
    np.testing.assert_allclose(
        Bundle(tiny).embed("music_embedder", (fast, 882)).values,
        Bundle(tiny).embed("music_embedder", (slow, RATE)).values,
        atol=1e-6,
    )


@pytest.mark.parametrize(("window", "r"), [(1.5, 10), (5.0, 7), (10.0, 4), (15.0, 1)])
@pytest.mark.parametrize("seconds", [15.0, 14.99, 14.89])
def test_as_many_windows_as_the_study_counts(window, r, seconds):
    """The clip of ds003720 that is cut to 14.99 s, of a track that lacks 0.1 s too, has the windows of the others."""
    windows = _core.embedding.clip_windows(np.ones(round(seconds * RATE), np.float32), RATE, RATE, window, 1.5)
    assert len(windows) == r == Windows(window).count
    assert {len(each) for each in windows} == {round(window * RATE)}
    missing = max(0, round(((r - 1) * 1.5 + window - seconds) * RATE))
    whole = torch.ones(round(window * RATE))
    for each in windows[:-1]:
        assert torch.equal(each, whole)
    if missing:
        whole[-missing:] = 0
    assert torch.equal(windows[-1], whole)


def test_windows_stay_on_the_device_of_the_music():
    with FakeTensorMode():
        windows = _core.embedding.clip_windows(torch.empty(2, 3 * 882, device="cuda:1"), 882, RATE, 1.0, 0.5)
    assert [each.device for each in windows] == [torch.device("cuda:1")] * 5
    assert [tuple(each.shape) for each in windows] == [(RATE,)] * 5


def test_stimuli_bring_their_ids(tiny, tmp_path, ds003720):
    clips = Study(ds003720, cache=False).clips[:3]
    for clip in clips:
        path = tmp_path / "genres" / clip.genre / f"{clip.track}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.random.default_rng(1).uniform(-0.5, 0.5, 30 * 600), 600)
    stimuli = Stimuli(tmp_path, clips)
    embeddings = Bundle(tiny).embed("music_embedder", stimuli, batch=20)
    assert embeddings.clip_ids == tuple(stimuli.ids)
    assert embeddings.values.shape == (3, 10, 2)
    one = Bundle(tiny).embed("music_embedder", ([stimuli[clips[1].clip][0]], 600))
    np.testing.assert_allclose(embeddings.values[1], one.values[0], atol=1e-6)
    with pytest.raises(ValueError, match="ids must be left out"):
        Bundle(tiny).embed("music_embedder", stimuli, ids=["a", "b", "c"])


def test_files_and_their_beginnings(tiny, tmp_path, music):
    paths = [tmp_path / f"{i}.wav" for i in range(2)]
    for path, seconds in zip(paths, (3, 5), strict=True):
        soundfile.write(path, np.tile(music[0], 2)[: seconds * RATE], RATE, subtype="FLOAT")
    bundle = Bundle(tiny)
    embeddings = bundle.embed("music_embedder", paths, seconds=2.5)
    assert embeddings.clip_ids == tuple(str(path) for path in paths)
    np.testing.assert_allclose(embeddings.values[0], embeddings.values[1])
    assert embeddings.values.shape == (2, 2, 2)
    named = bundle.embed("music_embedder", (music, RATE), ids=["a", "b", "c"], seconds=2.5)
    assert named.clip_ids == ("a", "b", "c")
    np.testing.assert_allclose(named.values[0], embeddings.values[0], atol=1e-6)
    with pytest.raises(ValueError, match=r"as many windows; got 2 for .*0\.wav and 3 for .*1\.wav: cut them"):
        bundle.embed("music_embedder", paths)
    with pytest.raises(ValueError, match=r"as many windows; got 2 for .*0\.wav and 3 for .*1\.wav: cut them"):
        bundle.embed("music_embedder", paths, batch=1)
    with pytest.raises(RuntimeError, match=r"long enough; got 3 s where 0 to 4 s were asked, in .*0\.wav"):
        bundle.embed("music_embedder", paths, seconds=4)
    paths[1].write_bytes(paths[1].read_bytes()[:-1000])
    with pytest.raises(RuntimeError, match=r"must be whole; got 5000 of 6000 bytes of samples .* in .*1\.wav"):
        bundle.embed("music_embedder", paths)


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        (lambda x: ((x * 1000).astype(np.int16), RATE), ValueError, "a floating type, full scale 1; got Short for 0"),
        (lambda x: (x > 0, RATE), ValueError, "a floating type, full scale 1; got Bool"),
        (lambda x: (x.astype(complex), RATE), ValueError, "a floating type, full scale 1; got ComplexDouble"),
        (lambda x: (x[0], RATE), ValueError, r"waveforms must be \(n, samples\).*; got shape \(900,\)"),
        (lambda x: ([x[0, :200]], RATE), ValueError, "at least one window of 1 s; got 0.66.* s for 0"),
        (lambda x: ([x[0], x[1, :600]], RATE), ValueError, "as many windows; got 2 for 0 and 1 for 1"),
        (lambda x: ([x.T], RATE), ValueError, r"must be \(channels, samples\); got shape \[900, 3\] for 0: transpose"),
        (lambda x: (np.where(x > 0.4, np.nan, x), RATE), ValueError, "a waveform must be finite; got NaN or Inf for 0"),
        (lambda x: (x, 0), ValueError, "rate must be a positive number of Hz; got 0 for 0"),
        (lambda x: (x, -300), ValueError, "rate must be a positive number of Hz; got -300 for 0"),
        (lambda x: (x, 300.0), TypeError, "a sequence must hold paths, or be .*; got ndarray"),
        (lambda x: (x[:0], RATE), ValueError, "there must be a clip or more; got none"),
        (lambda x: [], ValueError, "there must be a clip or more; got none"),
        (lambda x: x, TypeError, "music must be a study's stimuli, .*; got ndarray"),
        (lambda x: "clip.wav", TypeError, "music must be a study's stimuli, .*; got str"),
        (lambda x: [3], TypeError, "a sequence must hold paths, .*; got int"),
        (lambda x: (3, RATE), TypeError, "an array or a sequence of arrays; got int"),
        (lambda x: (["a"], RATE), TypeError, "an array of numbers is expected; got dtype"),
        (lambda x: ["a.wav", "a.wav"], ValueError, "ids must differ; got 'a.wav' twice"),
        (lambda x: ["none.wav"], RuntimeError, "none.wav"),
    ],
)
def test_what_cannot_be_embedded_is_named(tiny, music, what, error, message):
    with pytest.raises(error, match=message):
        Bundle(tiny).embed("music_embedder", what(music))


def test_bad_options_are_refused(tiny, music):
    bundle = Bundle(tiny)
    with pytest.raises(ValueError, match="must fill role 'tagger'; got codec, music_embedder in"):
        bundle.embed("tagger", (music, RATE))
    for batch in (0, True, 2.5):
        with pytest.raises(ValueError, match="batch must be a whole number from 1"):
            bundle.embed("music_embedder", (music, RATE), batch=batch)
    with pytest.raises(ValueError, match=r"hop must be a number of seconds, 0.001 or more; got 0"):
        bundle.embed("music_embedder", (music, RATE), hop=0)
    for window in (0, -1.0, 1e-5, np.nan, True, "6"):
        with pytest.raises(ValueError, match=r"window must be a number of seconds, 0.001 or more; got"):
            bundle.embed("music_embedder", (music, RATE), window=window)
    with pytest.raises(ValueError, match=r"window and hop must be a sample or more, 0.00333333 s; got 0.002"):
        bundle.embed("music_embedder", (music, RATE), window=0.002)
    with pytest.raises(ValueError, match="ids must be as many as the clips; got 1 for 3"):
        bundle.embed("music_embedder", (music, RATE), ids=["a"])
    with pytest.raises(ValueError, match="ids must differ; got 'a' twice"):
        bundle.embed("music_embedder", (music, RATE), ids=["a", "b", "a"])
    with pytest.raises(ValueError, match="seconds must be a positive number; got -1"):
        bundle.embed("music_embedder", (music, RATE), seconds=-1)
    with pytest.raises(ValueError, match="role 'codec' runs in float32; got float16"):
        Bundle(tiny, dtype="float16").embed("codec", (music, RATE))
    with pytest.raises(ValueError, match="role 'codec' runs in float32; got int8"):
        Bundle(tiny, dtype="int8").embed("codec", (music, RATE))
    with pytest.raises(ValueError, match="dtype must be 'float32', 'bfloat16', 'float16' or 'int8'; got 'int4'"):
        Bundle(tiny, dtype="int4")


def test_texts(tmp_path):
    pytest.importorskip("tokenizers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    bundle = Bundle(
        write_tiny(tmp_path / "a", text_embedder={"module": scripted(Texts()), "methods": ["embed"], **TEXT})
    )
    embeddings = bundle.embed("text_embedder", {"x": "jazz", "y": "a slow blues"}, batch=1)
    np.testing.assert_array_equal(embeddings.values, [[[4, 1]], [[12, 1]]])
    assert embeddings.clip_ids == ("x", "y")
    assert embeddings.window == 15
    np.testing.assert_array_equal(bundle.embed("text_embedder", ["é"]).values, [[[2, 1]]])  # UTF-8
    for texts, message in ((["", "a"], r"not blank; got ''"), ([], "there must be a text or more"), ([3], "got 3")):
        with pytest.raises(ValueError, match=message):
            bundle.embed("text_embedder", texts)
    with pytest.raises(TypeError, match=r"texts must be a sequence, .*; got str"):
        bundle.embed("text_embedder", "jazz")

    tokenizer = Tokenizer(models.WordLevel({"jazz": 5, "slow": 7, "blues": 11, "?": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    role = {
        "module": scripted(Texts()),
        "methods": ["embed_ids"],
        "tokenizer": tmp_path / "tokenizer.json",
        "max_length": 3,
        **TEXT,
    }
    bundle = Bundle(write_tiny(tmp_path / "b", text_embedder=role))
    embeddings = bundle.embed("text_embedder", ["jazz", "slow blues", "blues blues blues", "polka"])
    np.testing.assert_array_equal(embeddings.values[:, 0], [[5, 1], [18, 2], [33, 3], [1, 1]])
    with pytest.raises(ValueError, match=r"a text must have at most 3 tokens \(max_length\); got 4 for 'blues blues"):
        bundle.embed("text_embedder", ["jazz", "blues blues blues blues"])


def test_opening_checks_hashes_and_loads_nothing(tmp_path):
    folder = write_tiny(tmp_path / "b")
    before = Bundle(folder)
    with (folder / "codec.pt").open("r+b") as file:
        file.seek(50)
        file.write(b"x")
    with pytest.raises(RuntimeError, match=r"role 'codec', field 'sha256': [0-9a-f]{64} is expected; got [0-9a-f]{64}"):
        Bundle(folder)
    (folder / "codec.pt").unlink()
    with pytest.raises(RuntimeError, match=r"No such file .*codec\.pt"):
        Bundle(folder)
    with pytest.raises(RuntimeError, match="a bundle is a folder; got"):
        Bundle(tmp_path / "none")
    assert before.roles.keys() == {"music_embedder", "codec"}


def test_a_pin_opens_one_bundle_and_no_other(tmp_path, tiny):
    pin = hashlib.sha256((tiny / "bundle.json").read_bytes()).hexdigest()
    assert Bundle(tiny, sha256=pin).hash == pin
    folder = write_tiny(tmp_path / "other", music_embedder={"module": scripted(Loudness()), **MUSIC})
    (folder / next(iter(Bundle(folder).roles.values()))["file"]).unlink()  # what it names is not looked at
    with pytest.raises(RuntimeError, match=rf"must be the one that sha256 names, {pin}; got [0-9a-f]{{64}} in .*other"):
        Bundle(folder, sha256=pin)
    for odd in ("", pin[:12], pin.upper(), f"{pin} "):
        with pytest.raises(ValueError, match=r"sha256 must be 64 lower-case hexadecimal digits"):
            Bundle(tiny, sha256=odd)
    with pytest.raises(TypeError, match="sha256 must be a str; got bytes"):
        Bundle(tiny, sha256=bytes.fromhex(pin))


def test_the_command_line_tells_what_was_tried(tmp_path, tiny, capsys):
    assert main(["bundle", "verify", str(tiny), "--device", "cpu"]) == 0
    hashed = f"tiny: schema and hashes as they should be ({Bundle(tiny).hash})"
    assert capsys.readouterr().out.splitlines() == [
        hashed,
        "music_embedder: embed, in float32",
        "codec: embed, in float32",
    ]
    assert main(["bundle", "info", str(tiny)]) == 0
    assert f"hash {Bundle(tiny).hash}" in capsys.readouterr().out
    folder = tmp_path / "bundle"
    shutil.copytree(tiny, folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["roles"]["codec"]["dimension"] = 3  # the network gives 2
    (folder / "bundle.json").write_text(json.dumps(manifest))
    assert main(["bundle", "verify", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[1:] == ["music_embedder: embed, in float32"]  # what was tried before is told
    assert "role 'codec'" in err


def test_what_a_bundle_says_of_itself(tiny):
    bundle = Bundle(str(tiny), device="cpu")
    assert bundle.path == tiny
    assert bundle.hash == hashlib.sha256((tiny / "bundle.json").read_bytes()).hexdigest()
    assert (bundle.name, bundle.description) == ("tiny", "For tests.")
    assert repr(bundle) == (f"Bundle('tiny': music_embedder by 'tiny', codec by 'tiny'; {bundle.hash[:12]}, cpu)")
    info = describe.info(tiny)
    for text in ("tiny: For tests.", "300 Hz, 10 frames/s, 1 s, 2 dimensions", "licence  Apache-2.0", bundle.hash):
        assert text in info
    assert describe.verify(tiny).splitlines()[1:] == ["music_embedder: embed, in float32", "codec: embed, in float32"]


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 100_003])
def test_sha256_is_hashlibs(tmp_path, size):
    """Through the one place that shows it: the hash of a file that breaks."""
    content = np.random.default_rng(size).bytes(size)
    folder = write_tiny(tmp_path / "b")
    (folder / "codec.pt").write_bytes(content)
    with pytest.raises(RuntimeError, match=f"got {hashlib.sha256(content).hexdigest()}"):
        Bundle(folder)


def test_writing_is_whole_or_not_at_all(tmp_path):
    wrong = {"module": scripted(Loudness()), **MUSIC, "dimension": 3}
    with pytest.raises(RuntimeError, match=r"must return shape \[2, 3\] from embed.*; got \[2, 2\]"):
        write_tiny(tmp_path / "b", music_embedder=wrong)
    with pytest.raises(RuntimeError, match="field 'window': a value is expected; got none"):
        write_tiny(
            tmp_path / "b",
            music_embedder={k: v for k, v in MUSIC.items() if k != "window"} | {"module": scripted(Loudness())},
        )
    with pytest.raises(ValueError, match=r"a torch.jit.ScriptModule or a path; got Loudness for 'codec'"):
        write_tiny(tmp_path / "b", codec={"module": Loudness(), **FRAMES})
    assert list(tmp_path.iterdir()) == []
    folder = write_tiny(tmp_path / "b")
    with pytest.raises(FileExistsError, match="folder must not be there yet"):
        write_tiny(tmp_path / "b")
    (tmp_path / "other").mkdir()
    roles = {"codec": {"module": folder / "codec.pt", **FRAMES}}
    with pytest.raises(FileExistsError, match="something else than a bundle"):
        write(tmp_path / "other", name="x", description="y", roles=roles, replace=True)
    write(folder, name="x", description="y", roles=roles, replace=True)
    assert sorted(path.name for path in folder.iterdir()) == ["bundle.json", "codec.pt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "other"]


def test_the_same_network_gives_the_same_bytes_wherever_its_source_lies(tmp_path):
    source = Path(__file__).read_text()
    start = source.index("class Frames")
    code = "import torch\n\n\n" + source[start : source.index("class Texts")]
    program = (
        "import sys, warnings; warnings.simplefilter('ignore'); sys.path[0] = sys.argv[1]; import network, "
        "torch\nfrom pathlib import Path\nfrom brain2music.bundles.writer import _save\nimport hashlib; "
        "path = Path(sys.argv[1]) / 'saved.pt'; _save(torch.jit.script(network.Frames().eval()), path); "
        "print(hashlib.sha256(path.read_bytes()).hexdigest())"
    )
    printed = set()
    for name in ("here", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "network.py").write_text(code)
        arguments = [sys.executable, "-c", program, str(tmp_path / name)]
        printed.add(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
    assert len(printed) == 1


def test_nothing_is_printed(tiny, tmp_path):
    """torch.jit warns of its future; users of a bundle cannot help it."""
    soundfile.write(tmp_path / "x.wav", np.zeros(900), RATE)
    program = (
        "import sys, brain2music as b2m\nb2m.Bundle(sys.argv[1]).embed('codec', "
        "[sys.argv[2]])\nb2m.Bundle.shipped('acoustic').load('codec')"
    )
    arguments = [sys.executable, "-W", "always", "-c", program, str(tiny), str(tmp_path / "x.wav")]
    done = subprocess.run(
        arguments, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "always"}
    )
    assert done.stdout == ""
    assert "torch.jit" not in done.stderr


def test_figures_of_a_card_are_printed_with_what_was_missed(tmp_path, capsys):
    figures = [
        {
            "name": "R@10",
            "value": 0.41,
            "of": "540 clips",
            "goal": 0.5,
            "chance": 0.0185,
            "reason": "Too little music.",
        },
        {"name": "copies", "value": 0.05, "of": "clips", "goal": 0.05, "at_most": True, "oracle": 0},
        {"name": "loss", "value": 3, "of": "bits a code", "goal": 2.5, "at_most": True},
        {"name": "parameters", "value": 1.5e6, "of": "weights"},
    ]
    role = {"module": scripted(Loudness()), **MUSIC, "card": {**CARD, "figures": figures}}
    folder = write_tiny(tmp_path / "bundle", music_embedder=role)
    assert Bundle(folder).roles["music_embedder"]["card"]["figures"] == figures
    assert main(["bundle", "info", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-6:] == [
        "  figure      value    goal            chance  oracle  of",
        "  R@10        0.41     >= 0.5, missed  0.0185  -       540 clips",
        "    Too little music.",
        "  copies      0.05     <= 0.05         -       0       clips",
        "  loss        3        <= 2.5, missed  -       -       bits a code",
        "  parameters  1.5e+06  -               -       -       weights",
    ]


def test_shipped_bundles_are_opened_by_name(tiny, tmp_path, capsys, monkeypatch):
    acoustic = Bundle.shipped("acoustic")
    assert acoustic.name == "acoustic"
    assert Bundle.default().path == bundle_folder(None) == bundle_folder(DEFAULT)
    with pytest.raises(ValueError, match=r"\[bundles.Bundle.shipped\] name must be .*acoustic.*; got 'none'"):
        Bundle.shipped("none")
    assert bundle_folder("acoustic") == acoustic.path
    assert main(["bundle", "info", "acoustic"]) == 0
    assert acoustic.hash in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny, "acoustic")  # a folder of that name is written as one
    assert bundle_folder("./acoustic") == bundle_folder(Path("acoustic")) == Path("acoustic")
    assert main(["bundle", "info", "./acoustic"]) == 0
    assert Bundle(tiny).hash in capsys.readouterr().out
    context = Context(Settings(study="study", bundle="acoustic", device="cpu"), tmp_path)
    assert context.bundle.path == acoustic.path
    with pytest.raises(RuntimeError, match="a bundle is a folder; got none"):
        Bundle(bundle_folder("none"))


def test_bundle_is_exported():
    assert b2m.Bundle is Bundle
