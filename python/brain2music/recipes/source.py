"""What a recipe needs to know of the music that it learns from."""

import os
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from brain2music.recipes.excerpts import Excerpts

__all__ = ["Source", "TagGroup"]


class TagGroup(NamedTuple):
    """Tags of a kind: genres, instruments, moods or whatever else."""

    #: What the group is called.
    name: str
    #: The tags.
    tags: tuple[str, ...]
    #: Whether music has one tag of the group, never none or several: their probabilities then sum to 1.
    exclusive: bool


class Source(Protocol):
    """Music for a :class:`Recipe`: :class:`Composer`, :class:`OwnMusic`, or a class of one's own with these members."""

    @property
    def identity(self) -> str:
        """What the music is, in a line: a recipe's folder holds what was made from one source."""

    def excerpts(
        self, folder: str | os.PathLike[str], processes: int | None = None, progress: bool = True
    ) -> tuple[Excerpts, Excerpts]:
        """Write excerpts into folders of a recipe's folder; return those to learn from, and those to follow it on.

        A call goes on where one before was stopped. No track may be on both sides.
        """

    def groups(self, tags: Sequence[str]) -> list[TagGroup]:
        """Sort the tags of the excerpts to learn from into groups, each in one."""
