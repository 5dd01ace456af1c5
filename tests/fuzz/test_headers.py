"""Mutated NIfTI files are refused, naming the file, or read as nibabel reads them."""

import gzip
import logging

import nibabel as nib
import numpy as np
import pytest

from brain2music.study.bold import first_volume, open_bold, read_masked, repetition_time

SHAPE = (6, 5, 4, 5)

#: (NIfTI version, type, byte order, slope, compressed)
KINDS = (
    (1, "i2", "<", 1.0, False),
    (1, "i2", "<", 0.37, False),
    (1, "i2", ">", 0.37, False),
    (1, "f4", "<", 1.0, False),
    (1, "u1", "<", 1.0, False),
    (1, "f8", ">", 1.0, False),
    (2, "i2", "<", 1.0, False),
    (2, "i4", ">", -2.0, False),
    (1, "i2", "<", 1.0, True),
    (1, "f4", ">", 3.0, True),
    (2, "i2", "<", 1.0, True),
)

#: Types of the fields of a header, and values at their limits.
VALUES = (
    ("i2", (0, 1, -1, 2, 4, 5, 8, 16, 64, 512, 32767, -32768)),
    ("i4", (0, 1, -1, 348, 540, 1 << 16, 2**31 - 1, -(2**31))),
    ("i8", (0, 1, -1, 544, 1 << 31, 1 << 40, 1 << 62, 2**63 - 1, -(2**63))),
    ("f4", (0, 1, -1, 1e-45, 1e-38, 3e38, np.nan, np.inf, -np.inf, 352, 351.5, 1500)),
    ("f8", (0, 1, -1, 5e-324, 1e308, np.nan, np.inf, -np.inf)),
)


def whole_file(version, dtype, order, slope):
    rng = np.random.default_rng(0)
    header = (nib.Nifti1Header if version == 1 else nib.Nifti2Header)(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    header.set_data_shape(SHAPE)
    header.set_zooms((2, 2, 2, 1.5))
    header.set_xyzt_units("mm", "sec")
    header.set_sform(np.diag([-2.0, 2, 2.5, 1]), "scanner")
    header.set_qform(np.diag([-2.0, 2, 2.5, 1]), "scanner")
    header["scl_slope"], header["scl_inter"] = slope, 0 if slope == 1 else -12.5
    header["vox_offset"], header["magic"] = (352, b"n+1") if version == 1 else (544, header["magic"])
    data = (100 + 30 * rng.standard_normal(SHAPE)).astype(header.get_data_dtype())
    return header.binaryblock + bytes(4) + data.tobytes(order="F"), len(header.binaryblock) + 4


def change_byte(data, end, rng):
    data[rng.integers(min(end, len(data)))] = rng.integers(256)


def change_value(data, end, rng):
    """A value at its type's limits where one such may stand, in either byte order."""
    dtype, values = VALUES[rng.integers(len(VALUES))]
    step = 2 if dtype in ("i2", "i4", "f4") else 4
    start = step * rng.integers(end // step)
    value = np.array(values[rng.integers(len(values))], dtype).astype(rng.choice(["<", ">"]) + dtype)
    data[start : start + value.itemsize] = value.tobytes()


def change_length(data, end, rng):
    if rng.random() < 0.5:
        del data[rng.integers(len(data)) :]
    else:
        data += rng.bytes(rng.integers(1, 1000))


def shift(data, end, rng):
    start = rng.integers(len(data))
    if rng.random() < 0.5:
        del data[start : start + rng.integers(1, 9)]
    else:
        data[start:start] = rng.bytes(rng.integers(1, 9))


def change_data(data, end, rng):
    if len(data) > end:
        data[rng.integers(end, len(data))] = rng.integers(256)


def change_codes(data, end, rng):
    """qform_code and sform_code, each 0 or another value, in either byte order."""
    first, second = (252, 254) if end == 352 else (344, 348)
    order = (">", "<")[rng.integers(2)]
    for start in (first, second):
        code = np.array(rng.choice([0, 0, 1, 2, -1]), order + ("i2" if end == 352 else "i4"))
        data[start : start + code.itemsize] = code.tobytes()


MUTATIONS = (
    change_byte,
    change_byte,
    change_byte,
    change_value,
    change_value,
    change_value,
    change_length,
    shift,
    change_codes,
)


def read(path):
    """All that a run's reading does to a header and its data."""
    image = open_bold(path)
    tr = repetition_time(image, None)
    first = first_volume(image)
    return image, tr, first, read_masked(image, np.ones(image.grid.shape, bool))


@pytest.fixture
def quiet_nibabel():
    """nibabel logs what it repairs, many times over."""
    logger = nib.imageglobals.logger
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(before)


@pytest.mark.filterwarnings("ignore:Extension size is not")  # nibabel's; where the data begin is settled elsewhere
@pytest.mark.usefixtures("quiet_nibabel")
def test_mutated_headers_are_refused_or_read_right(mutations, tmp_path):
    originals = [whole_file(*kind[:4]) for kind in KINDS]

    def check(rng):
        kind = rng.integers(len(KINDS))
        compressed = KINDS[kind][4]
        path = tmp_path / ("a_bold.nii.gz" if compressed else "a_bold.nii")
        data, end = bytearray(originals[kind][0]), originals[kind][1]
        inside = rng.random() < 0.8 or not compressed  # or else the gzip stream itself
        for _ in range(rng.integers(1, 4) if inside else 0):
            if data:
                (*MUTATIONS, change_data)[rng.integers(len(MUTATIONS) + 1)](data, end, rng)
        if compressed:
            data = bytearray(gzip.compress(data, 1, mtime=0))
        if not inside:
            (change_byte, change_length, shift)[rng.integers(3)](data, len(data), rng)
        path.write_bytes(data)
        try:
            image, tr, first, bold = read(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            return False
        loaded = nib.load(path)
        assert loaded.shape == (*image.grid.shape, image.volumes)
        np.testing.assert_array_equal(image.grid.affine, loaded.affine)
        codes = [int(loaded.header[code]) for code in ("qform_code", "sform_code")]
        assert image.grid.oriented == (max(codes) > 0)
        if not image.grid.oriented:
            np.testing.assert_array_equal(image.grid.affine, loaded.header.get_base_affine())
        if min(codes) <= 0:
            assert image.forms_apart == 0
        unit = {"sec": 1, "unknown": 1, "msec": 1e-3, "usec": 1e-6}[loaded.header.get_xyzt_units()[1]]
        assert tr == pytest.approx(float(loaded.header.get_zooms()[3]) * unit, abs=1e-6)
        assert np.isfinite(bold).all()
        values = np.asarray(loaded.dataobj, dtype=np.float64)
        np.testing.assert_allclose(bold, values.reshape(-1, image.volumes).T, rtol=1e-6, atol=1e-45)
        np.testing.assert_allclose(first, values[..., 0], rtol=1e-6, atol=1e-45)
        return True

    mutations(check, "NIfTI files")
