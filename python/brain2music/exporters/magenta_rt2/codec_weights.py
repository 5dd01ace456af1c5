"""A checkpoint's quantiser and decoder as a codec."""

from collections.abc import Mapping

import torch
from torch import Tensor

from brain2music.exporters.magenta_rt2.spectrostream import SpectroStream
from brain2music.exporters.magenta_rt2.spectrostream_decoder import STRIDES, InverseTransform, SpectrogramDecoder
from brain2music.exporters.public_model import filled

__all__ = ["codec"]

_TABLE = "quantizer/embedding"
_INPUT = "decoder/input_layer/"
_UNIT = "decoder/input_layers_residual_unit/"
_OUTPUT = "decoder/output_layer/base_conv_last/conv/"


def codec(tensors: Mapping[str, Tensor], gain: float = 1.0) -> SpectroStream:
    """Make the codec from the part ``"soundstream"`` of a checkpoint.

    Parameters
    ----------
    tensors : mapping from str to Tensor
        From :func:`read_part`. Each is copied once, to float32.
    gain : float
        What the sound is multiplied with; magenta-rt halves it before it is clipped.

    Returns
    -------
    SpectroStream
    """
    levels, codes, embedding = tensors[_TABLE].shape
    kernels = [_kernel(tensors, i) for i in range(len(STRIDES))]
    channels = [_channels(tensors, _UNIT + "conv2d_3x3/conv/")]
    channels += [_channels(tensors, f"decoder/decoder_{i}/conv2d_3x3/conv/") * (1 + (i > 0)) for i in range(len(STRIDES))]
    last = tensors[_OUTPUT + "kernel"].shape
    bins = _channels(tensors, _INPUT + "conv1x1_first/conv/") // channels[0]
    with torch.device("meta"):
        decoder = SpectrogramDecoder(embedding, channels, kernels, (last[0], last[1]), bins)
        network = SpectroStream(decoder, levels, codes, embedding, gain)
    decoder.inverse.window = InverseTransform(decoder.inverse.step).window
    weights = {"quantizer.weight": _copied(tensors[_TABLE].flatten(0, 1))}
    for here, there in (("straight", "conv1x1_first"), ("bent.0", "shortcut_layer/conv1x1_b1"), ("bent.2", "shortcut_layer/conv1x1_b2")):
        weights |= _pointwise(tensors, f"{_INPUT}{there}/conv/", f"decoder.input.{here}")
    weights |= _convolution(tensors, _UNIT + "conv2d_3x3_a/conv/", "decoder.blocks.0.first.convolution")
    weights |= _convolution(tensors, _UNIT + "conv2d_3x3/conv/", "decoder.blocks.0.second.convolution")
    for i, (frames, across) in enumerate(kernels):
        there, here = f"decoder/decoder_{i}/", f"decoder.blocks.{i + 1}."
        weights |= _transposed(tensors, f"{there}conv2dtranspose_{frames}x{across}/conv/", here + "first")
        weights |= _convolution(tensors, there + "conv2d_3x3/conv/", here + "second.convolution")
        if there + "shortcut_layer/conv1x1/conv/kernel" in tensors:
            weights |= _convolution(tensors, there + "shortcut_layer/conv1x1/conv/", here + "shortcut")
    weights |= _convolution(tensors, _OUTPUT, "decoder.output.convolution")
    filled(network, weights)
    return network


def _kernel(tensors: Mapping[str, Tensor], block: int) -> tuple[int, int]:
    stride = STRIDES[block]
    frames, across = (max(3, 2 * step) for step in stride)
    shape = tensors[f"decoder/decoder_{block}/conv2dtranspose_{frames}x{across}/conv/kernel"].shape
    return shape[0], shape[1]


def _channels(tensors: Mapping[str, Tensor], name: str) -> int:
    return tensors[name + "bias"].numel()


def _copied(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32, copy=True, memory_format=torch.contiguous_format)


def _pointwise(tensors: Mapping[str, Tensor], there: str, here: str) -> dict[str, Tensor]:
    return {
        here + ".weight": _copied(tensors[there + "kernel"][0, 0].t()),
        here + ".bias": _copied(tensors[there + "bias"]),
    }


def _convolution(tensors: Mapping[str, Tensor], there: str, here: str) -> dict[str, Tensor]:
    """(frames, bins, in, out) to (out, in, frames, bins)."""
    return {
        here + ".weight": _copied(tensors[there + "kernel"].permute(3, 2, 0, 1)),
        here + ".bias": _copied(tensors[there + "bias"]),
    }


def _transposed(tensors: Mapping[str, Tensor], there: str, here: str) -> dict[str, Tensor]:
    """(frames, bins, in, out), as XLA convolves, to (in, out, frames, bins), as PyTorch spreads: turned around."""
    return {
        here + ".convolution.weight": _copied(tensors[there + "kernel"].flip(0, 1).permute(2, 3, 0, 1)),
        here + ".bias": _copied(tensors[there + "bias"]),
    }
