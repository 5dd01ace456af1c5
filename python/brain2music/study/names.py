"""Names of BIDS files: entities, their order, and what a name says of a file without opening it."""

import re
from pathlib import Path

from brain2music.files import natural, not_fetched

__all__ = ["comparable", "entities", "fetched", "natural", "not_fetched", "run_number"]

#: Entities whose value is a number: zeros before it say nothing.
NUMBERS = {"run", "echo", "inv", "flip", "split"}


def entities(path: Path) -> dict[str, str]:
    """Return the entities of a BIDS file name, with ``suffix`` and ``extension``."""
    stem, dot, extension = path.name.partition(".")
    *pairs, suffix = stem.split("_")
    named = dict(pair.split("-", 1) for pair in pairs if "-" in pair)
    return {**named, "suffix": suffix, "extension": dot + extension}


def comparable(named: dict[str, str]) -> dict[str, str]:
    """Return entities alone, numbers without zeros before them: ``run-01`` is ``run-1``."""
    return {
        key: (value.lstrip("0") or "0") if key in NUMBERS and value.isdecimal() else value
        for key, value in named.items()
        if key not in {"suffix", "extension"}
    }


def run_number(run: str | None) -> int | None:
    """Return a run's number, from 0; None where the name has none."""
    if run is None:
        return None
    if not re.fullmatch("[0-9]{1,6}", run):
        raise ValueError(f"run must be a whole number of at most six digits; got {run!r}")
    return int(run)


def fetched(path: Path) -> Path:
    """Return the path of a file whose content is here."""
    reason = not_fetched(path) if path.is_symlink() or path.is_file() else None
    if reason is not None:
        raise FileNotFoundError(f"[study.layout] a file that is read must be here; got {reason}")
    return path
