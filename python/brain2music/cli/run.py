"""``brain2music run``, its single steps, and ``demo``."""

import argparse
import sys
from pathlib import Path
from typing import Any

from brain2music.cli.options import BUNDLE_HELP, Commands, add_command

__all__ = ["add_to"]

#: Steps in order; each does what the steps before it left undone.
_STEPS = {
    "embed": "Embed the music that was heard",
    "decode": "Decode embeddings from brain activity, region by region",
    "encode": "Predict each voxel from features of the music, and test where that works, into encode.tsv and maps",
    "retrieve": "Retrieve music from the library by the decoded embeddings",
    "evaluate": "Measure identification, correlation and class agreement beside chance and oracle, into evaluate.tsv",
    "report": "Write report.html: one page that plays the music and shows the brain",
}


def add_to(commands: Commands) -> None:
    """Add the commands."""
    parser = add_command(
        commands,
        "run",
        _run,
        "Embed, decode, retrieve, generate, encode, evaluate, report. What is finished is not done again.",
        "brain2music run ds003720 results --stimuli gtzan --derivatives fmriprep --space T1w",
    )
    _add_study(parser)
    parser = add_command(
        commands,
        "check",
        _check,
        "Show what 'run' would read, subject by subject, and all that is wrong at once; exit with 1 if it would fail.",
        "brain2music check ds003720 --stimuli gtzan --derivatives fmriprep --space T1w",
    )
    _add_study(parser, out=False)
    for step, description in _STEPS.items():
        parser = add_command(
            commands,
            step,
            _step,
            f"{description}. Goes on from the steps before it, which it does where they are not done.",
            f"brain2music {step} results",
        )
        parser.set_defaults(step=step)
        parser.add_argument("out", type=Path, metavar="OUT", help="folder that 'run' or 'embed --study' has begun")
        parser.add_argument(
            "--study", help="BIDS folder, to begin a run with other settings left as they are by default"
        )
        parser.add_argument(
            "--embeddings-file",
            type=_absolute,
            help="decode these embeddings of your own (Embeddings.save), in place of the bundle's",
        )
    parser = add_command(
        commands,
        "demo",
        _demo,
        "Simulate a small study, run everything, and write a report.",
        "brain2music demo demo",
    )
    parser.add_argument("out", type=Path, metavar="OUT", nargs="?", default=Path("brain2music-demo"), help="its folder")


def _add_study(parser: argparse.ArgumentParser, out: bool = True) -> None:
    parser.set_defaults(seed=None, device=None)  # a file of settings may say
    parser.add_argument("study", metavar="STUDY", nargs="?", help="BIDS folder; may stand in --config instead")
    if out:
        parser.add_argument("out", type=Path, metavar="OUT", help="folder of the results")
    parser.add_argument("--config", type=Path, help="JSON file of settings, as OUT/config.json of another run")
    parser.add_argument("--bundle", help=BUNDLE_HELP)
    parser.add_argument("--corpus", help="index of a music library, as 'brain2music corpus build' wrote it")
    parser.add_argument("--stimuli", help="GTZAN's folder; by default STUDY/stimuli")
    parser.add_argument("--derivatives", help="fMRIPrep's folder; by default STUDY/derivatives")
    parser.add_argument("--captions", help="CSV of captions; by default STUDY/captions.csv")
    parser.add_argument(
        "--rois",
        nargs="+",
        action=_OneOrMore,
        help="destrieux, or a labelled image with names in a TSV beside it; of surfaces two files, left and right",
    )
    parser.add_argument("--mask", help="image of the voxels to keep, on the BOLD's grid; by default those in a region")
    parser.add_argument("--mask-threshold", type=float, help="keep voxels of the mask above it, as 0.5")
    parser.add_argument(
        "--space",
        help="space of the preprocessed BOLD, where there are several: T1w, MNI152NLin2009cAsym:res-2, fsaverage5",
    )
    parser.add_argument("--assume-aligned", action="store_const", const=True, help="the BOLD images are aligned")
    parser.add_argument(
        "--assume-same-grid",
        action="store_const",
        const=True,
        help="labels and mask lie on the BOLD's grid voxel by voxel, whatever the headers say",
    )
    parser.add_argument("--motion", choices=("rigid",), help="align raw BOLD first; takes minutes a run")
    parser.add_argument("--subjects", nargs="+", help="labels such as 001; by default all")
    parser.add_argument(
        "--exclude-run",
        dest="exclude_runs",
        action="append",
        metavar="ENTITIES",
        help="leave a run out, such as sub-01_task-Training_run-03; may be given several times",
    )
    parser.add_argument(
        "--select", nargs="+", metavar="ENTITY", help="read images with this entity alone, such as dir-AP or echo-2"
    )
    parser.add_argument("--events", help="JSON file of rules: how the events files are written (EventRules)")
    parser.add_argument(
        "--confounds", nargs="+", metavar="COLUMN", help="columns of fMRIPrep's confounds to regress out"
    )
    parser.add_argument(
        "--censor",
        nargs="+",
        metavar="RULE",
        help="scans to leave out: framewise_displacement=0.5 (any column of the confounds and its limit), "
        "non_steady_state, motion_outlier, missing (n/a in the confounds)",
    )
    parser.add_argument("--min-regions", type=int, help="fewest regions of an atlas; by default 20")
    parser.add_argument(
        "--embeddings", nargs="+", help="roles of the bundle to decode; the first one retrieves and generates"
    )
    parser.add_argument(
        "--embeddings-file",
        type=_absolute,
        help="decode these embeddings of your own (Embeddings.save), in place of the bundle's",
    )
    parser.add_argument("--no-generation", dest="generation", action="store_const", const=False, help="make no music")
    parser.add_argument(
        "--no-encoding", dest="encoding", action="store_const", const=False, help="fit no encoding models"
    )
    parser.add_argument(
        "--conditioning",
        nargs="+",
        metavar="WAY",
        help="what music is made from: clip (the decoded embedding of a clip), moments (that, brought to the moments "
        "of real embeddings), track (one for each window); the report plays the first; by default all three",
    )
    parser.add_argument("--samples", type=int, help="pieces of music for each clip")
    parser.add_argument("--tagger", help="bundle whose tagger compares generated music with what was heard")
    parser.add_argument("--n-rois", type=int, help="regions whose predictions are averaged")
    parser.add_argument("--cv", type=_folds, help="runs, or a number of folds of clips that follow each other")
    parser.add_argument("--delay-scans", type=int, help="scans by which responses lag behind the music")
    parser.add_argument("--delay", type=float, help="the same in seconds: the nearest number of scans")
    parser.add_argument("--neighbours", type=int, help="tracks retrieved for each clip")
    parser.add_argument("--examples", type=int, help="clips that the report plays")
    parser.add_argument(
        "--include-stimuli", action="store_const", const=True, help="leave the study's tracks in the library"
    )
    parser.add_argument(
        "--no-held-out-genres", dest="held_out_genres", action="store_const", const=False, help="leave that part out"
    )


