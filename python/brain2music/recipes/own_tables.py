"""Captions and tags of one's own music: tables of CSV, checked row by row."""

import math
import os
from collections.abc import Collection
from pathlib import Path

from brain2music.recipes.source import TagGroup
from brain2music.recipes.towers import words
from brain2music.study.tables import read_csv

__all__ = ["read_captions", "read_tags"]

#: (start, stop, text): a caption of a span, in seconds of the file; a caption of the whole file stops at infinity.
Caption = tuple[float, float, str]


def read_captions(path: str | os.PathLike[str], files: Collection[str]) -> dict[str, tuple[Caption, ...]]:
    """Read captions.

    Parameters
    ----------
    path : path
        CSV in UTF-8 with columns ``file`` and ``caption`` and, if wanted, ``start`` and ``stop``, seconds of the file;
        empty ones mean its beginning and its end. A file may have several rows, or none.
    files : collection of str
        Files that may be named.

    Returns
    -------
    dict
        From file to captions.

    Raises
    ------
    ValueError
        Naming the row that is not as it should be.
    """
    captions: dict[str, list[Caption]] = {}
    for number, row in enumerate(read_csv(Path(path), ("file", "caption"), "captions", "recipes.OwnMusic"), start=1):
        where = f"in row {number} of {path}"
        file = _file_of(row, files, where)
        text = row["caption"].strip()
        if not words(text):
            raise ValueError(
                "[recipes.OwnMusic] a caption must hold letters from A to Z or digits, which the caption tower reads; "
                f"got {text!r} {where}"
            )
        captions.setdefault(file, []).append((*_span(row, where), text))
    return {file: tuple(rows) for file, rows in captions.items()}


def read_tags(
    path: str | os.PathLike[str], files: Collection[str]
) -> tuple[dict[str, tuple[str, ...]], list[TagGroup]]:
    """Read tags.

    Parameters
    ----------
    path : path
        CSV in UTF-8 with columns ``file``, ``group`` and ``tag``, a row for each tag of a file. A file with a row must
        have rows for all that is heard in it; of a file without a row nothing is known.
    files : collection of str
        Files that may be named.

    Returns
    -------
    dict
        From file to tags.
    list of TagGroup
        Groups and their tags, in the order of the alphabet. A group of two tags or more is exclusive if each file with
        tags has exactly one of it.

    Raises
    ------
    ValueError
        Naming the row that is not as it should be.
    """
    tags: dict[str, set[str]] = {}
    group_of: dict[str, str] = {}
    for number, row in enumerate(read_csv(Path(path), ("file", "group", "tag"), "tags", "recipes.OwnMusic"), start=1):
        where = f"in row {number} of {path}"
        file, group, tag = _file_of(row, files, where), row["group"].strip(), row["tag"].strip()
        if not group or not tag:
            raise ValueError(f"[recipes.OwnMusic] a row must name a group and a tag; got {group!r} and {tag!r} {where}")
        if group_of.setdefault(tag, group) != group:
            raise ValueError(
                f"[recipes.OwnMusic] a tag must be of one group; got {tag!r} of {group_of[tag]!r} and {group!r} {where}"
            )
        tags.setdefault(file, set()).add(tag)
    if not tags:
        raise ValueError(f"[recipes.OwnMusic] tags must hold a row; got none in {path}: leave the table out")
    groups = []
    for group in sorted(set(group_of.values())):
        names = tuple(sorted(tag for tag, of in group_of.items() if of == group))
        exclusive = len(names) > 1 and all(len(heard.intersection(names)) == 1 for heard in tags.values())
        groups.append(TagGroup(group, names, exclusive))
    return {file: tuple(sorted(heard)) for file, heard in tags.items()}, groups


def _file_of(row: dict[str, str], files: Collection[str], where: str) -> str:
    file = row["file"].strip()
    if file not in files:
        raise ValueError(
            "[recipes.OwnMusic] a row must name an audio file by its path below the folder, with its ending; got "
            f"{file!r} {where}"
        )
    return file


def _span(row: dict[str, str], where: str) -> tuple[float, float]:
    texts = (row.get("start", "").strip(), row.get("stop", "").strip())
    try:
        start, stop = float(texts[0] or 0), float(texts[1] or "inf")
    except ValueError:
        start, stop = math.nan, math.nan
    if not 0 <= start < stop or (texts[1] and math.isinf(stop)):
        raise ValueError(
            "[recipes.OwnMusic] start and stop must be seconds of the file, from 0, start before stop; got "
            f"{texts[0]!r} and {texts[1]!r} {where}"
        )
    return start, stop
