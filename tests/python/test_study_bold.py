import gzip
import re
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from nilearn.maskers import NiftiMasker
from scipy import ndimage, stats

from brain2music.study.bold import open_bold, read_masked, repetition_time, standardize

SHAPE = (6, 5, 4)


@pytest.fixture
def mask(rng):
    return rng.random(SHAPE) < 0.5


def nilearn_masked(path, mask):
    image = nib.Nifti1Image(mask.astype(np.uint8), nib.load(path).affine)
    return NiftiMasker(image, standardize=None, dtype="float64").fit().transform(path)


@pytest.mark.parametrize("name", ["run_bold.nii", "run_bold.nii.gz"])
@pytest.mark.parametrize("dtype", ["i2", "u1", "i4", "f4", "f8"])
def test_masked_voxels_are_nilearns(study_folder, tmp_path, mask, name, dtype):
    data = study_folder.data("Training", 1)[..., :50]
    data = (data % 200 if dtype == "u1" else data).astype(dtype)
    if dtype[0] == "f":
        data += 0.25
    path = study_folder.write(tmp_path / name, data)
    image = open_bold(path)
    assert (image.volumes, image.grid.shape, image.tr) == (50, SHAPE, 1.5)
    bold = read_masked(image, mask)
    assert bold.dtype == np.float32
    assert bold.flags.c_contiguous
    np.testing.assert_array_equal(bold, nilearn_masked(path, mask))


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("compress", [False, True])
def test_scaled_and_big_endian(study_folder, tmp_path, mask, endian, compress):
    data = study_folder.data("Training", 1)[..., :20]
    path = study_folder.write(tmp_path / "run_bold.nii", data, slope=0.37, inter=-12.5, endian=endian)
    assert path.read_bytes()[:4] == (b"\x00\x00\x01\x5c" if endian == ">" else b"\x5c\x01\x00\x00")
    if compress:
        path.with_suffix(".nii.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = path.with_suffix(".nii.gz")
    bold = read_masked(open_bold(path), mask)
    np.testing.assert_allclose(bold, nilearn_masked(path, mask), rtol=1e-6)
    np.testing.assert_allclose(bold, (data[mask].T * 0.37 - 12.5), rtol=1e-6)


def test_processed_run_is_scipys(study_folder, tmp_path, mask):
    path = study_folder.write(tmp_path / "run_bold.nii.gz", study_folder.data("Training", 2))
    bold = read_masked(open_bold(path), mask)
    raw = bold.copy()
    processed = standardize(bold, 1.5, dropped=10)
    assert np.shares_memory(processed, bold)
    trend = ndimage.median_filter(raw, size=(161, 1), mode="reflect")
    expected = stats.zscore((raw - trend)[10:].astype(np.float64), axis=0)
    assert processed.shape == (400, int(mask.sum()))
    np.testing.assert_allclose(processed, expected, rtol=1e-5, atol=1e-6)


def test_slabs_change_nothing(rng, monkeypatch):
    bold = rng.standard_normal((410, 100), dtype=np.float32)
    bold[:, 7] = 3
    whole = standardize(bold.copy(), 1.5, 10)
    monkeypatch.setattr("brain2music.study.bold.SLAB", 7)
    np.testing.assert_array_equal(standardize(bold.copy(), 1.5, 10), whole)
    assert not whole[:, 7].any()


def refused(path, message, mask=None):
    with pytest.raises(ValueError, match=message) as caught:
        read_masked(open_bold(path), np.ones((1, 1, 1), bool) if mask is None else mask)
    assert str(path) in str(caught.value)
    assert str(caught.value).startswith("[study.bold] ")


def test_bad_files_are_refused(study_folder, tmp_path, mask):
    data = study_folder.data("Training", 1)[..., :30]
    path = study_folder.write(tmp_path / "a_bold.nii", data)
    whole = path.read_bytes()

    path.write_bytes(whole[:-1])
    refused(path, r"dim \(6, 5, 4, 30\) and datatype int16 must have 7552 bytes; got 7551")
    path.write_bytes(whole + b"\0")
    refused(path, "must have 7552 bytes; got 7553")
    path.write_bytes(whole[:300])
    refused(path, "the header must be NIfTI's")
    path.write_bytes(b"")
    refused(path, "the header must be NIfTI's")
    path.write_bytes(gzip.compress(whole))
    refused(path, r"\.nii\.gz must be gzip and \.nii must not; got gzip")

    zipped = tmp_path / "b_bold.nii.gz"
    zipped.write_bytes(whole)
    refused(zipped, "must be gzip .*; got no gzip")
    zipped.write_bytes(gzip.compress(whole)[:-3000])
    refused(zipped, r"the data must be whole; got '.*'", mask)
    zipped.write_bytes(gzip.compress(whole[:-10]))
    refused(zipped, "the data must be whole; got 'the data end in volume 29 of 30'", mask)
    zipped.write_bytes(gzip.compress(whole + bytes(20)))
    refused(zipped, "whole; got 'there are data after volume 29", mask)
    huge = nib.Nifti2Header()
    huge.set_data_dtype(np.int16)
    huge.set_data_shape((6, 5, 1 << 55, 30))
    huge["vox_offset"] = 544
    zipped.write_bytes(gzip.compress(huge.binaryblock + bytes(4) + whole[352:]))
    refused(zipped, r"must have \d{20} bytes; got \d+ bytes of gzip, too few for that")
    broken = bytearray(gzip.compress(whole))
    broken[-6] ^= 1  # the checksum
    zipped.write_bytes(broken)
    refused(zipped, "the data must be whole; got 'CRC check failed", mask)

    refused(
        study_folder.write(tmp_path / "c_bold.nii", data[..., 0]), r"dim must be four-dimensional.*; got \(6, 5, 4\)"
    )
    refused(
        study_folder.write(tmp_path / "d_bold.nii", data.astype("c8")), "datatype must be integer or real .* complex64"
    )
    big = study_folder.write(tmp_path / "e_bold.nii", data, slope=1, endian=">").read_bytes()
    path.write_bytes(big[:40] + np.array(-4, ">i2").tobytes() + big[42:])
    assert nib.load(path).shape == (6, 5, 4, 30)
    refused(path, r"dim must be four-dimensional.*; got \(6, 5, 4, 30\) in .* \(dim\[0\] is -4\)")
    for offset, value, message in (
        (112, np.inf, "scl_slope and scl_inter must be finite; got inf, 0.0"),
        (116, np.nan, "header must be NIfTI's; got .*intercept"),
        (92, -1.5, r"pixdim\[4\] must be a time; got -1.5 sec"),
        (92, np.nan, r"pixdim\[4\] must be a time; got nan sec"),
        (280, np.nan, "the affine must be finite and invertible; got "),
        (280, 0.0, "the affine must be finite and invertible; got "),
    ):
        path.write_bytes(whole[:offset] + np.float32(value).tobytes() + whole[offset + 4 :])
        refused(path, message)
    refused(tmp_path / "a.mgz", r"must be \.nii or \.nii\.gz")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_is_refused_inside_the_mask_only(study_folder, tmp_path, value):
    data = study_folder.data("Training", 1)[..., :30].astype(np.float32)
    data[2, 3, 1, 17] = value
    path = study_folder.write(tmp_path / "a_bold.nii", data)
    inside = np.ones(SHAPE, bool)
    refused(path, rf"the voxels that are read must be finite; got {value} at voxel \(2, 3, 1\), scan 17 of", inside)
    inside[2, 3, 1] = False
    assert read_masked(open_bold(path), inside).shape == (30, 119)
    # What float32 cannot hold is not finite either.
    data = data.astype(np.float64)
    data[2, 3, 1, 17] = 1e300
    path = study_folder.write(tmp_path / "b_bold.nii", data)
    refused(path, r"must be finite; got inf at voxel \(2, 3, 1\), scan 17 of", np.ones(SHAPE, bool))


@pytest.mark.parametrize(("tr", "units", "seconds"), [(1.5, "sec", 1.5), (1500, "msec", 1.5), (1.5, "unknown", 1.5)])
def test_repetition_time(study_folder, tmp_path, tr, units, seconds):
    path = study_folder.write(tmp_path / "a_bold.nii", study_folder.data("Training", 1)[..., :3], tr=tr, units=units)
    image = open_bold(path)
    assert image.tr == seconds
    assert repetition_time(image, None) == repetition_time(image, 1.5) == 1.5
    message = r"pixdim\[4\] of the header must be RepetitionTime of the sidecar; got 1\.5 s and 2 s for " + re.escape(
        str(path)
    )
    with pytest.raises(ValueError, match=message):
        repetition_time(image, 2.0)


def test_a_silent_header_leaves_the_tr_to_the_sidecar(study_folder, tmp_path):
    image = open_bold(study_folder.write(tmp_path / "a_bold.nii", study_folder.data("Training", 1)[..., :3], tr=0))
    assert image.tr is None
    assert repetition_time(image, 2.0) == 2.0
    with pytest.raises(
        ValueError, match=r"the TR must be in pixdim\[4\] or in RepetitionTime .*; got neither for .*a_bold"
    ):
        repetition_time(image, None)


def test_memory_is_one_run(tmp_path):
    """In a process of its own: the peak beyond imports is one masked run of float32, and slabs."""
    code = """
import resource, sys, numpy as np, nibabel as nib
from brain2music.study.bold import open_bold, read_masked, standardize
path, shape = sys.argv[1], (48, 48, 34)
header = nib.Nifti1Header(); header.set_data_dtype(np.int16); header.set_data_shape((*shape, 410))
header.set_zooms((2, 2, 2, 1.5)); header.set_xyzt_units("mm", "sec")
header["vox_offset"] = 352; header["magic"] = b"n+1"
rng = np.random.default_rng(0)
with open(path, "wb") as file:
    file.write(header.binaryblock + bytes(4))
    for _ in range(410):
        file.write(rng.integers(0, 1000, shape, dtype=np.int16).tobytes())
standardize(np.ones((410, 5000), np.float32), 1.5, 10)  # what torch needs once
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
mask = np.ones(shape, bool)
bold = standardize(read_masked(open_bold(__import__("pathlib").Path(path)), mask), 1.5, 10)
print((peak() - before) / bold.base.nbytes)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "big_bold.nii")], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 1.25
