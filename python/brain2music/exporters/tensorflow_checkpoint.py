"""TensorFlow's checkpoints (V2, "tensor bundles") without TensorFlow.

A checkpoint is an index and a file of raw little-endian numbers. The index is a sorted string table as LevelDB writes
them: blocks of keys, each stored as what differs from the key before, then a block that says where these lie, then a
footer of 48 bytes. A key is the name of a tensor, its value a ``BundleEntryProto``: type, shape, place and size.

Sources: https://github.com/google/leveldb/blob/main/doc/table_format.md; ``tensor_bundle.proto`` and ``types.proto`` of
TensorFlow.
"""

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from brain2music.exporters.protocol_buffer import Message, varint

__all__ = ["read_checkpoint"]

_WHERE = "exporters.read_checkpoint"
_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
#: Numbers of TensorFlow's types.
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}


def read_checkpoint(index: bytes, data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Read the tensors of a checkpoint.

    Checksums are not looked at: the caller knows the SHA-256 of the file that both parts come from.

    Parameters
    ----------
    index : bytes
        What the file ``….index`` holds.
    data : bytes
        What the file ``….data-00000-of-00001`` holds.

    Returns
    -------
    dict from str to ndarray
        Every tensor by its name. The arrays are views of ``data``, read-only.

    Raises
    ------
    ValueError
        If the bytes are no such checkpoint, or one that has several data files, big-endian or sliced tensors,
        compressed blocks, or a type other than float32, float64, int32 and int64.
    """
    if len(index) < _FOOTER or struct.unpack("<Q", index[-8:])[0] != _MAGIC:
        raise ValueError(f"[{_WHERE}] the index must end as a sorted string table does; got {index[-8:].hex()!r}")
    footer = index[-_FOOTER:]
    at = 0
    for _ in range(2):  # the place of the block of metadata, which is empty
        _, at = varint(footer, at)
    tensors: dict[str, npt.NDArray[np.generic]] = {}
    for _, place in _block(index, footer[at:]):
        for key, value in _block(index, place):
            entry = Message(value)
            if key:
                tensors[key.decode()] = _tensor(key.decode(), entry, data)
            else:
                _check_header(entry)
    return tensors


def _block(index: bytes, place: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of the block that lies at a place."""
    start, at = varint(place, 0)
    size, _ = varint(place, at)
    block, kind = index[start : start + size], index[start + size : start + size + 1]
    if len(block) < size or len(block) < 4 or kind != b"\0":
        raise ValueError(
            f"[{_WHERE}] a block must be whole and uncompressed; got {len(block)} bytes of {size}, of kind {kind.hex()}"
        )
    restarts = struct.unpack("<I", block[-4:])[0]  # where a reader may begin; reading from the first needs none
    end = len(block) - 4 - 4 * restarts
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        fresh, at = varint(block, at)
        length, at = varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        yield key, block[at + fresh : at + fresh + length]
        at += fresh + length


def _check_header(header: Message) -> None:
    shards, big_endian = header.last_int(1, 1), header.last_int(2)
    if shards != 1 or big_endian:
        raise ValueError(
            f"[{_WHERE}] a checkpoint must have one little-endian data file; got {shards}, "
            f"{'big' if big_endian else 'little'}-endian"
        )


def _tensor(name: str, entry: Message, data: bytes) -> npt.NDArray[np.generic]:
    kind = entry.last_int(1)
    if kind not in _DTYPES or entry.blobs(7):
        raise ValueError(
            f"[{_WHERE}] a tensor must be whole, of the types {', '.join(map(str, _DTYPES))} of TensorFlow; got type "
            f"{kind}{' in slices' if entry.blobs(7) else ''} for {name}"
        )
    shape = [size.last_int(1) for message in entry.messages(2) for size in message.messages(2)]
    start, size = entry.last_int(4), entry.last_int(5)
    dtype = np.dtype(_DTYPES[kind])
    if size != dtype.itemsize * int(np.prod(shape, dtype=np.int64)) or start + size > len(data):
        raise ValueError(
            f"[{_WHERE}] a tensor must lie in the data file in full; got bytes {start} to {start + size} of "
            f"{len(data)} for {name} of shape {tuple(shape)}"
        )
    return np.frombuffer(data, dtype, size // dtype.itemsize, start).reshape(shape)
