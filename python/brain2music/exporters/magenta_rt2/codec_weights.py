"""A checkpoint's encoder, quantiser and decoder as a codec."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from brain2music.exporters.magenta_rt2.spectrostream import SpectroStream
from brain2music.exporters.magenta_rt2.spectrostream_decoder import (
    GROUPS,
    STRIDES,
    InverseTransform,
    SpectrogramDecoder,
)
from brain2music.exporters.magenta_rt2.spectrostream_encoder import ENCODER_STRIDES, SpectrogramEncoder
from brain2music.exporters.public_model import filled

__all__ = ["LEVELS", "TABLE", "codec"]

#: The quantiser's codewords, (levels, codes, d).
TABLE = "quantizer/embedding"
_INPUT = "decoder/input_layer/"
_UNIT = "decoder/input_layers_residual_unit/"
_OUTPUT = "decoder/output_layer/base_conv_last"
_FIRST = "base_conv_first"
#: Levels of codes that the language model knows.
LEVELS = 12


def codec(tensors: Mapping[str, Tensor], encoder: Mapping[str, Tensor]) -> SpectroStream:
    """Make the codec from two parts of a checkpoint. Each tensor is copied once, to float32.

    Parameters
    ----------
    tensors : mapping from str to Tensor
        The part ``"soundstream"``, from :func:`read_part`.
    encoder : mapping from str to Tensor
        The part ``"encoder"``.

    Returns
    -------
    SpectroStream
    """
    levels, codes, embedding = tensors[TABLE].shape
    with torch.device("meta"):
        network = SpectroStream(
            _empty_encoder(encoder),
            _empty_decoder(tensors),
            levels=levels,
            codes=codes,
            embedding=embedding,
            encoded=LEVELS,
        )
    network.decoder.inverse.window = InverseTransform(network.decoder.inverse.step).window
    network.encoder.window = torch.hann_window(2 * network.encoder.step)
    weights = {"quantizer.weight": _copied(tensors[TABLE].flatten(0, 1))}
    filled(network, weights | _decoder_weights(tensors) | _encoder_weights(encoder))
    return network


def _empty_decoder(tensors: Mapping[str, Tensor]) -> SpectrogramDecoder:
    channels = [_channels(tensors, _UNIT + "conv2d_3x3")]
    for i in range(len(STRIDES)):
        channels.append(_channels(tensors, f"decoder/decoder_{i}/conv2d_3x3") * (GROUPS if i else 1))
    embedding = tensors[TABLE].size(2)
    bins = _channels(tensors, _INPUT + "conv1x1_first") // channels[0]
    return SpectrogramDecoder(embedding, channels, [_kernel(step) for step in STRIDES], _size(tensors, _OUTPUT), bins)


def _empty_encoder(tensors: Mapping[str, Tensor]) -> SpectrogramEncoder:
    kernels = [_kernel(step) for step in ENCODER_STRIDES]
    channels = [_channels(tensors, _FIRST)]
    for i, (frames, across) in enumerate(kernels):
        channels.append(_channels(tensors, f"encoder_{i}/conv2d_{frames}x{across}_a"))
    size, embedding = tensors["output_convs/conv1x1_last/conv/kernel"].shape[2:]
    bins = size // channels[-1] * math.prod(across for _, across in ENCODER_STRIDES)
    return SpectrogramEncoder(channels, _size(tensors, _FIRST), kernels, bins, embedding)


def _decoder_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights = _pointwise(tensors, _INPUT + "conv1x1_first", "decoder.input.straight")
    for number, name in ((0, "conv1x1_b1"), (2, "conv1x1_b2")):
        weights |= _pointwise(tensors, f"{_INPUT}shortcut_layer/{name}", f"decoder.input.bent.{number}")
    weights |= _convolution(tensors, _UNIT + "conv2d_3x3_a", "decoder.blocks.0.first.convolution")
    weights |= _convolution(tensors, _UNIT + "conv2d_3x3", "decoder.blocks.0.second.convolution")
    for i, step in enumerate(STRIDES):
        there, here = f"decoder/decoder_{i}/", f"decoder.blocks.{i + 1}."
        weights |= _transposed(tensors, there + "conv2dtranspose_{}x{}".format(*_kernel(step)), here + "first")
        weights |= _convolution(tensors, there + "conv2d_3x3", here + "second.convolution")
        weights |= _shortcut(tensors, there, here)
    return weights | _convolution(tensors, _OUTPUT, "decoder.output.convolution")


def _encoder_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights = _convolution(tensors, _FIRST, "encoder.input.convolution")
    blocks = [(f"encoder_{i}/", f"encoder.blocks.{i}.", _kernel(step)) for i, step in enumerate(ENCODER_STRIDES)]
    for there, here, kernel in [*blocks, ("bottleneck/", "encoder.bottleneck.", (3, 3))]:
        weights |= _convolution(tensors, there + "conv2d_3x3", here + "first.convolution")
        weights |= _convolution(tensors, there + "conv2d_{}x{}_a".format(*kernel), here + "second.convolution")
        weights |= _shortcut(tensors, there, here)
    weights |= _pointwise(tensors, "output_convs/conv1x1_last", "encoder.straight")
    for number, name in ((1, "conv1x1_b1"), (3, "conv1x1_b2")):
        weights |= _pointwise(tensors, f"output_convs/shortcut_layer/{name}", f"encoder.bent.{number}")
    return weights


def _kernel(stride: tuple[int, int]) -> tuple[int, int]:
    return max(3, 2 * stride[0]), max(3, 2 * stride[1])


def _size(tensors: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    frames, across = tensors[name + "/conv/kernel"].shape[:2]
    return frames, across


def _channels(tensors: Mapping[str, Tensor], name: str) -> int:
    return tensors[name + "/conv/bias"].numel()


def _copied(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32, copy=True, memory_format=torch.contiguous_format)


def _named(tensors: Mapping[str, Tensor], there: str, here: str, kernel: Tensor) -> dict[str, Tensor]:
    return {f"{here}.weight": _copied(kernel), f"{here}.bias": _copied(tensors[there + "/conv/bias"])}


def _pointwise(tensors: Mapping[str, Tensor], there: str, here: str) -> dict[str, Tensor]:
    """(1, 1, in, out) to (out, in)."""
    return _named(tensors, there, here, tensors[there + "/conv/kernel"][0, 0].t())


def _convolution(tensors: Mapping[str, Tensor], there: str, here: str) -> dict[str, Tensor]:
    """(frames, bins, in, out) to (out, in, frames, bins)."""
    return _named(tensors, there, here, tensors[there + "/conv/kernel"].permute(3, 2, 0, 1))


def _transposed(tensors: Mapping[str, Tensor], there: str, here: str) -> dict[str, Tensor]:
    """(frames, bins, in, out), as XLA convolves, to (in, out, frames, bins), as PyTorch spreads: turned around."""
    kernel = tensors[there + "/conv/kernel"].flip(0, 1).permute(2, 3, 0, 1)
    return {f"{here}.convolution.weight": _copied(kernel), f"{here}.bias": _copied(tensors[there + "/conv/bias"])}


def _shortcut(tensors: Mapping[str, Tensor], there: str, here: str) -> dict[str, Tensor]:
    """Return the weights of a shortcut that changes the number of channels, and none of another."""
    name = there + "shortcut_layer/conv1x1"
    return _convolution(tensors, name, here + "shortcut") if name + "/conv/kernel" in tensors else {}
