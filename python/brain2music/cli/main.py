"""Reads the command line and says in one sentence what went wrong."""

import argparse
import os
import sys
from collections.abc import Sequence

from brain2music import __version__
from brain2music.cli import bundle, corpus, generate, run, simulate

__all__ = ["build_parser", "main"]

#: Modules of the commands: each adds its parsers.
_COMMANDS = (run, simulate, corpus, generate, bundle)

#: What a user can mend: anything else is a defect of ours and shows its traceback.
_USERS = (ValueError, OSError, ImportError, RuntimeError, KeyError)


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands: the documentation is made from it, too."""
    parser = argparse.ArgumentParser(
        prog="brain2music",
        description="Music from fMRI: decode, identify and retrieve what was heard, and make it anew.",
        epilog="Example: brain2music simulate study --subjects 1",
    )
    parser.add_argument("--version", action="version", version=f"brain2music {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in _COMMANDS:
        module.add_to(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        0 on success, 1 on a failed run, 130 when interrupted; bad usage exits with 2.
    """
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
        # What is still buffered is written here, so that a closed pipe is met here too.
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("brain2music: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except _USERS as error:
        if os.environ.get("BRAIN2MUSIC_TRACEBACK"):
            raise
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"brain2music: {text}", file=sys.stderr)
        return 1
    return 0
