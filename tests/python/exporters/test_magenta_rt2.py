"""Magenta RealTime 2's language model: checkpoints that are refused, JAX's own logits, and streaming."""

from pathlib import Path

import pytest
import torch
from made_magenta import language_model_table
from safetensors.torch import save_file

from benchmarks.magenta_rt2.opening import opened
from benchmarks.magenta_rt2.parity import METHODS, frame_by_frame, in_pieces
from benchmarks.magenta_rt2.weights import random_tensors
from brain2music import _core
from brain2music.exporters import value_reads
from brain2music.exporters.magenta_rt2.channels import channel_layout
from brain2music.exporters.magenta_rt2.checkpoint import read_part, table_of
from brain2music.exporters.magenta_rt2.language_model import WINDOWS, language_model
from brain2music.exporters.script import scripted

#: Written by ``benchmarks/magenta_rt2/oracle.py FOLDER --size tiny --frames 60 --drawn 40``, magenta-rt 2.0.3 on JAX.
ORACLE = Path(__file__).parents[2] / "data" / "magenta_rt2_tiny.safetensors"
WINDOW = 8


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("magenta") / "mrt2_small.safetensors"
    numbers = random_tensors(language_model_table())
    save_file({name: torch.from_numpy(array) for name, array in numbers.items()}, path)
    return path


@pytest.fixture(scope="module")
def stage(checkpoint):
    with torch.inference_mode():
        return language_model(read_part(checkpoint, "small", language_model_table()), WINDOW)


@pytest.fixture(scope="module")
def oracle():
    return _core.io.load_safetensors(ORACLE)[0]


# ---- the table -------------------------------------------------------------------------------------------------------


def test_the_table_lists_every_tensor():
    counts = {part: len(table_of(part)) for part in ("small", "base", "soundstream", "encoder")}
    assert counts == {"small": 325, "base": 569, "soundstream": 49, "encoder": 48}
    weights = {part: sum(torch.Size(shape).numel() for shape in table_of(part).values()) for part in WINDOWS}
    assert weights == {"small": 229_732_614, "base": 2_406_701_830}


@pytest.mark.parametrize("size", WINDOWS)
def test_the_network_has_the_checkpoints_weights(size):
    """At full size, on the device "meta": all but rows that cannot be chosen, and scales that are part of others."""
    table = table_of(size)
    prefix = "params/depthformer/"
    tensors = {name.removeprefix(prefix): torch.empty(shape, device="meta") for name, shape in table.items()}
    stage = language_model(tensors, WINDOWS[size])
    scales = sum(shape[0] for name, shape in table.items() if name.endswith("per_dim_scale"))
    dimension, depth = (
        table[f"{prefix}decoder/{name}"]
        for name in ("decoder_embedding/embedding/embedding", "depth_body/to_logits/kernel")
    )
    rows = 5 * dimension[1] + 6 * (depth[0] + 1)
    assert sum(weight.numel() for weight in stage.parameters()) == (
        sum(tensor.numel() for tensor in tensors.values()) - scales - rows
    )


# ---- checkpoints -----------------------------------------------------------------------------------------------------


def changed(checkpoint, path, change):
    tensors = dict(_core.io.load_safetensors(checkpoint)[0])
    change(tensors)
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path)
    return path


NORM = "params/depthformer/encoder/body/encoder_ln/scale"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop(NORM), f"must hold the 85 tensors of 'small'; got none named {NORM}$"),
        (lambda tensors: tensors.clear() or tensors.update(x=torch.ones(1)), "got none named .*, nor 84 others"),
        (
            lambda tensors: tensors.update({NORM: torch.ones(25)}),
            rf"{NORM} must have the shape \(24,\) in 'small'; got \(25,\) in mrt2.safetensors: is it of another size",
        ),
        (
            lambda tensors: tensors.update({NORM + "2": torch.ones(24)}),
            f"every tensor of 'small' must have a place in the network; got {NORM}2 in mrt2.safetensors$",
        ),
        (
            lambda tensors: tensors.update({NORM: torch.ones(24, dtype=torch.int32)}),
            f"weights must be floating-point numbers of 16 or 32 bits; got torch.int32 for {NORM}",
        ),
    ],
)
def test_other_checkpoints_are_refused(checkpoint, tmp_path, change, message):
    path = changed(checkpoint, tmp_path / "mrt2.safetensors", change)
    with pytest.raises(ValueError, match=r"\[exporters.magenta_rt2\] .*" + message):
        read_part(path, "small", language_model_table())


def test_a_checkpoint_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"SOURCE must hold the checkpoint; got no file .*mrt2.safetensors"):
        read_part(tmp_path / "mrt2.safetensors", "small")


def test_the_size_must_be_that_of_the_checkpoint(checkpoint):
    with pytest.raises(ValueError, match=r"must hold the 569 tensors of 'base'; got none named .*, nor 483 others"):
        read_part(checkpoint, "base")


def test_other_parts_are_not_looked_at(checkpoint, tmp_path):
    path = changed(
        checkpoint, tmp_path / "mrt2.safetensors", lambda tensors: tensors.update({"params/x": torch.ones(1)})
    )
    assert len(read_part(path, "small", language_model_table())) == 85


def test_bfloat16_is_read(checkpoint, tmp_path, stage, oracle):
    def halve(tensors):
        tensors.update({name: tensor.bfloat16() for name, tensor in tensors.items()})

    path = changed(checkpoint, tmp_path / "mrt2.safetensors", halve)
    rounded = language_model(read_part(path, "small", language_model_table()), WINDOW)
    assert {weight.dtype for weight in rounded.parameters()} == {torch.float32}
    name = "depth_network.layers.0.feed_forward.0.weight"
    assert torch.equal(rounded.state_dict()[name], stage.state_dict()[name].bfloat16().float())


