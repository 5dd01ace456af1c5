"""Sections of the report that play music, and that say how well generated music matches what was heard."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from brain2music import metrics
from brain2music import report as pages
from brain2music.evaluation import Row, Summary
from brain2music.pipeline import figures
from brain2music.pipeline.context import OWN, Context
from brain2music.pipeline.decoding import Decoded
from brain2music.pipeline.generation import generate, generate_oracle
from brain2music.pipeline.retrieval import Library, library, retrieve
from brain2music.pipeline.tables import mean_cells, number, subject_table, three
from brain2music.report.parts import Role
from brain2music.sound import ENDINGS
from brain2music.study.stimuli import load_audio

__all__ = ["generation_section", "listening_section"]

#: What each way of conditioning is called.
_WAYS = {
    "clip": "decoded embedding, windows averaged",
    "moments": "decoded embedding, at the moments of real ones",
    "track": "a decoded embedding for each window",
}


def listening_section(context: Context, decoded: Decoded) -> pages.Section:
    """Play what was heard, and what was made of the brain's response to it."""
    found = library(context)
    ways = ["fetches the nearest track of a library"] if found is not None else []
    ways += ["is made into new music"] if context.generates else []
    made = f"The embedding decoded from the brain's response {', and '.join(ways)}. " if ways else ""
    none = ""
    if context.settings.generation and not context.generates:
        whose = "embeddings of your own" if decoded.embedding == OWN else f"its {decoded.embedding}"
        none = f" No music was made: the bundle {context.bundle.name!r} cannot make any from {whose}."
    return pages.Section(
        title="Listen",
        text=f"{made}The examples are test clips of subject {decoded.subject}, from the best identified to the worst "
        f"in even steps: none is picked by ear.{none}",
        examples=tuple(_examples(context, decoded, found)),
    )


def _examples(context: Context, decoded: Decoded, found: Library | None) -> Iterable[pages.Example]:
    retrieved = None if found is None else retrieve(context, decoded.subject)[0]
    way = context.settings.conditioning[0]
    generated = (generate(context, decoded.subject, way)[0], generate_oracle(context)) if context.generates else None
    per_clip = metrics.identification_accuracy(*decoded.by_clip).per_item
    order = np.argsort(-per_clip, kind="stable")
    count = min(context.settings.examples, len(order))
    chosen = order[np.linspace(0, len(order) - 1, count).round().astype(int)]
    captions = context.study.captions if context.study.has_captions else {}
    others = len(order) - 1
    for index in chosen.tolist():
        clip = str(decoded.test_clips.ids[index])

        waveform, rate = context.study.stimuli[clip]
        players = [figures.player("heard", f"Heard: {clip}", "", waveform, rate)]
        if found is not None and retrieved is not None:
            first = retrieved.indices[index, 0], retrieved.scores[index, 0]
            players += _track(found, "retrieved", "Retrieved", *first)
        if generated is not None:
            detail = f"from {_WAYS[way]}"
            players.append(figures.player("generated", "Generated from the brain", detail, *generated[0].sound(clip)))
        if found is not None and retrieved is not None:
            first = retrieved.oracle_indices[index, 0], retrieved.oracle_scores[index, 0]
            players += _track(found, "oracle", "Oracle: nearest to the true embedding", *first)
        if generated is not None:
            label = "Oracle: generated from the true embedding"
            players.append(figures.player("generated-oracle", label, "", *generated[1].sound(clip)))
        yield pages.Example(
            clip=clip,
            genre=str(decoded.test_clips.genre[index]),
            subject=decoded.subject,
            caption=captions.get(clip, ""),
            detail=f"Told apart from {per_clip[index] * others:.0f} of {others} other clips (chance {others / 2:.0f}, "
            f"oracle {others})",
            players=tuple(players),
        )


def _track(found: Library, role: Role, label: str, index: int, cosine: float) -> list[pages.Player]:
    """Play the beginning of a track of the library; nothing where its file is not at hand."""
    corpus = found.corpus
    name = str(corpus.ids[index])
    path = _audio_file(found.audio, name)
    if path is None:
        return []
    waveform, rate = load_audio(path)
    waveform = waveform[: round((corpus.seconds or 15.0) * rate)]
    return [figures.player(role, f"{label}: {name.rpartition('/')[2]}", f"cosine {cosine:.2f}", waveform, rate)]


