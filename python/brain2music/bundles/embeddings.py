"""Embeddings of clips: an array that knows which clip each row is."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music import _core
from brain2music.bundles.embedding_space import EmbeddingSpace

__all__ = ["Embeddings"]

_FORMAT = "brain2music embeddings 1"


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What a role of a bundle made of clips.

    ``embeddings[clips]`` joins by clip id: ``clips`` is a sequence of ids, or whatever has ``ids``, such as
    ``responses.train_clips``; the result holds those clips in that order.

    Parameters
    ----------
    values : array of shape (n, r, d), float32
        Clips, windows, dimensions.
    clip_ids : tuple of str
        One for each clip, no two alike.
    window, hop : float
        Length of a window, and from one window's start to the next, in seconds.
    role : str
        The role that made them.
    hash : str
        SHA-256 of the role's network.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite or two ids are equal.
    """

    values: npt.NDArray[np.float32]
    clip_ids: tuple[str, ...]
    window: float
    hop: float
    role: str
    hash: str

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.dtype != np.float32 or len(self.values) != len(self.clip_ids):
            raise ValueError(
                "[bundles.Embeddings] values must be (n, r, d) float32 for n clip_ids; got "
                f"{self.values.dtype} {self.values.shape} for {len(self.clip_ids)} ids"
            )
        if not np.isfinite(self.values).all():
            clip = self.clip_ids[int(np.argwhere(~np.isfinite(self.values))[0, 0])]
            raise ValueError(f"[bundles.Embeddings] values must be finite; got NaN or Inf for {clip}")
        if len(set(self.clip_ids)) < len(self.clip_ids):
            twice = next(clip for i, clip in enumerate(self.clip_ids) if clip in self.clip_ids[:i])
            raise ValueError(f"[bundles.Embeddings] clip_ids must differ; got {twice!r} twice")

    @property
    def space(self) -> EmbeddingSpace:
        """The identity of the space that the embeddings lie in."""
        return EmbeddingSpace(self.role, self.hash, float(self.window), float(self.hop))

    def __len__(self) -> int:
        return len(self.clip_ids)

    def __repr__(self) -> str:
        n, r, d = self.values.shape
        return (
            f"Embeddings(role={self.role!r}, {n} clips x {r} windows x {d} dimensions, "
            f"windows of {self.window:g} s every {self.hop:g} s)"
        )

    def __getitem__(self, clips: Any) -> "Embeddings":
        wanted = getattr(clips, "ids", clips)
        if isinstance(wanted, str | bytes) or not isinstance(wanted, Iterable):
            raise TypeError(
                "[bundles.Embeddings] clips must be a sequence of clip ids, or have one as ids; got "
                f"{type(clips).__name__}"
            )
        ids = list(wanted)
        odd = next((clip for clip in ids if not isinstance(clip, str)), None)
        if odd is not None:
            raise TypeError(f"[bundles.Embeddings] a clip id is text; got {odd!r}")
        rows = {clip: row for row, clip in enumerate(self.clip_ids)}
        missing = [clip for clip in ids if clip not in rows]
        if missing:
            raise ValueError(
                f"[bundles.Embeddings] every clip must be embedded; got {len(missing)} of {len(ids)} that are not "
                f"among the {len(self)} embedded, '{missing[0]}' the first"
            )
        chosen = np.array([rows[clip] for clip in ids], dtype=np.intp)
        return replace(self, values=self.values[chosen], clip_ids=tuple(str(clip) for clip in ids))

    def save(self, path: str | Path) -> None:
        """Write a ``.safetensors`` file: the tensor ``values``, everything else as metadata.

        Parameters
        ----------
        path : path
            The file; it appears whole or not at all.

        Raises
        ------
        RuntimeError
            If it cannot be written.
        """
        about = {"window": self.window, "hop": self.hop, "role": self.role, "hash": self.hash}
        metadata = {"format": _FORMAT, "about": json.dumps(about), "clip_ids": json.dumps(self.clip_ids)}
        _core.io.save_safetensors(Path(path), {"values": self.values}, metadata)

    @classmethod
    def load(cls, path: str | Path) -> "Embeddings":
        """Read what :meth:`save` wrote; values are mapped from the file.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        Embeddings

        Raises
        ------
        RuntimeError
            If it is no ``.safetensors`` file.
        ValueError
            If it holds something else than embeddings.
        """
        tensors, metadata = _core.io.load_safetensors(Path(path))
        if metadata.get("format") != _FORMAT or "values" not in tensors:
            raise ValueError(
                f"[bundles.Embeddings.load] the file must hold {_FORMAT!r}; got {metadata.get('format')!r} in {path}"
            )
        try:
            clip_ids: Sequence[str] = json.loads(metadata["clip_ids"])
            about = json.loads(metadata["about"])
            return cls(tensors["values"].numpy(), tuple(clip_ids), **about)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"[bundles.Embeddings.load] the metadata must be whole; got '{error}' in {path}"
            ) from error
