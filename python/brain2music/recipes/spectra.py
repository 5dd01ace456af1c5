"""Spectra that the recipe's networks share: short-time Fourier transforms of one length, and mel bands."""

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["InverseSpectrum", "LogMel", "Spectrum", "mel_bands"]


def mel_bands(n: int, n_fft: int, rate: int, lowest: float = 30.0) -> Tensor:
    """Make triangles on the mel scale of O'Shaughnessy, each of sum 1.

    Parameters
    ----------
    n : int
        Bands.
    n_fft : int
        Length of the Fourier transform.
    rate : int
        Samples a second.
    lowest : float, default 30
        Where the first triangle begins, in Hz; the last one ends at half the rate.

    Returns
    -------
    Tensor of shape (n, n_fft / 2 + 1), float32
    """
    hertz = np.arange(n_fft // 2 + 1) * (rate / n_fft)
    mel = np.linspace(2595 * np.log10(1 + lowest / 700), 2595 * np.log10(1 + rate / 1400), n + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bands = np.maximum(0, np.minimum((hertz - left) / (centre - left), (right - hertz) / (right - centre)))
    return torch.tensor(bands / np.maximum(bands.sum(axis=1, keepdims=True), 1e-9), dtype=torch.float32)


class Spectrum(nn.Module):
    """The spectrum of every ``hop`` samples: (B, samples) to (B, frames, n_fft / 2 + 1) complex, samples / hop frames.

    The sound lies between zeros, so that frame f looks at samples centred on ``(f + 1/2) hop``: a frame has no samples
    of its own beyond ``(n_fft - hop) / 2`` on either side.

    Parameters
    ----------
    n_fft : int
        Length of the Fourier transform.
    hop : int
        Samples from frame to frame.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft, self.hop, self.side = n_fft, hop, (n_fft - hop) // 2
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Transform whole frames; samples behind the last are left out."""
        frames = wave.size(-1) // self.hop
        padded = nn.functional.pad(wave[..., : frames * self.hop], [self.side, self.n_fft - self.hop - self.side])
        spectrum: Tensor = torch.fft.rfft(padded.unfold(-1, self.n_fft, self.hop) * self.window)
        return spectrum


class InverseSpectrum(nn.Module):
    """The sound of spectra: (B, frames, n_fft / 2 + 1) complex to (B, frames * hop), the inverse of :class:`Spectrum`.

    Parameters
    ----------
    n_fft : int
        Length of the Fourier transform.
    hop : int
        Samples from frame to frame.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft, self.hop, self.side = n_fft, hop, (n_fft - hop) // 2
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Overlap and add."""
        frames = spectrum.size(1)
        pieces = torch.fft.irfft(spectrum, self.n_fft) * self.window
        length = (frames - 1) * self.hop + self.n_fft
        sound = self._added(pieces, length)
        weight = self._added(self.window.square().expand(1, frames, self.n_fft), length)
        inside = slice(self.side, self.side + frames * self.hop)
        inner: Tensor = sound[:, inside] / weight[:, inside].clamp_min(1e-8)
        return inner

    def _added(self, pieces: Tensor, length: int) -> Tensor:
        added = nn.functional.fold(pieces.transpose(1, 2), (1, length), (1, self.n_fft), stride=(1, self.hop))
        return added.flatten(1)


class LogMel(nn.Module):
    """Logarithms of power in mel bands: (B, samples) to (B, bands, frames).

    Parameters
    ----------
    rate : int
        Samples a second.
    n_fft, hop : int
        Length of the Fourier transform, and samples from frame to frame.
    bands : int
        How many.
    floor : float, default 1e-5
        Power that is added, full scale being 1.
    """

    bands: Tensor

    def __init__(self, rate: int, n_fft: int, hop: int, bands: int, floor: float = 1e-5) -> None:
        super().__init__()
        self.spectrum = Spectrum(n_fft, hop)
        self.floor = floor
        self.register_buffer("bands", mel_bands(bands, n_fft, rate), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Transform whole frames."""
        spectrum = self.spectrum(wave)
        power = torch.real(spectrum).square() + torch.imag(spectrum).square()
        return torch.log(torch.matmul(power, self.bands.t()).transpose(1, 2) + self.floor)
