"""From brain activity to embeddings of music."""

from brain2music.decoding.brain_decoder import BrainDecoder
from brain2music.plain_arrays import guard

__all__ = ["BrainDecoder"]

guard(__name__)
