"""Where an encoding model predicts better than chance: what a test says of each voxel, and the orders it compares."""

import math
from dataclasses import dataclass
from itertools import permutations as all_permutations
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brain2music.encoding.rates import benjamini_hochberg

__all__ = ["Significance", "clip_orders", "independent_gaussian_p", "shifted_orders"]


#: A smallest possible P above which a user must be told.
RARE = 0.01


@dataclass(frozen=True, eq=False)
class Significance:
    """What a test of an encoding model says of each voxel.

    Attributes
    ----------
    score : array of shape (t,)
        Pearson's r of predicted and measured responses; NaN where either does not vary.
    p : array of shape (t,)
        P of a score as good or better under the null, one-sided. Values below 1e-5 are orders of magnitude, to be
        told as "P < 1e-5".
    q : array of shape (t,)
        ``p`` adjusted for the false discovery rate (Benjamini & Hochberg) over the voxels that were tested.
    p_max : array of shape (t,) or None
        P that any voxel scores so well: the max-statistic, which controls false alarms anywhere in the brain. None for
        the paper's null, which says nothing of it.
    in_tail : array of shape (t,), bool, or None
        Where ``p`` is the tail of the voxel's own permutation law, since too few permutations scored as well.
    null : {"clips", "shifts", "paper"}
        The null hypothesis.
    permutations : int
        How many orders were compared; 0 for the paper's null.
    notes : tuple of str
        What was left out, one sentence each.
    """

    score: Any
    p: Any
    q: Any
    p_max: Any
    in_tail: Any
    null: str
    permutations: int
    notes: tuple[str, ...]

    def significant(self, level: float = 0.05, correction: str = "fdr") -> Any:
        """Return which voxels are significant.

        Parameters
        ----------
        level : float, default 0.05
        correction : {"fdr", "max", "none"}, default "fdr"
            False discovery rate, max-statistic, or none.

        Returns
        -------
        array of shape (t,), bool
        """
        chosen = {"fdr": self.q, "max": self.p_max, "none": self.p}
        if correction not in chosen:
            raise ValueError(
                f"[encoding.Significance.significant] correction must be 'fdr', 'max' or 'none'; got {correction!r}"
            )
        values = chosen[correction]
        if values is None:
            raise ValueError(
                "[encoding.Significance.significant] the paper's null has no max-statistic; test with null='clips'"
            )
        return values <= level


def found(
    test: dict[str, Any],
    null: str,
    permutations: int,
    what: str,
    least: float | None = None,
    notes: tuple[str, ...] = (),
) -> Significance:
    """Return what the compiled test found, with rates over the voxels that were tested.

    ``least`` is the smallest P that the test can give, if all orders were compared. ``notes`` say what was left out.
    """
    untested = int(torch.as_tensor(test["score"]).isnan().sum())
    if untested:
        notes = (*notes, f"{untested} voxels do not vary, in {what}, or are NaN there, and were not tested.")
    if least is not None and least > RARE:
        notes = (*notes, f"There are {permutations} orders alone: no P can be below {least:.2g}.")
    return Significance(
        test["score"],
        test["p"],
        benjamini_hochberg(test["p"]),
        test.get("p_max"),
        test.get("in_tail"),
        null,
        permutations,
        notes,
    )


def independent_gaussian_p(score: Any, n: int) -> Any:
    """Return the one-sided P of a correlation, had both sides been n independent Gaussian numbers.

    This is the null of the paper. Responses of one clip, and windows that overlap, are not independent: on pure noise
    with 60 clips of 4 windows it calls 18 % of voxels significant at 0.05. It is here to compare with the paper;
    :meth:`VoxelwiseEncoder.significance` tests with orders of the clips by default.

    Parameters
    ----------
    score : array
        Pearson's r.
    n : int
        Numbers that were correlated, 3 or more.

    Returns
    -------
    array of the shape of ``score``, float64
        As ``scipy.stats.pearsonr(..., alternative="greater").pvalue`` of float64 numbers.

    References
    ----------
    Denk, Takagi et al. (2023), *Brain2Music*, section 3.4.
    """
    from scipy.stats import beta  # type: ignore[import-untyped]

    if n < 3:
        raise ValueError(f"[encoding.independent_gaussian_p] n must be 3 or more; got {n}")
    tensor = isinstance(score, torch.Tensor)
    r = np.asarray(score.detach().cpu() if tensor else score, np.float64)
    p = beta.sf(r, n / 2 - 1, n / 2 - 1, loc=-1, scale=2)
    return torch.as_tensor(p).to(score.device) if tensor else p


def clip_orders(clips: int, count: int, random_state: Any) -> tuple[npt.NDArray[np.int64], bool]:
    """Draw orders of clips, (count, clips), and say whether these are all: where there are no more, all are taken."""
    if math.factorial(min(clips, 20)) <= count:
        return np.array(list(all_permutations(range(clips))), np.int64), True
    random = np.random.default_rng(random_state)
    return random.permuted(np.tile(np.arange(clips), (count, 1)), axis=1), False


def shifted_orders(runs: list[tuple[int, int]], count: int, random_state: Any) -> tuple[npt.NDArray[np.int64], bool]:
    """Draw orders of scans, (count, scans), each run shifted in a circle by itself; or take all, if there are no more.

    Any shift may be drawn, none and the smallest too: only all shifts of a run form a group, which P rests on. Without
    the small ones, which score nearly as well as the run's own place because noise is slow, P would be too small.
    """
    lengths = [last - first for first, last in runs]
    everything = math.prod(lengths) <= count
    if everything:
        shifts = np.array(list(product(*map(range, lengths))), np.int64)
    else:
        random = np.random.default_rng(random_state)
        shifts = np.stack([random.integers(0, length, size=count) for length in lengths], axis=1)
    orders = np.empty((len(shifts), runs[-1][1]), np.int64)
    for run, (first, last) in enumerate(runs):
        orders[:, first:last] = first + (np.arange(last - first) - shifts[:, run, None]) % (last - first)
    return orders, everything
