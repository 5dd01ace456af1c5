"""Music that was made: an array of waveforms that plays itself and saves itself."""

import base64
import html
import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brain2music import _core
from brain2music.files import write_json

__all__ = ["Audio", "within_full_scale"]

_WHERE = "generation.Audio"
_FORMATS = ("wav", "flac")
_PLAYERS = 12  # shown in a notebook: more would make its file large


@dataclass(frozen=True, eq=False)
class Audio:
    """Music of q embeddings, some samples of each.

    In a notebook it shows a player for each piece.

    Parameters
    ----------
    waveform : array of shape (q, samples, channels, time), float32
        Full scale is 1; the sound may exceed it.
    rate : int
        Samples a second.
    settings : mapping
        What the music was made with; :meth:`save` writes it beside the sound.
    """

    waveform: Any
    rate: int
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if np.ndim(self.waveform) != 4:
            raise ValueError(
                f"[{_WHERE}] waveform must be (q, samples, channels, time); got shape {np.shape(self.waveform)}"
            )

    @property
    def seconds(self) -> float:
        """Length of each piece in seconds."""
        return float(self.waveform.shape[-1] / self.rate)

    def __repr__(self) -> str:
        q, samples, channels, _ = self.waveform.shape
        sound = "mono" if channels == 1 else "stereo" if channels == 2 else f"{channels} channels"
        return f"Audio({q} x {samples} pieces of {self.seconds:g} s, {sound}, {self.rate} Hz)"

    def _repr_html_(self) -> str:
        q, samples = self.waveform.shape[:2]
        pieces = [(i, j) for i in range(q) for j in range(samples)]
        rows = [
            f"<div>embedding {i}, sample {j}<br><audio controls src='data:audio/flac;base64,{self._encoded(i, j)}'>"
            "</audio></div>"
            for i, j in pieces[:_PLAYERS]
        ]
        rest = len(pieces) - _PLAYERS
        more = [f"<div>and {rest} more: <code>.save(folder)</code> writes all</div>"] if rest > 0 else []
        return f"<div>{html.escape(repr(self))}</div>" + "".join(rows + more)

    def _encoded(self, i: int, j: int) -> str:
        import soundfile  # type: ignore[import-untyped]

        sound, _ = within_full_scale(_as_numpy(self.waveform[i, j]))
        buffer = io.BytesIO()
        soundfile.write(buffer, sound.T, self.rate, format="FLAC")
        return base64.b64encode(buffer.getvalue()).decode()

    def save(
        self,
        folder: str | os.PathLike[str],
        names: Sequence[str] | None = None,
        format: str = "wav",
    ) -> list[Path]:
        """Write each piece as a file of 16 bits, and beside it a JSON file of what it was made with.

        A piece that exceeds full scale is made quieter as a whole; its ``gain`` stands in the JSON file, and a warning
        says so.

        Parameters
        ----------
        folder : path
            Made if it is not there.
        names : sequence of str, optional
            A name for each embedding; by default "0", "1", ... With several samples, ``_sample-0`` and so on follow.
        format : {"wav", "flac"}, default "wav"

        Returns
        -------
        list of pathlib.Path
            The sound files; each appears whole or not at all.

        Raises
        ------
        ValueError
            If names are not as many as embeddings, two are equal, one is no file name, or a value is not finite.
        RuntimeError
            If a file cannot be written.
        """
        q, samples = self.waveform.shape[:2]
        stems = [str(i) for i in range(q)] if names is None else [str(name) for name in names]
        odd = next((name for name in stems if not name or Path(name).name != name), None)
        if len(stems) != q or len(set(stems)) != q or odd is not None:
            raise ValueError(f"[{_WHERE}.save] names must be {q} different file names; got {odd or stems!r}")
        if format not in _FORMATS:
            raise ValueError(f"[{_WHERE}.save] format must be one of {', '.join(_FORMATS)}; got {format!r}")
        Path(folder).mkdir(parents=True, exist_ok=True)
        paths = []
        for i, stem in enumerate(stems):
            for j in range(samples):
                name = stem if samples == 1 else f"{stem}_sample-{j}"
                path = Path(folder) / f"{name}.{format}"
                self.save_piece(path, i, j)
                paths.append(path)
        return paths

    def save_piece(self, path: str | os.PathLike[str], embedding: int = 0, sample: int = 0) -> None:
        """Write one piece, and beside it a JSON file of what it was made with.

        Parameters
        ----------
        path : path
            Its ending, ``.wav`` or ``.flac``, says the format.
        embedding, sample : int, default 0
            Which piece.

        Raises
        ------
        ValueError
            If the ending is another, or a value is not finite.
        RuntimeError
            If a file cannot be written; then neither is left.
        """
        path = Path(path)
        sound, gain = within_full_scale(_as_numpy(self.waveform[embedding, sample]))
        if gain < 1:
            warnings.warn(
                f"[{_WHERE}.save] {path.name} exceeds full scale: it is written at {gain:.3g} of its loudness",
                stacklevel=3,
            )
        settings = {**self.settings, "embedding": embedding, "sample": sample, "rate": self.rate, "gain": gain}
        _core.io.save_audio(path, sound, self.rate)
        try:
            write_json(path.with_suffix(".json"), settings)
        except Exception:
            path.unlink(missing_ok=True)
            raise


def _as_numpy(values: Any) -> Any:
    """Return a waveform as a NumPy array."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def within_full_scale(sound: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], float]:
    """Return (channels, time) of at most full scale, and the factor that it was multiplied by."""
    if not np.isfinite(sound).all():
        raise ValueError(f"[{_WHERE}] a waveform must be finite; got NaN or Inf")
    peak = float(np.abs(sound).max(initial=0.0))
    gain = 1.0 if peak <= 1 else 1 / peak
    return (sound if gain == 1 else np.clip(sound * np.float32(gain), -1, 1)), gain