class _OneOrMore(argparse.Action):
    """Keep one value as it is, and several as a list."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, values[0] if len(values) == 1 else values)


def _absolute(text: str) -> str:
    """Make a path absolute: settings are used from other folders, too."""
    return str(Path(text).absolute())


def _folds(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Collect the settings that the command line gives; lists are what JSON would have."""
    from brain2music.pipeline import Settings

    names = Settings.__dataclass_fields__
    return {name: value for name, value in vars(options).items() if name in names and value is not None}


def _settings(options: argparse.Namespace) -> Any:
    from brain2music.pipeline import Settings

    given = _given(options)
    return Settings.load(options.config, given) if options.config else Settings.of(given, "the command line")


def _check(options: argparse.Namespace) -> None:
    from brain2music.pipeline import Context, check

    found = check(Context(_settings(options), Path(), progress=False))
    if not options.quiet or found.problems:
        print(found.say())
    if found.problems:
        raise ValueError(f"[cli.check] a run must be able to read the study; got {len(found.problems)} problems")


def _run(options: argparse.Namespace) -> None:
    from brain2music.pipeline import Context, check, say_runs

    context = Context(_settings(options), options.out, not options.quiet)
    found = check(context, listen=False)
    if found.problems:
        if len(found.problems) == 1:
            raise ValueError(found.problems[0])
        print("\n".join(f"- {problem}" for problem in found.problems), file=sys.stderr)
        raise ValueError(
            f"[cli.run] a run must be able to read the study; got {len(found.problems)} problems, listed above"
        )
    if not options.quiet:
        # On standard error: standard output is for the report's path.
        print("\n".join(say_runs(context)), file=sys.stderr)
    _report(context)


def _step(options: argparse.Namespace) -> None:
    from brain2music.pipeline import Context, Settings, do

    own = {} if options.embeddings_file is None else {"embeddings_file": options.embeddings_file, "embeddings": None}
    if options.study:
        given = {"study": options.study, "seed": options.seed, "device": options.device, **own}
        context = Context(Settings.of(given, "the command line"), options.out, not options.quiet)
    else:
        context = Context.open(options.out, not options.quiet, **own)
    _say(options.quiet, do(context, options.step))


def _demo(options: argparse.Namespace) -> None:
    from brain2music.pipeline import Context, Settings
    from brain2music.simulation import simulate

    study = simulate(options.out / "study", seed=options.seed, progress=not options.quiet)
    settings = Settings(study=str(study), seed=options.seed, device=options.device)
    _report(Context(settings, options.out / "results", not options.quiet))


def _report(context: Any) -> None:
    from brain2music.pipeline import do

    _say(not context.progress, do(context, "report"))


def _say(quiet: bool, path: Path) -> None:
    if not quiet:
        print(path)
