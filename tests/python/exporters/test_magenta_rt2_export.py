"""Magenta RealTime 2 as a whole bundle: the command, what it writes, the towers, memory, what is refused."""

import json
import shutil
import tracemalloc
import warnings

import numpy as np
import pytest
import sentencepiece
import torch
from made_magenta import TABLES, write_checkpoint
from made_pieces import trained
from torch._subclasses.fake_tensor import FakeTensorMode

import brain2music as b2m
from brain2music.bundles import writer
from brain2music.cli import main
from brain2music.exporters import export_magenta_rt2
from brain2music.exporters.magenta_rt2 import checkpoint as checkpoint_module
from brain2music.exporters.magenta_rt2.language_model import WINDOWS, language_model
from brain2music.exporters.magenta_rt2.musiccoca import MusicTower


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("magenta-rt-v2"))


@pytest.fixture(autouse=True)
def small_tables(monkeypatch):
    """The published shapes made small, for whatever reads a checkpoint."""
    monkeypatch.setattr(checkpoint_module, "table_of", lambda part: TABLES[part])


class Tower(torch.nn.Module):
    def forward(self, spectrogram):
        return spectrogram[0, :, :32].mean(0) + spectrogram[0, :, :32].std(0)


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """Files such as the PyTorch port of MusicCoCa has, traced with one clip."""
    folder = tmp_path_factory.mktemp("musiccoca")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(Tower(), torch.randn(1, 992, 128)).save(folder / "music_encoder.pt")
    rng = np.random.default_rng(0)
    np.savez(folder / "mel_params.npz", mel=rng.random((1024, 128)), hann=np.hanning(400))
    return folder


# ---- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundle") / "magenta"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_module, "table_of", lambda part: TABLES[part])
        main(["bundle", "export", "magenta-rt2", str(source), str(out), "--quiet"])
    return out


def test_the_command_writes_a_bundle_that_makes_music(folder, tmp_path, capsys):
    main(["bundle", "info", str(folder)])
    told = capsys.readouterr().out
    for words in (
        "Magenta RealTime 2, small, in place of MusicLM's semantic, coarse and fine stages",
        "reads    conditioner",
        "writes   12 levels: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] of the codec (frames)",
        "draws    temperature 1.3, top_k 24, guidance 3",
        "licence  CC-BY-4.0",
        "brain2music makes a piece that exceeds full scale quieter as a whole when it is saved",
    ):
        assert words in told
    np.save(tmp_path / "embedding.npy", np.random.default_rng(0).standard_normal(32).astype(np.float32))
    asked = ["generate", "--bundle", str(folder), "--embedding", str(tmp_path / "embedding.npy"), "--device", "cpu"]
    main([*asked, "--seconds", "0.4", "--quiet", str(tmp_path / "piece.wav")])
    assert json.loads((tmp_path / "piece.json").read_text())["rate"] == 48000


def test_the_manifest_is_what_the_model_was_trained_with(folder):
    manifest = json.loads((folder / "bundle.json").read_text())
    (stage,) = manifest["stages"]
    assert (stage["family"], stage["frame_rate"], stage["codes"]) == ("frames", 25.0, [24] * 12)
    assert "max_length" not in stage
    assert stage["layout"]["start"] == -1
    assert stage["layout"]["channels"][0] == {"from": "conditioner"}
    assert manifest["space"] == {"dimension": 32, "roles": []}
    codec = manifest["roles"]["codec"]
    assert (codec["sample_rate"], codec["channels"], codec["levels"]) == (48000, 2, 12)


def test_a_bundle_is_replaced_only_where_that_is_asked_for(folder, source):
    with pytest.raises(FileExistsError, match="folder must not be there yet"):
        export_magenta_rt2(source, folder)
    before = (folder / "music.pt").read_bytes()
    assert export_magenta_rt2(source, folder, replace=True) == folder
    assert (folder / "music.pt").read_bytes() == before


def test_nothing_is_left_where_a_file_is_missing(source, tmp_path, capsys):
    with pytest.raises(
        FileNotFoundError, match=r"SOURCE must hold the checkpoint; got no file .*mrt2_base.safetensors"
    ):
        export_magenta_rt2(source, tmp_path / "out", size="base")
    with pytest.raises(ValueError, match="size must be one of small, base; got 'large'"):
        export_magenta_rt2(source, tmp_path / "out", size="large")
    with pytest.raises(FileNotFoundError, match=r"embedder must be a folder with .* got no file .*music_encoder.pt"):
        export_magenta_rt2(source, tmp_path / "out", embedder=tmp_path)
    assert not list(tmp_path.iterdir())


# ---- the music tower -------------------------------------------------------------------------------------------------


def test_the_music_tower_is_a_role(source, port, tmp_path):
    bundle = b2m.Bundle(export_magenta_rt2(source, tmp_path / "out", embedder=port), device="cpu")
    assert bundle.space["roles"] == ["music_embedder"]
    assert "not verified" in bundle.roles["music_embedder"]["card"]["notes"]
    wave = np.random.default_rng(1).standard_normal((2, 160_000)).astype(np.float32)
    embeddings = bundle.embed("music_embedder", (wave, 16000))
    with np.load(port / "mel_params.npz") as arrays:
        bands, taper = arrays["mel"], arrays["hann"]
    for clip, embedding in zip(wave.astype(np.float64), embeddings.values[:, 0], strict=True):
        emphasised = np.append(clip[0], clip[1:] - 0.97 * clip[:-1])
        frames = np.stack([emphasised[start : start + 400] for start in range(0, 992 * 160, 160)])
        power = np.abs(np.fft.rfft(frames * taper, 2048)) ** 2
        spectrogram = np.log(power[:, 1:] @ bands + 0.001)[:, :32]
        np.testing.assert_allclose(embedding, spectrogram.mean(0) + spectrogram.std(0, ddof=1), rtol=1e-4)
    audio = b2m.MusicGenerator(bundle, device="cpu").generate(embeddings, seconds=0.2)
    assert audio.waveform.shape == (2, 1, 2, 9600)


