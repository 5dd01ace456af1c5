"""Tags of clips: the probabilities of classes that a tagger gives."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music.bundles.embeddings import clip_ids_of, rows_of
from brain2music.metrics import TOP_N, Agreement, class_agreement, group_indices

__all__ = ["Tags"]

_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Tags:
    """Probabilities of classes for clips, as :meth:`Bundle.tag <brain2music.Bundle.tag>` makes them.

    ``tags[clips]`` joins by clip id: ``clips`` is a sequence of ids, or whatever has ``ids``, such as
    ``responses.test_clips``; the result holds those clips in that order.

    Parameters
    ----------
    values : array of shape (n, classes), float32
        Probabilities from 0 to 1: the mean over the windows of each clip.
    clip_ids : tuple of str
        One for each clip, no two alike.
    classes : tuple of str
        The name of each column, no two alike.
    groups : mapping from str to sequence of str
        Classes that are compared with each other, such as genres or moods.
    hash : str, optional
        SHA-256 of the tagger's network.

    Raises
    ------
    ValueError
        If shapes do not fit, a value lies outside 0 to 1, two ids or classes are equal, or a group names a class that
        is not there.
    """

    values: npt.NDArray[np.float32]
    clip_ids: tuple[str, ...]
    classes: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    hash: str | None = None

    def __post_init__(self) -> None:
        shape = (len(self.clip_ids), len(self.classes))
        if self.values.dtype != np.float32 or self.values.shape != shape:
            raise ValueError(
                f"[bundles.Tags] values must be {shape} float32, clip_ids and classes; got {self.values.dtype} "
                f"{self.values.shape}"
            )
        odd = np.argwhere(~((self.values >= -_ROUNDING) & (self.values <= 1 + _ROUNDING)))
        if len(odd):
            row, column = odd[0]
            raise ValueError(
                f"[bundles.Tags] values must be probabilities from 0 to 1; got {self.values[row, column]} for "
                f"{self.classes[column]!r} of {self.clip_ids[row]}"
            )
        for field in ("clip_ids", "classes"):
            names = getattr(self, field)
            if len(set(names)) < len(names):
                twice = next(name for i, name in enumerate(names) if name in names[:i])
                raise ValueError(f"[bundles.Tags] {field} must differ; got {twice!r} twice")
        for group, names in self.groups.items():
            unknown = [name for name in names if name not in self.classes]
            if unknown or not names:
                raise ValueError(
                    f"[bundles.Tags] a group must hold one class or more of classes; got {unknown or names} for "
                    f"{group!r}"
                )

    def __len__(self) -> int:
        return len(self.clip_ids)

    def __repr__(self) -> str:
        groups = ", ".join(f"{group} {len(names)}" for group, names in self.groups.items())
        return f"Tags({len(self)} clips x {len(self.classes)} classes{f'; {groups}' if groups else ''})"

    def __getitem__(self, clips: Any) -> "Tags":
        ids = clip_ids_of(clips, "bundles.Tags")
        return replace(self, values=self.values[rows_of(self.clip_ids, ids, "bundles.Tags")], clip_ids=ids)

    def agreement(self, other: "Tags") -> dict[str, Agreement[Any]]:
        """Compare with the tags of other recordings of the clips, such as reconstructions.

        The n most likely classes of each group are compared, as
        :func:`class_agreement <brain2music.metrics.class_agreement>` does; n is the paper's
        (``brain2music.metrics.TOP_N``: genres 2, instruments 2, moods 1), and 1 for other groups.

        Parameters
        ----------
        other : Tags
            The tags of the same clips in the same order, by the same tagger.

        Returns
        -------
        dict from str to Agreement
            For each group the share of its n classes that both have: ``mean``, and ``per_item`` of shape (n_clips,).

        Raises
        ------
        ValueError
            If the tags are another tagger's or other clips', the tagger has no groups, or a group has fewer classes
            than are compared.
        TypeError
            If ``other`` is something else than Tags.

        References
        ----------
        Denk, Takagi et al. (2023), *Brain2Music*, section 4.1.

        Examples
        --------
        >>> heard = bundle.tag(study.stimuli)  # doctest: +SKIP
        >>> heard[clips].agreement(bundle.tag((audio.waveform[:, 0], audio.rate), ids=clips))  # doctest: +SKIP
        """
        where = "bundles.Tags.agreement"
        if not isinstance(other, Tags):
            raise TypeError(f"[{where}] other must be Tags; got {type(other).__name__}")
        if self.classes != other.classes or self.groups != other.groups or self.hash != other.hash:
            raise ValueError(f"[{where}] tags must come from one tagger; got {self._tagger()} and {other._tagger()}")
        if self.clip_ids != other.clip_ids:
            pairs = zip(self.clip_ids, other.clip_ids, strict=False)
            first = next((f"{mine!r} beside {theirs!r}" for mine, theirs in pairs if mine != theirs), "no more alike")
            raise ValueError(
                f"[{where}] tags must be of the same clips in the same order; got {len(self)} and {len(other)} clips, "
                f"{first}: choose them by id (tags[clips])"
            )
        if not self.groups:
            raise ValueError(f"[{where}] the tagger must have groups of classes to compare; got none")
        top = {group: TOP_N.get(group, 1) for group in self.groups}
        return class_agreement(self.values, other.values, group_indices(self.classes, self.groups), top)

    def _tagger(self) -> str:
        return f"{len(self.classes)} classes by {self.hash[:12] if self.hash else 'an unnamed network'}"
