"""The wire format of protocol buffers, which TensorFlow's checkpoints and ONNX are written in.

Source: https://protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Iterator

__all__ = ["Message", "varint"]

_WHERE = "exporters.protocol_buffer"


def varint(content: bytes, at: int) -> tuple[int, int]:
    """Read a number of variable length; return the number, and where the next byte lies."""
    number = shift = 0
    while at < len(content) and shift < 64:
        byte = content[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
    raise ValueError(f"[{_WHERE}] a number must end within the message; got {len(content)} bytes without an end")


class Message:
    """A message, whose fields are known by number.

    Parameters
    ----------
    content : bytes
        The encoded message.
    """

    def __init__(self, content: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in _fields(content):
            self._fields.setdefault(number, []).append(value)

    def ints(self, number: int) -> list[int]:
        """Return the integers of a field, packed or not; negative ones as int64."""
        found: list[int] = []
        for value in self._fields.get(number, []):
            if isinstance(value, int):
                found.append(value)
                continue
            at = 0
            while at < len(value):
                each, at = varint(value, at)
                found.append(each)
        return [each - (1 << 64) if each >> 63 else each for each in found]

    def last_int(self, number: int, default: int = 0) -> int:
        """Return the integer of a field, the last one if it is there several times."""
        return (self.ints(number) or [default])[-1]

    def blobs(self, number: int) -> list[bytes]:
        """Return every value of a field of bytes, text or messages."""
        return [value for value in self._fields.get(number, []) if isinstance(value, bytes)]

    def last_blob(self, number: int) -> bytes:
        """Return the last value of a field of bytes."""
        return (self.blobs(number) or [b""])[-1]

    def texts(self, number: int) -> list[str]:
        """Return every value of a field of text."""
        return [value.decode() for value in self.blobs(number)]

    def last_text(self, number: int) -> str:
        """Return the last value of a field of text."""
        return self.last_blob(number).decode()

    def messages(self, number: int) -> list["Message"]:
        """Return every message of a field."""
        return [Message(value) for value in self.blobs(number)]


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(content):
        tag, at = varint(content, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = varint(content, at)
            yield number, value
            continue
        if kind == 2:
            size, at = varint(content, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"[{_WHERE}] a field must be of wire type 0, 1, 2 or 5; got {kind} for field {number}")
        part = content[at : at + size]
        if len(part) < size:
            raise ValueError(f"[{_WHERE}] field {number} must have {size} bytes; got {len(part)} before the end")
        at += size
        yield number, part if kind == 2 else struct.unpack("<Q" if kind == 1 else "<I", part)[0]
