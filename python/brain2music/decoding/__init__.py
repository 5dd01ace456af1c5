"""From brain activity to embeddings of music."""

from brain2music.decoding.brain_decoder import BrainDecoder
from brain2music.decoding.moment_matching import MomentMatching
from brain2music.plain_arrays import guard

__all__ = ["BrainDecoder", "MomentMatching"]

guard(__name__)
