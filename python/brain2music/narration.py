"""Sentences above progress bars: what is being done, and why."""

import sys

__all__ = ["tell"]


def tell(sentence: str, shown: bool) -> None:
    """Print a sentence to standard error, which bars go to as well; standard output is for results."""
    if shown:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        tqdm.write(sentence, file=sys.stderr)
