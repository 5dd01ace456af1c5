"""Trains the bundle that comes with brain2music: ``python examples/train_bundle/train_bundle.py WORK OUT``.

WORK keeps excerpts, checkpoints and curves: a run that was stopped goes on where it stopped. Each part takes about two
hours or less on two cores.
"""

import argparse
import sys
from pathlib import Path

from brain2music.recipes import Plan, Recipe

PARTS = ("embedder", "semantic_encoder", "codec", "tagger", "conditioner", "semantic", "acoustic")


def main() -> int:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path, metavar="WORK", help="folder of excerpts, checkpoints and curves")
    parser.add_argument("out", type=Path, metavar="OUT", help="the bundle, to be made or replaced")
    parser.add_argument("--part", choices=PARTS, help="train this part alone, and what it needs")
    parser.add_argument("--excerpts", type=int, default=Plan.excerpts, help="excerpts of 30 s to learn from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, help="stop after so many; the next call goes on")
    options = parser.parse_args()
    recipe = Recipe(options.work, Plan(excerpts=options.excerpts), seed=options.seed)
    recipe.stop_after(None if options.minutes is None else 60 * options.minutes)
    try:
        if options.part:
            getattr(recipe, options.part)()
        else:
            print(recipe.bundle(options.out, name="composer", cards=cards(options.excerpts)))
    except TimeoutError as error:
        print(error)
        return 1
    return 0


def cards(excerpts: int) -> dict[str, dict[str, str]]:
    """Return the model card of each role and stage."""
    names = {
        "music_embedder": ("Music tower", "MuLan's music tower"),
        "text_embedder": ("Caption tower", "MuLan's text tower"),
        "semantic_encoder": ("Lower blocks of the music tower, k-means", "w2v-BERT, layer 7, k-means"),
        "codec": ("Spectral codec", "SoundStream"),
        "conditioner": ("Residual k-means of embeddings", "MuLan's residual quantiser"),
        "tagger": ("Tagger of the composer's music", "the LEAF classifier of the evaluation"),
        "semantic": ("Transformer of semantic tokens", "MusicLM's semantic stage"),
        "acoustic": ("Transformer of acoustic codes, levels in parallel", "MusicLM's coarse and fine stages"),
    }
    common = {
        "source": "examples/train_bundle",
        "licence": "Apache-2.0",
        "notes": f"Trained on {excerpts} excerpts of 30 s of the composer's training stream; it knows no other music.",
    }
    return {part: {"name": name, "replaces": replaces, **common} for part, (name, replaces) in names.items()}


if __name__ == "__main__":
    sys.exit(main())
