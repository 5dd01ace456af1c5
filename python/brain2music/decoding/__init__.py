"""From brain activity to embeddings of music."""

from brain2music.decoding.brain_decoder import BrainDecoder

__all__ = ["BrainDecoder"]
