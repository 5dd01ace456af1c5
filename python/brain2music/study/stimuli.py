"""The music that was heard: GTZAN tracks cut, faded and normalised as in the scanner; captions joined by clip."""

import csv
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music import _core
from brain2music.study.events import Event

__all__ = ["Stimuli", "load_audio", "prepare_clip", "read_captions"]

EXTENSIONS = (".wav", ".au", ".flac", ".ogg", ".mp3")

#: Seconds that a track may fall short of a clip's end, with a warning: GTZAN's tracks of 30 s are 29.9 s now and then.
SHORTFALL = 0.1


class Stimuli:
    """Clips of a study, decoded when asked for.

    ``stimuli[id]`` and iteration give ``(waveform, rate)``: mono float32 of shape (samples,), and Hz.

    Parameters
    ----------
    folder : Path
        Holds ``genres/blues/blues.00017.wav``, or ``genres_original/``, or the genres' folders; WAV, AU, FLAC, OGG or
        MP3.
    clips : sequence of Event
        One for each clip.
    fade : float
        Seconds of linear fade, in and out.
    level : float
        Root mean square after the fades. The paper does not give the level: this one lets most music peak below 1.
    """

    def __init__(self, folder: Path, clips: Sequence[Event], fade: float = 2.0, level: float = 0.1) -> None:
        self.fade, self.level = fade, level
        self._clips = {clip.clip: clip for clip in clips}
        self._paths = {clip.clip: _track_file(folder, clip) for clip in clips}

    @property
    def ids(self) -> list[str]:
        """Ids of the clips, in the order of iteration."""
        return list(self._clips)

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.float32], int]]:
        return (self[clip] for clip in self._clips)

    def __getitem__(self, clip: str) -> tuple[npt.NDArray[np.float32], int]:
        if clip not in self._clips:
            raise KeyError(f"[study.Stimuli] clip must be one of the study's {len(self)}; got {clip!r}")
        event, path = self._clips[clip], self._paths[clip]
        waveform, rate = load_audio(path)
        try:
            return prepare_clip(waveform, rate, event.start, event.end, self.fade, self.level), rate
        except ValueError as error:
            raise ValueError(f"{error} for {clip} in {path}") from error

    def path(self, clip: str) -> Path:
        """File of a clip's track."""
        return self._paths[clip]


def load_audio(path: str | Path) -> tuple[npt.NDArray[np.float32], int]:
    """Decode an audio file.

    Parameters
    ----------
    path : path
        Anything libsndfile reads.

    Returns
    -------
    waveform : array of shape (samples,), float32
        Mean of the channels.
    rate : int
        Samples a second.

    Raises
    ------
    RuntimeError
        If the file is no audio that libsndfile reads (MP3 from version 1.1 on), or is cut short.
    ValueError
        If it is empty or holds NaN or Inf.
    """
    channels, rate = _core.io.load_audio(path)
    if channels.size == 0 or not np.isfinite(channels).all():
        raise ValueError(
            f"[study.load_audio] audio must hold finite samples; got {channels.shape[1]} samples in {path}"
        )
    waveform: npt.NDArray[np.float32] = channels.mean(axis=0, dtype=np.float32)
    return waveform, rate


