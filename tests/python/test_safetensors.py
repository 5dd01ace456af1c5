import json
import struct

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

from brain2music import _core

DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8"]


def arrays_of(rng):
    arrays = {dtype: rng.integers(0, 2, (3, 5)).astype(dtype) for dtype in DTYPES}
    return arrays | {"scalar": np.array(3.5), "empty": np.zeros((0, 3), np.float32), "é": np.arange(3)}


def test_the_package_reads_what_is_written(rng, tmp_path):
    arrays = arrays_of(rng)
    path = tmp_path / "x.safetensors"
    layouts = {name: np.array(array, order="F") for name, array in arrays.items()}
    _core.io.save_safetensors(path, layouts, {"made by": "brain2music", "é": "ü\n"})
    read = safetensors.numpy.load_file(path)
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata() == {"made by": "brain2music", "é": "ü\n"}
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]


def test_what_the_package_writes_is_read_without_a_copy(rng, tmp_path):
    path = tmp_path / "x.safetensors"
    tensors = {name: torch.from_numpy(array) for name, array in arrays_of(rng).items()}
    tensors |= {"bf16": torch.randn(4).bfloat16(), "f8": torch.randn(4).to(torch.float8_e4m3fn)}
    safetensors.torch.save_file(tensors, path, {"a": "b"})
    read, metadata = _core.io.load_safetensors(path)
    assert metadata == {"a": "b"}
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert read[name].shape == tensor.shape
        assert torch.equal(read[name].reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8))
    mapped = path.read_bytes()
    read["f4"].fill_(7)
    assert path.read_bytes() == mapped


def test_every_header_that_is_changed_is_read_as_the_package_reads_it_or_refused(rng, tmp_path):
    """Bytes of the header replaced at random: no crash, and nothing is taken that the format's own library refuses."""
    arrays = {"x": rng.standard_normal((2, 3)).astype(np.float32), "y": np.arange(4, dtype=np.int8)}
    whole = safetensors.numpy.save(arrays, {"a": "b"})
    (length,) = struct.unpack("<Q", whole[:8])
    path = tmp_path / "x.safetensors"
    taken = refused = 0
    letters = [i for i in range(8, 8 + length) if chr(whole[i]).isalnum()]
    for number in range(800):
        changed = bytearray(whole)
        if number % 2:
            changed[rng.choice(letters)] = rng.choice(list(b"0123456789FIUxyz"))
        else:
            changed[rng.integers(0, 8 + length)] = rng.choice(list(b'{}[]",:0123456789-F3I8 \x00\xff'))
        if number % 20 == 0:
            changed = changed[: rng.integers(0, len(changed))]
        path.write_bytes(changed)
        try:
            theirs = safetensors.numpy.load(bytes(changed))
        except Exception:
            theirs = None
        try:
            ours, _ = _core.io.load_safetensors(path)
        except RuntimeError:
            refused += 1
            continue
        taken += 1
        assert theirs is not None, bytes(changed)
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            np.testing.assert_array_equal(tensor.numpy(), theirs[name])
    assert taken > 20
    assert refused > 400


def test_bad_arrays_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match=r"\[io.save_safetensors\] the type must be one .*; got ComplexDouble"):
        _core.io.save_safetensors(path, {"x": np.zeros(3, complex)})
    with pytest.raises(ValueError, match="must not be called __metadata__"):
        _core.io.save_safetensors(path, {"__metadata__": np.zeros(3)})
    with pytest.raises(TypeError, match="an array of numbers is expected"):
        _core.io.save_safetensors(path, {"x": np.array(["a"])})
    with pytest.raises(RuntimeError, match="when it was opened"):
        _core.io.save_safetensors(tmp_path / "none" / "x", {})
    assert list(tmp_path.iterdir()) == []
    _core.io.save_safetensors(path, {})
    assert json.loads(path.read_bytes()[8:]) == {}
    assert _core.io.load_safetensors(path) == ({}, {})
