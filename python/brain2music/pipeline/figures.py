"""The report's figures: drawn, written beside the report as SVG and PNG, and said in words."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Drawn
from PIL import Image

from brain2music import _core, plotting
from brain2music import report as pages
from brain2music.evaluation import Row
from brain2music.pipeline.decoding import ClipTable, Decoded
from brain2music.pipeline.maps import labels_in
from brain2music.report.parts import Role

__all__ = ["Writer", "player"]

#: Columns and bands of a spectrogram under a player, and dB below the loudest moment at which it is dark.
_COLUMNS, _BANDS, _RANGE_DB = 400, 96, 70.0


class Writer:
    """Writes figures into a folder, and returns them for the page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def identification(self, matrix: npt.NDArray[np.float64], clips: ClipTable, row: Row) -> pages.Figure:
        """Draw every prediction against every true embedding."""
        own = float(np.mean(np.diag(matrix)))
        other = float((matrix.sum() - np.trace(matrix)) / (matrix.size - len(matrix)))
        return self._figure(
            "identification",
            plotting.plot_identification(matrix, clips, row),
            f"Identification matrix of sub-{row.subject}",
            "Pearson correlation of each predicted embedding (row) with each true one (column), clips sorted by "
            "genre. A clip is told apart from those whose cells in its row lie below its own on the diagonal.",
            f"Matrix of correlations of {len(matrix)} predictions with as many true embeddings. The diagonal, each "
            f"clip with itself, has a mean of {own:.2f}; all other cells have a mean of {other:.2f}.",
        )

    def scores(self, rows: Sequence[Row]) -> pages.Figure:
        """Draw identification by genre."""
        values: dict[str, list[float]] = {}
        for row in rows:
            values.setdefault(row.genre, []).append(row.value)
        means = {genre: float(np.mean(each)) for genre, each in values.items() if genre != "all"}
        best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
        return self._figure(
            "genres",
            plotting.plot_scores(rows, by="genre"),
            "By genre",
            "Identification accuracy on test clips; dots are subjects, bars their mean and standard deviation. A "
            "genre's clips compete with those of all genres.",
            f"Identification accuracy of all clips and of each genre, with chance and oracle. The best genre is {best} "
            f"with {means[best]:.2f}, the worst {worst} with {means[worst]:.2f}.",
            wide=True,
        )

    def subjects(self, rows: Sequence[Row]) -> pages.Figure:
        """Draw identification by subject."""
        listed = ", ".join(f"{row.value:.2f} (sub-{row.subject})" for row in rows)
        return self._figure(
            "subjects",
            plotting.plot_scores(rows, by="subject"),
            "By subject",
            "Identification accuracy on test clips, each subject beside chance and oracle.",
            f"Identification accuracy of each subject: {listed}.",
        )

    def embedding(self, one: Decoded) -> pages.Figure:
        """Draw one subject's embeddings by genre."""
        return self._figure(
            "embedding",
            plotting.plot_embedding(*one.by_clip, one.test_clips.genre),
            f"Embeddings of sub-{one.subject} by genre",
            "Test clips in the plane in which their true embeddings vary most. Predictions are shrunk towards the "
            "mean, as a ridge regression's are, and have a scale of their own.",
            "Two scatter plots of clips marked by genre: true embeddings, and embeddings predicted from brain "
            "activity.",
            wide=True,
        )

    def roi_map(self, one: Decoded) -> pages.Figure:
        """Draw a subject's regions."""
        best = one.rois[0]
        return self._figure(
            f"rois_sub-{one.subject}",
            plotting.plot_roi_map(
                one.roi_scores, labels_in(one.folder), selected=one.rois, names=one.roi_names, surface=one.surface
            ),
            f"Regions of sub-{one.subject}",
            "Mean cross-validated correlation of each region's own decoder on training clips; chance is 0. Regions "
            "whose predictions are averaged stand out.",
            f"Brain with regions coloured by score, and the best regions as bars. The best is "
            f"{one.roi_names.get(best, best)} with r = {one.roi_scores[best]:.2f}.",
            wide=True,
        )

    def cortex(
        self,
        drawn: Drawn,
        subject: str,
        clips: str,
        r: npt.NDArray[Any],
        significant: npt.NDArray[np.bool_],
        what: str,
        on_cortex: bool,
    ) -> pages.Figure:
        """Take a map of the cortex, or slices, of voxels or vertices."""
        grey = " Dark grey: furrows." if on_cortex else " Grey: not significant."
        best = float(np.nanmax(r[significant], initial=0))
        return self._figure(
            f"cortex-{clips.partition(' ')[0]}_sub-{subject}",
            drawn,
            f"{what.capitalize()} predicted, sub-{subject}, {clips}",
            f"Pearson's r of predicted and measured responses on {clips}, where it is significant (false discovery "
            f"rate 0.05).{grey}",
            f"{'Map of the cortex' if on_cortex else 'Slices'}: {int(significant.sum())} of {len(r)} {what} are "
            f"coloured, up to r = {best:.2f}.",
            wide=True,
        )

    def density(self, drawn: Drawn, subject: str, other: str, labels: tuple[str, str]) -> pages.Figure:
        """Take a density plot of two feature spaces."""
        return self._figure(
            f"density_{other}_sub-{subject}",
            drawn,
            f"Two feature spaces, voxel by voxel, sub-{subject}",
            f"r on test clips of the voxels that {labels[1]} or {labels[0]} predicts significantly. Above the line "
            f"{labels[1]} predicts better.",
            f"Density plot of voxels: r by {labels[0]} along the axis, by {labels[1]} upwards, with the diagonal.",
        )

    def regions(self, drawn: Drawn, scores: Sequence[plotting.RegionScore], name: str) -> pages.Figure:
        """Take bars of regions."""
        best = max(scores, key=lambda one: one.mean if np.isfinite(one.mean) else -1.0)
        return self._figure(
            "encoding-regions",
            drawn,
            f"Regions that {name} predicts best",
            "Left: mean r over all voxels of a region, dots for subjects, beside the mean noise ceiling. Right: share "
            "of its voxels that are significant.",
            f"Bars of the best regions. The best of all subjects is {best.region} with a mean r of {best.mean:.2f}.",
            wide=True,
        )

    def _figure(self, name: str, drawn: Drawn, title: str, caption: str, alt: str, wide: bool = False) -> pages.Figure:
        self._folder.mkdir(parents=True, exist_ok=True)
        _, svg = plotting.save(drawn, self._folder / name)
        return pages.Figure(title, caption, alt, svg.read_bytes(), "svg", wide)


def player(
    role: Role,
    label: str,
    detail: str,
    waveform: npt.NDArray[np.float32],
    rate: int,
) -> pages.Player:
    """Put music under its spectrogram."""
    return pages.Player(role, label, detail, waveform, rate, _spectrogram(waveform, rate))


def _spectrogram(waveform: npt.NDArray[np.float32], rate: int) -> bytes:
    """Draw a log-mel spectrogram as a PNG with a palette; from edge to edge it spans the waveform."""
    hop = max(len(waveform) // _COLUMNS, 1)
    level = _core.audio.log_mel(np.ascontiguousarray(waveform), rate, n_fft=2048, hop=hop, n_mels=_BANDS)
    shade = np.clip(1 + (level - level.max()) / _RANGE_DB, 0, 1)
    image = Image.fromarray(np.rint(255 * shade[::-1]).astype(np.uint8)).convert("P")
    image.putpalette((255 * mpl.colormaps["magma"](np.arange(256))[:, :3]).round().astype(np.uint8).tobytes())
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()
