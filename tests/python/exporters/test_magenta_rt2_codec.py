"""SpectroStream, Magenta RealTime 2's codec: JAX's own sound, embeddings and codes, whole and piece by piece."""

from pathlib import Path

import pytest
import torch
from made_magenta import TABLES, write_checkpoint
from safetensors.torch import save_file

from benchmarks.magenta_rt2.codec_parity import METHODS, compare, streamed
from benchmarks.magenta_rt2.opening import opened
from benchmarks.magenta_rt2.weights import random_tensors
from brain2music import Bundle, _core
from brain2music.bundles import write
from brain2music.exporters.magenta_rt2.checkpoint import read_part, table_of
from brain2music.exporters.magenta_rt2.codec_weights import codec
from brain2music.exporters.magenta_rt2.conditioner import style_quantizer
from brain2music.exporters.magenta_rt2.roles import Checkpoint, roles
from brain2music.generation import Codec

#: Written by ``benchmarks/magenta_rt2/codec_oracle.py FOLDER --size tiny --frames 4``, magenta-rt 2.0.3 on JAX.
ORACLE = Path(__file__).parents[2] / "data" / "magenta_rt2_codec_tiny.safetensors"
HOP = 1920
#: Frames of codes before its own that a frame of sound depends on.
PAST = 13
DEQUANTIZER = (
    "params/depthformer/encoder/body/layers_1/branched_mulan_embedder/mulan_embedder/mulan_dequantizer/embedding"
)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    parts = []
    for part in ("soundstream", "encoder"):
        path = tmp_path_factory.mktemp("magenta") / f"{part}.safetensors"
        numbers = random_tensors(TABLES[part])
        save_file({name: torch.from_numpy(array) for name, array in numbers.items()}, path)
        parts.append(read_part(path, part, TABLES[part]))
    return codec(*parts)


@pytest.fixture(scope="module")
def oracle():
    return _core.io.load_safetensors(ORACLE)[0]


def some_codes(frames, batch=1):
    return torch.randint(24, (batch, 12, frames), generator=torch.Generator().manual_seed(0))


def test_the_network_has_the_checkpoints_weights():
    """At full size, on the device "meta": every weight has a place."""
    parts, count = [], 0
    for part, prefix in (("soundstream", "params/soundstream/"), ("encoder", "params/encoder/")):
        table = table_of(part)
        parts.append({name.removeprefix(prefix): torch.empty(shape, device="meta") for name, shape in table.items()})
        count += sum(tensor.numel() for tensor in parts[-1].values())
    full = codec(*parts)
    assert sum(weight.numel() for weight in full.parameters()) == count == 61_713_666
    assert full.decoder.hop == full.encoder.hop == HOP


def test_sound_embeddings_and_codes_are_those_of_jax(network, oracle):
    with torch.inference_mode():
        figures = compare(opened(network, METHODS), oracle)
    assert figures["largest_sample"] > 0.1
    assert figures["codes"] == 48
    assert figures["other_codes"] == 0
    for kind in ("whole", "frame by frame", "seven frames a call", "streaming beside whole"):
        assert figures[kind] < 1e-6, kind
    assert figures["embeddings"] < 1e-5


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 31])
def test_streaming_gives_the_whole_one_frame_late(network, piece):
    codes = some_codes(30, batch=2)
    with torch.inference_mode():
        whole = network.decode(codes)
        stream = streamed(network, codes, piece)
    assert whole.shape == stream.shape == (2, 2, 30 * HOP)
    assert torch.equal(stream[:, :, :HOP], torch.zeros(2, 2, HOP))
    torch.testing.assert_close(stream[:, :, HOP:], whole[:, :, :-HOP], rtol=0, atol=1e-6)


def test_long_pieces_are_decoded_in_parts(network, monkeypatch):
    codes = some_codes(30)
    with torch.inference_mode():
        whole = network.decode(codes)
        monkeypatch.setattr(network, "piece", 7)
        torch.testing.assert_close(network.decode(codes), whole, rtol=0, atol=1e-6)


