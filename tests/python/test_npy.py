"""``.npy`` files of other times and machines: NumPy is the judge."""

import numpy as np
import pytest

from brain2music import _core

RNG = np.random.default_rng(0)
SHAPES = [(), (0, 3), (7,), (3, 4), (2, 3, 4)]


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("end", ["<", ">"])
def test_both_byte_orders_are_read(tmp_path, kind, order, end):
    for shape in SHAPES:
        values = np.asarray(RNG.integers(0, 100, shape), order=order).astype(f"{end}{kind}")
        np.save(tmp_path / "a.npy", values)
        read = _core.io.load_npy(tmp_path / "a.npy")
        assert read.dtype == values.dtype.newbyteorder("=")
        np.testing.assert_array_equal(read, values)


def as_header(text, data):
    padded = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + data


@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required additional header parsing")
def test_headers_of_python_2_and_native_order_are_read(tmp_path):
    values = np.arange(10, dtype="<f4").reshape(5, 2)
    headers = (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (5L, 2L), }",
        "{'descr': '=f4', 'fortran_order': False, 'shape': (5, 2), }",
    )
    for header in headers:
        (tmp_path / "a.npy").write_bytes(as_header(header, values.tobytes()))
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values)
        np.testing.assert_array_equal(_core.io.load_npy(tmp_path / "a.npy"), values)


@pytest.mark.parametrize("descr", ["<U3", "|O", ">c8", "f4", "", "!f4", "<f3", ">b1x"])
def test_other_types_are_refused(tmp_path, descr):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}"
    (tmp_path / "a.npy").write_bytes(as_header(header, bytes(16)))
    with pytest.raises(RuntimeError, match=r"\[io.load_npy\] the type must be a number or a boolean; got"):
        _core.io.load_npy(tmp_path / "a.npy")
