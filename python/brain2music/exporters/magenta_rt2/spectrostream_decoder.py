"""SpectroStream's decoder: from embeddings to the spectrogram of two channels, and from it to sound."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.exporters.magenta_rt2.convolution import CausalConvolution, CausalTransposed

__all__ = ["GROUPS", "STRIDES", "DecoderBlock", "InverseTransform", "SpectrogramDecoder", "SpectrogramInput"]

#: By how much each block multiplies frames and bins.
STRIDES = ((2, 1), (2, 2), (1, 2), (1, 2), (1, 3), (1, 2), (1, 2))
#: From the second block on, left and right go side by side through one set of weights.
GROUPS = 2
#: Frames of the spectrogram a frame of codes, and the first of them, which are dropped: the decoder looks one ahead.
FRAMES = math.prod(frames for frames, _ in STRIDES)


class SpectrogramInput(nn.Module):
    """Embeddings (B, T, d) to (B, channels, T, bins): a linear map and, beside it, two with an ELU between them."""

    def __init__(self, embedding: int, channels: int, bins: int) -> None:
        super().__init__()
        self.straight = nn.Linear(embedding, bins * channels)
        self.bent = nn.Sequential(
            nn.Linear(embedding, bins * channels), nn.ELU(), nn.Linear(bins * channels, bins * channels)
        )
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        """Return what the first block takes."""
        out = self.straight(x) + self.bent(x)
        spectrum: Tensor = out.view(x.size(0), x.size(1), self.bins, -1).permute(0, 3, 1, 2)
        return spectrum


class DecoderBlock(nn.Module):
    """Two convolutions, each after an ELU, beside a shortcut; the first one may multiply frames and bins.

    Parameters
    ----------
    given, made : int
        Channels in and out of each group.
    kernel : tuple of int
        Frames and bins of the first convolution.
    stride : tuple of int
        By how much frames and bins are multiplied.
    bins : int
        Bins that go in.
    groups : int
        As for :class:`CausalConvolution`.
    """

    def __init__(
        self, given: int, made: int, kernel: tuple[int, int], stride: tuple[int, int], bins: int, groups: int
    ) -> None:
        super().__init__()
        self.first: CausalTransposed | CausalConvolution
        if stride == (1, 1):
            self.first = CausalConvolution(given, made, kernel, bins, groups)
        else:
            self.first = CausalTransposed(given, made, kernel, stride, bins, groups)
        self.second = CausalConvolution(made, made, (3, 3), bins * stride[1], groups)
        self.shortcut = nn.Identity() if given == made else nn.Conv2d(given, made, 1)
        self.stride = stride

    def extend(self, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Map new frames; the tensors are the two convolutions' states."""
        y = self.second.extend(functional.elu(self.first.extend(functional.elu(x), first)), second)
        x = self.shortcut(x)
        if self.stride[0] > 1:
            x = x.repeat_interleave(self.stride[0], 2)
        if self.stride[1] > 1:
            x = x.repeat_interleave(self.stride[1], 3)
        return x + y


class InverseTransform(nn.Module):
    """The inverse short-time Fourier transform, frames of ``length`` samples that overlap by half.

    Parameters
    ----------
    bins : int
        Bins that go in, from 0 Hz; the highest of the transform is not among them.
    """

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.step = bins
        window = torch.hann_window(2 * bins, dtype=torch.float64)
        power = window.square()
        self.window: Tensor
        self.register_buffer("window", (window / (power + power.roll(bins))).float(), persistent=False)

    def extend(self, x: Tensor, state: Tensor) -> Tensor:
        """Map frames (B, channels, T, bins), complex, to (B, channels, T * step); the state holds ``step`` samples."""
        step = self.step
        pieces = torch.fft.irfft(functional.pad(x, [0, 1]), 2 * step) * self.window
        begin, end = pieces.narrow(3, 0, step), pieces.narrow(3, step, step)
        before = torch.cat([state.unsqueeze(2), end.narrow(2, 0, x.size(2) - 1)], 2)
        state.copy_(end.select(2, x.size(2) - 1))
        sound: Tensor = (begin + before).flatten(2)
        return sound


class SpectrogramDecoder(nn.Module):
    """Embeddings to sound, any number of frames at once, one frame late.

    Parameters
    ----------
    embedding : int
        d of the embeddings.
    channels : list of int
        Channels of the input and of each block's output, in all groups.
    kernels : list of tuple of int
        Frames and bins of the first convolution of each block.
    last : tuple of int
        Frames and bins of the last convolution.
    bins : int
        Bins that the first block takes.
    """

    def __init__(
        self,
        embedding: int,
        channels: list[int],
        kernels: list[tuple[int, int]],
        last: tuple[int, int],
        bins: int,
    ) -> None:
        super().__init__()
        self.input = SpectrogramInput(embedding, channels[0], bins)
        blocks = [DecoderBlock(channels[0], channels[0], (3, 3), (1, 1), bins, 1)]
        for i, (kernel, stride) in enumerate(zip(kernels, STRIDES, strict=True)):
            groups = 1 if i == 0 else GROUPS
            given, made = channels[i] // groups, channels[i + 1] // groups
            blocks.append(DecoderBlock(given, made, kernel, stride, bins, groups))
            bins *= stride[1]
        self.blocks = nn.ModuleList(blocks)
        #: Real and imaginary part.
        self.output = CausalConvolution(channels[-1] // GROUPS, 2, last, bins, GROUPS)
        self.inverse = InverseTransform(bins)
        self.shapes = [layer.shape for block in blocks for layer in (block.first, block.second)]
        self.shapes += [self.output.shape]
        self.lookahead = FRAMES
        self.groups = GROUPS
        #: Samples that a frame of codes becomes.
        self.hop = FRAMES * bins

    def init_state(self, batch: int) -> list[Tensor]:
        """Make the state before the first frame: how many frames of the spectrogram there were, then the layers'."""
        weight = self.output.convolution.weight
        state = [torch.zeros([batch], dtype=torch.int64, device=weight.device)]
        for shape in self.shapes:
            state.append(torch.zeros([batch, shape[0], shape[1], shape[2]], dtype=weight.dtype, device=weight.device))
        state.append(torch.zeros([batch, self.groups, self.inverse.step], dtype=weight.dtype, device=weight.device))
        return state

    def extend(self, embeddings: Tensor, state: list[Tensor]) -> Tensor:
        """Map new embeddings (B, T, d) to sound (B, 2, T * hop) that is one frame of codes late.

        The first frame is silence. Frame i comes with embedding i + 1, which it depends on.
        """
        batch = embeddings.size(0)
        x = self.input(embeddings)
        for i, block in enumerate(self.blocks):
            if i == 2:  # left and right part
                x = x.reshape(batch * self.groups, -1, x.size(2), x.size(3))
            x = block.extend(x, state[1 + 2 * i], state[2 + 2 * i])  # type: ignore[operator]
        x = self.output.extend(functional.elu(x), state[-2])
        x = x.view(batch, self.groups, 2, x.size(2), x.size(3))
        number = state[0].unsqueeze(1) + torch.arange(x.size(3), device=x.device)
        state[0].add_(x.size(3))
        heard = (number >= self.lookahead).to(x.dtype).view(batch, 1, 1, -1, 1)
        real, imaginary = (x * heard).unbind(2)
        return self.inverse.extend(torch.complex(real, imaginary), state[-1])
