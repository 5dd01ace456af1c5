"""``brain2music corpus build`` and ``corpus search``."""

import argparse
from pathlib import Path

from brain2music.cli.options import BUNDLE_HELP, Commands, add_command

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the commands."""
    corpus = commands.add_parser("corpus", help="build or search a music library to retrieve from")
    commands = corpus.add_subparsers(title="commands", metavar="COMMAND", required=True)
    parser = add_command(
        commands,
        "build",
        _build,
        "Embed the first seconds of every track of a folder. A call that was stopped goes on where it stopped.",
        "brain2music corpus build fma_small fma.index",
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="folder of WAV, FLAC, OGG, MP3 ..., searched recursively"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the index, a folder")
    parser.add_argument("--bundle", help=BUNDLE_HELP)
    parser.add_argument("--role", default="music_embedder", help="role of the bundle that embeds")
    parser.add_argument("--seconds", type=float, default=15.0, help="beginning of each track that is embedded")
    parser = add_command(
        commands,
        "search",
        _search,
        "Print the tracks nearest to music, or to an embedding: score and id, tab between.",
        "brain2music corpus search fma.index --audio song.mp3",
    )
    parser.add_argument("index", type=Path, metavar="INDEX", help="what 'corpus build' wrote")
    query = parser.add_mutually_exclusive_group(required=True)
    query.add_argument("--audio", type=Path, help="file whose beginning is embedded")
    query.add_argument("--text", help="words, where the bundle has a text embedder of the same space")
    query.add_argument("--embedding", type=Path, help="an array of shape (d,) or (q, d) in a .npy file")
    parser.add_argument("--bundle", help=BUNDLE_HELP)
    parser.add_argument("-k", type=int, default=10, help="tracks to print")


def _build(options: argparse.Namespace) -> None:
    from brain2music.retrieval import Corpus
    from brain2music.retrieval.skipped import summary

    corpus = Corpus.build(
        options.folder,
        _bundle(options),
        options.out,
        role=options.role,
        seconds=options.seconds,
        progress=not options.quiet,
    )
    if not options.quiet:
        for line in summary(corpus.skipped):
            print(line)
        music = sum(one.is_audio for one in corpus.skipped)
        print(f"{len(corpus)} tracks in {options.out}, {music} audio files skipped")


def _search(options: argparse.Namespace) -> None:
    import numpy as np

    from brain2music.retrieval import Corpus

    if options.embedding is not None:
        bundle, corpus = None, Corpus.open(options.index)
        query = np.load(options.embedding, allow_pickle=False)
        query = query[None] if query.ndim == 1 else query
    else:
        bundle = _bundle(options)
        corpus = Corpus.open(options.index, bundle)
        if options.text is not None:
            query = bundle.embed("text_embedder", [options.text])
        else:
            query = bundle.embed(corpus.role, [options.audio], seconds=corpus.seconds)
    scores, indices = corpus.search(query, k=min(options.k, len(corpus)), bundle=bundle)
    for row_scores, row_indices in zip(scores, indices, strict=True):
        for score, index in zip(row_scores.tolist(), row_indices.tolist(), strict=True):
            print(f"{score:.4f}\t{corpus.ids[index]}")


def _bundle(options: argparse.Namespace):  # type: ignore[no-untyped-def]
    from brain2music.bundles import Bundle
    from brain2music.bundles.by_name import bundle_folder

    return Bundle(bundle_folder(options.bundle), options.device)
