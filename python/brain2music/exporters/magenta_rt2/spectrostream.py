"""SpectroStream as a bundle's codec: the quantiser and the decoder."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.exporters.magenta_rt2.spectrostream_decoder import SpectrogramDecoder

__all__ = ["SpectroStream"]


class SpectroStream(nn.Module):
    """Codes (B, levels, frames) to sound (B, 2, samples), whole or piece by piece.

    Parameters
    ----------
    decoder : SpectrogramDecoder
        From embeddings to sound.
    levels, codes, embedding : int
        The quantiser's levels, the codes of each, and d of the embeddings that are added up.
    gain : float
        What the sound is multiplied with.
    """

    def __init__(self, decoder: SpectrogramDecoder, levels: int, codes: int, embedding: int, gain: float = 1.0) -> None:
        super().__init__()
        self.decoder = decoder
        self.quantizer = nn.Embedding(levels * codes, embedding)
        self.codes = codes
        self.gain = gain
        #: Frames that are decoded at once: it bounds the memory that a long piece takes.
        self.piece = 50

    def dequantize(self, codes: Tensor) -> Tensor:
        """Map codes (B, levels, frames) of the first levels to embeddings (B, frames, d)."""
        first = torch.arange(codes.size(1), device=codes.device) * self.codes
        embeddings: Tensor = self.quantizer(codes + first.unsqueeze(1)).sum(1)
        return embeddings

    @torch.jit.export
    def decode(self, codes: Tensor) -> Tensor:
        """Decode a whole piece.

        The decoder looks one frame ahead; behind the last frame it sees an embedding of zeros.

        Parameters
        ----------
        codes : Tensor of shape (B, levels, frames), int64
            Codes of all levels or of the first ones.

        Returns
        -------
        Tensor of shape (B, 2, samples)
        """
        state = self.decoder.init_state(codes.size(0))
        embeddings = functional.pad(self.dequantize(codes), [0, 0, 0, 1])
        sound: list[Tensor] = []
        for first in range(0, embeddings.size(1), self.piece):
            sound.append(self.decoder.extend(embeddings[:, first : first + self.piece], state))
        return torch.cat(sound, 2)[:, :, self.decoder.hop :] * self.gain

    @torch.jit.export
    def init_stream(self, batch: int) -> list[Tensor]:
        """Make the state of ``batch`` new pieces that are decoded frame by frame."""
        return self.decoder.init_state(batch)

    @torch.jit.export
    def decode_next(self, codes: Tensor, state: list[Tensor]) -> Tensor:
        """Decode the next frames.

        Parameters
        ----------
        codes : Tensor of shape (B, levels, frames), int64
            One frame or several.
        state : list of Tensor
            From ``init_stream``; written in place.

        Returns
        -------
        Tensor of shape (B, 2, samples)
            Sound that is one frame late: silence first, then each frame once the next one is known.
        """
        return self.decoder.extend(self.dequantize(codes), state) * self.gain
