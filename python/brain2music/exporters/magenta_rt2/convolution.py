"""Convolutions over time and frequency that remember: causal in time, so that sound can be made piece by piece.

Input and output are (B, channels, frames, bins). The state of a convolution is written in place; zeros are the
silence before the sound.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CausalConvolution", "CausalTransposed"]


class CausalConvolution(nn.Module):
    """A convolution that sees its own frame and those before it; in frequency, zeros surround the bins.

    Parameters
    ----------
    given, made : int
        Channels in and out.
    kernel : tuple of int
        Frames and bins.
    bins : int
        Bins in and out.
    groups : int
        How many parts of the channels are convolved side by side, with one set of weights.
    """

    def __init__(self, given: int, made: int, kernel: tuple[int, int], bins: int, groups: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(given, made, kernel)
        self.before = (kernel[1] - 1) // 2
        self.after = kernel[1] - 1 - self.before
        #: Of the state, without the batch: the last frames.
        self.shape = (groups * given, kernel[0] - 1, bins)

    def extend(self, x: Tensor, state: Tensor) -> Tensor:
        """Map new frames (B * groups, given, T, bins) to (B * groups, made, T, bins)."""
        past = state.view(x.size(0), x.size(1), state.size(2), state.size(3))
        x = torch.cat([past, x], 2)
        past.copy_(x.narrow(2, x.size(2) - past.size(2), past.size(2)))
        out: Tensor = self.convolution(functional.pad(x, [self.before, self.after]))
        return out


class CausalTransposed(nn.Module):
    """A transposed convolution: each frame becomes ``stride[0]`` frames, each bin ``stride[1]`` bins.

    The kernel's last frames reach into frames that come later, which the state holds until then.

    Parameters
    ----------
    given, made : int
        Channels in and out.
    kernel, stride : tuple of int
        Frames and bins.
    bins : int
        Bins that go in.
    groups : int
        As for :class:`CausalConvolution`.
    """

    def __init__(
        self, given: int, made: int, kernel: tuple[int, int], stride: tuple[int, int], bins: int, groups: int = 1
    ) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(given, made, kernel, stride, bias=False)
        #: It is added once all parts of a frame are.
        self.bias = nn.Parameter(torch.zeros(made))
        self.frames = stride[0]
        self.bins = bins * stride[1]
        #: Bins that are cut off below; the rest of the kernel is cut off above.
        self.below = kernel[1] - 1 - (kernel[1] + stride[1] - 1) // 2
        #: Of the state, without the batch: what is to be added to the next frames.
        self.shape = (groups * made, kernel[0] - stride[0], self.bins)

    def extend(self, x: Tensor, state: Tensor) -> Tensor:
        """Map new frames (B * groups, given, T, bins) to (B * groups, made, T * stride, bins * stride)."""
        new = x.size(2) * self.frames
        out = self.convolution(x).narrow(3, self.below, self.bins)
        ahead = state.view(x.size(0), -1, state.size(2), state.size(3))
        out.narrow(2, 0, ahead.size(2)).add_(ahead)
        ahead.copy_(out.narrow(2, new, ahead.size(2)))
        made: Tensor = out.narrow(2, 0, new) + self.bias.view(1, -1, 1, 1)
        return made
