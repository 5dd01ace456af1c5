"""The music that was heard: GTZAN tracks cut, faded and normalised as in the scanner; captions joined by clip."""

import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brain2music.sound import ENDINGS, STEP_16_BITS, Sound, mix, read_sound, silence
from brain2music.study.events import TOLERANCE, Event
from brain2music.study.names import fetched
from brain2music.study.tables import read_csv

__all__ = ["Stimuli", "load_audio", "prepare_clip", "read_captions", "track_problems"]

#: Seconds that a track may fall short of a clip's end, with a warning: GTZAN's tracks of 30 s are 29.9 s now and then.
SHORTFALL = 0.1


class Stimuli:
    """Clips of a study, decoded when asked for.

    ``stimuli[id]`` and iteration give ``(waveform, rate)``: mono float32 of shape (samples,), and Hz.

    Parameters
    ----------
    folder : Path
        Holds ``genres/blues/blues.00017.wav``, or ``genres_original/``, or the genres' folders; WAV, AU, FLAC, OGG or
        MP3, with endings in small or capital letters.
    clips : sequence of Event
        One for each clip.
    fade : float
        Seconds of linear fade, in and out.
    level : float
        Root mean square after the fades. The paper does not give the level: this one lets most music peak below 1.
    channel : int, optional
        Take this channel of every track, from 0, instead of the mean of all: for tracks whose channels are of opposite
        phase and cancel each other.
    """

    def __init__(
        self,
        folder: Path,
        clips: Sequence[Event],
        fade: float = 2.0,
        level: float = 0.1,
        channel: int | None = None,
    ) -> None:
        self.fade, self.level, self.channel = fade, level, channel
        self._clips = {clip.clip: clip for clip in clips}
        listings: dict[Path, dict[str, list[Path]]] = {}
        self._paths = {clip.clip: _track_file(folder, clip, listings) for clip in clips}

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
        sound = _finite_sound(path)
        try:
            clip_sound = prepare_clip(
                sound.channels,
                sound.rate,
                event.start,
                event.end,
                self.fade,
                self.level,
                step=sound.step,
                channel=self.channel,
            )
            return clip_sound, sound.rate
        except ValueError as error:
            raise ValueError(f"{error} for {clip} in {path}") from error

    def path(self, clip: str) -> Path:
        """File of a clip's track."""
        return self._paths[clip]


def load_audio(path: str | Path, channel: int | None = None) -> tuple[npt.NDArray[np.float32], int]:
    """Decode an audio file, to its end.

    Parameters
    ----------
    path : path
        Anything libsndfile reads.
    channel : int, optional
        Take this channel, from 0, instead of the mean of all.

    Returns
    -------
    waveform : array of shape (samples,), float32
        Mean of the channels. It may be silent: :func:`prepare_clip` judges that.
    rate : int
        Samples a second.

    Raises
    ------
    RuntimeError
        If the file is no audio that libsndfile reads (MP3 from version 1.1 on), or is cut short.
    ValueError
        If it is empty, holds NaN or Inf, or has no such channel.
    """
    sound = _finite_sound(path)
    try:
        waveform: npt.NDArray[np.float32] = mix(sound.channels, channel).astype(np.float32, copy=False)
    except ValueError as error:
        raise ValueError(f"{error} in {path}") from error
    return waveform, sound.rate


def _finite_sound(path: str | Path) -> Sound:
    sound = read_sound(path)
    if sound.channels.size == 0 or not np.isfinite(sound.channels).all():
        raise ValueError(
            f"[study.load_audio] audio must hold finite samples; got {sound.channels.shape[1]} samples in {path}"
        )
    return sound


