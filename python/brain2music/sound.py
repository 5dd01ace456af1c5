"""Audio files as the library hears them: decoded whole, mixed to mono, and judged for whether there is any sound."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brain2music import _core
from brain2music.files import natural, not_fetched

__all__ = [
    "ENDINGS",
    "STEP_16_BITS",
    "Sound",
    "by_ending",
    "find_audio",
    "is_audio",
    "is_hidden",
    "is_read",
    "mix",
    "read_mono",
    "read_sound",
    "silence",
]

#: Endings of audio files that are read, in small or capital letters.
ENDINGS = (".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav")

#: Endings of files that hold sound, too, but are not read: libsndfile has no decoder for them.
# fmt: off
UNREAD = frozenset({
    ".3gp", ".aac", ".ac3", ".amr", ".ape", ".asf", ".avi", ".dff", ".dsf", ".dts", ".flv", ".m4a",
    ".m4b", ".m4p", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp4", ".mpc", ".mpeg", ".mpg", ".ra",
    ".rm", ".shn", ".spx", ".tak", ".tta", ".weba", ".webm", ".wma", ".wmv", ".wv",
})
# fmt: on

#: The step between two values of 16 bits, full scale being 1.
STEP_16_BITS = 2.0**-15

#: Channels cancel each other where mixing leaves a hundredth of the loudest or less.
CANCELLED = 0.01


@dataclass(frozen=True)
class Sound:
    """An audio file, or a span of it.

    Attributes
    ----------
    channels : array of shape (channels, samples), float32
        Full scale is 1.
    rate : int
        Samples a second.
    step : float
        The smallest step between two values of the file: 2^-15 for 16 bits and for lossy files, 2^-23 for 24 bits, for
        floating point 2^-23 of the largest value but at least 2^-24.
    """

    channels: npt.NDArray[np.float32]
    rate: int
    step: float


def read_sound(path: str | Path, start: float = 0.0, stop: float | None = None) -> Sound:
    """Decode an audio file, or the span from ``start`` to ``stop`` seconds.

    Raises
    ------
    RuntimeError
        If the file is no audio, is cut short, or ends before ``stop``.
    """
    channels, rate, step = _core.io.load_audio_step(path, start, stop)
    return Sound(channels, rate, step)


def find_audio(folder: Path, where: str) -> tuple[list[str], list[tuple[str, str]]]:
    """List the files of a folder at any depth: those to decode, and those that are not read, with the reason.

    Links to folders are followed. Hidden files and folders, whose names begin with a dot, are not looked at: macOS
    writes a ``._song.wav`` beside each ``song.wav``.

    Parameters
    ----------
    folder : Path
        The folder.
    where : str
        Room and function that errors name.

    Returns
    -------
    list of str
        Audio files, by path below ``folder`` with ``/``, sorted.
    list of (str, str)
        Every other file and why it is not read, in natural order: 2 before 10.

    Raises
    ------
    ValueError
        If it is no folder, or holds no audio file.
    OSError
        If a folder cannot be read.
    """
    if not folder.is_dir():
        raise ValueError(f"[{where}] folder must be a folder of audio files; got {folder}")

    def refuse(error: OSError) -> None:
        raise error

    found: list[str] = []
    others: list[str] = []
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:  # a link back to a folder above, or to one that was seen
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        below = Path(root).relative_to(folder)
        for name in names:
            if not is_hidden(name):
                (found if is_read(name) else others).append((below / name).as_posix())
    if not found:
        raise ValueError(
            f"[{where}] folder must hold audio files ({', '.join(ENDINGS)}); got none in {folder}"
            + (f" beside {len(others):,} of other endings: {by_ending(others)}" if others else "")
        )
    return sorted(found), [(name, _why_not_read(name)) for name in sorted(others, key=natural)]


def is_read(file: str) -> bool:
    """Say whether a file is decoded, by its ending."""
    return _ending(file) in ENDINGS


def is_audio(file: str) -> bool:
    """Say whether a file holds sound, by its ending; it may be sound that is not read."""
    return is_read(file) or _ending(file) in UNREAD


def is_hidden(file: str) -> bool:
    """Say whether a file, or a folder that it lies in, is hidden; ``file`` is a path below the library's folder."""
    return any(part.startswith(".") for part in file.split("/"))


def by_ending(files: Iterable[str], most: int = 8) -> str:
    """Count files by ending, the most frequent first: ``.jpg 10,000, .txt 12``."""
    counts = Counter(_ending(file) or "without ending" for file in files)
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    listed = ", ".join(f"{ending} {count:,}" for ending, count in ordered[:most])
    return listed + (f" and {len(ordered) - most} endings more" if len(ordered) > most else "")


