"""Mutated sidecars are refused by file name, or give what a plain JSON reading gives; no mutated name vanishes."""

import json
import math

import numpy as np
from byte_mutations import delete_bytes, of_bytes

from brain2music.study.layout import Layout
from brain2music.study.names import entities
from brain2music.study.sidecars import read_sidecar
from brain2music.study.timing import read_timing

ORIGINAL = {
    "RepetitionTime": 1.5,
    "TaskName": "Training",
    "StartTime": 0.712,
    "DelayTime": 0.25,
    "AcquisitionDuration": 1.25,
    "DelayAfterTrigger": 0,
    "NumberOfVolumesDiscardedByScanner": 2,
    "SliceTimingCorrected": True,
    "SliceTiming": [0, 0.5, 1],
}
TIMES = {"VolumeTiming": [round(1.5 * scan, 2) for scan in range(8)], "TaskName": "Training", "StartTime": 0}

BYTES = b'"{}[],:.-+eE0123456789 \t\r\n\0\xff\xc3\xa9\\untrfalsNI'
change_byte, insert_byte = of_bytes(BYTES)

#: What may stand for a value in place of what should.
VALUES = (
    *("null", "true", "NaN", "Infinity", "-Infinity", '"1.5"', "[]", "[1.5]", "{}", "[0, 1.5, 3]", "[0, 1.5, 4]"),
    *("0", "-0", "1", "-1", "2", "1.5", "1.50", "15e-1", "1500", "99.9", "100", "1e-9", "1e308", "1e999", "1" * 400),
    *("1" * 5000, "0x1F", "1_5", "01.5", ".5", "1.", "+1", "0.712", "[0, 2e308]", "[0, 1e308, 1.7e308]", "[0, 1e-320]"),
)


def change_value(data, rng):
    lines = bytes(data).split(b"\n")
    chosen = [number for number, line in enumerate(lines) if b":" in line]
    if chosen:
        number = rng.choice(chosen)
        end = b"," if lines[number].rstrip().endswith(b",") else b""
        lines[number] = lines[number].partition(b":")[0] + b": " + rng.choice(VALUES).encode() + end
    data[:] = b"\n".join(lines)


def change_number(data, rng):
    """Another number in another spelling: as good as before."""
    value = rng.choice([1.5, 0.72, 2, 3.25, rng.random(), 10 * rng.random(), 1e-3 * rng.random()])
    style = rng.choice(["{:.2f}", "{!r}", "{:e}", "{:.17g}"])
    data[:] = bytes(data).replace(b"1.5,", style.format(float(value)).encode() + b",", 1)


def change_lines(data, rng):
    lines = bytes(data).split(b"\n")
    one, other = rng.integers(len(lines), size=2)
    match rng.integers(3):
        case 0:
            lines[one], lines[other] = lines[other], lines[one]
        case 1:
            del lines[one]
        case 2:
            lines.insert(one, lines[other])
    data[:] = b"\n".join(lines)


def prepend(data, rng):
    data[:0] = rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"[" * 5000, b"\xef\xbb"])


MUTATIONS = (
    *(change_byte, insert_byte, delete_bytes, change_value, change_value, change_value),
    *(change_number, change_number, change_number, change_lines, change_lines, prepend),
)


def plain(path):
    """What JSON says, read by itself."""
    values = json.loads(path.read_bytes().decode("utf-8-sig"))
    assert isinstance(values, dict)
    return values


