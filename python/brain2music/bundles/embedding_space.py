"""The identity of a space of embeddings."""

from dataclasses import dataclass

__all__ = ["EmbeddingSpace"]


@dataclass(frozen=True)
class EmbeddingSpace:
    """Say which network made embeddings, and of which windows: vectors of two spaces cannot be compared.

    :class:`~brain2music.bundles.Embeddings` and the :class:`~brain2music.BrainDecoder` fitted to them carry it.

    Parameters
    ----------
    role : str
        The role of a bundle that made them, such as "music_embedder".
    hash : str
        SHA-256 of the role's network.
    window, hop : float
        Length of a window, and from one window's start to the next, in seconds.
    """

    role: str
    hash: str
    window: float
    hop: float

    def __str__(self) -> str:
        return f"{self.role} {self.hash[:12]}, windows of {self.window:g} s every {self.hop:g} s"