def _ending(file: str) -> str:
    return Path(file).suffix.lower()


def _why_not_read(file: str) -> str:
    if is_audio(file):
        return (
            f"its ending must be one that is read ({', '.join(ENDINGS)}); got {_ending(file)}: convert it, for example "
            "to .flac"
        )
    return f"no audio, by its ending; got {_ending(file) or 'none'}"


def read_mono(
    folder: Path, file: str, seconds: float | None = None, channel: int | None = None
) -> tuple[npt.NDArray[np.float32], int] | str:
    """Decode a file of a folder, mixed to mono, or say why it cannot be used.

    Parameters
    ----------
    folder : Path
        The folder.
    file : str
        Path below it, as :func:`find_audio` gives it.
    seconds : float, optional
        Decode so much of the beginning; the whole file by default.
    channel : int, optional
        Take this channel, from 0, instead of the mean of all.

    Returns
    -------
    (array of shape (samples,), int) or str
        Float32 samples and samples a second; or the reason, which names the file as ``file``.
    """
    if any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF for c in file):
        return "its name must be UTF-8 without control characters"
    try:
        if problem := _not_here(folder / file, file):
            return problem
        sound = read_sound(folder / file, 0.0, seconds)
    except (RuntimeError, OSError) as error:
        return str(error).replace(str(folder / file), file)  # the same bytes wherever the library lies
    if not np.isfinite(sound.channels).all():
        return "samples must be finite; got NaN or Inf"
    try:
        if problem := silence(sound.channels, sound.step, channel):
            return f"there must be sound; got {problem}" + ("" if seconds is None else f" for {seconds:g} s")
        waveform: npt.NDArray[np.float32] = mix(sound.channels, channel).astype(np.float32, copy=False)
    except ValueError as error:
        return str(error)
    return waveform, sound.rate


def _not_here(path: Path, file: str) -> str | None:
    """Say why there is no content to decode, in words that do not tell where the library lies."""
    if not path.is_symlink() and not path.is_file():
        return f"audio must lie in a file; got another thing in {file}"
    if (reason := not_fetched(path, file)) is not None:
        return f"a file that is read must be here; got {reason}"
    return None if path.stat().st_size else f"a file must hold audio; got 0 bytes in {file}"


def mix(channels: npt.NDArray[np.floating], channel: int | None = None) -> npt.NDArray[np.floating]:
    """Mean of the channels, or one of them; (channels, samples) becomes (samples,), of the same type.

    Raises
    ------
    ValueError
        If there is no such channel.
    """
    if channel is None:
        mean: npt.NDArray[np.floating] = channels.mean(axis=0, dtype=channels.dtype)
        return mean
    if not 0 <= channel < len(channels):
        raise ValueError(f"[sound.mix] channel must be from 0 to {len(channels) - 1}; got {channel}")
    one: npt.NDArray[np.floating] = channels[channel]
    return one


def silence(
    channels: npt.NDArray[np.floating],
    step: float,
    channel: int | None = None,
    envelope: npt.NDArray[np.floating] | None = None,
) -> str | None:
    """Say whether there is no sound after mixing to mono; the one judgement for stimuli and libraries.

    The root mean square around the mean is compared with the file's own resolution: at ``step`` or below, what is there
    is rounding or dither.

    - Digital silence and a constant offset are silence.
    - Dither of one least significant bit is silence.
    - Sound on one side only is sound.
    - Channels of opposite phase, or nearly so, are silent after mixing: mixing leaves a hundredth of the loudest
      channel or less, or no more than ``step``. One of them is sound.

    Parameters
    ----------
    channels : array of shape (channels, samples)
        Full scale is 1.
    step : float
        The smallest step between two values of the file.
    channel : int, optional
        Judge this channel instead of the mean of all.
    envelope : array of shape (samples,), optional
        A fade that the sound goes through after its mean was taken off.

    Returns
    -------
    str or None
        What there is instead of sound, to follow "got"; None for sound.
    """
    if channel is not None:
        channels = mix(channels, channel)[np.newaxis]
    if channels.size == 0:
        return "no samples"
    centred = channels - channels.mean(axis=1, keepdims=True, dtype=np.float64)
    if envelope is not None:
        centred *= envelope
    loudest = float(np.sqrt(np.mean(centred**2, axis=1)).max())
    mixed = float(np.sqrt(np.mean(centred.mean(axis=0) ** 2)))
    if loudest <= step or (mixed <= step and loudest <= len(channels) * step):
        return "silence"
    if mixed <= max(step, CANCELLED * loudest):
        return (
            f"{len(channels)} channels that cancel each other and are silent after mixing (take one of them with "
            "channel=0)"
        )
    return None
