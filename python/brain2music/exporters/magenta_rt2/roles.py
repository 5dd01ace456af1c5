"""A checkpoint's networks as entries of a bundle's manifest."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from brain2music.exporters.magenta_rt2.checkpoint import Table, read_part
from brain2music.exporters.magenta_rt2.codec_weights import LEVELS, codec
from brain2music.exporters.magenta_rt2.conditioner import StyleQuantizer, style_quantizer
from brain2music.exporters.magenta_rt2.language_model import WINDOWS
from brain2music.exporters.magenta_rt2.spectrostream import SpectroStream
from brain2music.exporters.script import scripted

__all__ = ["Checkpoint", "codec_role", "conditioner_role", "roles"]

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
    """
    return {
        "codec": codec_role(codec(checkpoint.soundstream, checkpoint.encoder)),
        "conditioner": conditioner_role(style_quantizer(checkpoint.model), checkpoint.size),
    }


def codec_role(network: SpectroStream) -> dict[str, Any]:
    """Return the entry of a codec. Both sizes of the model have the same one."""
    return {
        "module": scripted(network),
        "methods": ["embed", "encode", "decode"],
        "sample_rate": RATE,
        "frame_rate": FRAME_RATE,
        "window": 1.5,
        "dimension": network.quantizer.embedding_dim,
        "levels": LEVELS,
        "vocabulary": network.codes,
        "channels": 2,
        "context": CONTEXT,
        "card": {"name": "SpectroStream", "replaces": "SoundStream", **_SOURCE},
    }


def conditioner_role(network: StyleQuantizer, size: str) -> dict[str, Any]:
    """Return the entry of a conditioner."""
    return {
        "module": scripted(network),
        "methods": ["quantize", "dequantize"],
        "dimension": network.codebooks.size(1),
        "levels": network.levels,
        "vocabulary": network.codes,
        "card": {
            "name": "MusicCoCa's residual quantiser",
            "replaces": "MuLan's residual quantiser",
            "notes": f"The codewords are those that the language model of mrt2_{size} reads.",
            **_SOURCE,
        },
    }
