"""Noise of a scanner and of the body inside it, of variance 1; and drift."""

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter  # type: ignore[import-untyped]

from brain2music.simulation.brain.anatomy import smooth_fields

__all__ = ["BodyNoise"]

_Floats = npt.NDArray[np.float64]

#: Shares of the variance: thermal, autocorrelated, breath and pulse, fluctuations shared by the whole brain.
_SHARES = (0.35, 0.35, 0.15, 0.15)
#: Autocorrelation from scan to scan at a TR of 1.5 s (fMRI after detrending: Woolrich et al., 2001).
_AUTOCORRELATION = (0.3, 0.6)
_BREATH_HZ, _PULSE_HZ = 0.27, 1.08
_SHARED = 6
_SHARED_MM = 40.0
_DRIFT_WAVES = 3


class BodyNoise:
    """Noise of one subject: how strongly each voxel takes part is fixed, what happens in a run is drawn run by run.

    Parameters
    ----------
    positions : array of shape (voxels, 3)
        In mm.
    seed, subject : int
    """

    def __init__(self, positions: _Floats, seed: int, subject: int) -> None:
        rng = np.random.default_rng([seed, subject, 3])
        body = np.abs(smooth_fields(rng, 4, _SHARED_MM / 2, positions))
        shared = smooth_fields(rng, _SHARED, _SHARED_MM, positions)
        self._loadings = np.hstack(
            [
                np.sqrt(share) * field / np.sqrt((field**2).sum(axis=1, keepdims=True))
                for share, field in ((_SHARES[2], body), (_SHARES[3], shared))
            ]
        ).astype(np.float32)
        self._autocorrelation = rng.uniform(*_AUTOCORRELATION)
        self._drift = smooth_fields(rng, _DRIFT_WAVES, _SHARED_MM, positions).astype(np.float32)

    def run(self, rng: np.random.Generator, scans: int, tr: float) -> "RunNoise":
        """Draw what the whole brain shares in a run."""
        return RunNoise(
            self._loadings,
            np.hstack([_body(rng, scans, tr), _shared(rng, scans)]).astype(np.float32),
            self._drift,
            _drift(rng, scans).astype(np.float32),
            self._autocorrelation,
        )


class RunNoise:
    """One run's noise, made for a few voxels at a time."""

    def __init__(
        self,
        loadings: npt.NDArray[np.float32],
        courses: npt.NDArray[np.float32],
        drift_loadings: npt.NDArray[np.float32],
        drift_courses: npt.NDArray[np.float32],
        autocorrelation: float,
    ) -> None:
        self._loadings, self._courses = loadings, courses
        self._drift_loadings, self._drift_courses = drift_loadings, drift_courses
        self._autocorrelation = autocorrelation

    def noise(self, rng: np.random.Generator, voxels: slice) -> npt.NDArray[np.float32]:
        """Noise of variance 1, (scans, voxels)."""
        scans, width = len(self._courses), voxels.stop - voxels.start
        phi = self._autocorrelation
        white = rng.standard_normal((scans, width), dtype=np.float32)
        # From the second scan on the innovation is what keeps the variance at 1.
        white[1:] *= np.float32(np.sqrt(1 - phi**2))
        slow = lfilter(np.ones(1, np.float32), np.array([1, -phi], np.float32), white, axis=0)
        result: npt.NDArray[np.float32] = self._courses @ self._loadings[voxels].T
        result += np.float32(np.sqrt(_SHARES[0])) * rng.standard_normal((scans, width), dtype=np.float32)
        result += np.float32(np.sqrt(_SHARES[1])) * slow
        return result

    def drift(self, voxels: slice) -> npt.NDArray[np.float32]:
        """Slow change of variance about 1, (scans, voxels)."""
        return np.asarray(self._drift_courses @ self._drift_loadings[voxels].T / np.sqrt(_DRIFT_WAVES))


def _body(rng: np.random.Generator, scans: int, tr: float) -> _Floats:
    """Breath and pulse, each as sine and cosine of a phase that wanders: aliased by the TR, as they are in fMRI."""
    courses = []
    for rate in (_BREATH_HZ, _PULSE_HZ):
        speed = rate * tr * (1 + 0.1 * rng.standard_normal(scans))
        phase = 2 * np.pi * (rng.random() + np.cumsum(speed))
        courses += [np.sqrt(2) * np.sin(phase), np.sqrt(2) * np.cos(phase)]
    return np.stack(courses, axis=1)


def _shared(rng: np.random.Generator, scans: int) -> _Floats:
    white = rng.standard_normal((scans, _SHARED))
    white[1:] *= np.sqrt(1 - 0.8**2)
    return np.asarray(lfilter([1], [1, -0.8], white, axis=0))


def _drift(rng: np.random.Generator, scans: int) -> _Floats:
    """Parts of a wave that lasts longer than a run."""
    position = np.linspace(0, 1, scans)[:, None]
    cycles = rng.uniform(0.2, 0.9, _DRIFT_WAVES)
    phase = rng.uniform(0, 2 * np.pi, _DRIFT_WAVES)
    return np.asarray(np.sqrt(2) * np.sin(2 * np.pi * cycles * position + phase))
