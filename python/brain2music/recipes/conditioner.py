"""The conditioner: embeddings as codes, rounded residually level by level."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.recipes.quantizer import ResidualQuantizer
from brain2music.recipes.towers import DIMENSION

__all__ = ["Conditioner", "fit_conditioner"]

#: Embeddings that the codes are fitted to, at most.
_MOST = 20_000


class Conditioner(nn.Module):
    """``quantize``: (B, 128) to (B, 12) int64; ``dequantize``: back, to length 1.

    Only the direction of an embedding matters.

    Parameters
    ----------
    levels, codes : int
        Levels of the residual quantiser (MusicLM has 12), and codes of each.
    """

    def __init__(self, levels: int = 12, codes: int = 64) -> None:
        super().__init__()
        self.quantizer = ResidualQuantizer(levels, codes, DIMENSION)

    @torch.jit.export
    def quantize(self, embedding: Tensor) -> Tensor:
        """Round embeddings."""
        return self.quantizer.encode(functional.normalize(embedding, dim=-1))

    @torch.jit.export
    def dequantize(self, codes: Tensor) -> Tensor:
        """Turn codes into embeddings."""
        return functional.normalize(self.quantizer.decode(codes), dim=-1)


@torch.inference_mode()
def fit_conditioner(conditioner: Conditioner, embeddings: Tensor, seed: int = 0) -> None:
    """Fit the codes to embeddings (n, 128), level by level (k-means, by scikit-learn)."""
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]

    some = torch.randperm(len(embeddings), generator=torch.Generator().manual_seed(seed))[:_MOST]
    rest = functional.normalize(embeddings[some], dim=-1)
    books = conditioner.quantizer.codebooks
    if len(rest) < books.size(1):
        raise ValueError(
            f"[recipes.fit_conditioner] embeddings must be as many as a level's codes, {books.size(1)}, or more; got "
            f"{len(rest)}: give more music, or fewer codes"
        )
    for level in range(len(books)):
        means = KMeans(books.size(1), n_init=1, random_state=seed).fit(rest.numpy())
        books[level] = torch.from_numpy(means.cluster_centers_)
        rest = rest - books[level][torch.from_numpy(means.labels_).long()]
