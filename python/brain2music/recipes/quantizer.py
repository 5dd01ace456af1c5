"""Residual vector quantisation: a vector as one code a level, each level rounding what the levels before left over."""

import torch
from torch import Tensor, nn

__all__ = ["ResidualQuantizer"]


class ResidualQuantizer(nn.Module):
    """Round vectors level by level.

    While it learns, codes follow the vectors that fall to them as moving averages, and a code that nothing falls to is
    put where a vector lies (Zeghidour et al., *SoundStream*, 2021).

    Parameters
    ----------
    levels : int
        L.
    codes : int
        Codes a level.
    dimension : int
        d of the vectors.
    """

    codebooks: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, levels: int, codes: int, dimension: int) -> None:
        super().__init__()
        self.levels = levels
        self.register_buffer("codebooks", torch.zeros(levels, codes, dimension))
        self.register_buffer("counts", torch.zeros(levels, codes), persistent=False)
        self.register_buffer("sums", torch.zeros(levels, codes, dimension), persistent=False)

    def encode(self, vectors: Tensor) -> Tensor:
        """Round (N, d) to codes (N, L) int64."""
        rest = vectors
        codes: list[Tensor] = []
        for level in range(self.levels):
            codes.append(self._nearest(rest, level))
            rest = rest - self.codebooks[level][codes[level]]
        return torch.stack(codes, 1)

    def decode(self, codes: Tensor) -> Tensor:
        """Turn codes (N, L) into vectors (N, d)."""
        total = self.codebooks[0][codes[:, 0]]
        for level in range(1, self.levels):
            total = total + self.codebooks[level][codes[:, level]]
        return total

    def _nearest(self, vectors: Tensor, level: int) -> Tensor:
        book = self.codebooks[level]
        return (book.square().sum(1) - 2 * torch.matmul(vectors, book.t())).argmin(1)

    @torch.jit.ignore  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def begin(self, vectors: Tensor, generator: torch.Generator) -> None:
        """Put the codes where vectors (N, d) lie, N being as many as there are codes or more."""
        rest = vectors
        for level in range(self.levels):
            chosen = torch.randperm(len(rest), generator=generator)[: self.codebooks.size(1)]
            self.codebooks[level] = rest[chosen]
            self.sums[level], self.counts[level] = self.codebooks[level], 1.0
            rest = rest - self.codebooks[level][self._nearest(rest, level)]

    @torch.jit.ignore  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def learn(self, vectors: Tensor, generator: torch.Generator, decay: float = 0.98) -> tuple[Tensor, Tensor]:
        """Let codes follow vectors (N, d).

        Parameters
        ----------
        vectors : Tensor
            (N, d).
        generator : torch.Generator
            Draws where codes that nothing falls to are put.
        decay : float
            Weight of what was there before.

        Returns
        -------
        tuple of Tensor
            Running totals of the levels (L, N, d), and the share of codes of each level that are in use.
        """
        rest, total = vectors, torch.zeros_like(vectors)
        totals, used = [], []
        for level in range(self.levels):
            code = self._nearest(rest, level)
            counts = torch.bincount(code, minlength=self.codebooks.size(1)).to(rest.dtype)
            sums = torch.zeros_like(self.sums[level]).index_add_(0, code, rest)
            total = total + self.codebooks[level][code]
            self.counts[level].lerp_(counts, 1 - decay)
            self.sums[level].lerp_(sums, 1 - decay)
            unused = self.counts[level] < 0.03
            self.codebooks[level] = self.sums[level] / self.counts[level].clamp_min(1e-5).unsqueeze(1)
            missing = int(unused.sum())
            if missing:
                chosen = torch.randint(len(rest), (missing,), generator=generator)
                self.codebooks[level][unused] = rest[chosen]
                self.sums[level][unused], self.counts[level][unused] = rest[chosen], 1.0
            rest = vectors - total
            totals.append(total)
            used.append(1 - unused.to(rest.dtype).mean())
        return torch.stack(totals), torch.stack(used)
