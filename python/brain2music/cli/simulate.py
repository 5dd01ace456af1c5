"""``brain2music simulate``."""

import argparse
from pathlib import Path

from brain2music.cli.options import Commands, add_command, run_counts

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "simulate",
        _simulate,
        "Write a study laid out exactly as ds003720, with music, captions, derivatives and the truth. A call that was "
        "stopped goes on where it stopped.",
        "brain2music simulate study --subjects 5 --runs 12,6 --voxel-size 2",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the study, made if it is not there")
    parser.add_argument("--subjects", type=int, default=2, help="ds003720 has 5")
    parser.add_argument("--runs", type=run_counts, default=(6, 2), help="training and test runs; ds003720 has 12,6")
    parser.add_argument("--voxel-size", type=float, default=4.0, help="in mm; ds003720 has 2")
    parser.add_argument(
        "--signal",
        type=float,
        default=1.0,
        help="factor on what music does to the brain; 1 gives auditory voxels a median noise ceiling of r = 0.3, 0 a "
        "null study",
    )
    parser.add_argument("--motion", action="store_true", help="let heads move in the raw images")
    parser.add_argument("--line-ends", choices=("crlf", "lf"), default="crlf", help="of the events files")
    parser.add_argument("--corpus", type=int, default=30, help="tracks of each genre in OUT/corpus, to retrieve from")


def _simulate(options: argparse.Namespace) -> None:
    from brain2music.simulation import simulate

    simulate(
        options.out,
        subjects=options.subjects,
        seed=options.seed,
        runs=options.runs,
        voxel_size=options.voxel_size,
        signal=options.signal,
        motion=options.motion,
        line_end=options.line_ends,
        corpus=options.corpus,
        progress=not options.quiet,
    )
    if not options.quiet:
        print(f"Study of {options.subjects} subjects in {options.out}")
