"""Fits on many machines: blocks of targets, regions of interest and subjects over a Dask cluster.

What is split is independent, so the result is that of one machine. Tasks are pure: one whose worker ends is run again
elsewhere.
"""

try:
    import distributed  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"[distributed] Dask's scheduler must be installed: pip install \"brain2music[distributed]\"; got '{error}'"
    ) from error

from brain2music.distributed.problems import fit_problems
from brain2music.distributed.subjects import map_subjects
from brain2music.distributed.targets import fit_targets
from brain2music.plain_arrays import guard

__all__ = ["fit_problems", "fit_targets", "map_subjects"]

guard(__name__)
