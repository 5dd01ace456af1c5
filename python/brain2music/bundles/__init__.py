"""Bundles: trained networks in a folder, the embeddings they make of music and texts, and the tags they give music."""

from brain2music.bundles.bundle import Bundle
from brain2music.bundles.embedding_space import EmbeddingSpace
from brain2music.bundles.embeddings import Embeddings
from brain2music.bundles.tags import Tags
from brain2music.bundles.writer import write
from brain2music.plain_arrays import guard

__all__ = ["Bundle", "EmbeddingSpace", "Embeddings", "Tags", "write"]

guard(__name__)
