"""The report: one HTML file that shows a study's results and plays its music, offline.

Fill the dataclasses of :mod:`brain2music.report.page` and :func:`write` them. What the numbers mean is said once, in
:data:`GLOSSARY`.
"""

from brain2music.plain_arrays import guard
from brain2music.report.glossary import GLOSSARY, Entry
from brain2music.report.page import (
    SIZE_LIMIT,
    Column,
    Cortex,
    CortexMap,
    CortexMesh,
    Example,
    Figure,
    Headline,
    Page,
    Player,
    Section,
    Table,
    render,
    write,
)

__all__ = [
    "GLOSSARY",
    "SIZE_LIMIT",
    "Column",
    "Cortex",
    "CortexMap",
    "CortexMesh",
    "Entry",
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

guard(__name__)
