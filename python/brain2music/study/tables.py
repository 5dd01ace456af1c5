"""Tables of text with one header line: as BIDS has them, tab-separated without quoting, and CSV."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from brain2music.study.names import fetched

__all__ = ["read_csv", "read_table"]


def read_table(path: Path, columns: Sequence[str], separator: str = "\t") -> list[dict[str, str]]:
    """Read a table as text.

    Parameters
    ----------
    path : path
        UTF-8, with or without byte order mark; CRLF and LF line ends. Quotes have no meaning, as BIDS has it.
    columns : sequence of str
        Columns that must be there; others may.
    separator : str

    Returns
    -------
    list of dict
        A row each, from column to text.

    Raises
    ------
    ValueError
        Naming the file, and the row or column, that is not as it should be.
    """
    data = fetched(path).read_bytes()
    if b"\0" in data:
        raise ValueError(f"[study.tables] a table must be text; got a zero byte at byte {data.index(0)} of {path}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"[study.tables] a table must be UTF-8 text; got '{error}' in {path}") from error
    lines = re.split("\r\n|\n|\r", text)
    while len(lines) > 1 and not lines[-1]:
        lines.pop()
    header = lines[0].split(separator)
    for name in columns:
        if header.count(name) != 1:
            raise ValueError(f"[study.tables] column {name} must be there once; got columns {header} in {path}")
    rows = []
    for number, line in enumerate(lines[1:], start=1):
        fields = line.split(separator)
        if len(fields) != len(header):
            raise ValueError(
                f"[study.tables] a row must have {len(header)} fields, as the header; got {len(fields)} in row "
                f"{number} of {path}"
            )
        rows.append(dict(zip(header, fields, strict=True)))
    return rows


def read_csv(path: Path, columns: Sequence[str], name: str, where: str) -> list[dict[str, str]]:
    """Read a table of CSV as text.

    Parameters
    ----------
    path : path
        UTF-8, with or without byte order mark; fields may be quoted.
    columns : sequence of str
        Columns that must be there; others may.
    name : str
        What errors call the table.
    where : str
        Room and function that errors name.

    Returns
    -------
    list of dict
        A row each, from column to text.

    Raises
    ------
    ValueError
        Naming the file, and the row or columns, that are not as they should be.
    """
    try:
        with fetched(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows, header = list(reader), list(reader.fieldnames or [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"[{where}] {name} must be CSV in UTF-8; got '{error}' in {path}") from error
    if any(header.count(column) != 1 for column in columns):
        raise ValueError(f"[{where}] columns {' and '.join(columns)} must be there once; got {header} in {path}")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ValueError(
                f"[{where}] a row must have {len(header)} fields, as the header; got another number in row {number} "
                f"of {path}"
            )
    return rows
