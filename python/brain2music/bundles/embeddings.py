"""Embeddings of clips: an array that knows which clip each row is."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brain2music import _core
from brain2music.bundles.embedding_space import EmbeddingSpace

__all__ = ["Embeddings"]

_FORMAT = "brain2music embeddings 1"


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings of clips, made by a role of a bundle or, with :meth:`from_arrays`, elsewhere.

    ``embeddings[clips]`` joins by clip id: ``clips`` is a sequence of ids, or whatever has ``ids``, such as
    ``responses.train_clips``; the result holds those clips in that order.

    Parameters
    ----------
    values : array of shape (n, r, d), float32
        Clips, windows, dimensions. Where clips differ in length, the last windows of a shorter clip are NaN.
    clip_ids : tuple of str
        One for each clip, no two alike.
    window, hop : float
        Length of a window, and from one window's start to the next, in seconds.
    role : str, optional
        The role that made them.
    hash : str, optional
        SHA-256 of the role's network. Without role and hash the embeddings do not state their space: they are taken
        everywhere, as a plain array is.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite but for last windows that are NaN as a whole, two ids are equal,
        window or hop is not a positive number, or one of role and hash is stated without the other.
    """

    values: npt.NDArray[np.float32]
    clip_ids: tuple[str, ...]
    window: float
    hop: float
    role: str | None = None
    hash: str | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.dtype != np.float32 or len(self.values) != len(self.clip_ids):
            raise ValueError(
                "[bundles.Embeddings] values must be (n, r, d) float32 for n clip_ids; got "
                f"{self.values.dtype} {self.values.shape} for {len(self.clip_ids)} ids"
            )
        odd = _odd(self.values)
        if odd is not None:
            raise ValueError(f"[bundles.Embeddings] values must be finite; got NaN or Inf for {self.clip_ids[odd]}")
        if len(set(self.clip_ids)) < len(self.clip_ids):
            twice = next(clip for i, clip in enumerate(self.clip_ids) if clip in self.clip_ids[:i])
            raise ValueError(f"[bundles.Embeddings] clip_ids must differ; got {twice!r} twice")
        for name in ("window", "hop"):
            seconds = getattr(self, name)
            number = isinstance(seconds, int | float | np.integer | np.floating) and not isinstance(seconds, bool)
            if not number or not math.isfinite(seconds) or seconds <= 0:
                raise ValueError(f"[bundles.Embeddings] {name} must be a positive number of seconds; got {seconds!r}")
        stated = [isinstance(part, str) and part != "" for part in (self.role, self.hash)]
        if not all(stated) and (self.role is not None or self.hash is not None):
            raise ValueError(
                "[bundles.Embeddings] role and hash must both be text, or both None, which states no space; got "
                f"role {self.role!r} and hash {self.hash!r}"
            )

    @classmethod
    def from_arrays(
        cls,
        values: Any,
        clip_ids: Any,
        window: float = 10.0,
        hop: float = 1.5,
        *,
        role: str | None = None,
        hash: str | None = None,
    ) -> "Embeddings":
        """Take embeddings that were computed elsewhere.

        Parameters
        ----------
        values : array of shape (n, r, d) or (n, d), float32 or float64
            Clips, windows, dimensions; (n, d) is one window a clip. NumPy array or torch tensor on any device; kept as
            a NumPy array of float32.
        clip_ids : sequence of str, or object with ``ids``
            The n clips, no two alike, such as ``brain.train_clips``.
        window, hop : float, default 10 and 1.5
            Length of a window, and from one window's start to the next, in seconds.
        role, hash : str, optional
            The role that made the embeddings, and the SHA-256 of its network: both, or neither. By default the
            embeddings state no space, and are taken everywhere, as a plain array is.

        Returns
        -------
        Embeddings

        Raises
        ------
        ValueError
            If shapes do not fit, values are of another type, a value is not finite in float32 (its clip is named; last
            windows of a shorter clip may be NaN as a whole), two
            ids are equal, window or hop is not a positive number, or one of role and hash is stated without the other.
        TypeError
            If ``clip_ids`` is no sequence of text.

        Examples
        --------
        >>> values = np.random.default_rng(0).standard_normal((2, 4, 128))
        >>> b2m.Embeddings.from_arrays(values, ["blues.00017", "jazz.00003"])
        Embeddings(role=None, 2 clips x 4 windows x 128 dimensions, windows of 10 s every 1.5 s)
        """
        where = "bundles.Embeddings.from_arrays"
        ids = clip_ids_of(clip_ids, where)
        given = values.detach().cpu() if isinstance(values, torch.Tensor) else np.asarray(values)
        if str(given.dtype).removeprefix("torch.") not in ("float32", "float64", ">f4", ">f8"):
            raise ValueError(f"[{where}] values must be float32 or float64; got {given.dtype}")
        array = np.asarray(given)
        if array.ndim not in (2, 3) or 0 in array.shape or len(array) != len(ids):
            raise ValueError(
                f"[{where}] values must be (n, r, d) or (n, d), none of them 0, for n clip_ids; got shape "
                f"{array.shape} for {len(ids)} ids"
            )
        with np.errstate(over="ignore"):  # an overflow is refused below
            single = array.astype(np.float32, copy=False)
        single = single if single.ndim == 3 else single[:, None]
        odd = _odd(single)
        if odd is not None:
            number = array[odd][~np.isfinite(single[odd].reshape(array[odd].shape))][0]
            raise ValueError(f"[{where}] values must be finite in float32; got {number} for {ids[odd]}")
        return cls(single, ids, window, hop, role, hash)

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Which windows there are, shape (n, r); a clip that is shorter than others lacks the last."""
        return ~np.isnan(self.values[:, :, 0])

    @property
    def space(self) -> EmbeddingSpace | None:
        """The identity of the space that the embeddings lie in; None where it was not stated."""
        if self.role is None or self.hash is None:
            return None
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
        ids = clip_ids_of(clips, "bundles.Embeddings")
        return replace(self, values=self.values[rows_of(self.clip_ids, ids, "bundles.Embeddings")], clip_ids=ids)

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
        about = {"window": float(self.window), "hop": float(self.hop), "role": self.role, "hash": self.hash}
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


def _odd(values: npt.NDArray[np.float32]) -> int | None:
    """Return the first clip with a value that is not finite, beside whole windows of NaN at its end."""
    finite = np.isfinite(values)
    if finite.all():
        return None
    whole = np.asarray(finite.all(axis=2))
    absent = np.isnan(values).all(axis=2)
    follows = np.logical_or.accumulate(absent, axis=1)  # after a window that a clip lacks it lacks all
    right = np.where(follows, absent, whole).all(axis=1) & whole[:, 0]
    wrong = np.flatnonzero(~right)
    return int(wrong[0]) if wrong.size else None


def rows_of(own: tuple[str, ...], ids: tuple[str, ...], where: str) -> npt.NDArray[np.intp]:
    """Return the rows of clips among one's own."""
    rows = {clip: row for row, clip in enumerate(own)}
    missing = [clip for clip in ids if clip not in rows]
    if missing:
        raise ValueError(
            f"[{where}] every clip must be one of the {len(own)} that are here; got {len(missing)} of {len(ids)} that "
            f"are not, '{missing[0]}' the first"
        )
    return np.array([rows[clip] for clip in ids], dtype=np.intp)


def clip_ids_of(clips: Any, where: str) -> tuple[str, ...]:
    """Return the ids in ``clips.ids`` or in ``clips`` itself; sets and mappings have no order to go by."""
    ids = getattr(clips, "ids", clips)
    if isinstance(ids, str | bytes | Set | Mapping) or not isinstance(ids, Iterable):
        raise TypeError(
            f"[{where}] clips must be a sequence of clip ids, or have one as ids; got {type(clips).__name__}"
        )
    names = list(ids)
    odd = next((clip for clip in names if not isinstance(clip, str)), None)
    if odd is not None:
        raise TypeError(f"[{where}] a clip id is text; got {odd!r}")
    return tuple(str(clip) for clip in names)
