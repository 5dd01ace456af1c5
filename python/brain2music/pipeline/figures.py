"""The report's figures: drawn, written beside the report as SVG and PNG, and said in words."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from brain2music import plotting
from brain2music import report as pages
from brain2music.evaluation import Row
from brain2music.files import write_bytes
from brain2music.pipeline.decoding import ClipTable, Decoded
from brain2music.plotting.style import style

__all__ = ["Writer", "player"]


class Writer:
    """Writes figures into a folder, and returns them for the page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def identification(self, matrix: npt.NDArray[np.float64], clips: ClipTable, subjects: int) -> pages.Figure:
        """Draw every prediction against every true embedding."""
        own = float(np.mean(np.diag(matrix)))
        other = float((matrix.sum() - np.trace(matrix)) / (matrix.size - len(matrix)))
        return self._figure(
            "identification",
            plotting.plot_identification(matrix, clips.genre.tolist()),
            "Identification matrix",
            "Pearson correlation of each predicted embedding (row) with each true one (column), clips sorted by genre, "
            f"mean of {subjects}. A clip is identified where its diagonal cell exceeds its row.",
            f"Matrix of correlations of {len(matrix)} predictions with {len(matrix)} true embeddings. The diagonal, "
            "each "
            f"clip with itself, has a mean of {own:.2f}; all other cells have a mean of {other:.2f}.",
        )

    def scores(self, rows: Sequence[Row]) -> pages.Figure:
        """Draw identification by subject and genre."""
        values = {row.genre: [] for row in rows}  # type: dict[str, list[float]]
        for row in rows:
            values[row.genre].append(row.value)
        means = {genre: float(np.mean(each)) for genre, each in values.items() if genre != "all"}
        best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
        return self._figure(
            "scores",
            plotting.plot_scores(rows),
            "By subject and by genre",
            "Identification accuracy on test clips; large dots are means, small ones subjects. A genre's clips compete "
            "with those of all genres.",
            f"Identification accuracy of each subject and genre between chance and oracle. Best is {best} with "
            f"{means[best]:.2f}, worst {worst} with {means[worst]:.2f}.",
        )

    def embedding(self, decoded: Sequence[Decoded]) -> pages.Figure:
        """Draw the first subject's embeddings by genre."""
        one = decoded[0]
        return self._figure(
            "embedding",
            plotting.plot_embedding(one.test, one.test_target, one.test_clips.genre.tolist()),
            "Embeddings by genre",
            f"Test clips of sub-{one.subject} in the plane in which the true embeddings vary most. Predictions are "
            "shrunk "
            "towards the mean, as a ridge regression's are: each side has its own scale.",
            "Two scatter plots of clips coloured by genre, true embeddings on the left and predicted ones on the "
            "right, "
            "with the mean of each genre.",
            wide=True,
        )

    def roi_map(self, one: Decoded) -> pages.Figure:
        """Draw a subject's regions."""
        best = one.rois[0]
        return self._figure(
            f"rois_sub-{one.subject}",
            plotting.plot_roi_map(one.folder / "roi-scores.nii.gz"),
            f"Regions of sub-{one.subject}",
            "Mean cross-validated correlation of each region's own decoder, training clips; chance is 0. Axial slices.",
            f"Axial slices of a brain, regions coloured by score. The best is {one.roi_names.get(best, best)} with r = "
            f"{one.roi_scores[best]:.2f}.",
            wide=True,
        )

    def _figure(self, name: str, drawn: Any, title: str, caption: str, alt: str, wide: bool = False) -> pages.Figure:
        images = {}
        for ending, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            file = io.BytesIO()
            with style():
                drawn.savefig(file, format=ending, metadata=metadata)
            images[ending] = file.getvalue()
            write_bytes(self._folder / f"{name}.{ending}", images[ending])
        return pages.Figure(title, caption, alt, images["svg"], "svg", wide)


def player(
    role: Literal["heard", "retrieved", "oracle"],
    label: str,
    detail: str,
    waveform: npt.NDArray[np.float32],
    rate: int,
) -> pages.Player:
    """Put music under its spectrogram."""
    return pages.Player(role, label, detail, waveform, rate, plotting.spectrogram_png(waveform, rate))
