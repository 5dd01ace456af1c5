"""Bundles: trained networks in a folder, and the embeddings they make of music and texts."""

from brain2music.bundles.bundle import Bundle
from brain2music.bundles.embedding_space import EmbeddingSpace
from brain2music.bundles.embeddings import Embeddings
from brain2music.bundles.writer import write
from brain2music.plain_arrays import guard

__all__ = ["Bundle", "EmbeddingSpace", "Embeddings", "write"]

guard(__name__)
