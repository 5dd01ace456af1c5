"""What a report is made of: plain dataclasses of text, images and sound. Text is plain text, never markup."""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from brain2music.report.cortex import Cortex
from brain2music.report.glossary import ROLES

__all__ = ["Column", "Example", "Figure", "Headline", "Page", "Player", "Role", "Section", "Table"]


#: What a player plays (``ROLES`` says it in words).
Role = Literal["heard", "retrieved", "generated", "oracle", "generated-oracle"]


@dataclass(frozen=True)
class Figure:
    """An image with its words.

    Parameters
    ----------
    title, caption : str
        Shown below the image.
    alt : str
        Says in words what is to be seen, for who does not see it.
    image : bytes
        A whole SVG or PNG file. It is shown on white, in dark mode too.
    kind : {"svg", "png"}
    wide : bool, default False
        Take the whole width of the page (draw for about 10 inches) instead of half of it (about 5 inches).
    """

    title: str
    caption: str
    alt: str
    image: bytes
    kind: Literal["svg", "png"] = "svg"
    wide: bool = False

    def __post_init__(self) -> None:
        _check_text(self, "title", "alt")
        if self.kind not in ("svg", "png"):
            raise ValueError(f"[report.Figure] kind must be 'svg' or 'png'; got {self.kind!r}")
        if self.kind == "png":
            png_size(self.image, "report.Figure")
        elif not re.match(rb"\s*(<\?xml|<!DOCTYPE|<!--|<svg)", self.image):
            raise ValueError(f"[report.Figure] image must be an SVG file; got bytes that begin {self.image[:8]!r}")


@dataclass(frozen=True, eq=False)
class Player:
    """Something to listen to, under its spectrogram.

    Parameters
    ----------
    role : {"heard", "retrieved", "generated", "oracle", "generated-oracle"}
    label : str
        What it is: ``"Retrieved, rank 1: jazz.00012"``.
    detail : str
        What is to be known of it: ``"cosine 0.83"``.
    waveform : array of shape (samples,), floating-point
        Mono, within -1 and 1.
    rate : int
        Samples a second.
    spectrogram : bytes
        A PNG file without axes or margin, stretched over the waveform: 400 by 150 pixels do, with a palette they are
        small.
    """

    role: Role
    label: str
    detail: str
    waveform: npt.NDArray[np.float32]
    rate: int
    spectrogram: bytes

    def __post_init__(self) -> None:
        _check_text(self, "label")
        if self.role not in ROLES:
            raise ValueError(f"[report.Player] role must be one of {', '.join(ROLES)}; got {self.role!r}")
        png_size(self.spectrogram, "report.Player")


@dataclass(frozen=True)
class Example:
    """One clip: what was heard, and what was made of the brain's response to it.

    Parameters
    ----------
    clip, genre, subject : str
        The clip's id, its genre, the subject's label (``"001"``).
    caption : str
        The clip in words; may be empty.
    detail : str
        How well it went: ``"told apart from 57 of 59 other clips"``; may be empty.
    players : tuple of Player
    """

    clip: str
    genre: str
    subject: str
    caption: str
    detail: str
    players: tuple[Player, ...]

    def __post_init__(self) -> None:
        _check_text(self, "clip")
        if not self.players:
            raise ValueError(f"[report.Example] an example must have a player; got none for {self.clip}")


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, what it means (may be empty), and the side that its cells keep to."""

    name: str
    meaning: str
    align: Literal["left", "right"]

    def __post_init__(self) -> None:
        _check_text(self, "name")
        if self.align not in ("left", "right"):
            raise ValueError(f"[report.Column] align must be 'left' or 'right'; got {self.align!r}")


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is the row's heading.

    Parameters
    ----------
    title, caption : str
    columns : tuple of Column
    rows : tuple of tuple of str
        As many cells each as there are columns.
    """

    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        _check_text(self, "title")
        if not self.columns:
            raise ValueError(f"[report.Table] a table must have a column; got none for {self.title!r}")
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"[report.Table] a row must have {len(self.columns)} cells, as many as there are columns; got "
                    f"{len(row)} in row {number} of {self.title!r}"
                )


@dataclass(frozen=True)
class Headline:
    """A big number, never without chance and oracle.

    Parameters
    ----------
    value, label : str
        ``"0.876"``, ``"Identification accuracy"``.
    chance, oracle : str
        The same number by chance, and with the true embedding in place of the decoded one.
    detail : str
        ``"60 test clips, mean of 5 subjects"``; may be empty.
    """

    value: str
    label: str
    chance: str
    oracle: str
    detail: str

    def __post_init__(self) -> None:
        _check_text(self, "value", "label", "chance", "oracle")


@dataclass(frozen=True)
class Section:
    """A part of the page: text (a blank line parts paragraphs), then figures, a cortex, tables and examples."""

    title: str
    text: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    examples: tuple[Example, ...] = ()
    cortex: Cortex | None = None

    def __post_init__(self) -> None:
        _check_text(self, "title")


@dataclass(frozen=True)
class Page:
    """A report.

    Parameters
    ----------
    title, subtitle : str
    lead : str
        What was done and what came out, in two or three sentences.
    headlines : tuple of Headline
    sections : tuple of Section
    settings, versions : mapping from str to str
        What it takes to do it again; shown in the order given.
    notes : tuple of str
        What a reader must know of the data: missing scans, shortened clips.
    """

    title: str
    subtitle: str
    lead: str
    headlines: tuple[Headline, ...]
    sections: tuple[Section, ...]
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_text(self, "title")


def png_size(image: bytes, where: str) -> tuple[int, int]:
    """Width and height of a PNG file, in pixels."""
    if image[:8] != b"\x89PNG\r\n\x1a\n" or len(image) < 33:
        raise ValueError(f"[{where}] image must be a PNG file; got {len(image)} bytes that begin {image[:8]!r}")
    width, height = struct.unpack(">II", image[16:24])
    return width, height


def _check_text(part: Any, *filled: str) -> None:
    """Check that what is declared as text is text, and that ``filled`` says something."""
    for field in fields(part):
        text = getattr(part, field.name)
        if field.type is str and not isinstance(text, str):
            raise ValueError(f"[report.{type(part).__name__}] {field.name} must be text; got {text!r:.60}")
        if field.name in filled and not text.strip():
            raise ValueError(f"[report.{type(part).__name__}] {field.name} must not be empty; got {text!r}")
