"""What a chain of layers in ONNX consists of: nodes, and the weights of each, without the package onnx.

Source: ``onnx.proto``, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from brain2music.exporters.protocol_buffer import Message

__all__ = ["Node", "OnnxGraph"]

_WHERE = "exporters.OnnxGraph"
_FLOAT = 1
#: Nodes that round values to a few bits, and back.
_ROUNDING = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class Node:
    """An operation.

    Attributes
    ----------
    kind : str
        Such as "Conv".
    inputs, outputs : tuple of str
        Names of values.
    settings : dict from str to list of int
        Its attributes that are whole numbers.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: dict[str, list[int]]


class OnnxGraph:
    """The graph of an ONNX model.

    Parameters
    ----------
    model : bytes
        What ``model.onnx`` holds.
    files : mapping from str to bytes
        The files beside it that hold large weights.

    Attributes
    ----------
    nodes : list of Node
        In the order in which they run, without those that round values (``QuantizeLinear``, ``DequantizeLinear``).
    """

    def __init__(self, model: bytes, files: Mapping[str, bytes]) -> None:
        graph = (Message(model).messages(7) or [Message(b"")])[-1]
        nodes = [_node(message) for message in graph.messages(1)]
        if not nodes:
            raise ValueError(f"[{_WHERE}] a model must have a graph with nodes; got {len(model)} bytes without one")
        self.nodes = [node for node in nodes if node.kind not in _ROUNDING]
        self._unrounded = {node.outputs[0]: node.inputs[0] for node in nodes if node.kind in _ROUNDING}
        self._weights = {message.last_text(8): message for message in graph.messages(5)}
        self._files = files

    def weight(self, name: str) -> torch.Tensor:
        """Return the float32 weight that an input of a node is, or was before it was rounded."""
        while name in self._unrounded:
            name = self._unrounded[name]
        if name not in self._weights or self._weights[name].last_int(2) != _FLOAT:
            raise ValueError(f"[{_WHERE}] a weight must be stored as float32; got {name!r}, which is not")
        message = self._weights[name]
        shape = message.ints(1)
        content = message.last_blob(9)
        place = {entry.last_text(1): entry.last_text(2) for entry in message.messages(13)}
        if place:
            start, length = int(place.get("offset", 0)), int(place.get("length", 0))
            content = self._files.get(place.get("location", ""), b"")[start : start + length]
        expected = 4 * int(torch.Size(shape).numel())
        if len(content) != expected:
            raise ValueError(f"[{_WHERE}] weight {name!r} must have {expected} bytes; got {len(content)}")
        return torch.frombuffer(bytearray(content), dtype=torch.float32).reshape(shape)


def _node(message: Message) -> Node:
    settings = {each.last_text(1): each.ints(8) or [each.last_int(3)] for each in message.messages(5)}
    return Node(message.last_text(4), tuple(message.texts(1)), tuple(message.texts(2)), settings)
