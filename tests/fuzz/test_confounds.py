"""Mutated confounds are refused, naming file, row and column, or read as pandas reads them."""

import re

import numpy as np
import pandas as pd
from byte_mutations import delete_bytes, of_bytes, of_rows, truncate

from brain2music.study.confounds import read_confounds

SCANS, DROPPED = 30, 4
COLUMNS = ("csf", "trans_x", "csf_derivative1")

BYTES = b"'\"\t\r\n \0\xff\xc3\xa9.,-+_e0123456789axn#/"
change_byte, insert_byte = of_bytes(BYTES)
change_rows = of_rows(b"\n")

#: What may stand in a field in place of what should.
FIELDS = (
    *("", " ", "n/a", "N/A", "nan", "NaN", "-nan", "NAN", "NA", "na", "null", "None", "inf", "-Infinity", "1e999"),
    *(
        "1e-999",
        "1e5",
        "1E+1",
        "-0",
        "+15",
        "15.",
        ".5",
        ".",
        "-",
        "e5",
        "0x1F",
        "1_5",
        "1,5",
        " 15",
        "15 ",
        "1e",
        "--1",
    ),
    *("15\u00a0", "\u0661\u0665", "\uff11", "9" * 30, "9" * 400, "0." + "3" * 40, "1e+308", "5e-324", "TRUE", "csf"),
    *("15\t15", "15\n"),
)


def original():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((SCANS, 4)) * [1e4, 1e-4, 1, 1], columns=[*COLUMNS, "rot_x"])
    table.loc[0, "csf_derivative1"] = np.nan
    return table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n").encode()


def change_field(data, rng):
    change_fields(data, rng, rng.integers(1000))


def change_early_field(data, rng):
    """Where ``n/a`` is filled."""
    change_fields(data, rng, rng.integers(1, DROPPED + 2))


def change_fields(data, rng, row):
    rows = [line.split(b"\t") for line in bytes(data).split(b"\n")]
    fields = rows[row % len(rows)]
    fields[rng.integers(len(fields))] = FIELDS[rng.integers(len(FIELDS))].encode()
    data[:] = b"\n".join(b"\t".join(line) for line in rows)


def change_digits(data, rng):
    """Another number, written in another way: as good as before."""
    rows = [line.split(b"\t") for line in bytes(data).split(b"\n")]
    fields = rows[rng.integers(1, max(2, len(rows) - 1)) % len(rows)]
    style = ("{!r}", "{:.3f}", "{:e}", "{:+.17g}", "{:.0f}")[rng.integers(5)]
    value = float(rng.standard_normal() * 10.0 ** rng.integers(-9, 9))
    fields[rng.integers(len(fields))] = style.format(value).encode()
    data[:] = b"\n".join(b"\t".join(line) for line in rows)


def move_column(data, rng):
    rows = [line.split(b"\t") for line in bytes(data).split(b"\n")]
    source, target = rng.integers(4, size=2)
    for line in rows:
        if len(line) == 4:
            line.insert(target, line.pop(source))
    data[:] = b"\n".join(b"\t".join(line) for line in rows)


def change_line_ends(data, rng):
    data[:] = bytes(data).replace(b"\n", (b"\r\n", b"\r", b"\n\n", b" \n")[rng.integers(4)])


def prepend_mark(data, rng):
    data[:0] = (b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"\xef\xbb")[rng.integers(4)]


MUTATIONS = (
    *(change_byte, change_byte, insert_byte, delete_bytes, truncate, change_field, change_field, change_early_field),
    *(change_early_field, change_digits, change_digits, change_digits, change_digits, move_column, change_rows),
    *(change_line_ends, prepend_mark),
)


def test_mutated_confounds_are_refused_or_read_right(mutations, tmp_path):
    whole, path = original(), tmp_path / "confounds.tsv"

    def check(rng):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            if data:
                MUTATIONS[rng.integers(len(MUTATIONS))](data, rng)
        path.write_bytes(data)
        try:
            values, notes = read_confounds(path, COLUMNS, SCANS, DROPPED)
        except ValueError as error:
            text = str(error)
            assert str(path) in text
            if "confound " in text:
                row, name = re.search(r"in row (\d+) of", text)[1], re.search("confound ([a-z_1]+) must", text)[1]
                assert 1 <= int(row) <= SCANS and name in COLUMNS  # noqa: PT018
            return False
        # Without dtype, a whole number beyond 64 bits would make text of its column, n/a included.
        how = {"quoting": 3, "encoding": "utf-8-sig", "dtype": dict.fromkeys(COLUMNS, float)}
        table = pd.read_csv(path, sep="\t", **how)[list(COLUMNS)]
        missing = table.isna()
        assert not missing[DROPPED:].any(axis=None)
        # pandas before 3 may round the last digit otherwise.
        np.testing.assert_allclose(values, table.bfill().to_numpy(), rtol=1e-14, atol=1e-300)
        assert len(notes) == missing.any().sum()
        for name in COLUMNS:
            rows = ", ".join(str(row + 1) for row in np.flatnonzero(missing[name]))
            assert not rows or f"n/a of confound {name} in row {rows} took the value of the next row" in notes
        return True

    mutations(check, "confounds tables")
