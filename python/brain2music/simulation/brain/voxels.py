"""Voxels: what each responds to, how, and how slowly.

Auditory cortex follows the ear's loudness and its modulations, what surrounds it follows the score, a few voxels of
frontal and parietal cortex too, and all others follow nothing. Neighbours have similar tastes, as in a brain.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse  # type: ignore[import-untyped]

from brain2music.simulation.brain.anatomy import Anatomy, region_names, smooth_fields
from brain2music.simulation.brain.hearing import RATE_HZ, SPACES, FeatureTable

__all__ = ["AUDITORY", "Voxels", "draw_voxels"]

_Floats = npt.NDArray[np.float64]

#: Regions that hear: share of voxels that respond, and shares of those by space (symbolic, cochlear, modulation).
AUDITORY = {
    "G_temp_sup-G_T_transv": (0.9, (0.10, 0.60, 0.30)),
    "S_temporal_transverse": (0.9, (0.10, 0.55, 0.35)),
    "G_temp_sup-Plan_tempo": (0.7, (0.30, 0.20, 0.50)),
    "G_temp_sup-Plan_polar": (0.6, (0.50, 0.10, 0.40)),
    "G_temp_sup-Lateral": (0.6, (0.50, 0.10, 0.40)),
    "Lat_Fis-post": (0.4, (0.30, 0.20, 0.50)),
    "S_temporal_sup": (0.3, (0.80, 0.00, 0.20)),
}
#: Regions of which few voxels respond, to the score alone.
_BEYOND = {
    "S_circular_insula_inf": 0.2,
    "G_front_inf-Opercular": 0.1,
    "G_front_inf-Triangul": 0.1,
    "S_precentral-inf-part": 0.08,
    "G_temporal_middle": 0.08,
    "G_pariet_inf-Supramar": 0.06,
    "G_precentral": 0.05,
    "G_insular_short": 0.05,
    "G_front_sup": 0.03,
}

#: Median over responsive voxels of the correlation of one presentation with what is explainable in it.
_CEILING_AUDITORY, _CEILING_BEYOND = 0.3, 0.15
_CEILING_SPREAD = 0.35  # standard deviation of its logarithm
_CEILING_MOST = 0.75

#: Features that a voxel follows at a time.
_FOLLOWED = 5
#: Distance over which tastes change, in mm.
_TASTE_MM = 8.0
RESPONSES = ("linear", "rectified", "saturating", "conjunction")
_RESPONSE_SHARES = (0.3, 0.3, 0.2, 0.2)

#: Peaks (s) and widths (1 is the canonical double gamma of Glover, 1999) of the haemodynamic responses there are.
_PEAKS_S = (4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0)
_WIDTHS = (0.8, 1.0, 1.2)
_RESPONSE_S = 32.0


@dataclass(frozen=True, eq=False)
class Voxels:
    """The voxels of one subject that respond, in the order of ``where``.

    ``where`` (n,) indexes the brain's voxels; ``region`` (n,) are labels; ``space`` (n,) indexes ``SPACES``;
    ``weights`` (2, features, n) are two mixtures of standardised features, of which only conjunctions use the second;
    ``response`` (n,) indexes ``RESPONSES``; ``peak`` and ``width`` (n,) describe the haemodynamic response; ``ceiling``
    (n,) is the correlation of one presentation with what is explainable in it, at signal 1; ``delay`` (n,) is the time
    within a TR at which the voxel's slice is taken, in seconds.
    """

    where: npt.NDArray[np.int64]
    region: npt.NDArray[np.int32]
    space: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    response: npt.NDArray[np.int64]
    peak: _Floats
    width: _Floats
    ceiling: _Floats
    delay: _Floats

    def respond(
        self, heard: npt.NDArray[np.float32], scans: int, tr: float, block: int = 1024
    ) -> Iterable[tuple[slice, npt.NDArray[np.float32]]]:
        """Respond to what is heard in a run.

        Parameters
        ----------
        heard : array of shape (time, features), float32
            Standardised features, ten rows a second, from the run's first volume on.
        scans : int
            Volumes of the run.
        tr : float
            Seconds from volume to volume.
        block : int
            Voxels at a time: what is held is ``block`` columns of the length of ``heard``.

        Yields
        ------
        (slice, array of shape (scans, voxels of the slice))
            Of no particular scale.
        """
        for start in range(0, len(self.where), block):
            part = slice(start, min(start + block, len(self.where)))
            drive = _nonlinear(heard @ self.weights[0, :, part], heard @ self.weights[1, :, part], self.response[part])
            kinds = np.stack([self.peak[part], self.width[part], self.delay[part]], axis=1)
            result = np.empty((scans, drive.shape[1]), np.float32)
            for kind in np.unique(kinds, axis=0):
                alike = (kinds == kind).all(axis=1)
                peak, width, delay = kind.tolist()
                result[:, alike] = _sampled_response(peak, width, delay, len(heard), scans, tr) @ drive[:, alike]
            yield part, result


def draw_voxels(head: Anatomy, heard: FeatureTable, slice_times: Sequence[float], seed: int, subject: int) -> Voxels:
    """Decide what each voxel of a subject responds to.

    Parameters
    ----------
    head : Anatomy
    heard : FeatureTable
        Standardised features of all clips, one after the other: mixtures are scaled to variance 1 over them.
    slice_times : sequence of float
        Seconds after the beginning of a volume at which each slice (z) is taken.
    seed, subject : int
        The same ones give the same voxels.

    Returns
    -------
    Voxels
    """
    rng = np.random.default_rng([seed, subject, 2])
    labels = head.labels[head.brain]
    names = region_names()
    plain = {label: name.split("_", 2)[2] for label, name in names.items()}
    chance = np.zeros(len(labels))
    shares = np.zeros((len(labels), len(SPACES)))
    auditory = np.zeros(len(labels), bool)
    for label, name in plain.items():
        here = labels == label
        if name in AUDITORY:
            chance[here], shares[here] = AUDITORY[name]
            auditory |= here
        elif name in _BEYOND:
            chance[here], shares[here] = _BEYOND[name], (1.0, 0.0, 0.0)
    where = np.flatnonzero(rng.random(len(labels)) < chance)
    n = len(where)
    space = (rng.random((n, 1)) > np.cumsum(shares[where], axis=1)[:, :-1]).sum(axis=1)
    positions = head.positions(head.brain)[where]
    median = np.where(auditory[where], _CEILING_AUDITORY, _CEILING_BEYOND)
    ceiling = np.minimum(median * np.exp(_CEILING_SPREAD * rng.standard_normal(n)), _CEILING_MOST)
    depth = np.argwhere(head.brain)[where, 2]
    return Voxels(
        where=where,
        region=labels[where],
        space=space,
        weights=np.stack([_mixtures(rng, positions, space, heard) for _ in range(2)]),
        response=rng.choice(len(RESPONSES), n, p=_RESPONSE_SHARES),
        peak=rng.choice(_PEAKS_S, n),
        width=rng.choice(_WIDTHS, n),
        ceiling=ceiling,
        delay=np.asarray(slice_times, np.float64)[depth],
    )


def _mixtures(
    rng: np.random.Generator, positions: _Floats, space: npt.NDArray[np.int64], heard: FeatureTable
) -> npt.NDArray[np.float32]:
    """Weights (features, voxels) on a few features of each voxel's space, chosen by fields that vary smoothly."""
    kinds = np.array([SPACES.index(name) for name in heard.spaces])
    taste = smooth_fields(rng, len(kinds), _TASTE_MM, positions)
    taste[kinds[None, :] != space[:, None]] = 0
    few = np.sort(np.abs(taste), axis=1)[:, -_FOLLOWED - 1, None]
    taste = np.sign(taste) * np.maximum(np.abs(taste) - few, 0)
    covariance = heard.values.T.astype(np.float64) @ heard.values / len(heard.values)
    size = np.sqrt(np.einsum("vf,fg,vg->v", taste, covariance, taste, optimize=True))
    return np.asarray((taste / np.maximum(size, 1e-9)[:, None]).T, np.float32)


