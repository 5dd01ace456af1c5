"""What can be embedded or tagged: a study's stimuli, audio files, waveforms; and texts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from typing import Any

import numpy as np

from brain2music import _core

__all__ = ["Music", "music", "texts"]

#: A waveform of shape (samples,) or (channels, samples), and its rate in Hz.
Sound = tuple[Any, int]


@dataclass(frozen=True)
class Music:
    """Clips that are decoded when asked for: their ids, and how to get them in that order."""

    ids: tuple[str, ...]
    sounds: Callable[[], Iterator[Sound]]
    where: str

    def __iter__(self) -> Iterator[tuple[str, Any, int]]:
        return ((clip, *sound) for clip, sound in zip(self.ids, self.sounds(), strict=True))

    def chunks(self, window: float, hop: float, batch: int) -> Iterator[list[tuple[str, Any, int]]]:
        """Yield clips of at most ``batch`` windows in all, but one at least, so that few waveforms are held at once.

        All clips of a chunk have as many windows.
        """
        held: list[tuple[str, Any, int]] = []
        windows = each = 0
        for name, waveform, rate in self:
            if rate < 1:
                raise ValueError(f"[{self.where}] rate must be a positive number of Hz; got {rate} for {name}")
            shape = np.shape(waveform)
            count = _core.embedding.window_count(shape[-1] / rate if shape else 0.0, window, hop)
            if held and (windows + count > batch or count != each):
                yield held
                held, windows = [], 0
            held.append((name, waveform, rate))
            windows, each = windows + count, count
        yield held


def music(what: Any, ids: Sequence[str] | None, seconds: float | None, where: str) -> Music:
    """See what music there is; ``seconds`` keeps the beginning of each clip, ``where`` signs messages."""
    if seconds is not None and not 0 < seconds < float("inf"):
        raise ValueError(f"[{where}] seconds must be a positive number; got {seconds}")
    if hasattr(what, "ids") and hasattr(what, "__iter__"):
        if ids is not None:
            raise ValueError(f"[{where}] ids must be left out where the music brings its own; got {len(ids)}")
        return _named(
            where, list(what.ids), None, lambda: (_beginning(waveform, rate, seconds) for waveform, rate in what)
        )
    if isinstance(what, tuple) and len(what) == 2 and isinstance(what[1], Integral) and not isinstance(what[1], bool):
        waveforms, rate = _list(what[0], where), int(what[1])
        numbers = [str(number) for number in range(len(waveforms))]
        return _named(where, numbers, ids, lambda: (_beginning(waveform, rate, seconds) for waveform in waveforms))
    if isinstance(what, str | bytes | PathLike) or not isinstance(what, Sequence):
        raise TypeError(
            f"[{where}] music must be a study's stimuli, a sequence of paths, or (waveforms, rate); got "
            f"{type(what).__name__}"
        )
    for path in what:
        if not isinstance(path, str | PathLike):
            raise TypeError(f"[{where}] a sequence must hold paths, or be (waveforms, rate); got {type(path).__name__}")
    return _named(
        where, [str(path) for path in what], ids, lambda: (_core.io.load_audio(path, 0.0, seconds) for path in what)
    )


def texts(what: Any, ids: Sequence[str] | None, where: str) -> tuple[tuple[str, ...], list[str]]:
    """See what texts there are: their ids, and they themselves; ``where`` signs messages."""
    if isinstance(what, Mapping):
        if ids is not None:
            raise ValueError(f"[{where}] ids must be left out where the texts bring their own; got {len(ids)}")
        names, given = list(what), list(what.values())
    elif isinstance(what, str) or not isinstance(what, Iterable):
        raise TypeError(f"[{where}] texts must be a sequence, or a mapping from clip id; got {type(what).__name__}")
    else:
        given = list(what)
        names = [str(i) for i in range(len(given))] if ids is None else [str(name) for name in ids]
    odd = next((text for text in given if not isinstance(text, str) or not text.strip()), None)
    if odd is not None:
        raise ValueError(f"[{where}] a text must be a string that is not blank; got {odd!r}")
    if not given or len(names) != len(given):
        raise ValueError(f"[{where}] there must be a text or more, and an id for each; got {len(given)}, {len(names)}")
    return tuple(names), given


def _named(where: str, own: list[str], given: Sequence[str] | None, sounds: Callable[[], Iterator[Sound]]) -> Music:
    names = own if given is None else [str(name) for name in given]
    if len(names) != len(own):
        raise ValueError(f"[{where}] ids must be as many as the clips; got {len(names)} for {len(own)}")
    if not names:
        raise ValueError(f"[{where}] there must be a clip or more; got none")
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"[{where}] ids must differ; got {twice!r} twice")
    return Music(tuple(names), sounds, where)


def _list(waveforms: Any, where: str) -> list[Any]:
    """Waveforms one by one: of an array (n, samples) or (n, channels, samples), or of a sequence."""
    shape = getattr(waveforms, "shape", None)
    if shape is not None and len(shape) not in (2, 3):
        raise ValueError(
            f"[{where}] waveforms must be (n, samples) or (n, channels, samples), or a sequence of (samples,) or "
            f"(channels, samples); got shape {tuple(shape)}"
        )
    if shape is None and not isinstance(waveforms, Sequence):
        raise TypeError(f"[{where}] waveforms must be an array or a sequence of arrays; got {type(waveforms).__name__}")
    return [each if hasattr(each, "shape") else np.asarray(each) for each in waveforms]


def _beginning(waveform: Any, rate: int, seconds: float | None) -> Sound:
    return waveform if seconds is None else waveform[..., : round(seconds * rate)], rate
