"""The command line: ``brain2music COMMAND``; see ``brain2music --help``."""

from brain2music.cli.main import main

__all__ = ["main"]
