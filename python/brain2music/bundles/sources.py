"""What can be embedded: a study's stimuli, audio files, waveforms."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from typing import Any

import numpy as np

from brain2music import _core

__all__ = ["Music", "music"]

_WHERE = "bundles.Bundle.embed"

#: A waveform of shape (samples,) or (channels, samples), and its rate in Hz.
Sound = tuple[Any, int]


@dataclass(frozen=True)
class Music:
    """Clips that are decoded when asked for: their ids, and how to get them in that order."""

    ids: tuple[str, ...]
    sounds: Callable[[], Iterator[Sound]]

    def __iter__(self) -> Iterator[tuple[str, Any, int]]:
        return ((clip, *sound) for clip, sound in zip(self.ids, self.sounds(), strict=True))


def music(what: Any, ids: Sequence[str] | None, seconds: float | None) -> Music:
    """See what there is to embed; ``seconds`` keeps the beginning of each clip."""
    if seconds is not None and not 0 < seconds < float("inf"):
        raise ValueError(f"[{_WHERE}] seconds must be a positive number; got {seconds}")
    if hasattr(what, "ids") and hasattr(what, "__iter__"):
        if ids is not None:
            raise ValueError(f"[{_WHERE}] ids must be left out where the music brings its own; got {len(ids)}")
        return _named(list(what.ids), None, lambda: (_beginning(waveform, rate, seconds) for waveform, rate in what))
    if isinstance(what, tuple) and len(what) == 2 and isinstance(what[1], Integral) and not isinstance(what[1], bool):
        waveforms, rate = _list(what[0]), int(what[1])
        numbers = [str(number) for number in range(len(waveforms))]
        return _named(numbers, ids, lambda: (_beginning(waveform, rate, seconds) for waveform in waveforms))
    if isinstance(what, str | bytes | PathLike) or not isinstance(what, Sequence):
        raise TypeError(
            f"[{_WHERE}] music must be a study's stimuli, a sequence of paths, or (waveforms, rate); got "
            f"{type(what).__name__}"
        )
    for path in what:
        if not isinstance(path, str | PathLike):
            raise TypeError(
                f"[{_WHERE}] a sequence must hold paths, or be (waveforms, rate); got {type(path).__name__}"
            )
    return _named([str(path) for path in what], ids, lambda: (_core.io.load_audio(path, 0.0, seconds) for path in what))


def _named(own: list[str], given: Sequence[str] | None, sounds: Callable[[], Iterator[Sound]]) -> Music:
    names = own if given is None else [str(name) for name in given]
    if len(names) != len(own):
        raise ValueError(f"[{_WHERE}] ids must be as many as the clips; got {len(names)} for {len(own)}")
    if not names:
        raise ValueError(f"[{_WHERE}] there must be a clip or more; got none")
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"[{_WHERE}] ids must differ; got {twice!r} twice")
    return Music(tuple(names), sounds)


def _list(waveforms: Any) -> list[Any]:
    """Waveforms one by one: of an array (n, samples) or (n, channels, samples), or of a sequence."""
    shape = getattr(waveforms, "shape", None)
    if shape is not None and len(shape) not in (2, 3):
        raise ValueError(
            f"[{_WHERE}] waveforms must be (n, samples) or (n, channels, samples), or a sequence of (samples,) or "
            f"(channels, samples); got shape {tuple(shape)}"
        )
    if shape is None and not isinstance(waveforms, Sequence):
        raise TypeError(
            f"[{_WHERE}] waveforms must be an array or a sequence of arrays; got {type(waveforms).__name__}"
        )
    return [each if hasattr(each, "shape") else np.asarray(each) for each in waveforms]


def _beginning(waveform: Any, rate: int, seconds: float | None) -> Sound:
    return waveform if seconds is None else waveform[..., : round(seconds * rate)], rate
