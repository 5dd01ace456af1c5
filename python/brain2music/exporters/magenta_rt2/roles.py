"""A checkpoint's networks as entries of a bundle's manifest."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from brain2music.exporters.magenta_rt2.channels import channel_layout
from brain2music.exporters.magenta_rt2.checkpoint import Table, read_part
from brain2music.exporters.magenta_rt2.codec_weights import LEVELS, TABLE, codec
from brain2music.exporters.magenta_rt2.conditioner import CODEBOOKS, style_quantizer
from brain2music.exporters.magenta_rt2.language_model import WINDOWS, language_model, level_codes
from brain2music.exporters.magenta_rt2.source import STYLE_CODES, STYLES
from brain2music.exporters.script import script_stage, scripted

__all__ = ["Checkpoint", "codec_role", "conditioner_role", "roles", "stage"]

_WHERE = "exporters.magenta_rt2"
RATE, FRAME_RATE = 48000, 25.0
#: Frames of codes that a frame of sound depends on, besides its own.
CONTEXT = {"past": 13, "future": 1}
_SOURCE = {"source": "Magenta RealTime 2: google/magenta-realtime-2 on Hugging Face", "licence": "CC-BY-4.0"}


class Checkpoint:
    """The parts of a published checkpoint, mapped into memory.

    Parameters
    ----------
    source : path
        The folder that magenta-rt downloads to, or one that holds the files side by side: ``mrt2_small.safetensors`` or
        ``mrt2_base.safetensors``, and the codec's ``encoder.safetensors``.
    size : str
        ``"small"`` or ``"base"``.
    tables : mapping, optional
        Shapes by part, in place of the published ones.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If there is no such size, or a file does not hold the model's tensors.
    """

    def __init__(self, source: str | os.PathLike[str], size: str, tables: Mapping[str, Table] | None = None) -> None:
        if size not in WINDOWS:
            raise ValueError(f"[{_WHERE}] size must be one of {', '.join(WINDOWS)}; got {size!r}")
        folder, given = Path(source), tables or {}
        model = _found(folder, f"mrt2_{size}.safetensors", "checkpoints")
        encoder = _found(folder, "encoder.safetensors", "resources/spectrostream")
        self.size = size
        self.model: dict[str, Tensor] = read_part(model, size, given.get(size))
        self.soundstream: dict[str, Tensor] = read_part(model, "soundstream", given.get("soundstream"))
        self.encoder: dict[str, Tensor] = read_part(encoder, "encoder", given.get("encoder"))


def _found(folder: Path, name: str, inside: str) -> Path:
    """Return the file where magenta-rt puts it, or the one that lies in the folder itself."""
    published = folder / inside / name
    return published if published.is_file() else folder / name


def roles(checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
    """Return the roles ``codec`` and ``conditioner``, as :func:`brain2music.bundles.write` takes them.

    Parameters
    ----------
    checkpoint : Checkpoint
        The checkpoint.

    Returns
    -------
    dict from str to dict
        Networks are made when they are written.
    """
    return {
        "codec": codec_role(checkpoint.soundstream, checkpoint.encoder),
        "conditioner": conditioner_role(checkpoint.model, checkpoint.size),
    }


def stage(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the stage ``music``, the language model, as :func:`brain2music.bundles.write` takes it.

    Parameters
    ----------
    checkpoint : Checkpoint
        The checkpoint.

    Returns
    -------
    dict
        The network is made when it is written.
    """
    size, tensors = checkpoint.size, checkpoint.model
    codes = level_codes(tensors)
    return {
        "name": "music",
        "module": lambda: script_stage(language_model(tensors, WINDOWS[size])),
        "family": "frames",
        "dtypes": ["float32", "bfloat16", "int8"],
        "frame_rate": FRAME_RATE,
        "codes": [codes] * LEVELS,
        "vocabulary": codes,
        "codec_levels": list(range(LEVELS)),
        "layout": {"channels": channel_layout(), "start": -1},
        "sampling": {"temperature": 1.3, "top_k": min(40, codes), "guidance": 3.0},
        "card": {
            "name": f"Magenta RealTime 2, {size}",
            "replaces": "MusicLM's semantic, coarse and fine stages",
            "notes": f"Each layer sees {WINDOWS[size]} frames, the present one included. Notes and drums are masked.",
            **_SOURCE,
        },
    }


def codec_role(soundstream: Mapping[str, Tensor], encoder: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the entry of the codec, from two parts of a checkpoint. Both sizes of the model have the same one."""
    _, codes, embedding = soundstream[TABLE].shape
    return {
        "module": lambda: scripted(codec(soundstream, encoder)),
        "methods": ["embed", "encode", "decode"],
        "sample_rate": RATE,
        "frame_rate": FRAME_RATE,
        "window": 1.5,
        "dimension": embedding,
        "levels": LEVELS,
        "vocabulary": codes,
        "channels": 2,
        "context": CONTEXT,
        "card": {
            "name": "SpectroStream",
            "replaces": "SoundStream",
            "notes": "Sound is as the decoder gives it. magenta-rt halves it before it is rounded to 16 bits, so that "
            "less is clipped; brain2music makes a piece that exceeds full scale quieter as a whole when it is saved.",
            **_SOURCE,
        },
    }


def conditioner_role(tensors: Mapping[str, Tensor], size: str) -> dict[str, Any]:
    """Return the entry of the conditioner, from the language model of a checkpoint."""
    return {
        "module": lambda: scripted(style_quantizer(tensors)),
        "methods": ["quantize", "dequantize"],
        "dimension": tensors[CODEBOOKS].size(1),
        "levels": STYLES,
        "vocabulary": STYLE_CODES,
        "card": {
            "name": "MusicCoCa's residual quantiser",
            "replaces": "MuLan's residual quantiser",
            "notes": f"The codewords are those that the language model of mrt2_{size} reads.",
            **_SOURCE,
        },
    }
