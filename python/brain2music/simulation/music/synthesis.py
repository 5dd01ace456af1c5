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
    mixed = _equalise(synthesise(score.midi, score.seconds, score.reverb), score.tone)
    # Mastered: compressed by the genre's drive, set to its level; peaks are bent, never cut.
    pressed = np.tanh(np.float32(score.drive / 8) * mixed / _rms(mixed))
    sound = _limit(np.float32(10 ** (score.loudness / 20)) * pressed / _rms(pressed))
    fade = round(_FADE * RATE)
    sound[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return sound


def synthesise(midi: pretty_midi.PrettyMIDI, seconds: float, reverb: float = 0.0) -> npt.NDArray[np.float32]:
    """Play MIDI as it is: no tone, no level, no limit; mono at ``RATE``, of shape (samples,)."""
    fluidsynth = _fluidsynth()
    samples = round(seconds * RATE)
    sound = np.empty((samples, 2), np.float32)
    synth = fluidsynth.Synth(gain=0.3, samplerate=RATE, channels=16, **_SETTINGS)
    try:
        synth.set_reverb(roomsize=0.2 + 0.6 * reverb, damping=0.3, width=0.5, level=reverb)
        font = synth.sfload(str(Path(pretty_midi.__file__).with_name("TimGM6mb.sf2")))
        if font < 0:
            raise RuntimeError("[simulation.music.render] the sound font of pretty_midi must load; got an error")
        done = 0
        for time, on, channel, key, velocity in _events(synth, font, midi):
            upto = min(round(time * RATE), samples)
            _write(fluidsynth, synth, sound[done:upto])
            done = max(done, upto)
            if on:
                synth.noteon(channel, key, velocity)
            else:
                synth.noteoff(channel, key)
        _write(fluidsynth, synth, sound[done:])
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


def _write(fluidsynth: Any, synth: Any, out: npt.NDArray[np.float32]) -> None:
    """Fill ``out``, of shape (samples, 2), with the next samples.

    The float output, since the 16-bit one of ``Synth.get_samples`` is dithered with the process's random numbers.
    """
    if len(out):
        left = out.ctypes.data_as(ctypes.c_void_p)
        fluidsynth.fluid_synth_write_float(synth.synth, len(out), left, 0, 2, left, 1, 2)


def _fluidsynth() -> Any:
    try:
        module: Any = importlib.import_module("fluidsynth")
    except ImportError as error:
        raise ImportError(
            f"[simulation.music.render] FluidSynth must be installed: 'apt install libfluidsynth3' or 'conda install "
            f"-c conda-forge fluidsynth', and 'pip install brain2music[simulate]'; got '{error}'"
        ) from error
    if not hasattr(module, "fluid_synth_write_float"):
        module.fluid_synth_write_float = module.cfunc(
            "fluid_synth_write_float",
            ctypes.c_int,
            ("synth", ctypes.c_void_p, 1),
            ("len", ctypes.c_int, 1),
            ("lbuf", ctypes.c_void_p, 1),
            ("loff", ctypes.c_int, 1),
            ("lincr", ctypes.c_int, 1),
            ("rbuf", ctypes.c_void_p, 1),
            ("roff", ctypes.c_int, 1),
            ("rincr", ctypes.c_int, 1),
        )
    return module


def _equalise(sound: npt.NDArray[np.float32], tone: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Add ``tone`` dB at 80, 800 and 8,000 Hz, straight lines over octaves between, without a shift of phase."""
    padded = 2 ** int(np.ceil(np.log2(len(sound) + RATE)))  # silence behind, for what the filter smears around
    spectrum = np.fft.rfft(sound, padded)
    hertz = np.maximum(np.fft.rfftfreq(padded, 1 / RATE), 1.0)
    spectrum *= 10 ** (np.interp(np.log(hertz), np.log(_TONE_HZ), tone) / 20)
    result: npt.NDArray[np.float32] = np.fft.irfft(spectrum, padded)[: len(sound)].astype(np.float32)
    return result


def _limit(sound: npt.NDArray[np.float32], knee: float = 0.7) -> npt.NDArray[np.float32]:
    """Leave what lies under the knee, bend what lies above to at most the peak."""
    size = np.abs(sound)
    room = np.float32(_PEAK - knee)
    bent = knee + room * np.tanh((size - knee) / room)
    result: npt.NDArray[np.float32] = np.where(size > knee, np.sign(sound) * bent, sound).astype(np.float32)
    return result


def _rms(sound: npt.NDArray[np.float32]) -> np.float32:
    return np.float32(np.sqrt(np.mean(np.square(sound, dtype=np.float64))) or 1.0)
