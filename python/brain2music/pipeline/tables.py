"""Tables and cells that sections of the report share."""

from collections.abc import Callable, Sequence

import numpy as np

from brain2music import report as pages
from brain2music.evaluation import Row

__all__ = ["mean_cells", "number", "spread", "subject_table", "three"]


def three(value: float) -> str:
    """Write a number to three places; a number that rounds to 0 has no sign."""
    return f"{round(value, 3) + 0.0:.3f}"


def spread(sd: float | None) -> str:
    """Write a standard deviation behind its mean, if there is one."""
    return "" if sd is None else f" ± {sd:.3f}"


def number(mean: float, sd: float | None) -> str:
    """Write a mean and its standard deviation."""
    return f"{three(mean)}{spread(sd)}"


def mean_cells(found: Sequence[Row]) -> list[str]:
    """Average value, chance and oracle over rows; "none" where there is no row."""
    return [
        three(float(np.mean([getattr(row, name) for row in found]))) if found else "none"
        for name in ("value", "chance", "oracle")
    ]


def subject_table(title: str, rows: Sequence[Row], named: Callable[[str], str], counted: str) -> pages.Table:
    """List rows subject by subject.

    Parameters
    ----------
    title : str
        The table's title.
    rows : sequence of Row
        The rows to show, in this order.
    named : callable
        Gives a metric the name that readers see.
    counted : str
        Says what n counts.

    Returns
    -------
    Table
    """
    columns = (
        pages.Column("Subject", "", "left"),
        pages.Column("Metric", "", "left"),
        pages.Column("Value", "", "right"),
        pages.Column("Chance", "", "right"),
        pages.Column("Oracle", "", "right"),
        pages.Column("n", counted, "right"),
    )
    body = tuple(
        (f"sub-{row.subject}", named(row.metric), three(row.value), three(row.chance), three(row.oracle), str(row.n))
        for row in rows
    )
    return pages.Table(title, "Test clips.", columns, body)