# ---- JAX -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", ["target", "drawn"])
def test_logits_are_those_of_jax(stage, oracle, codes):
    """Given codes of 60 frames, and codes that magenta-rt drew itself while it streamed 40."""
    expected = oracle["logits" if codes == "target" else "drawn_logits"]
    given = oracle[codes].long()
    with torch.inference_mode():
        logits = frame_by_frame(opened(stage, METHODS), oracle["codes"].long()[: len(given)], given)
    assert expected.abs().max() > 15
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)


# ---- streaming -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW, 60])
def test_pieces_give_what_the_whole_sequence_gives(stage, oracle, piece):
    with torch.inference_mode():
        logits = in_pieces(stage, oracle["codes"].long(), oracle["target"].long(), piece)
    torch.testing.assert_close(logits, oracle["logits"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("what", ["codes", "source"])
def test_the_window_limits_attention(checkpoint, what):
    """One layer: a frame sees its own and the seven before it, of the sequence and of the source."""
    table = language_model_table(1)
    tensors = read_part(checkpoint_of(checkpoint, table), "small", table)
    stage = language_model(tensors, WINDOW)
    torch.manual_seed(0)
    with torch.inference_mode():
        inputs = [torch.randint(24, (1, 20, 12)), torch.randn(1, 20, 24)]
        before = stage.extend(*inputs, torch.tensor(0), stage.init_state(1, 20, None))
        if what == "codes":
            inputs[0][:, 4] = (inputs[0][:, 4] + 1) % 24
        else:
            inputs[1][:, 4] += 1
        after = stage.extend(*inputs, torch.tensor(0), stage.init_state(1, 20, None))
    different = [frame for frame in range(20) if not torch.equal(before[0, frame], after[0, frame])]
    assert different == list(range(4, 4 + WINDOW))


def checkpoint_of(checkpoint, table):
    path = checkpoint.with_name("one_layer.safetensors")
    return changed(checkpoint, path, lambda tensors: [tensors.pop(name) for name in set(tensors) - set(table)])


def test_memory_does_not_grow_with_the_length(stage):
    sizes = [sum(tensor.numel() for tensor in stage.init_state(1, length, None)) for length in (WINDOW, 10_000)]
    assert sizes[0] == sizes[1]


def test_a_second_piece_equals_the_first_and_shares_nothing(stage, oracle):
    script = opened(stage, METHODS)
    codes, target = oracle["codes"].long()[:12], oracle["target"].long()[:12]
    with torch.inference_mode():
        states = script.init_state(1, 9, None), script.init_state(1, 9, None)
        places = [tensor.data_ptr() for state in states for tensor in state]
        assert len(set(places)) == len(places)
        assert torch.equal(frame_by_frame(script, codes, target), frame_by_frame(script, codes, target))


def test_rows_of_a_batch_do_not_meet(stage, oracle):
    codes, target = oracle["codes"].long()[-2:], oracle["target"].long()
    with torch.inference_mode():
        both, alone = stage.init_state(2, 9, None), [stage.init_state(1, 9, None) for _ in range(2)]
        for state, rows in ((both, [0, 1]), (alone[0], [0]), (alone[1], [1])):
            stage.source(codes[rows], torch.tensor(0), state)
        for frame in range(9):
            position = torch.tensor(frame)
            h = stage.temporal(target[[frame, 20 + frame]], position, both)
            expected = [stage.temporal(target[[at + frame]], position, alone[i]) for i, at in enumerate((0, 20))]
            torch.testing.assert_close(h, torch.cat(expected), rtol=0, atol=1e-5)


def test_masked_channels_are_heard_as_one_row_each(stage):
    """-1 is the row before code 0: seven rows into the tables of channels that can be masked, six into the scales'."""
    network = stage.source_network
    rows = (network.style_rows, network.other_rows)
    assert [int(each[0]) for each in rows] == [7, 7]
    assert rows[0].diff().unique().tolist() == [1031]
    assert rows[1].diff().tolist() == [*[11] * 128, 9 - 1, 47, 47]
    assert int(rows[1][-1]) + 8 < 1526


@pytest.mark.parametrize("method", ["source", "temporal", "depth_first", "depth_next"])
def test_a_cuda_graph_can_hold_a_step(stage, method):
    assert value_reads(scripted(stage), method) == []


def channels(**scales):
    """The codes of the channels behind the style's, at a guidance of 3."""
    codes = []
    for channel in channel_layout(**scales)[1:]:
        guidance = channel.get("guidance")
        code = channel["code"] if guidance is None else round((3 - guidance["lowest"]) / guidance["step"])
        codes += [code] * channel.get("count", 1)
    return codes


def test_guidance_is_three_codes():
    """Those of ``discretize_cfg`` in magenta-rt's ``jax/system.py``."""
    assert channels() == [-1] * 129 + [20, 10, 2]
    assert channels(notes=7, drums=0.4)[-3:] == [20, 40, 1]
    assert channels(notes=2.9, drums=7)[-3:] == [20, 20, 8]
    assert channel_layout()[2] == {"guidance": {"lowest": -1.0, "step": 0.2, "codes": 41}}


@pytest.mark.parametrize("scale", [-1.1, 7.1, float("nan")])
def test_guidance_out_of_range(scale):
    with pytest.raises(ValueError, match=r"guidance must be -1 to 7; got .* for notes"):
        channel_layout(notes=scale)


def test_the_source_has_a_channel_for_each_code(stage):
    assert stage.source_network.channels == 12 + len(channels()) == 144
