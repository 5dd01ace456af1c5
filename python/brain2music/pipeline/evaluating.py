"""Fourth step: every figure beside its chance and its oracle."""

import warnings
from pathlib import Path

import numpy as np

from brain2music.evaluation import Retrieved as Found
from brain2music.evaluation import Row, evaluate_decoding, evaluate_retrieval, summarise, write_rows, write_summary
from brain2music.pipeline.context import Context
from brain2music.pipeline.decoding import Decoded, decode, measured
from brain2music.pipeline.retrieval import Retrieved, library, retrieve
from brain2music.retrieval import Corpus

__all__ = ["evaluate"]


def evaluate(context: Context) -> tuple[list[Row], Path]:
    """Evaluate all subjects and embeddings into ``evaluate.tsv``, and their means into ``summary.tsv``."""
    corpus = library(context).corpus
    rows: list[Row] = []
    for role in context.settings.embeddings:
        for subject in context.subjects:
            rows += _decoding(context, decode(context, subject, role), corpus)
    for subject in context.subjects:
        rows += _retrieval(context, *retrieve(context, subject), corpus)
    path = write_rows(context.out / "evaluate.tsv", rows)
    write_summary(context.out / "summary.tsv", summarise(rows))
    return rows, path


def _decoding(context: Context, decoded: Decoded, corpus: Corpus) -> list[Row]:
    # The library is embedded by one role alone.
    values = corpus.values if decoded.embedding == corpus.role else None
    parts = [
        ("test", decoded.test, decoded.test_target, decoded.test_clips),
        ("train", decoded.train, decoded.train_target, decoded.train_clips),
    ]
    if decoded.held_out is not None:
        parts.append(("heldout", decoded.held_out, decoded.test_target, decoded.test_clips))
    rows = []
    with warnings.catch_warnings():
        # In a small study few clips of a genre are tested: then there is no correlation over them, and no row.
        warnings.filterwarnings("ignore", r"\[evaluation\]", UserWarning)
        for split, predicted, target, clips in parts:
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
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\[evaluation\]", UserWarning)
        return evaluate_retrieval(
            decoded.subject,
            decoded.embedding,
            decoded.test_target,
            decoded.test_clips,
            found,
            oracle,
            corpus.values,
            ids,
            seed=context.settings.seed,
        )
