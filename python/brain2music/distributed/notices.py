"""Warnings of many tasks, said once and with counts over all targets."""

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

__all__ = ["Notices", "recorded", "warn_once"]

#: Category and text of each warning.
Notices: TypeAlias = list[tuple[type[Warning], str]]


@contextmanager
def recorded() -> Iterator[Notices]:
    """Collect the warnings of a block of code."""
    notices: Notices = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield notices
    notices += [(warning.category, str(warning.message)) for warning in caught]


def warn_once(parts: Iterable[tuple[int, Notices]], targets: int, stacklevel: int) -> None:
    """Warn of what tasks warned of.

    Parameters
    ----------
    parts : iterable of (targets of the task, its warnings)
        "rule; got 2 of 8 targets ..., 1 ..." is said once for all tasks, its counts after "got" added up.
    targets : int
        Targets of all tasks: takes the place of the 8.
    stacklevel : int
        As for :func:`warnings.warn`, seen from the caller.
    """
    sums: dict[tuple[type[Warning], tuple[str, ...]], list[int]] = {}
    for width, notices in parts:
        for category, text in notices:
            words, counts = _taken_apart(text, width)
            before = sums.get((category, words), [0] * len(counts))
            sums[category, words] = [a + b for a, b in zip(before, counts, strict=True)]
    for (category, words), counts in sums.items():
        text = words[0] + "".join(f"{count}{word}" for count, word in zip(counts, words[1:], strict=True))
        if counts:
            text = re.sub(r"\bof \d+ targets\b", f"of {targets} targets", text)  # tasks without a warning count too
        warnings.warn(text, category, stacklevel=stacklevel + 1)


def _taken_apart(text: str, width: int) -> tuple[tuple[str, ...], list[int]]:
    """Words and, between them, counts of targets; all of the text is words where it counts none."""
    rule, got, rest = text.rpartition("; got ")
    if not got or not re.search(rf"\bof {width} targets\b", rest):
        return (text,), []
    first, *others = re.split(r"\b(\d+)\b", rest)
    return (rule + got + first, *others[1::2]), [int(count) for count in others[::2]]