class TextTower(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(200, 32)

    def forward(self, ids, padding):
        return (self.table(ids.long()) * (1 - padding)[:, :, None]).sum(1)[0]


def test_the_text_tower_is_a_role(source, port, tmp_path):
    """Texts are split as the port splits them. Oracle: sentencepiece, and the port's ``_tokenize_text``."""
    folder = tmp_path / "port"
    shutil.copytree(port, folder)
    tower = TextTower()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(tower, (torch.ones(1, 128, dtype=torch.int32), torch.ones(1, 128))).save(
            folder / "text_encoder.pt"
        )
    with pytest.raises(FileNotFoundError, match=r"embedder must be a folder with .* for a text embedder; got no .*spm"):
        export_magenta_rt2(source, tmp_path / "out", embedder=folder)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(trained(folder / "spm.model")))
    bundle = b2m.Bundle(export_magenta_rt2(source, tmp_path / "out", embedder=folder), device="cpu")
    assert bundle.space["roles"] == ["music_embedder", "text_embedder"]
    texts = ["Slow BLUES with a piano", "calm jazz, live"]
    embedded = bundle.embed("text_embedder", texts).values
    for text, found in zip(texts, embedded, strict=True):
        ids = torch.tensor([1, *pieces.encode(text.lower())])
        np.testing.assert_allclose(found.ravel(), tower.table(ids).sum(0).detach().numpy(), rtol=1e-5)
    with pytest.raises(ValueError, match="a text must have at most 128 tokens"):
        bundle.embed("text_embedder", ["jazz " * 200])


def test_other_parameters_of_the_front_end_are_refused(source, port, tmp_path):
    (tmp_path / "music_encoder.pt").write_bytes((port / "music_encoder.pt").read_bytes())
    np.savez(tmp_path / "mel_params.npz", mel=np.ones((513, 128)), hann=np.hanning(400))
    with pytest.raises(ValueError, match=r"must hold mel \(1024, bands\) and hann \(400,\); got \(513, 128\) and"):
        export_magenta_rt2(source, tmp_path / "out", embedder=tmp_path)


def test_a_spectrogram_has_992_frames():
    tower = MusicTower(Tower(), np.ones((1024, 128)), np.ones(400))
    assert tower.spectrogram(torch.zeros(2, 160_000)).shape == (2, 992, 128)


# ---- memory and placement --------------------------------------------------------------------------------------------


def test_one_network_at_a_time_is_made_and_large_ones_are_stored_as_they_are(tmp_path, monkeypatch):
    made = []

    class Weights(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = torch.nn.ParameterList(torch.randn(300, 1000) for _ in range(6))
            made.append(self)

        @torch.jit.export
        def quantize(self, embedding: torch.Tensor) -> torch.Tensor:
            total = embedding.sum(1)
            for weight in self.weights:
                total = total + weight.sum()
            return (total * 0).to(torch.int64).unsqueeze(1)

    def module():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.script(Weights().eval())

    card = {"name": "N", "source": "S", "licence": "L", "replaces": "R"}
    role = {"methods": ["quantize"], "dimension": 8, "levels": 1, "vocabulary": 4, "card": card}
    entries = {"conditioner": {**role, "module": module}}
    space = {"dimension": 8, "roles": []}
    sizes = []
    for name, large in (("small", 1 << 28), ("large", 1 << 20)):
        monkeypatch.setattr(writer, "_LARGE", large)
        tracemalloc.start()
        path = writer.write(tmp_path / name, name="N", description="D", roles=entries, space=space)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000  # one tensor of 1.2 MB, and what it is compressed to
        tracemalloc.stop()
        sizes.append((path / "conditioner.pt").stat().st_size)
    assert len(made) == 2
    assert sizes[0] < 7_000_000 < 7_200_000 < sizes[1]


def test_frames_stay_on_the_device():
    """All methods, where no GPU is: what would meet a tensor of another device raises."""
    prefix = "params/depthformer/"
    tensors = {name.removeprefix(prefix): torch.empty(shape) for name, shape in TABLES["small"].items()}
    stage = language_model(tensors, WINDOWS["small"])

    def fake(tensor):
        return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda:1")

    with FakeTensorMode(), torch.no_grad():
        for module in stage.modules():
            for held in (module._parameters, module._buffers):
                for name, tensor in held.items():
                    held[name] = None if tensor is None else fake(tensor)
        integers = {"dtype": torch.int64, "device": "cuda:1"}
        codes = [torch.zeros(shape, **integers) for shape in ((), (2, 144), (2, 12), (2,))]
        state = stage.init_state(2, 60, None)
        stage.source(codes[1], codes[0], state)
        h = stage.temporal(codes[2], codes[0], state)
        first = stage.depth_first(h, state)
        following = stage.depth_next(codes[3], 5, state)
    assert {tensor.device for tensor in (*state, h, first, following)} == {torch.device("cuda:1")}
    assert first.shape == following.shape == (2, 24)
