"""Shapes of Magenta RealTime 2 made small: those of the models that magenta-rt's logits and sound were kept of."""

import torch
from safetensors.torch import save_file

from benchmarks.magenta_rt2.weights import random_tensors
from brain2music.exporters.magenta_rt2.checkpoint import table_of

#: Sizes of the kept language model in place of the small one's: 24 codes a level.
_SIZES = {
    "encoder/": {256: 24},
    "decoder/decoder_embedding/": {12294: 6 + 12 * 24, 1024: 32},
    "decoder/temporal_body/": {1024: 32, 256: 24, 8: 2, 128: 12},
    "decoder/depth_body/": {1024: 32, 768: 24, 6: 2, 128: 8, 12294: 6 + 12 * 24},
}


def language_model_table(layers=2, style=768, hidden=(48, 40)):
    """Names and shapes of the small language model's first layers, narrowed.

    ``style`` is the size of embeddings, ``hidden`` the widths of the temporal and of the depth network's feed-forward
    networks. Torch 2.11 computes GELU in two vectors at a time, and what is left number by number, which rounds
    otherwise. So where a width is no multiple of two vectors (16 numbers with AVX2, 32 with AVX-512), rows depend on
    those beside them.
    """
    table = {}
    for name, shape in table_of("small").items():
        layer = name.partition("x_layers_")[2].partition("/")[0]
        if not layer or int(layer) < layers:
            inside = name.removeprefix("params/depthformer/")
            sizes = next(sizes for prefix, sizes in _SIZES.items() if inside.startswith(prefix))
            widths = {4096: hidden[0]} if inside.startswith("decoder/temporal_body/") else {3072: hidden[1]}
            table[name] = tuple({768: style, **sizes, **widths}.get(size, size) for size in shape)
    return table


def codec_table(part):
    """Names and shapes of a part of the codec with a sixteenth of the channels."""
    table = {}
    for name, shape in table_of(part).items():
        if name.endswith("quantizer/embedding"):
            table[name] = (16, 24, 16)
        else:
            kernel, channels = shape[:-2], shape[-2:]
            table[name] = (*kernel, *(size if size == 2 else size // 16 for size in channels))
    return table


#: Shapes of every part, in place of the published ones.
TABLES = {
    "small": language_model_table(style=32, hidden=(64, 64)),
    **{part: codec_table(part) for part in ("soundstream", "encoder")},
}


def write_checkpoint(home):
    """Random weights in the checkpoints' own format, where magenta-rt puts its files.

    The mean of 132 random rows is next to nothing: these are large, so that guidance is heard.
    """
    for name, parts in (
        ("checkpoints/mrt2_small", ("small", "soundstream")),
        ("resources/spectrostream/encoder", ("encoder",)),
    ):
        numbers = random_tensors({key: shape for part in parts for key, shape in TABLES[part].items()})
        for key in numbers:
            if key.endswith("regular_embedder/embedding"):
                numbers[key] = 40 * numbers[key]
        path = home / f"{name}.safetensors"
        path.parent.mkdir(parents=True)
        save_file({key: torch.from_numpy(array) for key, array in numbers.items()}, path)
    return home
