"""Stages."""
from brain2music.exporters.cached_attention import CrossAttention, Places, Rotary, SelfAttention, band_mask, cache_places
from brain2music.exporters.gpt2 import export_gpt2
from brain2music.exporters.llama import export_llama
from brain2music.exporters.musicgen import export_musicgen, musicgen_layout
from brain2music.exporters.script import script_stage, value_reads
from brain2music.exporters.stage import CodesCondition, ConditionTerm, DecoderLayer, EmbeddingCondition, GatedFeedForward, Stage
from brain2music.exporters.transformer import TransformerStage
