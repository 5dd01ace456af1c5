"""A subject in the scanner: music in, BOLD out."""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from brain2music.simulation.brain.anatomy import anatomy
from brain2music.simulation.brain.hearing import FeatureTable
from brain2music.simulation.brain.noise import BodyNoise
from brain2music.simulation.brain.voxels import draw_voxels

__all__ = ["Listener", "slice_times"]

#: Standard deviation of noise and of drift, as a share of a voxel's mean.
_NOISE, _DRIFT = 0.015, 0.02
#: Voxels made at a time.
_BLOCK = 4096


class Listener:
    """One subject.

    Parameters
    ----------
    number : int
        Of the subject, from 1.
    seed : int
    voxel_mm : float
    table : FeatureTable
        Standardised features of all clips.
    runs : sequence of arrays of shape (time, features)
        What is heard in each run, its dummy included.
    tr : float
        Seconds.
    signal : float
        Factor on what the music does.

    Attributes
    ----------
    head : Anatomy
    voxels : Voxels
        Those that respond.
    feature_names : tuple of str
    ceiling : array of shape (responsive voxels,)
        Correlation of one presentation with what is explainable in it, at this ``signal``.
    """

    def __init__(
        self,
        number: int,
        seed: int,
        voxel_mm: float,
        table: FeatureTable,
        runs: Sequence[npt.NDArray[np.float32]],
        tr: float,
        signal: float,
    ) -> None:
        self._identity, self._tr = (seed, number), tr
        self.feature_names = table.names
        self.head = anatomy(voxel_mm, seed, number)
        self.slice_times = slice_times(self.head.brain.shape[2], tr)
        self.voxels = draw_voxels(self.head, table, self.slice_times, seed, number)
        self._noise = BodyNoise(self.head.positions(self.head.brain), seed, number)
        # The noise has variance 1: a ceiling r asks for a signal of this standard deviation.
        wanted = signal * self.voxels.ceiling / np.sqrt(1 - self.voxels.ceiling**2)
        self.ceiling = wanted / np.sqrt(1 + wanted**2)
        self._scale = np.zeros(len(wanted), np.float32)
        if signal > 0:
            self._scale[:] = wanted / np.maximum(self._spread(runs), 1e-6)

    def bold(self, heard: npt.NDArray[np.float32], run: int, scans: int) -> npt.NDArray[np.int16]:
        """Listen to a run.

        Parameters
        ----------
        heard : array of shape (time, features)
        run : int
            Number of the run among all, which decides its noise.
        scans : int

        Returns
        -------
        array of shape (scans, z, y, x), int16
        """
        responses = np.empty((scans, len(self._scale)), np.float32)
        for part, response in self.voxels.respond(heard, scans, self._tr):
            responses[:, part] = (response - response.mean(axis=0)) * self._scale[part]
        seed = np.random.SeedSequence([*self._identity, 5, run])
        noise = self._noise.run(np.random.default_rng(seed), scans, self._tr)
        x, y, z = np.nonzero(self.head.brain)
        mean = self.head.intensity[self.head.brain]
        volumes = np.zeros((scans, *self.head.brain.shape[::-1]), np.int16)

        def fill(block: int, seed: np.random.SeedSequence) -> None:
            part = slice(block * _BLOCK, min((block + 1) * _BLOCK, len(mean)))
            change = _NOISE * noise.noise(np.random.default_rng(seed), part)
            first, last = np.searchsorted(self.voxels.where, (part.start, part.stop))
            change[:, self.voxels.where[first:last] - part.start] += _NOISE * responses[:, first:last]
            change += _DRIFT * noise.drift(part)
            values = np.rint(mean[part] * (1 + change))
            if values.min() < 1 or values.max() > np.iinfo(np.int16).max:
                raise ValueError(
                    f"[simulation.bold] signal must be small enough for int16; got {values.min():g} to {values.max():g}"
                )
            volumes[:, z[part], y[part], x[part]] = values

        seeds = seed.spawn(math.ceil(len(mean) / _BLOCK))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(fill, range(len(seeds)), seeds))
        return volumes

    def _spread(self, runs: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float64]:
        """Take the standard deviation of each voxel's response within a run, over all runs."""
        squares = np.zeros(len(self._scale))
        scans = [round(len(run) / 10 / self._tr) for run in runs]
        for run, count in zip(runs, scans, strict=True):
            for part, response in self.voxels.respond(run, count, self._tr):
                squares[part] += response.var(axis=0, dtype=np.float64) * count
        return np.asarray(np.sqrt(squares / sum(scans)))


def slice_times(slices: int, tr: float) -> list[float]:
    """Seconds after the beginning of a volume when each slice is taken: interleaved, four at once if they divide.

    As in ds003720, whose 68 slices are taken in 17 steps: odd steps first, then even ones.
    """
    at_once = next(count for count in (4, 2, 1) if slices % count == 0)
    steps = slices // at_once
    order = [*range(0, steps, 2), *range(1, steps, 2)]
    time = {step: place * tr / steps for place, step in enumerate(order)}
    return [round(time[number % steps], 4) for number in range(slices)]
