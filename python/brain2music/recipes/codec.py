"""The codec: sound to codes and back, in frames of a Fourier transform."""

import torch
from torch import Tensor, nn

from brain2music.recipes.blocks import Block
from brain2music.recipes.quantizer import ResidualQuantizer
from brain2music.recipes.spectra import InverseSpectrum, Spectrum

__all__ = ["CodecNetwork"]


class CodecNetwork(nn.Module):
    """Sound at 16 kHz to 25 frames a second of codes, and back.

    Two spectra of 80 ms, 20 ms apart, become one vector, which is rounded level by level and becomes two spectra again.
    A linear map gives their magnitudes and phases (as in Vocos, Siuzdak 2023).

    Parameters
    ----------
    levels, codes : int
        Levels of the residual quantiser, and codes of each.
    dimension : int
        d between the blocks.
    encoder_blocks, decoder_blocks : int
        How many.
    stride : int
        Spectra a frame.
    """

    RATE = 16_000
    N_FFT, HOP = 1280, 320

    def __init__(
        self,
        levels: int = 8,
        codes: int = 512,
        dimension: int = 192,
        latent: int = 64,
        encoder_blocks: int = 3,
        decoder_blocks: int = 6,
        stride: int = 2,
    ) -> None:
        super().__init__()
        bins = self.N_FFT // 2 + 1
        self.n_fft, self.hop, self.stride, self.dimension = self.N_FFT, self.HOP, stride, dimension
        self.latent = latent
        self.spectrum = Spectrum(self.N_FFT, self.HOP)
        self.enter = nn.Linear(2 * bins, dimension)
        self.join = nn.Linear(stride * dimension, dimension)
        self.encoder = nn.Sequential(*[Block(dimension, 3 * dimension) for _ in range(encoder_blocks)])
        self.narrow = nn.Linear(dimension, latent)
        self.quantizer = ResidualQuantizer(levels, codes, latent)
        self.widen = nn.Linear(latent, dimension)
        self.decoder = nn.Sequential(*[Block(dimension, 3 * dimension) for _ in range(decoder_blocks)])
        self.part = nn.Linear(dimension, stride * dimension)
        self.last = Block(dimension, 3 * dimension)
        self.norm = nn.LayerNorm(dimension)
        self.leave = nn.Linear(dimension, 2 * bins)
        self.inverse = InverseSpectrum(self.N_FFT, self.HOP)

    @property
    def context(self) -> int:
        """Frames on either side that a frame's sound depends on."""
        spectra = 3 + -(-self.inverse.side // self.hop)
        return 3 * len(self.decoder) + -(-spectra // self.stride)

    def latents(self, wave: Tensor) -> Tensor:
        """Map (B, samples) to vectors (B, frames, latent), before they are rounded."""
        whole = self.hop * self.stride
        magnitude = torch.abs(self.spectrum(wave[:, : wave.size(1) // whole * whole]))
        x = self.enter(torch.cat([torch.log(magnitude + 1e-3), torch.sqrt(magnitude)], -1))
        x = self.join(x.reshape(x.size(0), -1, self.stride * self.dimension))
        x = self.encoder(x.transpose(1, 2)).transpose(1, 2)
        # Of one length: codes could not follow vectors that grow from step to step.
        latents: Tensor = nn.functional.layer_norm(self.narrow(x), [self.latent])
        return latents

    def sound(self, latents: Tensor) -> Tensor:
        """Map vectors (B, frames, latent) to (B, samples)."""
        x = self.decoder(self.widen(latents).transpose(1, 2)).transpose(1, 2)
        x = self.part(x).reshape(x.size(0), -1, self.dimension)
        x = self.norm(self.last(x.transpose(1, 2)).transpose(1, 2))
        size, phase = self.leave(x).chunk(2, -1)
        sound: Tensor = self.inverse(torch.polar(torch.exp(size.clamp(max=6.0)), phase))
        return sound

    @torch.jit.export
    def encode(self, wave: Tensor) -> Tensor:
        """Map (B, 1, samples) to codes (B, levels, frames) int64."""
        latents = self.latents(wave[:, 0])
        codes = self.quantizer.encode(latents.reshape(-1, self.latent))
        return codes.reshape(latents.size(0), latents.size(1), -1).transpose(1, 2)

    @torch.jit.export
    def decode(self, codes: Tensor) -> Tensor:
        """Map codes (B, levels, frames) int64 to (B, 1, samples)."""
        flat = codes.transpose(1, 2).reshape(-1, codes.size(1))
        latents = self.quantizer.decode(flat).reshape(codes.size(0), codes.size(2), self.latent)
        return self.sound(latents).unsqueeze(1)

    @torch.jit.export
    def embed(self, wave: Tensor) -> Tensor:
        """Map (B, samples) to vectors (B, frames, latent), before they are rounded."""
        return self.latents(wave)
