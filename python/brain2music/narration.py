"""Sentences above progress bars: what is being done, and why."""

import sys

__all__ = ["duration", "tell"]


def tell(sentence: str, shown: bool) -> None:
    """Print a sentence to standard error, which bars go to as well; standard output is for results."""
    if shown:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        tqdm.write(sentence, file=sys.stderr)


def duration(seconds: float) -> str:
    """Write a time for people: 48 s, 3 min 12 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
