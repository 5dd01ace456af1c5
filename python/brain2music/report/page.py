"""The page itself: what it is made of (see ``parts``), and how it becomes one HTML file."""

import os
from collections import Counter
from pathlib import Path

from brain2music.files import write_bytes
from brain2music.report.cortex import Cortex, CortexMap, CortexMesh
from brain2music.report.markup import Writer
from brain2music.report.parts import Column, Example, Figure, Headline, Page, Player, Section, Table

__all__ = [
    "SIZE_LIMIT",
    "Column",
    "Cortex",
    "CortexMap",
    "CortexMesh",
    "Example",
    "Figure",
    "Headline",
    "Page",
    "Player",
    "Section",
    "Table",
    "render",
    "write",
]

#: Bytes that a report may have: what a mail server or a lecture room's network still takes.
SIZE_LIMIT = 25_000_000


def render(page: Page) -> str:
    """Render a page as HTML that needs nothing but itself: no network, no other file.

    Parameters
    ----------
    page : Page
        Its text is escaped, its sound compressed, its images are embedded.

    Returns
    -------
    str
        The same for the same page.

    Raises
    ------
    ValueError
        If text is no ``str``, or a waveform is empty, not finite, or would clip.
    """
    return Writer().page(page)


def write(page: Page, path: str | os.PathLike[str]) -> Path:
    """Render a page into a file.

    Parameters
    ----------
    page : Page
    path : path
        Replaced if it is there. The file appears whole or not at all.

    Returns
    -------
    pathlib.Path
        ``path``.

    Raises
    ------
    ValueError
        As ``render`` does; or if the file would have more than 25 MB (it names the largest parts).
    """
    writer = Writer()
    data = writer.page(page).encode()
    if len(data) > SIZE_LIMIT:
        raise ValueError(
            f"[report.write] a report must have at most {_megabytes(SIZE_LIMIT)}; got {_megabytes(len(data))}, "
            f"{_breakdown(writer.sizes, len(data))}. Show fewer examples, or save large figures as PNG."
        )
    path = Path(path)
    write_bytes(path, data)
    return path


def _breakdown(sizes: Counter[tuple[str, str]], total: int) -> str:
    """Bytes by kind of part, and the largest parts by name."""
    kinds: Counter[str] = Counter()
    for (kind, _), size in sizes.items():
        kinds[kind] += size
    kinds["text"] = total - kinds.total()
    shares = ", ".join(f"{kind} {_megabytes(size)}" for kind, size in kinds.most_common())
    largest = ", ".join(f"{name} ({_megabytes(size)})" for (_, name), size in sizes.most_common(3))
    return f"of which {shares}; the largest parts are {largest or 'text'}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
