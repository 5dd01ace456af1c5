"""Files of a library that are not in the corpus, and how they are told."""

from collections.abc import Iterable
from typing import NamedTuple

from brain2music.sound import by_ending, is_audio, is_read

__all__ = ["Skipped", "summary"]


class Skipped(NamedTuple):
    """A file that is not in the corpus.

    ``is_audio`` tells music from covers, texts and the like, by the file's ending.
    """

    file: str
    reason: str

    @property
    def is_audio(self) -> bool:
        """Whether the file holds sound, by its ending; it may be sound that is not read, such as ``.m4a``."""
        return is_audio(self.file)


def summary(skipped: Iterable[Skipped]) -> list[str]:
    """Tell what is not in a corpus: unusable files one by one, others as a count of each ending."""
    listed = list(skipped)
    lines = [f"skipped {one.file}: {one.reason}" for one in listed if is_read(one.file)]
    unread = [one for one in listed if one.is_audio and not is_read(one.file)]
    if unread:
        count = by_ending(one.file for one in unread)
        lines.append(
            f"not read: {len(unread):,} audio files by their endings ({count}), {unread[0].file} the first: "
            "convert them, for example to .flac"
        )
    others = [one.file for one in listed if not one.is_audio]
    if others:
        lines.append(f"no audio: {len(others):,} other files ({by_ending(others)})")
    return lines
