"""The quantiser of style embeddings, out of the codebooks that a checkpoint's language model reads."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.exporters.magenta_rt2.source import MASKED, STYLE_CODES, STYLES

__all__ = ["CODEBOOKS", "StyleQuantizer", "style_quantizer"]

#: The codewords, with seven rows before those of each level.
CODEBOOKS = "encoder/body/layers_1/branched_mulan_embedder/mulan_embedder/mulan_dequantizer/embedding"


class StyleQuantizer(nn.Module):
    """A residual quantiser: level by level the codeword that is nearest to what the levels before leave over.

    Parameters
    ----------
    codebooks : Tensor of shape (levels, codes, d)
        The codewords.
    """

    def __init__(self, codebooks: Tensor) -> None:
        super().__init__()
        self.levels, self.codes = codebooks.size(0), codebooks.size(1)
        self.codebooks = nn.Parameter(codebooks.flatten(0, 1), requires_grad=False)

    @torch.jit.export
    def quantize(self, embedding: Tensor) -> Tensor:
        """Map embeddings (B, d) to codes (B, levels)."""
        rest = embedding
        codes: list[Tensor] = []
        for level in range(self.levels):
            table = self.codebooks.narrow(0, level * self.codes, self.codes)
            code = (table.square().sum(1) - 2 * (rest @ table.t())).argmin(1)
            codes.append(code)
            rest = rest - functional.embedding(code, table)
        return torch.stack(codes, 1)

    @torch.jit.export
    def dequantize(self, codes: Tensor) -> Tensor:
        """Map codes (B, levels) to embeddings (B, d), the sum of their codewords."""
        first = torch.arange(codes.size(1), device=codes.device) * self.codes
        return functional.embedding(codes + first, self.codebooks).sum(1)


def style_quantizer(tensors: Mapping[str, Tensor]) -> StyleQuantizer:
    """Make the quantiser from the language model of a checkpoint.

    The model is given codes of MusicCoCa's quantiser and looks up its codewords in a table of its own. The published
    quantiser is a TFLite file of its own; that the table holds its codewords follows from the model's configuration,
    ``use_pretrained_musiccoca_embedder``.

    Parameters
    ----------
    tensors : mapping from str to Tensor
        From :func:`read_part`.

    Returns
    -------
    StyleQuantizer
    """
    tables = tensors[CODEBOOKS].view(STYLES, STYLE_CODES + MASKED, -1)[:, MASKED:]
    return StyleQuantizer(tables.to(torch.float32, copy=True))
