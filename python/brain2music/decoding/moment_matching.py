"""Decoded embeddings brought to the mean and the spread of real ones."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brain2music.bundles import Embeddings, EmbeddingSpace

__all__ = ["MomentMatching"]

FIT = "decoding.MomentMatching.fit"


@dataclass(frozen=True, eq=False)
class MomentMatching:
    """Bring decoded embeddings to the mean and the standard deviation of real ones, dimension by dimension.

    Ridge regression shrinks what it predicts. With mean m and standard deviation s of the predictions, and M and S of
    the targets, each estimated by :meth:`fit`, :meth:`apply` gives ``(x - m) / s * S + M``.

    Parameters
    ----------
    predicted_mean, predicted_std : array of shape (d,), float64
        Moments of the predictions. No standard deviation is 0.
    target_mean, target_std : array of shape (d,), float64
        Moments of the targets. A dimension of standard deviation 0 becomes its mean.
    space : EmbeddingSpace, optional
        The space of predictions and targets, where one of them states it.

    Raises
    ------
    ValueError
        If the arrays are not of one shape (d,), or a number is not finite or out of range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> target = rng.standard_normal((100, 8))
    >>> predicted = 0.2 * target + 0.1 * rng.standard_normal((100, 8))
    >>> matching = b2m.MomentMatching.fit(predicted, target)
    >>> bool(np.allclose(matching.apply(predicted).std(axis=0), target.std(axis=0)))
    True
    """

    predicted_mean: npt.NDArray[np.float64]
    predicted_std: npt.NDArray[np.float64]
    target_mean: npt.NDArray[np.float64]
    target_std: npt.NDArray[np.float64]
    space: EmbeddingSpace | None = None

    def __post_init__(self) -> None:
        for name in ("predicted_mean", "predicted_std", "target_mean", "target_std"):
            moments = np.array(getattr(self, name), np.float64)
            if moments.ndim != 1 or moments.shape != np.shape(self.predicted_mean) or not moments.size:
                raise ValueError(
                    f"[decoding.MomentMatching] {name} must have the shape (d,) of all; got {moments.shape} beside "
                    f"{np.shape(self.predicted_mean)}"
                )
            wrong = ~np.isfinite(moments)
            if name == "predicted_std":
                wrong |= moments <= 0
            elif name == "target_std":
                wrong |= moments < 0
            odd = np.flatnonzero(wrong)
            if odd.size:
                raise ValueError(
                    f"[decoding.MomentMatching] {name} must be finite, and a standard deviation positive (of targets, "
                    f"0 or more); got {moments[odd[0]]} in dimension {odd[0]}"
                )
            moments.flags.writeable = False
            object.__setattr__(self, name, moments)

    @classmethod
    def fit(cls, predicted: Any, target: Any) -> "MomentMatching":
        """Estimate the moments from held-out predictions and the targets beside them.

        Predictions of the clips that a decoder was fitted to spread further than those of new clips: take
        cross-validated predictions of the training clips. Take window means if music is to be made of window means:
        these spread less than windows do.

        Parameters
        ----------
        predicted, target : array of shape (n, d) or (n, r, d), float32 or float64, or Embeddings
            Two clips or more; windows count as rows. If both are :class:`~brain2music.bundles.Embeddings`, they must
            hold one set of clips, in any order; otherwise rows are taken to correspond.

        Returns
        -------
        MomentMatching

        Raises
        ------
        ValueError
            If shapes, clips, windows or stated spaces differ, a value is not finite, there is one row only, or the
            predictions do not vary in a dimension, up to rounding (it is named).
        """
        space = _common_space(predicted, target)
        first, second = (_rows(values, name) for values, name in ((predicted, "predicted"), (target, "target")))
        if first.shape != second.shape:
            raise ValueError(f"[{FIT}] predicted and target must have one shape; got {first.shape} and {second.shape}")
        for name, values in (("predicted", first), ("target", second)):
            odd = np.argwhere(~np.isfinite(values))
            if odd.size:
                raise ValueError(f"[{FIT}] {name} must be finite; got {values[tuple(odd[0])]} at {odd[0].tolist()}")
        rounding = float(np.finfo(first.dtype).eps)
        first, second = (np.asarray(values, np.float64).reshape(-1, values.shape[-1]) for values in (first, second))
        if len(first) < 2:
            raise ValueError(f"[{FIT}] predicted must have two rows or more; got {len(first)}")
        spread = first.std(axis=0)
        constant = np.flatnonzero(spread <= 8 * rounding * np.abs(first).max(axis=0))
        if constant.size:
            raise ValueError(
                f"[{FIT}] predicted must vary in every dimension; got {constant.size} of {len(spread)} that do not, "
                f"dimension {constant[0]} the first: were the penalties far too large?"
            )
        return cls(first.mean(axis=0), spread, second.mean(axis=0), second.std(axis=0), space)

    def apply(self, embedding: Any) -> Any:
        """Bring embeddings to the moments of the targets.

        Parameters
        ----------
        embedding : array of shape (..., d), floating-point, or Embeddings
            Decoded as those that :meth:`fit` saw.

        Returns
        -------
        array of shape (..., d), or Embeddings
            Of the kind and type that came in; computed in float64.

        Raises
        ------
        ValueError
            If the dimensions differ, the values are no floating-point numbers, or Embeddings state another space.
        """
        where = "decoding.MomentMatching.apply"
        if isinstance(embedding, Embeddings):
            if self.space is not None and embedding.hash not in (None, self.space.hash):
                raise ValueError(
                    f"[{where}] embedding must lie in the space that the moments were estimated in, {self.space}; got "
                    f"{embedding.space}"
                )
            return replace(embedding, values=self.apply(embedding.values))
        values: Any = embedding if isinstance(embedding, torch.Tensor) else np.asarray(embedding)
        tensor = isinstance(values, torch.Tensor)
        if not (values.is_floating_point() if tensor else values.dtype.kind == "f"):
            raise ValueError(f"[{where}] embedding must hold floating-point numbers; got {values.dtype}")
        dimensions = len(self.predicted_mean)
        if values.ndim == 0 or values.shape[-1] != dimensions:
            raise ValueError(
                f"[{where}] embedding must have {dimensions} dimensions, as the moments have; got shape "
                f"{tuple(values.shape)}"
            )
        moments: Any = self.predicted_mean, self.target_std / self.predicted_std, self.target_mean
        if tensor:
            mean, scale, shift = (torch.tensor(each, device=values.device) for each in moments)
            return ((values.double() - mean) * scale + shift).to(values.dtype)
        mean, scale, shift = moments
        with np.errstate(over="ignore"):  # what overflows is infinite, which whoever takes it refuses
            return ((values.astype(np.float64) - mean) * scale + shift).astype(values.dtype)

    @property
    def sha256(self) -> str:
        """SHA-256 of the four arrays, one behind the other as little-endian float64; music is recorded with it."""
        digest = hashlib.sha256()
        for moments in (self.predicted_mean, self.predicted_std, self.target_mean, self.target_std):
            digest.update(moments.astype("<f8").tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"MomentMatching({len(self.predicted_mean)} dimensions; {self.sha256[:12]})"


def _common_space(predicted: Any, target: Any) -> EmbeddingSpace | None:
    """Return the space that is stated; refuse Embeddings of other clips, windows or spaces than one another's."""
    if isinstance(predicted, Embeddings) and isinstance(target, Embeddings):
        alone = sorted(set(predicted.clip_ids) ^ set(target.clip_ids))
        if alone:
            raise ValueError(
                f"[{FIT}] predicted and target must hold one set of clips; got {len(alone)} in one alone, {alone[0]!r} "
                "the first"
            )
        if (predicted.window, predicted.hop) != (target.window, target.hop):
            raise ValueError(
                f"[{FIT}] predicted and target must have one window and hop; got {predicted.window:g} s every "
                f"{predicted.hop:g} s and {target.window:g} s every {target.hop:g} s"
            )
    first, second = (each.space if isinstance(each, Embeddings) else None for each in (predicted, target))
    if first is not None and second is not None and first.hash != second.hash:
        raise ValueError(f"[{FIT}] predicted and target must lie in one space; got {first} and {second}")
    return second or first


def _rows(values: Any, name: str) -> npt.NDArray[Any]:
    """Return (n, d) or (n, r, d) as a NumPy array of float32 or float64."""
    if isinstance(values, Embeddings):
        return values.values
    values = values.detach().cpu() if isinstance(values, torch.Tensor) else np.asarray(values)
    if str(values.dtype).removeprefix("torch.") not in ("float32", "float64", ">f4", ">f8"):
        raise ValueError(f"[{FIT}] {name} must be float32 or float64; got {values.dtype}")
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ValueError(f"[{FIT}] {name} must be (n, d) or (n, r, d), none of them 0; got shape {tuple(values.shape)}")
    return np.asarray(values)
