"""From predictions to the rows of ``evaluate.tsv``: every figure beside what chance and the truth itself would reach.

A row belongs to a subject, a stage (``decode``, ``retrieve`` or ``generate``, a hyphen, and the clips: ``train``,
``test`` or ``heldout``, where each clip's genre was left out of the training of its decoder), an embedding, a
genre (``all`` for the headline) and a metric (``METRICS``).
"""

from brain2music.evaluation.decoding import evaluate_decoding
from brain2music.evaluation.generation import Tagged, evaluate_generation
from brain2music.evaluation.published import PUBLISHED, Published
from brain2music.evaluation.retrieval import Retrieved, evaluate_retrieval
from brain2music.evaluation.rows import METRICS, Row, Summary, summarise
from brain2music.evaluation.tables import read_rows, write_rows, write_summary
from brain2music.plain_arrays import guard

__all__ = [
    "METRICS",
    "PUBLISHED",
    "Published",
    "Retrieved",
    "Row",
    "Summary",
    "Tagged",
    "evaluate_decoding",
    "evaluate_generation",
    "evaluate_retrieval",
    "read_rows",
    "summarise",
    "write_rows",
    "write_summary",
]

guard(__name__)
