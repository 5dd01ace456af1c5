"""``brain2music bundle info`` and ``bundle verify``."""

import argparse
from pathlib import Path

from brain2music.cli.options import Commands, add_command

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the commands."""
    bundle = commands.add_parser("bundle", help="look into a bundle of trained networks, or check it")
    commands = bundle.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, run, description in (
        ("info", _info, "Print what a bundle holds, and where it comes from."),
        (
            "verify",
            _verify,
            "Check a bundle: schema, hashes, and each network: methods, shapes, the same answer twice.",
        ),
    ):
        parser = add_command(commands, name, run, description, f"brain2music bundle {name} bundle/")
        parser.add_argument(
            "path", type=Path, metavar="PATH", nargs="?", help="its folder; by default what comes with brain2music"
        )


def _info(options: argparse.Namespace) -> None:
    from brain2music.bundles import describe

    print(describe.info(_path(options)))


def _verify(options: argparse.Namespace) -> None:
    from brain2music.bundles import describe

    for line in describe.verified(_path(options), options.device):
        print(line, flush=True)  # a network may take a minute, and the next may be refused


def _path(options: argparse.Namespace) -> Path:
    from brain2music.bundles import Bundle

    return Bundle.default().path if options.path is None else Path(options.path)
