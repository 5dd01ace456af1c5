"""SpectroStream as a bundle's codec: encoder, quantiser and decoder."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.exporters.magenta_rt2.spectrostream_decoder import SpectrogramDecoder
from brain2music.exporters.magenta_rt2.spectrostream_encoder import SpectrogramEncoder

__all__ = ["SpectroStream"]


class SpectroStream(nn.Module):
    """Sound (B, 2, samples) to codes (B, levels, frames); codes to sound, whole or piece by piece.

    Parameters
    ----------
    encoder : SpectrogramEncoder
        From sound to embeddings.
    decoder : SpectrogramDecoder
        From embeddings to sound.
    levels, codes, embedding : int
        The quantiser's levels, the codes of each, and d of the embeddings that are added up.
    encoded : int
        Levels that ``encode`` gives, the first ones.
    """

    def __init__(
        self,
        encoder: SpectrogramEncoder,
        decoder: SpectrogramDecoder,
        *,
        levels: int,
        codes: int,
        embedding: int,
        encoded: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.quantizer = nn.Embedding(levels * codes, embedding)
        self.codes = codes
        self.encoded = encoded
        #: Frames that are decoded at once: it bounds the memory that a long piece takes.
        self.piece = 50

    @torch.jit.export
    def embed(self, wave: Tensor) -> Tensor:
        """Map sound (B, samples) or (B, 2, samples) to embeddings (B, frames, d), before they are quantised."""
        if wave.dim() == 2:
            wave = wave.unsqueeze(1).expand(-1, 2, -1)
        out: Tensor = self.encoder(wave)
        return out

    @torch.jit.export
    def encode(self, wave: Tensor) -> Tensor:
        """Map sound (B, 2, samples) to codes (B, levels, frames), level by level the nearest to what is left."""
        rest = self.encoder(wave)
        codes: list[Tensor] = []
        for level in range(self.encoded):
            table = self.quantizer.weight.narrow(0, level * self.codes, self.codes)
            code = (table.square().sum(1) - 2 * (rest @ table.t())).argmin(2)
            codes.append(code)
            rest = rest - functional.embedding(code, table)
        return torch.stack(codes, 1)

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
        return torch.cat(sound, 2)[:, :, self.decoder.hop :]

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
        return self.decoder.extend(self.dequantize(codes), state)
