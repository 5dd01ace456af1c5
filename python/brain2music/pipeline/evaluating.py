"""Fifth step: every figure beside its chance and its oracle."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from brain2music.bundles.embeddings import rows_of
from brain2music.evaluation import Retrieved as Found
from brain2music.evaluation import (
    Row,
    Tagged,
    evaluate_decoding,
    evaluate_generation,
    evaluate_retrieval,
    summarise,
    write_rows,
    write_summary,
)
from brain2music.pipeline.context import OWN, Context
from brain2music.pipeline.decoding import Decoded, compared, decode, mean_target, measured
from brain2music.pipeline.generation import Generated, Heard, generate, generate_oracle, heard_tags
from brain2music.pipeline.retrieval import Retrieved, library, retrieve
from brain2music.retrieval import Corpus

__all__ = ["evaluate"]


def evaluate(context: Context) -> tuple[list[Row], Path]:
    """Evaluate all subjects and embeddings into ``evaluate.tsv``, and their means into ``summary.tsv``."""
    found = library(context)
    corpus = None if found is None else found.corpus
    rows: list[Row] = []
    for role in context.embeddings:
        for subject in context.subjects:
            rows += _decoding(context, decode(context, subject, role), corpus)
    if corpus is not None:
        for subject in context.subjects:
            rows += _retrieval(context, *retrieve(context, subject), corpus)
    if context.generates:
        oracle, tags = generate_oracle(context), heard_tags(context)
        for way in context.settings.conditioning:
            for subject in context.subjects:
                rows += _generation(context, way, *generate(context, subject, way), oracle, tags)
    path = write_rows(context.out / "evaluate.tsv", rows)
    write_summary(context.out / "summary.tsv", summarise(rows))
    return rows, path


def _decoding(context: Context, decoded: Decoded, corpus: Corpus | None) -> list[Row]:
    # The library is embedded by one role alone.
    alike = corpus is not None and decoded.embedding == (corpus.role or OWN)
    values = corpus.values if corpus is not None and alike else None
    parts = [
        ("test", decoded.test, decoded.test_target, decoded.test_clips),
        ("train", decoded.train, decoded.train_target, decoded.train_clips),
    ]
    if decoded.held_out is not None:
        parts.append(("heldout", decoded.held_out, decoded.test_target, decoded.test_clips))
    rows = []
    with _few_clips():
        for split, decoded_there, true_there, clips in parts:
            predicted, target = compared(decoded_there, true_there)
            rows += evaluate_decoding(
                decoded.subject,
                decoded.embedding,
                predicted,
                target,
                clips,
                split=split,
                present=measured(predicted),
                corpus_values=values,
                seed=context.settings.seed,
            )
    return rows


def _retrieval(context: Context, retrieved: Retrieved, decoded: Decoded, corpus: Corpus) -> list[Row]:
    ids = np.asarray(corpus.ids)
    found, oracle = (
        Found(ids[indices], corpus.values[indices]) for indices in (retrieved.indices, retrieved.oracle_indices)
    )
    with _few_clips():
        return evaluate_retrieval(
            decoded.subject,
            decoded.embedding,
            mean_target(decoded.test_target),
            decoded.test_clips,
            found,
            oracle,
            corpus.values,
            ids,
            seed=context.settings.seed,
        )


def _generation(
    context: Context, way: str, made: Generated, decoded: Decoded, oracle: Generated, heard: Heard | None
) -> list[Row]:
    # What was made from true embeddings, and what was heard, is there once for all subjects' clips.
    own = rows_of(oracle.clips, tuple(decoded.test_clips.ids.tolist()), "pipeline.evaluate")
    tagged = None
    if heard is not None and made.tags is not None and oracle.tags is not None:
        tagged = Tagged(heard.tags[own], made.tags, oracle.tags[own], heard.groups)
    with _few_clips():
        return evaluate_generation(
            decoded.subject,
            decoded.embedding,
            made.embedded,
            oracle.embedded[own],
            mean_target(decoded.test_target),
            decoded.test_clips,
            way="" if way == context.settings.conditioning[0] else way,
            tagged=tagged,
            seed=context.settings.seed,
        )


@contextmanager
def _few_clips() -> Iterator[None]:
    """Keep quiet where few clips of a genre are tested: then there is no correlation over them, and no row."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\[evaluation\]", UserWarning)
        yield
