"""Trains the bundle that comes with brain2music, or one of your own.

``python examples/train_bundle/train_bundle.py WORK OUT`` trains that of the composer's music.

WORK keeps excerpts, checkpoints and curves: a run that was stopped goes on where it stopped. Each part takes about two
hours or less on two cores, minutes on a GPU. With ``--music FOLDER --captions captions.csv`` the networks learn from
your own music; docs/howto/train.rst says what the tables hold.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from brain2music.recipes import OwnMusic, Plan, Recipe

#: The model card on which each figure of measure.py stands.
CARD_OF_FIGURE = {
    "caption_to_clip_r10": "text_embedder",
    "genre_by_caption": "music_embedder",
    "codec_error": "codec",
    "codec_tag": "codec",
    "codec_tag_margin": "codec",
    "semantic_under_bigrams": "semantic",
    "acoustic_under_bigrams": "acoustic",
    "memorised": "acoustic",
    "generated_identifies_condition": "semantic",
    "generated_identifies_caption": "semantic",
    "generated_genre_acoustic": "semantic",
    "generated_genre_musicnn": "semantic",
    "generated_from_brain": "semantic",
    "seconds_for_15": "acoustic",
}
PARTS = ("embedder", "semantic_encoder", "codec", "tagger", "conditioner", "semantic", "acoustic")


def main(words: list[str] | None = None) -> int:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path, metavar="WORK", help="folder of excerpts, checkpoints and curves")
    parser.add_argument("out", type=Path, metavar="OUT", help="the bundle, to be made or replaced")
    parser.add_argument("--music", type=Path, metavar="FOLDER", help="learn from this folder, not from the composer")
    parser.add_argument("--captions", type=Path, metavar="CSV", help="captions: file, caption[, start, stop]")
    parser.add_argument("--tags", type=Path, metavar="CSV", help="tags, if there are any: file, group, tag")
    parser.add_argument("--name", help="name of the bundle (default: composer, or the folder's name)")
    parser.add_argument("--licence", help="licence of the networks (default with --music: not stated)")
    parser.add_argument("--figures", type=Path, metavar="JSON", help="what measure.py wrote, for the model cards")
    parser.add_argument("--part", choices=PARTS, help="train this part alone, and what it needs")
    parser.add_argument("--excerpts", type=int, help=f"excerpts of 30 s to compose (default {Plan.excerpts})")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: cuda where there is one")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default=Plan.dtype, help="type of linear maps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, help="stop after so many; the next call goes on")
    options = parser.parse_args(words)
    if (options.music is None) != (options.captions is None) or (options.tags and not options.music):
        parser.error("--music and --captions go together, and --tags with them")
    if options.music and options.excerpts is not None:
        parser.error("--excerpts is for the composer; --music is taken whole")
    plan = Plan(excerpts=Plan.excerpts if options.excerpts is None else options.excerpts, dtype=options.dtype)
    try:
        source = OwnMusic(options.music, options.captions, options.tags, seed=options.seed) if options.music else None
        recipe = Recipe(options.work, plan, source=source, seed=options.seed, device=options.device)
    except ValueError as error:
        parser.error(str(error))
    recipe.stop_after(None if options.minutes is None else 60 * options.minutes)
    try:
        if options.part:
            getattr(recipe, options.part)()
            return 0
        if options.music:
            told = f"Trained on {len(recipe.excerpts()[0])} excerpts of 30 s of the folder {options.music.name}."
            name, licence = options.music.resolve().name, "not stated"
            description = f"Networks trained by the recipe on the music of {name}."
        else:
            told = f"Trained on {plan.excerpts} excerpts of 30 s of the composer's training stream; no other."
            name, licence = "composer", "Apache-2.0"
            description = "Networks trained by the recipe on music of the composer: all of Brain2Music, offline."
        described = cards(told, options.licence or licence)
        if options.figures:
            for part, figures in figures_of_cards(options.figures).items():
                described[part]["figures"] = figures
        print(recipe.bundle(options.out, name=options.name or name, cards=described, description=description))
    except TimeoutError as error:
        print(error)
        return 1
    return 0


def figures_of_cards(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of each model card; a goal that was missed comes with its reason."""
    reasons = json.loads((Path(__file__).parent / "reasons.json").read_text(encoding="utf-8"))
    found: dict[str, list[dict[str, Any]]] = {}
    for name, row in json.loads(path.read_text(encoding="utf-8"))["rows"].items():
        kept = ("value", "chance", "oracle", "goal", "at_most", "of")
        figure = {"name": name.replace("_", " "), **{key: row[key] for key in kept if key in row}}
        missed = row["value"] > row["goal"] if row.get("at_most") else row["value"] < row["goal"]
        if missed:
            figure["reason"] = reasons[name]
        found.setdefault(CARD_OF_FIGURE[name], []).append(figure)
    return found


def cards(notes: str, licence: str) -> dict[str, dict[str, Any]]:
    """Return the model card of each role and stage."""
    names = {
        "music_embedder": ("Music tower", "MuLan's music tower"),
        "text_embedder": ("Caption tower", "MuLan's text tower"),
        "semantic_encoder": ("Lower blocks of the music tower, k-means", "w2v-BERT, layer 7, k-means"),
        "codec": ("Spectral codec", "SoundStream"),
        "conditioner": ("Residual k-means of embeddings", "MuLan's residual quantiser"),
        "tagger": ("Tagger trained with the bundle", "the LEAF classifier of the evaluation"),
        "semantic": ("Transformer of semantic tokens", "MusicLM's semantic stage"),
        "acoustic": ("Transformer of acoustic codes, levels in parallel", "MusicLM's coarse and fine stages"),
    }
    common = {"source": "examples/train_bundle", "licence": licence, "notes": notes}
    return {part: {"name": name, "replaces": replaces, **common} for part, (name, replaces) in names.items()}


if __name__ == "__main__":
    sys.exit(main())
