"""Weights in wheels: TensorFlow's checkpoints and ONNX, written here byte by byte as the formats are published."""

import hashlib
import re

import made_wheels
import numpy as np
import pytest
import torch

from brain2music.exporters.onnx_graph import OnnxGraph
from brain2music.exporters.protocol_buffer import Message
from brain2music.exporters.tensorflow_checkpoint import read_checkpoint
from brain2music.exporters.wheel import Wheel


@pytest.fixture
def tensors(rng):
    return {
        "conv2d/kernel": rng.standard_normal((2, 3, 1, 4)).astype(np.float32),
        "conv2d/bias": rng.standard_normal(4).astype(np.float32),
        "conv2d_1/bias": rng.standard_normal(300),
        "empty": np.zeros((0, 5), np.float32),
        "global_step": np.array(-7, np.int64),
        "counts": np.arange(6, dtype=np.int32).reshape(2, 3),
    }


@pytest.mark.parametrize("in_block", [1, 4, 100])
def test_a_checkpoint_gives_its_tensors(tensors, in_block):
    read = read_checkpoint(*made_wheels.checkpoint(tensors, in_block=in_block))
    assert read.keys() == tensors.keys()
    for name, value in tensors.items():
        assert read[name].dtype == value.dtype
        np.testing.assert_array_equal(read[name], value, strict=True)


def test_checkpoints_that_are_none_are_refused(tensors):
    field, (index, data) = made_wheels.field, made_wheels.checkpoint(tensors)

    def refused(match, index=index, data=data):
        with pytest.raises(ValueError, match=r"^\[exporters.read_checkpoint\] " + match):
            read_checkpoint(index, data)

    refused("the index must end as a sorted string table does; got '6e6f20636865636b'", b"no check")
    refused("a tensor must lie in the data file in full; got bytes .* for global_step of shape ", data=data[:-1])
    refused(".* got 3, little-endian", made_wheels.checkpoint(tensors, header=field(1, 3))[0])
    refused(".* got 1, big-endian", made_wheels.checkpoint(tensors, header=field(1, 1) + field(2, 1))[0])
    refused("a block must be whole and uncompressed; got .* of kind 01", made_wheels.checkpoint(tensors, kind=b"\1")[0])
    half = made_wheels.checkpoint({"w": np.zeros(3, np.float16)})[0]
    refused("a tensor must be whole, of the types 1, 2, 3, 9 of TensorFlow; got type 19 for w", half)
    sliced = made_wheels.checkpoint({"w": np.zeros(3, np.float32)}, entry=field(7, b""))[0]
    refused("a tensor must be whole, .*; got type 1 in slices for w", sliced)