def prepare_clip(
    waveform: npt.NDArray[np.float32], rate: int, start: float, end: float, fade: float = 2.0, level: float = 0.1
) -> npt.NDArray[np.float32]:
    """Cut a clip out of a track, fade it in and out, and set its root mean square, in this order.

    Parameters
    ----------
    waveform : array of shape (samples,), float32
        The track.
    rate : int
        Samples a second.
    start, end : float
        Seconds in the track.
    fade : float
        Seconds of linear fade at either end.
    level : float
        Root mean square of the result.

    Returns
    -------
    array of shape (samples,), float32
        Not clipped: peaks above 1 may occur, and are left to whoever writes integers.
    """
    first, last = round(start * rate), round(end * rate)
    if last - len(waveform) > SHORTFALL * rate or first >= len(waveform):
        raise ValueError(
            f"[study.prepare_clip] the track must last until end, {end:g} s; got {len(waveform) / rate:.3f} s"
        )
    if last > len(waveform):
        warnings.warn(f"a clip ends at {end:g} s, its track at {len(waveform) / rate:.3f} s: shortened", stacklevel=2)
    clip = waveform[first:last].astype(np.float64)
    ramp = min(round(fade * rate), len(clip) // 2)
    if ramp:
        slope = np.arange(ramp) / ramp
        clip[:ramp] *= slope
        clip[-ramp:] *= slope[::-1]
    loudness = math.sqrt(float(np.mean(clip**2)))
    if loudness == 0:
        raise ValueError(f"[study.prepare_clip] a clip must hold sound; got silence from {start:g} to {end:g} s")
    return (clip * (level / loudness)).astype(np.float32)


def read_captions(path: Path, clips: Sequence[Event]) -> dict[str, str]:
    """Read captions and join them to the clips.

    Parameters
    ----------
    path : Path
        CSV with columns ``clip`` and ``caption``; ``clip`` is a clip's id (``blues.00017_6.44``) or, where a track
        gives one clip only, its track (``blues.00017``).
    clips : sequence of Event
        One for each clip.

    Returns
    -------
    dict
        From clip id to caption, in the order of ``clips``.

    Raises
    ------
    ValueError
        If a clip has no caption or two, or a caption no clip; the row or the clip is named.
    """
    by_track: dict[str, list[str]] = {}
    for clip in clips:
        by_track.setdefault(clip.track, []).append(clip.clip)
    ids = {clip.clip for clip in clips}
    captions: dict[str, str] = {}
    for number, row in enumerate(_csv_rows(path), start=1):
        name, caption = row["clip"].strip().removesuffix(".wav"), row["caption"].strip()
        matching = [name] if name in ids else by_track.get(name, [])
        if len(matching) != 1 or matching[0] in captions or not caption:
            problem = (
                f"{len(matching)} clips"
                if len(matching) != 1
                else "an empty caption"
                if not caption
                else "a second caption"
            )
            raise ValueError(
                f"[study.captions] a row must caption one clip, once; got {problem} for clip {name!r} in row {number} "
                f"of {path}"
            )
        captions[matching[0]] = caption
    missing = [clip.clip for clip in clips if clip.clip not in captions]
    if missing:
        raise ValueError(
            f"[study.captions] every clip must have a caption; got none for {len(missing)} clips, {missing[0]} the "
            f"first, in {path}"
        )
    return {clip.clip: captions[clip.clip] for clip in clips}


def _csv_rows(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows, header = list(reader), list(reader.fieldnames or [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"[study.captions] captions must be CSV in UTF-8; got '{error}' in {path}") from error
    if header.count("clip") != 1 or header.count("caption") != 1:
        raise ValueError(f"[study.captions] columns clip and caption must be there once; got {header} in {path}")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ValueError(
                f"[study.captions] a row must have {len(header)} fields, as the header; got another number in row "
                f"{number} of {path}"
            )
    return rows


def _track_file(folder: Path, clip: Event) -> Path:
    names = [clip.track + extension for extension in EXTENSIONS] + [clip.track]
    places = [
        folder / parent / child
        for parent in ("", "genres", "genres_original")
        for child in dict.fromkeys((clip.genre, ""))
    ]
    found = [place / name for place in places for name in names if (place / name).is_file()]
    if len(found) != 1:
        problem = FileNotFoundError if not found else ValueError
        raise problem(
            f"[study.Stimuli] one file must hold track {clip.track} of {clip.clip}, such as "
            f"genres/{clip.genre}/{clip.track}.wav; got {' and '.join(map(str, found)) or 'none'} in {folder}"
        )
    return found[0]