def generation_section(context: Context, rows: Sequence[Row], summaries: Sequence[Summary]) -> pages.Section:
    """Tabulate what networks hear in the music that was made."""
    name, _ = context.card(context.embeddings[0])
    tagger = context.tagger
    judged = ""
    if tagger is not None:
        judged = (
            f" A tagger ({tagger.roles['tagger']['card']['name']}), which shares nothing with the embedder, names the "
            "likeliest genres, instruments and moods of both."
        )
    pieces = context.settings.samples
    made = [generate(context, subject, way)[0] for way in context.settings.conditioning for subject in context.subjects]
    made.append(generate_oracle(context))
    quieter, count = sum(one.quieter for one in made), sum(one.embedded.shape[0] * pieces for one in made)
    shown = [row for row in rows if row.stage == "generate-test" and row.genre == "all" and _shown(row.metric)]
    by_subject = subject_table("Generated music, subject by subject", shown, _named, "Pieces of music")
    return pages.Section(
        title="Music generated",
        text=f"The generated music is embedded as the clips were ({name}), and its embedding is compared with "
        f"those of all test clips: the better it tells the clip that was heard from the others, the more of it "
        f"came through.{judged} Chance is music made for another clip, the oracle is music made from the true "
        f"embedding. {'One piece was' if pieces == 1 else f'{pieces} pieces were'} made for each clip. {quieter} of "
        f"{count} pieces exceeded full scale, and were made quieter as a whole.",
        tables=(_way_table(context, summaries), _genre_table(rows), by_subject),
    )


def _shown(metric: str) -> bool:
    return metric in ("identification", "correlation") or metric.startswith("agreement_")


def _named(metric: str) -> str:
    return f"{metric.removeprefix('agreement_')} agree" if metric.startswith("agreement_") else metric


def _way_table(context: Context, summaries: Sequence[Summary]) -> pages.Table:
    first = context.settings.conditioning[0]
    stages = {"generate-test" if way == first else f"generate_{way}-test": way for way in context.settings.conditioning}
    body = tuple(
        (
            _WAYS[stages[one.stage]],
            _named(one.metric),
            number(one.mean, one.sd),
            three(one.chance),
            three(one.oracle),
        )
        for one in summaries
        if one.stage in stages and one.genre == "all" and _shown(one.metric)
    )
    columns = (
        pages.Column("Made from", "What the generator was given", "left"),
        pages.Column("Metric", "Agreement: share of the likeliest classes that both have", "left"),
        pages.Column("Value", "Mean ± standard deviation over subjects", "right"),
        pages.Column("Chance", "Music made for another clip", "right"),
        pages.Column("Oracle", "Music made from the true embedding", "right"),
    )
    return pages.Table("Generated music", "Test clips.", columns, body)


def _genre_table(rows: Sequence[Row]) -> pages.Table:
    own = [row for row in rows if row.stage == "generate-test"]
    body = []
    for genre in dict.fromkeys(row.genre for row in own):
        cells = [genre]
        for metric in ("identification", "agreement_genres"):
            cells += mean_cells([row for row in own if (row.genre, row.metric) == (genre, metric)])
        body.append(tuple(cells))
    columns = (
        pages.Column("Genre", "", "left"),
        pages.Column("Identification", "Mean over subjects", "right"),
        pages.Column("Chance", "", "right"),
        pages.Column("Oracle", "", "right"),
        pages.Column("Genres agree", "Share of the two likeliest genres; none without a tagger", "right"),
        pages.Column("Chance (genres)", "", "right"),
        pages.Column("Oracle (genres)", "", "right"),
    )
    return pages.Table("Generated music by genre", "Means over subjects.", columns, tuple(body))


def _audio_file(audio: Path | None, track: str) -> Path | None:
    if audio is None:
        return None
    return next((path for ending in ENDINGS if (path := audio / f"{track}{ending}").is_file()), None)