def test_a_frame_is_heard_from_the_frame_before_it_on(network):
    """What a bundle's manifest says of the context: one frame ahead, 13 frames behind."""
    codes = some_codes(60)
    other = codes.clone()
    other[:, :, 20] = (other[:, :, 20] + 1) % 24
    with torch.inference_mode():
        change = (network.decode(codes) - network.decode(other)).abs().view(2, 60, HOP).amax((0, 2))
    heard = change.nonzero().flatten()
    assert (int(heard[0]), int(heard[-1])) == (19, 20 + PAST)


def test_silence_fills_the_last_frame(network):
    wave = torch.randn(1, 2, 3 * HOP - 5, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        codes = network.encode(wave)
        assert codes.shape == (1, 12, 3)
        assert torch.equal(codes, network.encode(torch.nn.functional.pad(wave, (0, 5))))


def test_two_streams_share_nothing(network):
    script = opened(network, METHODS)
    states = script.init_stream(1), script.init_stream(1)
    places = [tensor.data_ptr() for state in states for tensor in state]
    assert len(set(places)) == len(places)
    with torch.inference_mode():
        assert torch.equal(streamed(script, some_codes(5), 1), streamed(script, some_codes(5), 1))


# ---- the bundle ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files where magenta-rt puts them."""
    return write_checkpoint(tmp_path_factory.mktemp("magenta-rt-v2"))


@pytest.fixture(scope="module")
def bundle(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "magenta"
    made = roles(Checkpoint(folder, "small", TABLES))
    return Bundle(write(path, name="Magenta", description="Random weights.", roles=made))


def test_the_library_runs_the_codec(bundle, oracle):
    """Opened, called and decoded block by block in C++: JAX's sound and codes."""
    codec_of_bundle = Codec(bundle)
    codes, decoded = oracle["codes"].long().t()[None], oracle["decoded"].t()[None]
    sound = codec_of_bundle.decode(codes)
    assert sound.shape == (1, 2, 4 * HOP)
    torch.testing.assert_close(sound[:, :, : 3 * HOP], decoded, rtol=0, atol=1e-6)
    assert torch.equal(codec_of_bundle.encode(oracle["wave"].t()[None], 48000)[0].t(), oracle["encoded"][:, :12].long())


def test_the_conditioner_quantises_what_is_left():
    quantizer = style_quantizer(
        {
            name.removeprefix("params/depthformer/"): torch.from_numpy(array)
            for name, array in random_tensors({DEQUANTIZER: TABLES["small"][DEQUANTIZER]}).items()
        }
    )
    assert quantizer.codebooks.shape == (12 * 1024, 32)
    codes = torch.randint(1024, (5, 12), generator=torch.Generator().manual_seed(0))
    embedding = quantizer.dequantize(codes)
    expected = sum(quantizer.codebooks[1024 * level + codes[:, level]] for level in range(12))
    torch.testing.assert_close(embedding, expected)
    rest = embedding
    for level, code in enumerate(quantizer.quantize(embedding).t()):
        table = quantizer.codebooks[1024 * level : 1024 * (level + 1)]
        assert torch.equal(code, torch.cdist(rest.double(), table.double()).argmin(1))
        rest = rest - table[code]


def test_a_size_that_there_is_not(folder):
    with pytest.raises(ValueError, match="size must be one of small, base; got 'large'"):
        Checkpoint(folder, "large")


def test_files_may_lie_side_by_side(folder, tmp_path):
    for path in folder.rglob("*.safetensors"):
        (tmp_path / path.name).symlink_to(path)
    assert Checkpoint(tmp_path, "small", TABLES).encoder.keys() == Checkpoint(folder, "small", TABLES).encoder.keys()
    (tmp_path / "encoder.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"got no file .*encoder.safetensors"):
        Checkpoint(tmp_path, "small", TABLES)
