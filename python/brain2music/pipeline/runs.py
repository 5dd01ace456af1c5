"""The runs of a study, for a reader: which were used, which were not, and why."""

from pathlib import Path
from typing import Any

import numpy as np

from brain2music import report as pages
from brain2music.pipeline.context import Context

__all__ = ["runs_section", "say_runs"]


def say_runs(context: Context) -> list[str]:
    """Say how many runs are used, and which are not: one line each."""
    rows = _rows(context)
    used = sum(row["used"] for row in rows)
    return [
        f"{used} of {len(rows)} runs are used.",
        *(f"Not used: sub-{subject}: {why}" for subject, why in context.left_out.items()),
        *(f"Not used: {_name(row)}: {row['why']}" for row in rows if not row["used"]),
    ]


def runs_section(context: Context) -> pages.Section:
    """Show each run of the subjects that were asked for."""
    rows = _rows(context)
    columns = (
        pages.Column("Run", "", "left"),
        pages.Column("Volumes", "In the header of the image; empty where it cannot be read", "right"),
        pages.Column("Events", "Several runs may inherit one file", "left"),
        pages.Column("Used", "", "left"),
        pages.Column("Why not", "", "left"),
    )
    cells = tuple(
        (
            _name(row),
            _number(row["scans"]),
            Path(row["events"]).name,
            "yes" if row["used"] else "no",
            row["why"].replace(f"{context.study.root}/", ""),
        )
        for row in rows
    )
    used = sum(row["used"] for row in rows)
    return pages.Section(
        title="Runs",
        text=f"{used} of the {len(rows)} runs in the study's folders are used.",
        tables=(pages.Table("Runs found", "Runs of all tasks.", columns, cells),),
    )


def _rows(context: Context) -> list[dict[str, Any]]:
    table = context.study.runs
    rows: list[dict[str, Any]] = table[table.subject.isin(context.subjects)].to_dict("records")
    return rows


def _name(row: dict[str, Any]) -> str:
    parts = {"sub": row["subject"], "ses": row["session"], "task": row["task"], "run": _number(row["run"])}
    return "_".join(f"{key}-{value}" for key, value in parts.items() if value)


def _number(value: Any) -> str:
    """Return a whole number as text; nothing where it is missing, as pandas has it."""
    return str(int(value)) if isinstance(value, int | np.integer) else ""