def test_mutated_sidecars_are_refused_or_read_right(mutations, tmp_path):
    bold = tmp_path / "sub-01/func/sub-01_task-Training_run-1_bold.nii"
    bold.parent.mkdir(parents=True)
    path = bold.with_suffix(".json")

    def check(rng):
        data = bytearray(json.dumps(ORIGINAL if rng.random() < 0.7 else TIMES, indent=1).encode())
        for _ in range(rng.integers(1, 4)):
            if data:
                MUTATIONS[rng.integers(len(MUTATIONS))](data, rng)
        path.write_bytes(data)
        try:
            sidecar = read_sidecar(bold, tmp_path)
            timing = read_timing(sidecar)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            return False
        values = plain(path)
        assert repr(dict(sidecar)) == repr(values)
        times = values.get("VolumeTiming")
        if "RepetitionTime" in values:
            assert timing.tr == float(values["RepetitionTime"])
        elif times is None:
            assert timing.tr is None
        if times is not None:
            assert timing.volumes == len(times)
            assert np.abs(np.array(times) - times[0] - timing.tr * np.arange(len(times))).max() <= 0.011
        assert timing.start == values.get("StartTime", 0)
        assert math.isfinite(timing.start)
        for field in ("DelayTime", "DelayAfterTrigger", "NumberOfVolumesDiscardedByScanner"):
            assert bool(values.get(field)) == any(field in fact for fact in timing.facts), field
        return True

    mutations(check, "sidecars")


PIECES = (
    *(
        "sub-01",
        "sub-02",
        "ses-1",
        "ses-01",
        "task-Training",
        "task-rest",
        "run-1",
        "run-01",
        "run-2",
        "run-10",
        "run-x",
    ),
    *(
        "acq-a",
        "dir-AP",
        "echo-1",
        "part-mag",
        "space-T1w",
        "desc-preproc",
        "run-",
        "-1",
        "task",
        "",
        "é",
        "run-1234567",
    ),
)
ENDINGS = (
    "bold.nii",
    "bold.nii",
    "bold.nii",
    "events.tsv",
    "events.tsv",
    "bold.json",
    "sbref.nii",
    "bold.nii.gz",
    "bold",
)


def test_no_mutated_name_vanishes(mutations, tmp_path):
    """Each file is used by a run, or is in a run that is refused, or belongs to none: and no run is lost."""

    def name(rng):
        pieces = ["sub-01", "task-Training", *(["run-1"] if rng.random() < 0.5 else [f"run-{rng.integers(12):02}"])]
        for _ in range(rng.choice([0, 0, 1, 1, 2])):
            pieces[rng.integers(len(pieces))] = rng.choice(PIECES)
            if rng.random() < 0.3:
                pieces.insert(rng.integers(len(pieces) + 1), rng.choice(PIECES))
        return "_".join([*pieces, rng.choice(ENDINGS)])

    def check(rng):
        func = tmp_path / "sub-01" / "func"
        for old in func.iterdir() if func.is_dir() else ():
            old.unlink()
        func.mkdir(parents=True, exist_ok=True)
        stems = [f"sub-01_task-Training_run-{run}" for run in range(1, rng.integers(1, 4))]
        names = {f"{stem}_{ending}" for stem in stems for ending in ("bold.nii", "events.tsv")}
        names |= {name(rng) for _ in range(rng.integers(0, 3))}
        for made in names:
            (func / made).write_text("{}" if made.endswith(".json") else "")
        layout = Layout(tmp_path, None, None)
        found = layout.found("01")
        held = [file.path.name for run in found for file in run.files]
        assert len(held) == len(set(held))
        images = {
            made for made in names if made.endswith(("_bold.nii", "_bold.nii.gz")) and "task" in entities(func / made)
        }
        assert images <= set(held)
        try:
            runs = layout.runs("01", "Training")
        except (ValueError, OSError) as error:
            assert any(made in str(error) for made in names) or str(tmp_path / "sub-01") in str(error)  # noqa: PT017
            return False
        expected = {made for made in images if entities(func / made)["task"] == "Training"}
        assert {run.bold.name for run in runs} == expected
        for run in runs:  # the events of a run say nothing that its image does not
            own, heard = entities(run.bold), entities(run.events)
            for key in heard.keys() - {"suffix", "extension"}:
                assert heard[key].lstrip("0") == own[key].lstrip("0")
        return True

    mutations(check, "layouts")