def _nonlinear(
    first: npt.NDArray[np.float32], second: npt.NDArray[np.float32], response: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Bend drives of variance 1."""
    rise = np.maximum(first, 0)
    bent = np.select(
        [response == 1, response == 2, response == 3],
        [rise, np.tanh(1.5 * first), rise * np.maximum(second + 1, 0)],
        first,
    )
    return np.asarray(bent, np.float32)


def _sampled_response(peak: float, width: float, delay: float, rows: int, scans: int, tr: float) -> Any:
    """Matrix (scans, rows) that convolves with a haemodynamic response and samples it once a TR."""
    time = np.arange(0, _RESPONSE_S, 1 / RATE_HZ)
    shape = _gamma(time, peak, 0.9 * width) - _gamma(time, peak + 9, 0.9 * width) / 6
    shape /= np.sqrt((shape**2).sum())
    last = np.round((np.arange(scans) * tr + delay) * RATE_HZ).astype(int)
    column = last[:, None] - np.arange(len(time))
    inside = (column >= 0) & (column < rows)
    row = np.broadcast_to(np.arange(scans)[:, None], column.shape)
    values = np.broadcast_to(shape, column.shape)[inside].astype(np.float32)
    return sparse.csr_matrix((values, (row[inside], column[inside])), shape=(scans, rows))


def _gamma(time: _Floats, peak: float, width: float) -> _Floats:
    """Evaluate a gamma density scaled to a maximum of 1 at ``peak`` seconds; ``width`` is its scale in seconds."""
    power = peak / width
    return np.asarray((time / peak) ** power * np.exp((peak - time) / width))
