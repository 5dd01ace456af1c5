"""``brain2music generate``: music at once, without a study; or the step of a run that makes music."""

import argparse
from pathlib import Path
from typing import Any

from brain2music.cli.options import BUNDLE_HELP, Commands, add_command

__all__ = ["add_to"]

#: Options that a run's folder takes from its own settings.
_OWN = ("bundle", "seconds", "samples", "dtype", "hop", "normalize", "temperature", "top_k", "top_p", "guidance")


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "generate",
        _generate,
        "Make music from a text, from music, or from embeddings. A JSON file beside it tells what it was made with. "
        "With none of these, OUT is a run's folder, and music is made from what was decoded there.",
        'brain2music generate --bundle bundle/ --text "a slow blues" blues.wav',
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--text", help="words, where the bundle has a text embedder of its space")
    source.add_argument("--audio", type=Path, help="music whose embeddings are followed, window by window")
    source.add_argument(
        "--embedding",
        type=Path,
        help="an array (d,), (q, d) or (q, r, d) in a .npy file, or what Embeddings.save wrote (.safetensors)",
    )
    parser.add_argument(
        "out",
        type=Path,
        metavar="OUT",
        help="a .wav or .flac file; of several pieces, their beginning. Or a folder that 'run' or 'embed' has begun",
    )
    parser.add_argument("--bundle", help=BUNDLE_HELP)
    parser.add_argument("--seconds", type=float, help="length of the music; 15 by default")
    parser.add_argument("--samples", type=int, help="pieces for each embedding; 1 by default")
    parser.add_argument("--dtype", help="type of the weights: float32, bfloat16, float16 or int8")
    parser.add_argument("--hop", type=float, help="seconds between the embeddings of a style track (q, r, d)")
    parser.add_argument("--normalize", choices=["unit"], help="unit: scale each embedding to length 1 first")
    parser.add_argument("--temperature", type=float, help="0 takes the most probable code; by default the bundle's")
    parser.add_argument("--top-k", type=int, help="draw among so many codes; by default the bundle's")
    parser.add_argument("--top-p", type=float, help="draw among the codes of this probability; by default the bundle's")
    parser.add_argument("--guidance", type=float, help="1 is none; by default the bundle's")


def _generate(options: argparse.Namespace) -> None:
    from brain2music.bundles import Bundle
    from brain2music.bundles.by_name import bundle_folder
    from brain2music.generation import MusicGenerator

    if options.text is options.audio is options.embedding is None:
        _step(options)
        return
    ending = options.out.suffix.lower().removeprefix(".")
    if ending not in ("wav", "flac"):
        raise ValueError(f"[cli.generate] OUT must end in .wav or .flac; got {options.out}")
    bundle = Bundle(bundle_folder(options.bundle), options.device)
    generator = MusicGenerator(bundle, options.device, options.dtype)
    audio = generator.generate(
        _embedding(options, bundle),
        seconds=15.0 if options.seconds is None else options.seconds,
        samples=1 if options.samples is None else options.samples,
        seed=options.seed,
        hop=options.hop,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        guidance=options.guidance,
        normalize=options.normalize,
        progress=not options.quiet,
    )
    pieces = len(audio.waveform)
    names = [options.out.stem] if pieces == 1 else [f"{options.out.stem}_{i}" for i in range(pieces)]
    for path in audio.save(options.out.parent, names, ending):
        if not options.quiet:
            print(path)


def _step(options: argparse.Namespace) -> None:
    """Do the step of a run's folder, as its settings say."""
    from brain2music.pipeline import Context, do

    if not options.out.is_dir():
        raise ValueError(
            "[cli.generate] music is made from --text, --audio or --embedding, or from what was decoded in a run's "
            f"folder; got none of these, and no folder {options.out}"
        )
    given = [name for name in _OWN if getattr(options, name) is not None]
    if given:
        raise ValueError(
            f"[cli.generate] a run's folder has settings of its own, in config.json; got --{given[0].replace('_', '-')}"
        )
    path = do(Context.open(options.out, not options.quiet), "generate")
    if not options.quiet:
        print(path)


def _embedding(options: argparse.Namespace, bundle: Any) -> Any:
    import numpy as np

    from brain2music.bundles import Embeddings

    if options.text is not None:
        return bundle.embed("text_embedder", [options.text])
    if options.audio is not None:
        roles = [role for role in bundle.space["roles"] if "sample_rate" in bundle.roles[role]]
        if not roles:
            raise ValueError(
                f"[cli.generate] the bundle must have a role that embeds music into its space; got {bundle}"
            )
        return bundle.embed(roles[0], [options.audio])
    if options.embedding.suffix == ".safetensors":
        return Embeddings.load(options.embedding)
    values = np.load(options.embedding, allow_pickle=False)
    return values[None] if values.ndim == 1 else values
