"""The music library to retrieve from."""

from brain2music.plain_arrays import guard
from brain2music.retrieval.corpus import Corpus
from brain2music.retrieval.skipped import Skipped

__all__ = ["Corpus", "Skipped"]

guard(__name__)
