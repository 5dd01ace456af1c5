"""Last step: one page that plays the music and shows the brain."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brain2music import metrics
from brain2music import report as pages
from brain2music.evaluation import PUBLISHED, Row, Summary, summarise
from brain2music.pipeline import figures
from brain2music.pipeline.context import TABLE_1, Context
from brain2music.pipeline.decoding import Decoded, decode
from brain2music.pipeline.encoding import Encoded, encode_all
from brain2music.pipeline.encoding_report import encoding_section
from brain2music.pipeline.evaluating import evaluate
from brain2music.pipeline.listening import generation_section, listening_section
from brain2music.pipeline.retrieval import Library, library, unused_told
from brain2music.pipeline.runs import runs_section
from brain2music.pipeline.tables import mean_cells, number, spread, subject_table
from brain2music.versions import versions

__all__ = ["report"]

_SPLITS = {"test": "test clips", "train": "training clips", "heldout": "test clips, genre never seen"}


def report(context: Context) -> Path:
    """Write ``report.html``, its figures beside it as PNG and SVG, and what it plays as WAV."""
    rows, _ = evaluate(context)
    role = context.embeddings[0]
    decoded = [decode(context, subject, role) for subject in context.subjects]
    summaries = summarise(rows)
    sections = [
        listening_section(context, decoded[0]),
        _decoding(context, decoded, rows, summaries),
        _where(context, decoded),
    ]
    found = library(context)
    if found is not None:
        sections.append(_retrieval(context, found, decoded, summaries))
    told: list[Decoded | Encoded] = [*decoded]
    fewest = min(len(one.test) for one in decoded)
    encodable = fewest >= (8 if decoded[0].without_test else 3)
    if context.settings.encoding and encodable:
        encoded, _ = encode_all(context)
        sections.insert(3, encoding_section(context, encoded))
        told += [one for one in encoded if one.features == role]
    if context.generates:
        sections.append(generation_section(context, rows, summaries))
    if any(one.held_out is not None for one in decoded):
        sections.append(_held_out(decoded, rows))
    sections.append(runs_section(context))
    page = pages.Page(
        title="Music decoded from brain activity",
        subtitle=f"{Path(context.settings.study).name}: {_counted(len(decoded), 'subject')}, {_clips_told(decoded[0])}",
        lead=_lead(context, decoded),
        headlines=_headlines(role, decoded, summaries),
        sections=tuple(sections),
        settings={name: _shown(value) for name, value in context.settings.as_json().items()},
        versions={name: str(version) for name, version in versions().items()},
        notes=(
            *dict.fromkeys(f"sub-{one.subject}: {note}" for one in told for note in one.notes),
            *([] if encodable else [f"No encoding models: {fewest} test clips are too few to test them on."]),
        ),
    )
    return pages.write(page, context.out / "report.html")


def _lead(context: Context, decoded: Sequence[Decoded]) -> str:
    name, replaces = context.card(context.embeddings[0])
    what = f"{name}, in place of {replaces}" if replaces else name
    fetches = "" if library(context) is None else ", fetches music from a library that holds none of it (retrieval)"
    tested = (
        " There were no test runs: every clip was decoded by a decoder that was fitted to other clips. "
        "Below, all clips are test clips."
        if decoded[0].without_test
        else ""
    )
    made = ", and is made into new music (generation)" if context.generates else ""
    return (
        "While people lay in a scanner and listened to music, their brain activity was recorded. From it alone, a "
        "ridge regression predicts an embedding of the music: a point in a space where like music lies together. The "
        f"prediction is then asked which of the clips was heard (identification){fetches}{made}. The embedding here "
        f"is {what}. Every figure stands beside chance and beside the oracle, which has the true embedding in place of "
        f"the predicted one.{tested}"
    )


def _clips_told(one: Decoded) -> str:
    if one.without_test:
        return f"{len(one.test)} clips, cross-validated"
    return f"{len(one.train)} training and {len(one.test)} test clips"


def _headlines(role: str, decoded: Sequence[Decoded], summaries: Sequence[Summary]) -> tuple[pages.Headline, ...]:
    labels = {
        ("decode-test", "identification"): "Identification accuracy",
        ("decode-test", "correlation"): "Correlation with the true embedding",
        ("retrieve-test", "genre_first"): "Best track retrieved is of the clip's genre",
        ("retrieve-test", "identification"): "Identification from the best track retrieved",
        ("generate-test", "identification"): "Identification from the music generated",
    }
    found = {(one.stage, one.metric): one for one in summaries if one.embedding == role and one.genre == "all"}
    detail = f"{len(decoded[0].test)} test clips, mean of {_counted(len(decoded), 'subject')}"
    return tuple(
        pages.Headline(
            value=f"{one.mean:.3f}",
            label=label,
            chance=f"{one.chance:.3f}",
            oracle=f"{one.oracle:.3f}",
            detail=f"{detail}{spread(one.sd)}",
        )
        for key, label in labels.items()
        if (one := found.get(key)) is not None
    )


def _decoding(
    context: Context, decoded: Sequence[Decoded], rows: Sequence[Row], summaries: Sequence[Summary]
) -> pages.Section:
    role = context.embeddings[0]
    draw = figures.Writer(context.out / "figures")
    first = decoded[0]
    chosen = [row for row in rows if (row.embedding, row.stage, row.metric) == (role, "decode-test", "identification")]
    whole = [row for row in chosen if row.genre == "all"]
    shown = (
        draw.identification(_matrix(first), first.test_clips, whole[0]),
        draw.subjects(whole),
        draw.scores(chosen),
        *([draw.embedding(first)] if len(first.test) >= 3 else []),
    )
    metrics_shown = ("identification", "identification_p", "correlation", "identification_windows")
    own = [row for row in rows if row.embedding == role and row.stage == "decode-test" and row.genre == "all"]
    by_subject = subject_table(
        "Decoding, subject by subject",
        [row for row in own if row.metric in metrics_shown],
        lambda metric: metric.replace("_", " "),
        "Clips, or windows of clips",
    )
    return pages.Section(
        title="What was decoded",
        text="Identification compares the predicted embedding of a clip with the true embeddings of all test clips: "
        "how often is the clip's own the more similar one? Correlation follows every dimension of the embedding over "
        "clips.",
        figures=shown,
        tables=(_main_table(context, summaries), by_subject),
    )


def _main_table(context: Context, summaries: Sequence[Summary]) -> pages.Table:
    found = {(one.stage, one.embedding, one.metric): one for one in summaries if one.genre == "all"}
    published = {(one.stage, one.embedding, one.metric): one for one in PUBLISHED}
    rows = []
    for role in context.embeddings:
        for split, clips in _SPLITS.items():
            stage = f"decode-{split}"
            for metric in ("identification", "correlation"):
                one = found.get((stage, role, metric))
                if one is None:
                    continue
                paper = published.get((stage, TABLE_1.get(role, ""), metric))
                name, _ = context.card(role)
                reference = f"{paper.mean:.3f} ± {paper.sd:.3f} ({paper.embedding})" if paper else "none"
                rows.append(
                    (
                        name,
                        clips,
                        metric,
                        number(one.mean, one.sd),
                        f"{one.chance:.3f}",
                        f"{one.oracle:.3f}",
                        reference,
                    )
                )
    columns = (
        pages.Column("Embedding", "What the music was turned into", "left"),
        pages.Column("Clips", "", "left"),
        pages.Column("Metric", "", "left"),
        pages.Column("Value", "Mean ± standard deviation over subjects", "right"),
        pages.Column(
            "Chance", "A random pick from the library; predictions permuted, where it has no such embedding", "right"
        ),
        pages.Column("Oracle", "The true embedding in place of the predicted one", "right"),
        pages.Column("Published", "Brain2Music on ds003720, with the embedding that this one stands for", "right"),
    )
    return pages.Table(
        "Decoding, all embeddings",
        "Published figures are of another study, other networks and real brains: they are no target.",
        columns,
        tuple(rows),
    )


def _where(context: Context, decoded: Sequence[Decoded]) -> pages.Section:
    draw = figures.Writer(context.out / "figures")
    rows = tuple(
        (
            f"sub-{one.subject}",
            str(rank),
            one.roi_names.get(label, str(label)),
            f"{one.roi_scores[label]:.3f}",
        )
        for one in decoded
        for rank, label in enumerate(one.rois, start=1)
    )
    columns = (
        pages.Column("Subject", "", "left"),
        pages.Column("Rank", "", "right"),
        pages.Column("Region", "Destrieux atlas, or the one given", "left"),
        pages.Column("r", "Mean cross-validated correlation over dimensions, training clips", "right"),
    )
    return pages.Section(
        title="Where in the brain",
        text=f"A decoder is fitted to each of {len(decoded[0].roi_scores)} regions; the {context.settings.n_rois} that "
        "predict best on held-out training runs are kept, and their predictions averaged. Chance for r is "
        "0, the oracle's is 1.",
        figures=tuple(draw.roi_map(one) for one in decoded[:3]),
        tables=(pages.Table("Regions chosen", "Chosen on training clips alone; chance 0.", columns, rows),),
    )


def _retrieval(
    context: Context, found: Library, decoded: Sequence[Decoded], summaries: Sequence[Summary]
) -> pages.Section:
    role = context.embeddings[0]
    rows = tuple(
        (one.metric.replace("_", " "), number(one.mean, one.sd), f"{one.chance:.3f}", f"{one.oracle:.3f}")
        for one in summaries
        if one.stage == "retrieve-test"
        and one.embedding == role
        and one.genre == "all"
        and not one.metric.endswith("_p")
    )
    columns = (
        pages.Column("Metric", "", "left"),
        pages.Column("Value", "Mean ± standard deviation over subjects", "right"),
        pages.Column("Chance", "A random pick from the library", "right"),
        pages.Column("Oracle", "Retrieved by the true embedding", "right"),
    )
    told = unused_told(found.corpus)
    unused = f" {told}." if told else ""
    inside = "may hold tracks of the study" if context.settings.include_stimuli else "holds no track of the study"
    return pages.Section(
        title="Music retrieved",
        text=f"The decoded embedding of a clip fetches the nearest of {len(found.corpus)} tracks by cosine "
        f"similarity; the library {inside}.{unused}",
        tables=(pages.Table("Retrieval", "Test clips.", columns, rows),),
    )


def _held_out(decoded: Sequence[Decoded], rows: Sequence[Row]) -> pages.Section:
    table = []
    genres = sorted({genre for one in decoded for genre in one.test_clips.genre.tolist()})
    for genre in ("all", *genres):
        cells = [genre]
        for split in ("test", "heldout"):
            found = [
                row
                for row in rows
                if (row.stage, row.embedding, row.genre, row.metric)
                == (f"decode-{split}", decoded[0].embedding, genre, "identification")
            ]
            cells += mean_cells(found)
        table.append(tuple(cells))
    columns = (
        pages.Column("Genre", "", "left"),
        pages.Column("Seen", "Identification by a decoder trained on all genres", "right"),
        pages.Column("Chance", "", "right"),
        pages.Column("Oracle", "", "right"),
        pages.Column("Never seen", "Identification by a decoder trained on the other genres", "right"),
        pages.Column("Chance (never seen)", "", "right"),
        pages.Column("Oracle (never seen)", "", "right"),
    )
    return pages.Section(
        title="A genre never seen",
        text="Does the decoder only know genres? Each genre is left out of training, and its test clips are decoded by "
        "what the others taught.",
        tables=(pages.Table("Identification by genre", "Means over subjects.", columns, tuple(table)),),
    )


def _matrix(one: Decoded) -> Any:
    return metrics.identification_accuracy(*one.by_clip, correlations=True).correlations


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _shown(value: Any) -> str:
    if value is None:
        return "default"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
