"""Rows as tables: tab-separated with a JSON sidecar, as BIDS has them, whole or not there."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from brain2music.evaluation.rows import METRICS, Row, Summary
from brain2music.files import write_bytes
from brain2music.study.tables import read_table

__all__ = ["read_rows", "write_rows", "write_summary"]

_COLUMNS = {
    "subject": {"Description": "Label of the subject, without 'sub-'."},
    "stage": {
        "Description": "What was evaluated, a hyphen, and on which clips.",
        "Levels": {
            "decode-train": "Embeddings predicted from brain activity, clips that the decoder was trained on.",
            "decode-test": "Embeddings predicted from brain activity, clips that it never saw.",
            "decode-heldout": "The same, each clip's genre left out of the training of its decoder.",
            "retrieve-train": "The best track that the prediction finds in the music library, training clips.",
            "retrieve-test": "The best track that the prediction finds in the music library, test clips.",
            "retrieve-heldout": "The same, each clip's genre left out of the training of its decoder.",
        },
    },
    "embedding": {"Description": "Which embedding of the music."},
    "genre": {"Description": "Genre of the clips; 'all' for all of them, the headline."},
    "metric": {"Description": "What the value is.", "Levels": METRICS},
    "value": {"Description": "The figure."},
    "mean": {"Description": "Mean of the figure over subjects."},
    "sd": {"Description": "Standard deviation of the figure over subjects (ddof 1); n/a for a single subject."},
    "chance": {
        "Description": "The same figure for a random pick from the music library; where there is none, for predictions "
        "permuted over clips."
    },
    "oracle": {"Description": "The same figure with the true embedding in place of the predicted one."},
    "n": {"Description": "Clips, or windows of clips, that the figure is taken over."},
    "subjects": {"Description": "How many subjects."},
}


def write_rows(path: str | os.PathLike[str], rows: Iterable[Row]) -> Path:
    """Write ``evaluate.tsv`` and, beside it, ``evaluate.json``, which says what its columns mean.

    Parameters
    ----------
    path : path
        Ends in ``.tsv``. Its folder is there; a file of that name is replaced at once, when the new one is whole.
    rows : iterable of Row
        Written in their order, figures with six decimals: the same rows give the same bytes.

    Returns
    -------
    Path
        Of the table.
    """
    return _write(path, [field.name for field in fields(Row)], [astuple(row) for row in rows])


def write_summary(path: str | os.PathLike[str], summaries: Iterable[Summary]) -> Path:
    """Write summaries as :func:`write_rows` writes rows.

    Parameters
    ----------
    path : path
    summaries : iterable of Summary

    Returns
    -------
    Path
    """
    return _write(path, [field.name for field in fields(Summary)], [astuple(summary) for summary in summaries])


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
    """Read what :func:`write_rows` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of Row

    Raises
    ------
    ValueError
        If a column is missing or a field is not as it should be; file and row are named.
    """
    path = Path(path)
    result = []
    for number, row in enumerate(read_table(path, [field.name for field in fields(Row)]), start=1):
        try:
            subject, stage, embedding, genre, metric = (row[field.name] for field in fields(Row)[:5])
            value, chance, oracle = (float(row[name]) for name in ("value", "chance", "oracle"))
            result.append(Row(subject, stage, embedding, genre, metric, value, chance, oracle, int(row["n"])))
        except ValueError as error:
            raise ValueError(
                f"[evaluation.read_rows] a row must hold a figure; got '{error}' in row {number} of {path}"
            ) from error
    return result


def _write(path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[tuple[object, ...]]) -> Path:
    path = Path(path)
    if path.suffix != ".tsv":
        raise ValueError(f"[evaluation.tables] a table must end in .tsv; got {path}")
    lines = ["\t".join(columns), *("\t".join(_field(value) for value in row) for row in rows)]
    sidecar = {column: _COLUMNS[column] for column in columns}
    write_bytes(path.with_suffix(".json"), (json.dumps(sidecar, indent=2, ensure_ascii=False) + "\n").encode())
    write_bytes(path, ("\n".join(lines) + "\n").encode())
    return path


def _field(value: object) -> str:
    if value is None:
        return "n/a"
    # Adding zero makes a negative zero positive.
    return f"{round(value, 6) + 0.0:.6f}" if isinstance(value, float) else str(value)