def test_messages_have_fields_of_every_kind():
    field = made_wheels.field
    content = field(1, -3) + field(1, 300) + field(2, b"\x05\xac\x02") + field(3, "text") + field(4, 1.5)
    message = Message(content + made_wheels.varint(5 << 3 | 1) + bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    assert message.ints(1) == [-3, 300]
    assert message.last_int(1) == 300
    assert message.ints(2) == [5, 300]
    assert message.texts(3) == ["text"]
    assert message.ints(4) == [0x3FC00000]
    assert message.last_int(5) == 1
    assert message.last_int(9, default=8) == 8
    for wrong, match in (
        (b"\x08", "a number must end within the message; got 1 bytes"),
        (b"\x08" + b"\xff" * 11, "a number must end"),
        (b"\x1a\x05ab", "field 3 must have 5 bytes; got 2 before the end"),
        (b"\x1b", "a field must be of wire type 0, 1, 2 or 5; got 3 for field 3"),
    ):
        with pytest.raises(ValueError, match=r"^\[exporters.protocol_buffer\] " + match):
            Message(wrong)


def test_a_graph_gives_its_nodes_and_weights(rng):
    weights = [
        rng.standard_normal((2, 1, 3, 3)).astype(np.float32),
        rng.standard_normal((4, 2, 1, 1)).astype(np.float32),
    ]
    biases = [rng.standard_normal(len(weight)).astype(np.float32) for weight in weights]
    settings = [{"pads": [0, 0, 1, 1], "strides": [2, 2], "group": 1}, {"pads": [0] * 4, "strides": [1, 1], "group": 1}]
    head = rng.standard_normal((5, 4)).astype(np.float32), rng.standard_normal(5).astype(np.float32)
    model, data = made_wheels.onnx_chain(list(zip(weights, biases, settings, strict=True)), head)
    graph = OnnxGraph(model, {"model.data": data})
    kinds = [node.kind for node in graph.nodes]
    assert kinds == ["Conv", "Relu", "Conv", "Relu", "GlobalAveragePool", "Reshape", "Gemm"]
    assert graph.nodes[0].settings == {"pads": [0, 0, 1, 1], "strides": [2, 2], "group": [1]}
    for node, weight, bias in zip(graph.nodes[:4:2], weights, biases, strict=True):
        torch.testing.assert_close(graph.weight(node.inputs[1]), torch.from_numpy(weight), rtol=0, atol=0)
        torch.testing.assert_close(graph.weight(node.inputs[2]), torch.from_numpy(bias), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"^\[exporters.OnnxGraph\] a weight must be stored as float32; got 'zero'"):
        graph.weight("zero")
    with pytest.raises(ValueError, match=r"weight 'w1' must have 32 bytes; got 7"):
        OnnxGraph(model, {"model.data": data[:7]}).weight("w1")
    with pytest.raises(ValueError, match=r"a model must have a graph with nodes; got 0 bytes without one"):
        OnnxGraph(b"", {})


def test_what_is_changed_at_random_is_read_or_refused(tensors, rng):
    """Nothing but ValueError leaves the readers: a wheel may be any file if its SHA-256 is given."""
    index, data = made_wheels.checkpoint(tensors)
    zeros = np.zeros((1, 1, 1, 1), np.float32)
    model, beside = made_wheels.onnx_chain([(zeros, zeros[0, 0, 0], {"group": 1})] * 2, (zeros[0, 0], zeros[0, 0, 0]))

    def read(kind, content):
        if kind == "checkpoint":
            read_checkpoint(content, data)
            return
        graph = OnnxGraph(content, {"model.data": beside})
        for node in graph.nodes:
            for name in node.inputs:
                graph.weight(name)

    refused = 0
    for kind, content in {"checkpoint": index, "graph": model}.items():
        for _ in range(300):
            changed = bytearray(content)
            for at in rng.integers(0, len(content), 2):
                changed[at] = rng.integers(0, 256)
            try:
                read(kind, bytes(changed))
            except ValueError:
                refused += 1
    assert refused > 100


def test_wheels_are_known_by_their_hash(tmp_path):
    path = made_wheels.write(tmp_path / "a.whl", {"a/b.py": "A = ['x', 'y']\nB = 3\n", "a/c.txt": "text"})
    known = hashlib.sha256(path.read_bytes()).hexdigest()
    wheel = Wheel("exporters.here", path, known, "a==1.0")
    assert wheel.read("a/c.txt") == b"text"
    assert wheel.read_strings("a/b.py", "A") == ["x", "y"]
    for call, match in (
        (lambda: Wheel("exporters.here", path, "0" * 64, "a==1.0"), f"the SHA-256 {'0' * 64}; got {known} for .*a.whl"),
        (lambda: wheel.read("a/d.txt"), "the wheel must hold a/d.txt; got .*a.whl without it"),
        (lambda: wheel.read_strings("a/b.py", "C"), "a/b.py must set C to a list of strings; got .*a.whl"),
        (lambda: wheel.read_strings("a/b.py", "B"), "a/b.py must set B to a list of strings; got .*a.whl"),
        (lambda: wheel.read_zipped("a/c.txt"), "a wheel must be a ZIP archive; got a/c.txt"),
    ):
        with pytest.raises(ValueError, match=r"^\[exporters.here\] .*" + match):
            call()
    with pytest.raises(FileNotFoundError, match=re.escape("where there is none: pip download --no-deps a==1.0")):
        Wheel("exporters.here", tmp_path / "b.whl", known, "a==1.0")
