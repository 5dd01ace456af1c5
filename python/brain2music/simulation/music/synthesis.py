"""Scores to sound: FluidSynth, offline, with the sound font inside the ``pretty_midi`` package."""

import ctypes
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pretty_midi  # type: ignore[import-untyped]

from brain2music.simulation.music.score import Score

__all__ = ["RATE", "render"]

#: Samples per second, as in GTZAN.
RATE = 22050

_Floats = npt.NDArray[np.float64]

_PEAK = 0.97
_FADE = 0.01
_DRUM_BANK = 128
_DRUM_CHANNEL = 9
#: One thread and no chorus, so that the same events always give the same samples.
_SETTINGS = {"synth.cpu-cores": 1, "synth.chorus.active": 0, "synth.reverb.active": 1}
_TONE_HZ = (80.0, 800.0, 8000.0)


def render(score: Score) -> npt.NDArray[np.float32]:
    """Play a score.

    Parameters
    ----------
    score : Score
        What to play.

    Returns
    -------
    array of shape (samples,)
        Mono at ``RATE`` (22,050 Hz), within -0.97 and 0.97, of ``score.seconds`` seconds. The same score gives the same
        samples.

    Raises
    ------
    ImportError
        If FluidSynth is not installed.
    """
    # In float64, so that rounding to 16 bits hides how one processor's tanh differs from another's.
    mixed = _equalise(synthesise(score.midi, score.seconds, score.reverb).astype(np.float64), score.tone)
    # Mastered: compressed by the genre's drive, set to its level; peaks are bent, never cut.
    pressed = np.tanh(score.drive / 8 * mixed / _rms(mixed))
    sound = _limit(10 ** (score.loudness / 20) * pressed / _rms(pressed))
    fade = min(round(_FADE * RATE), len(sound))
    sound[len(sound) - fade :] *= np.linspace(1, 0, fade)
    return sound.astype(np.float32)


def synthesise(midi: pretty_midi.PrettyMIDI, seconds: float, reverb: float = 0.0) -> npt.NDArray[np.float32]:
    """Play MIDI as it is: no tone, no level, no limit; mono at ``RATE``, of shape (samples,)."""
    fluidsynth, write = _fluidsynth()
    samples = round(seconds * RATE)
    sound = np.empty((samples, 2), np.float32)

    def fill(start: int, stop: int) -> None:
        if start < stop:
            stereo = sound[start:stop].ctypes.data_as(ctypes.c_void_p)
            write(synth.synth, stop - start, stereo, 0, 2, stereo, 1, 2)

    synth = fluidsynth.Synth(gain=0.3, samplerate=RATE, channels=16, **_SETTINGS)
    try:
        synth.set_reverb(roomsize=0.2 + 0.6 * reverb, damping=0.3, width=0.5, level=reverb)
        path = Path(pretty_midi.__file__).with_name("TimGM6mb.sf2")
        font = synth.sfload(str(path))
        if font < 0:
            raise RuntimeError(f"[simulation.music.render] pretty_midi must bring its sound font; got none at {path}")
        done = 0
        for time, on, channel, key, velocity in _events(synth, font, midi):
            now = min(round(time * RATE), samples)
            fill(done, now)
            done = now
            if on:
                synth.noteon(channel, key, velocity)
            else:
                synth.noteoff(channel, key)
        fill(done, samples)
    finally:
        synth.delete()
    mono: npt.NDArray[np.float32] = sound.mean(axis=1)
    return mono


def _events(synth: Any, font: int, midi: pretty_midi.PrettyMIDI) -> list[tuple[float, bool, int, int, int]]:
    """Give each instrument a channel and its program; notes on and off in the order of time, off before on."""
    channels = (channel for channel in range(16) if channel != _DRUM_CHANNEL)
    events = []
    for part in midi.instruments:
        channel = _DRUM_CHANNEL if part.is_drum else next(channels)
        synth.program_select(channel, font, _DRUM_BANK if part.is_drum else 0, part.program)
        for note in part.notes:
            events.append((note.start, True, channel, note.pitch, note.velocity))
            events.append((note.end, False, channel, note.pitch, 0))
    return sorted(events, key=lambda event: event[:4])


def _fluidsynth() -> tuple[Any, Any]:
    """Load ``fluidsynth``, and the float output of its synthesiser, which the module leaves out.

    The 16-bit output that it has is dithered with the random numbers of the process.
    """
    try:
        module: Any = importlib.import_module("fluidsynth")
    except ImportError as error:
        raise ImportError(
            f"[simulation.music.render] FluidSynth must be installed: 'apt install libfluidsynth3' or 'conda install "
            f"-c conda-forge fluidsynth', and 'pip install brain2music[simulate]'; got '{error}'"
        ) from error
    number, pointer = ctypes.c_int, ctypes.c_void_p
    types = (pointer, number, pointer, number, number, pointer, number, number)
    names = ("synth", "len", "lout", "loff", "lincr", "rout", "roff", "rincr")
    arguments = ((name, kind, 1) for name, kind in zip(names, types, strict=True))
    return module, module.cfunc("fluid_synth_write_float", number, *arguments)


def _equalise(sound: _Floats, tone: tuple[float, ...]) -> _Floats:
    """Add ``tone`` dB at 80, 800 and 8,000 Hz, straight lines over octaves between, without a shift of phase."""
    padded = len(sound) + RATE  # a second of silence behind, for what the filter smears around
    hertz = np.maximum(np.fft.rfftfreq(padded, 1 / RATE), 1.0)
    gain = 10 ** (np.interp(np.log(hertz), np.log(_TONE_HZ), tone) / 20)
    return np.fft.irfft(gain * np.fft.rfft(sound, padded), padded)[: len(sound)]


def _limit(sound: _Floats, knee: float = 0.7) -> _Floats:
    """Leave what lies under the knee, bend what lies above to at most the peak."""
    size = np.abs(sound)
    bent = knee + (_PEAK - knee) * np.tanh((size - knee) / (_PEAK - knee))
    return np.where(size > knee, np.sign(sound) * bent, sound)


def _rms(sound: _Floats) -> float:
    return float(np.sqrt(np.mean(sound**2))) or 1.0
