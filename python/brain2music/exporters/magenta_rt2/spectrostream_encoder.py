"""SpectroStream's encoder: from sound of two channels to embeddings, a whole piece at once."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ENCODER_STRIDES", "SpectrogramEncoder"]

#: By how much each block divides frames and bins.
ENCODER_STRIDES = ((1, 2), (1, 2), (1, 3), (1, 2), (1, 2), (2, 2), (2, 1))
#: Left and right go side by side through one set of weights, up to the last block.
GROUPS = 2
#: Frames of the spectrogram a frame of codes.
FRAMES = math.prod(frames for frames, _ in ENCODER_STRIDES)


class PaddedConvolution(nn.Module):
    """A convolution, causal in time, that divides frames and bins by its stride; zeros surround both.

    What goes in is (N, given, frames, bins); frames must be a multiple of the stride.
    """

    def __init__(self, given: int, made: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(given, made, kernel, stride)
        around = kernel[1] - stride[1]
        #: Bins before and after, frames before and after.
        self.padding = [around // 2, around - around // 2, kernel[0] - stride[0], 0]

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, made, frames / stride, bins / stride)."""
        out: Tensor = self.convolution(functional.pad(x, self.padding))
        return out


class EncoderBlock(nn.Module):
    """Two convolutions, each after an ELU, beside a shortcut; the second one may divide frames and bins."""

    def __init__(self, given: int, made: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.first = PaddedConvolution(given, given, (3, 3))
        self.second = PaddedConvolution(given, made, kernel, stride)
        self.pool = nn.Identity() if stride == (1, 1) else nn.AvgPool2d(stride)
        self.shortcut = nn.Identity() if given == made else nn.Conv2d(given, made, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, made, frames / stride, bins / stride)."""
        y = self.second(functional.elu(self.first(functional.elu(x))))
        out: Tensor = self.shortcut(self.pool(x)) + y
        return out


class SpectrogramEncoder(nn.Module):
    """Sound to embeddings.

    Parameters
    ----------
    channels : list of int
        Channels of the first convolution and of each block, in each group; of the last block, in all.
    first : tuple of int
        Frames and bins of the first convolution.
    kernels : list of tuple of int
        Frames and bins of the second convolution of each block.
    bins : int
        Bins of the spectrogram.
    embedding : int
        d of the embeddings.
    """

    def __init__(
        self, channels: list[int], first: tuple[int, int], kernels: list[tuple[int, int]], bins: int, embedding: int
    ) -> None:
        super().__init__()
        self.step = bins
        #: Samples that a frame of codes stands for.
        self.hop = FRAMES * bins
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(2 * bins), persistent=False)
        self.input = PaddedConvolution(2, channels[0], first)
        last = len(kernels) - 1
        self.blocks = nn.ModuleList(
            EncoderBlock(channels[i] * (GROUPS if i == last else 1), channels[i + 1], kernel, stride)
            for i, (kernel, stride) in enumerate(zip(kernels, ENCODER_STRIDES, strict=True))
        )
        self.bottleneck = EncoderBlock(channels[-1], channels[-1], (3, 3), (1, 1))
        size = channels[-1] * bins // math.prod(across for _, across in ENCODER_STRIDES)
        self.straight = nn.Linear(size, embedding)
        self.bent = nn.Sequential(nn.ELU(), nn.Linear(size, size), nn.ELU(), nn.Linear(size, embedding))
        self.last = last
        self.groups = GROUPS

    def forward(self, wave: Tensor) -> Tensor:
        """Map (B, 2, samples) to (B, frames, d); silence fills the last frame."""
        batch = wave.size(0)
        whole = -(-wave.size(2) // self.hop) * self.hop
        pieces = functional.pad(wave, [0, whole - wave.size(2) + self.step]).unfold(2, 2 * self.step, self.step)
        spectrum = torch.view_as_real(torch.fft.rfft(pieces * self.window))[:, :, :, : self.step]
        x = spectrum.permute(0, 1, 4, 2, 3).reshape(batch * self.groups, 2, -1, self.step)
        x = self.input(x)
        for i, block in enumerate(self.blocks):
            if i == self.last:  # left and right meet
                x = x.reshape(batch, -1, x.size(2), x.size(3))
            x = block(x)
        x = self.bottleneck(x).permute(0, 2, 3, 1).flatten(2)
        out: Tensor = self.straight(x) + self.bent(x)
        return out
