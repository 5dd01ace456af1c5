"""What the commands have in common: their options, and how text becomes a value."""

import argparse
from typing import Any

__all__ = ["BUNDLE_HELP", "Commands", "add_command", "run_counts"]

BUNDLE_HELP = (
    "folder of trained networks, or the name of a bundle that comes with brain2music, such as acoustic (a folder of "
    "that name is ./acoustic); by default the bundle that brain2music takes where none is named"
)

Commands = Any  # argparse's own type is private


def add_command(commands: Commands, name: str, run: Any, description: str, example: str) -> argparse.ArgumentParser:
    """Add a command with the options that every one has: ``--device``, ``--seed`` and ``--quiet``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=description.partition(".")[0][0].lower() + description.partition(".")[0][1:],
        description=description,
        epilog=f"Example: {example}",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: cuda where there is one")
    parser.add_argument("--seed", type=int, default=0, help="decides everything that is drawn at random")
    parser.add_argument("--quiet", action="store_true", help="no progress bars, no closing line")
    parser.set_defaults(run=run)
    return parser


def run_counts(text: str) -> tuple[int, int]:
    """Read ``12,6``: training and test runs."""
    train, comma, test = text.partition(",")
    if not (comma and train.isdecimal() and test.isdecimal()):
        raise argparse.ArgumentTypeError(f"runs must be two numbers such as 12,6; got {text!r}")
    return int(train), int(test)