def prepare_clip(
    waveform: npt.NDArray[np.float32],
    rate: int,
    start: float,
    end: float,
    fade: float = 2.0,
    level: float = 0.1,
    *,
    step: float = STEP_16_BITS,
    channel: int | None = None,
) -> npt.NDArray[np.float32]:
    """Cut a clip out of a track, mix it to mono, fade it in and out, and set its root mean square, in this order.

    Parameters
    ----------
    waveform : array of shape (samples,) or (channels, samples), float32
        The track.
    rate : int
        Samples a second.
    start, end : float
        Seconds in the track.
    fade : float
        Seconds of linear fade at either end.
    level : float
        Root mean square of the result.
    step : float, default 2^-15
        The smallest step between two values of the track's file, full scale being 1: 2^-15 for 16 bits. A clip whose
        root mean square (after mixing and fading, around its mean) is no larger is silence, however it came about:
        nothing, an offset, dither, or channels of opposite phase, which cancel each other.
    channel : int, optional
        Take this channel, from 0, instead of the mean of all.

    Returns
    -------
    array of shape (samples,), float32
        Not clipped: peaks above 1 may occur, and are left to whoever writes integers. An offset beneath the sound
        stays.

    Raises
    ------
    ValueError
        If the track ends before the clip, the clip is silent (also: silent after mixing), or there is no such channel.
    """
    first, last = round(start * rate), round(end * rate)
    channels = np.atleast_2d(waveform)
    samples = channels.shape[1]
    if last - samples > SHORTFALL * rate or first >= samples:
        raise ValueError(f"[study.prepare_clip] the track must last until end, {end:g} s; got {samples / rate:.3f} s")
    if last > samples + TOLERANCE * rate:
        warnings.warn(f"a clip ends at {end:g} s, its track at {samples / rate:.3f} s: shortened", stacklevel=2)
    channels = channels[:, first:last].astype(np.float64)
    envelope = np.ones(channels.shape[1])
    ramp = min(round(fade * rate), len(envelope) // 2)
    if ramp:
        envelope[:ramp] = np.arange(ramp) / ramp
        envelope[-ramp:] = envelope[ramp - 1 :: -1]
    if problem := silence(channels, step, channel, envelope):
        raise ValueError(f"[study.prepare_clip] a clip must hold sound; got {problem} from {start:g} to {end:g} s")
    clip = mix(channels, channel) * envelope
    return (clip * (level / math.sqrt(float(np.mean(clip**2))))).astype(np.float32)


def read_captions(path: Path, clips: Sequence[Event]) -> tuple[dict[str, str], list[str]]:
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
    captions : dict
        From clip id to caption, in the order of ``clips``.
    others : list of str
        What stands in the column ``clip`` of rows that are of no clip; these rows are not used.

    Raises
    ------
    ValueError
        If a clip has no caption or two, or a row may be of several clips; the row or the clip is named.
    """
    by_track: dict[str, list[str]] = {}
    for clip in clips:
        by_track.setdefault(clip.track, []).append(clip.clip)
    ids = {clip.clip for clip in clips}
    captions: dict[str, str] = {}
    others: list[str] = []
    for number, row in enumerate(read_csv(path, ("clip", "caption"), "captions", "study.captions"), start=1):
        name, caption = row["clip"].strip(), row["caption"].strip()
        names = dict.fromkeys((name, name.removesuffix(".wav")))
        matching = next(([one] if one in ids else by_track[one] for one in names if one in ids or one in by_track), [])
        if not matching:
            others.append(name)
            continue
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
        unused = f" ({len(others)} rows are of no clip, {others[0]!r} the first)" if others else ""
        raise ValueError(
            f"[study.captions] every clip must have a caption; got none for {len(missing)} clips, {missing[0]} the "
            f"first{unused}, in {path}"
        )
    return {clip.clip: captions[clip.clip] for clip in clips}, others


def track_problems(folder: Path, clips: Sequence[Event]) -> list[str]:
    """Say of every track that is not there once, which it is."""
    listings: dict[Path, dict[str, list[Path]]] = {}
    problems: dict[str, str] = {}
    for clip in clips:
        try:
            _track_file(folder, clip, listings)
        except (ValueError, FileNotFoundError) as error:
            problems.setdefault(clip.track, str(error))
    return list(problems.values())


def _track_file(folder: Path, clip: Event, listings: dict[Path, dict[str, list[Path]]]) -> Path:
    places = [
        folder / parent / child
        for parent in ("", "genres", "genres_original")
        for child in dict.fromkeys((clip.genre, ""))
    ]
    for place in places:
        if place not in listings:
            listings[place] = _tracks_in(place)
    found = [path for place in places for path in listings[place].get(clip.track, [])]
    if len(found) != 1:
        problem = FileNotFoundError if not found else ValueError
        raise problem(
            f"[study.Stimuli] one file must hold track {clip.track} of {clip.clip}, such as "
            f"genres/{clip.genre}/{clip.track}.wav; got {' and '.join(map(str, found)) or 'none'} in {folder}"
        )
    return fetched(found[0])


def _tracks_in(place: Path) -> dict[str, list[Path]]:
    """Files of a folder by what a track may be called: their names with and without an ending of ``ENDINGS``."""
    tracks: dict[str, list[Path]] = {}
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        for name in dict.fromkeys((path.stem if path.suffix.lower() in ENDINGS else path.name, path.name)):
            tracks.setdefault(name, []).append(path)
    # A link to nowhere is a track that was not fetched.
    return {name: [path for path in paths if path.is_file() or path.is_symlink()] for name, paths in tracks.items()}
