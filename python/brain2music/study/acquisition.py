"""Whether the order in which runs are read is the order in which they were measured: ``acq_time`` of scans.tsv."""

import contextlib
import itertools
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from brain2music.study.inventory import WITHIN_A_RUN
from brain2music.study.layout import Layout, Run
from brain2music.study.listing import Named
from brain2music.study.names import not_fetched
from brain2music.study.tables import read_table

__all__ = ["acquisition_notes"]


def acquisition_notes(layout: Layout, subject: str, runs: Sequence[Run]) -> list[str]:
    """Say where a run was measured before the one that is read before it, as far as scans.tsv tells.

    Runs are read in natural order of session and run, which is no order in time for sessions ``post`` and ``pre``.
    """
    times = _times(layout, subject)
    known = [(run, times[key]) for run in runs if (key := _key(run.bold)) in times]
    for (before, earlier), (after, later) in itertools.pairwise(known):
        if later < earlier:
            return [
                f"By acq_time of scans.tsv, {after.name} was measured before {before.name}, and is read after it: runs "
                "are read in natural order of session and run."
            ]
    return []


def _key(image: Path) -> frozenset[tuple[str, str]]:
    """Return what a raw image's name shares with the names of its derivatives."""
    return frozenset((key, text) for key, text in Named.of(image).entities.items() if key not in WITHIN_A_RUN)


def _times(layout: Layout, subject: str) -> dict[frozenset[tuple[str, str]], datetime]:
    own = layout.root / f"sub-{subject}"
    sessions = [folder for folder in layout.listing[own].folders if folder.name.startswith("ses-")]
    times: dict[frozenset[tuple[str, str]], datetime] = {}
    for folder in (own, *sessions):
        for file in layout.listing[folder].files:
            if file.suffix != "scans" or file.extension != ".tsv" or not_fetched(file.path) is not None:
                continue
            try:
                rows = read_table(file.path, ["filename", "acq_time"])
            except ValueError:  # the table is no part of what is read
                continue
            for row in rows:
                # Fractions of a second and the zone change no order within a subject.
                stamp = re.match(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}", row["acq_time"])
                if stamp is not None and "_bold." in row["filename"]:
                    with contextlib.suppress(ValueError):  # a 31st of February
                        times[_key(Path(row["filename"]))] = datetime.fromisoformat(stamp.group())
    return times
