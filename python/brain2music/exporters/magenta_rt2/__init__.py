"""Magenta RealTime 2: its checkpoints become a stage of the family ``frames`` and a codec.

A checkpoint is ``mrt2_small.safetensors`` or ``mrt2_base.safetensors`` (language model, quantiser and decoder of the
codec) and ``encoder.safetensors`` (the codec's encoder). ``names.json`` holds the name and shape of every tensor, as
magenta-rt 2.0.3 builds them; ``benchmarks/magenta_rt2/names.py`` writes it.
"""

__all__: list[str] = []
