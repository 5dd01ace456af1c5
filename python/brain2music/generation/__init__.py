"""Music from embeddings: a bundle's stages write codes, its codec turns them into sound."""

from brain2music.generation.audio import Audio
from brain2music.generation.codec import Codec
from brain2music.generation.generator import MusicGenerator
from brain2music.plain_arrays import guard

__all__ = ["Audio", "Codec", "MusicGenerator"]

guard(__name__)
