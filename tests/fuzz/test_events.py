"""Mutated events are refused, naming the file, or read as pandas reads them."""

from pathlib import Path

import numpy as np
import pandas as pd
from byte_mutations import delete_bytes, of_bytes, of_rows, truncate

from brain2music.study.events import read_events

EVENTS = Path(__file__).parents[1] / "data/ds003720/sub-001/func/sub-001_task-Training_run-04_events.tsv"

BYTES = b"'\"\t\r\n \0\xff\xc3\xa9.,-+_e0123456789axn#"
change_byte, insert_byte = of_bytes(BYTES)
change_rows = of_rows(b"\r\n")

#: What may stand in a field in place of what should.
FIELDS = (
    *("", " ", "n/a", "nan", "-nan", "inf", "1e999", "1e-999", "1e5", "1E+1", "-0", "+15", "15.", ".5", "0x1F", "1_5"),
    *("1,5", " 15", "15 ", "15\u00a0", "\u0661\u0665", "\uff11\uff15", "\u00b2", "15.000000000000001", "9" * 30),
    *(
        "'pop'",
        "pop",
        '"pop"',
        "''pop'",
        "'pop",
        "'po'p'",
        "Pop",
        "pop ",
        "'hip-hop'",
        "000017",
        "-17",
        "17.0",
        "{track}",
    ),
    *("onset", "genre", "15\n", "15\r", "15\t15", "15\u2028", "15\x85", "15\x0b", "\ufeff15"),
)


def change_field(data, rng):
    rows = [row.split(b"\t") for row in bytes(data).split(b"\r\n")]
    row = rows[rng.integers(len(rows))]
    row[rng.integers(len(row))] = rng.choice(FIELDS).encode()
    data[:] = b"\r\n".join(b"\t".join(row) for row in rows)


def move_clip(data, rng):
    """Another stretch of another track, written in another way: as good as before."""
    rows = [row.split(b"\t") for row in bytes(data).split(b"\r\n")]
    row = rows[rng.integers(len(rows))]
    if len(row) == 6:
        start = rng.choice([0.0, 0.1, 15.0, 1e-7, 1e6, rng.random(), 15 * rng.random(), 1e-3 * rng.random()])
        style = rng.choice(["{:.2f}", "{!r}", "{:e}", "{:+.4f}", "{:.17g}"])
        row[3] = str(rng.integers(10 ** rng.integers(1, 10))).encode()
        row[4:] = (style.format(float(time)).encode() for time in (start, start + 15))
    data[:] = b"\r\n".join(b"\t".join(row) for row in rows)


def move_column(data, rng):
    rows = [row.split(b"\t") for row in bytes(data).split(b"\r\n")]
    source, target = rng.integers(6, size=2)
    for row in rows:
        if len(row) == 6:
            row.insert(target, row.pop(source))
    data[:] = b"\r\n".join(b"\t".join(row) for row in rows)


def change_line_ends(data, rng):
    data[:] = bytes(data).replace(b"\r\n", rng.choice([b"\n", b"\r", b"\n\n", b"\r\r\n", b" \r\n"]))


def prepend_mark(data, rng):
    data[:0] = rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\n", b"\xef\xbb"])


MUTATIONS = (
    *(change_byte, change_byte, insert_byte, delete_bytes, truncate, change_field, change_field, change_field),
    *(move_clip, move_clip, move_clip, move_clip, move_column, change_rows, change_line_ends, prepend_mark),
)


def expected(path):
    """The events as pandas reads and sorts them: times as numbers, genre and track as text without quotes."""
    times, texts = ("onset", "duration", "start", "end"), ("genre", "track")
    table = pd.read_csv(
        path,
        sep="\t",
        quoting=3,
        dtype=dict.fromkeys(times, float) | dict.fromkeys(texts, str),
        keep_default_na=False,
        encoding="utf-8-sig",
    )
    for name in texts:
        table[name] = table[name].str.strip("'\"")
    names = zip(table.genre, table.track, table.start, strict=True)
    table["clip"] = [f"{genre}.{int(track.removesuffix('.0')):05d}_{start:.2f}" for genre, track, start in names]
    return table.sort_values("onset", kind="stable")


def test_mutated_events_are_refused_or_read_right(mutations, tmp_path):
    original, path = EVENTS.read_bytes(), tmp_path / "events.tsv"

    def check(rng):
        data = bytearray(original)
        for _ in range(rng.integers(1, 4)):
            if data:
                MUTATIONS[rng.integers(len(MUTATIONS))](data, rng)
        path.write_bytes(data)
        try:
            run = read_events(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            return False
        table = expected(path)
        events = [*run.dummies, *run.kept]
        assert len(run.dummies) == 1
        for name in ("genre", "clip"):
            assert [getattr(event, name) for event in events] == list(table[name]), name
        for name in ("onset", "duration", "start", "end"):  # pandas before 3 may round the last digit otherwise
            np.testing.assert_allclose([getattr(event, name) for event in events], table[name], rtol=1e-14)
        return True

    mutations(check, "events files")


def test_the_oracle_reads_the_original():
    run = read_events(EVENTS)
    assert [event.clip for event in (*run.dummies, *run.kept)] == list(expected(EVENTS)["clip"])
    assert np.isfinite(expected(EVENTS).start).all()
