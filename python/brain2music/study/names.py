"""Names of BIDS files: entities, their order, and what a name says of a file without opening it."""

import re
from pathlib import Path

__all__ = ["comparable", "entities", "fetched", "natural", "not_fetched", "run_number"]

#: Entities whose value is a number: zeros before it say nothing.
NUMBERS = {"run", "echo", "inv", "flip", "split"}

#: Beginnings of the small text files that stand for content that was not fetched, and what fetches it.
POINTERS = {
    b"/annex/objects/": "datalad get",
    b"\\annex\\objects\\": "datalad get",
    b"version https://git-lfs": "git lfs pull --include",
}
POINTER_BYTES = 1024


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


def natural(text: str | None) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts 2 before 10, and w2 before w10; None comes first."""
    parts = re.findall("[0-9]+|[^0-9]+", text or "")
    # Equal numbers of other lengths (1 and 01) are told apart by the text itself.
    return tuple((0, int(part), part) if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts)


def run_number(run: str | None) -> int | None:
    """Return a run's number, from 0; None where the name has none."""
    if run is None:
        return None
    if not re.fullmatch("[0-9]{1,6}", run):
        raise ValueError(f"run must be a whole number of at most six digits; got {run!r}")
    return int(run)


def not_fetched(path: Path) -> str | None:
    """Say why a file's content is not here (a link to nowhere, a pointer of git-annex or git LFS); None if it is."""
    if path.is_symlink() and not path.exists():
        target = str(path.readlink())
        if "annex" in target:
            return f"not fetched: run datalad get {path}"
        return f"a link to nowhere ({target}): fetch or restore {path}"
    if path.stat().st_size > POINTER_BYTES:
        return None
    with path.open("rb") as file:
        start = file.read(32)
    for beginning, command in POINTERS.items():
        if start.startswith(beginning):
            return f"not fetched: run {command} {path}"
    return None


def fetched(path: Path) -> Path:
    """Return the path of a file whose content is here."""
    reason = not_fetched(path) if path.is_symlink() or path.is_file() else None
    if reason is not None:
        raise FileNotFoundError(f"[study.layout] a file that is read must be here; got {reason}")
    return path
