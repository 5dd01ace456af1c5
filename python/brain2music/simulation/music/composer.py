"""The composer: a genre and a seed to a score."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pretty_midi  # type: ignore[import-untyped]

from brain2music.simulation.music.drums import drum
from brain2music.simulation.music.genres import GENRES, STYLES
from brain2music.simulation.music.instruments import KITS, PROGRAMS
from brain2music.simulation.music.melody import melody
from brain2music.simulation.music.score import Clock, Score, TimedChord
from brain2music.simulation.music.style import Feel, Part, Style
from brain2music.simulation.music.tabs import Note, accompany
from brain2music.simulation.music.theory import SCALES, Chord, progression

__all__ = ["compose"]

#: Sections are of eight bars where these last less than this many seconds, else of four.
_LONG = 16.0
#: Standard deviation of the tone of a genre's tracks, in dB.
_TONE = 1.2
#: Standard deviation of a player's touch, in MIDI velocity.
_TOUCH = 5.0


@dataclass(frozen=True)
class _Section:
    """What a letter of the form stands for: chords, tabs, who is silent, the melody's seed."""

    progression: str
    bars: list[list[Chord]]
    tabs: dict[str, str]
    drums: dict[str, str]
    silent: set[str]
    sings: bool
    energy: float
    seed: int


class _Song:
    """Everything decided before the first note, and the parts as they are played."""

    def __init__(self, rng: np.random.Generator, style: Style):
        weights = np.array([feel.weight for feel in style.feels])
        self.style = style
        self.feel: Feel = style.feels[rng.choice(len(weights), p=weights / weights.sum())]
        self.clock = Clock(
            tempo=float(rng.uniform(*self.feel.tempo)),
            swing=float(rng.uniform(*self.feel.swing)),
            unit=self.feel.swing_unit,
            rubato=self.feel.rubato,
        )
        self.mode = _pick(rng, tuple(style.progressions))
        self.key = int(rng.integers(12))
        self.loudness = float(rng.uniform(*style.loudness))
        self.tone = tuple(float(gain + rng.normal(0, _TONE)) for gain in style.tone)
        form = _pick(rng, style.forms)
        entry = int(rng.integers(len(form)))  # GTZAN's tracks are excerpts: few begin with the song
        self.letters = form[entry:] + form[:entry]
        self.sections = {letter: self._section(rng) for letter in "ABC"}
        # The first two parts carry the harmony: they are always there.
        self.band: dict[str, Part] = {
            name: part for i, (name, part) in enumerate(self.feel.band.items()) if rng.random() < part.chance or i < 2
        }
        self.programs = {name: PROGRAMS[_pick(rng, part.instruments.split(", "))] for name, part in self.band.items()}
        self.programs["lead"] = PROGRAMS[_pick(rng, self.feel.lead.instruments.split(", "))]
        self.programs["drums"] = KITS[_pick(rng, self.feel.kits.split(", "))]
        self.sung = rng.random() < self.feel.lead.chance
        self.scale = _absolute(self.mode, self.key)
        self.tune = _absolute(_lead_scale(self.feel.lead.scale, self.mode), self.key)
        self.notes: dict[str, list[Note]] = {name: [] for name in self.programs}
        self.chords: list[tuple[float, Chord]] = []
        self.starts: list[tuple[float, str]] = []
        self.end = 0.0

    def _section(self, rng: np.random.Generator) -> _Section:
        feel = self.feel
        text = _pick(rng, self.style.progressions[self.mode])
        cycle = progression(text, self.key)
        bars = 8 if self.clock.seconds(8 * feel.beats) < _LONG else 4
        return _Section(
            progression=text,
            bars=[cycle[bar % len(cycle)] for bar in range(max(len(cycle), bars))],
            tabs={name: _pick(rng, part.tabs.split()) for name, part in feel.band.items()},
            drums={piece: _pick(rng, tabs.split()) for piece, tabs in feel.drums.items()},
            silent={name for name in list(feel.band)[2:] if rng.random() < 0.2},
            sings=bool(rng.random() < 0.88),
            energy=float(rng.normal(0, 3)),
            seed=int(rng.integers(2**31)),
        )

    def play(self, rng: np.random.Generator) -> None:
        """Play the next section of the form."""
        feel, letter = self.feel, self.letters[len(self.starts) % len(self.letters)]
        section = self.sections[letter]
        for name, part in self.band.items():
            if name not in section.silent:
                played = accompany(rng, part, section.tabs[name], section.bars, self.scale, feel.beats)
                self.notes[name] += self._placed(played, section)
        if self.sung and section.sings:
            singer = np.random.default_rng(section.seed)  # a letter that returns sings what it sang
            phrase = melody(singer, feel.lead, section.bars, self.tune, feel.beats, feel.grid)
            self.notes["lead"] += self._placed(phrase, section)
        crash = feel.fills > 0.5 and bool(self.starts) and rng.random() < 0.6
        hits = drum(rng, section.drums, len(section.bars), feel.beats, feel.fills, crash)
        self.notes["drums"] += self._placed(hits, section)
        for bar, inside in enumerate(section.bars):
            for number, chord in enumerate(inside):
                self.chords.append((self.end + (bar + number / len(inside)) * feel.beats, chord))
        self.starts.append((self.end, letter))
        self.end += len(section.bars) * feel.beats

    def _placed(self, notes: Iterable[Note], section: _Section) -> Iterator[Note]:
        for note in notes:
            start = self.end + note.start
            # Dynamics swell and fade over four bars.
            swell = self.feel.swell * np.sin(2 * np.pi * start / (4 * self.feel.beats))
            velocity = note.velocity + section.energy + swell
            yield replace(note, start=start, end=self.end + note.end, velocity=velocity)


def compose(genre: str, seed: int, seconds: float = 30.0) -> Score:
    """Compose a track.

    Parameters
    ----------
    genre : str
        One of ``GENRES``.
    seed : int
        Not negative. The same genre and seed give the same music; ``seconds`` only cuts it.
    seconds : float, default 30
        Length of the track.

    Returns
    -------
    Score
        The notes and everything known about them. A note sounds at second 0.

    Raises
    ------
    ValueError
        If the genre is unknown, the seed negative or the length not positive.

    Examples
    --------
    >>> from brain2music.simulation.music import compose
    >>> compose("jazz", seed=3).midi.write("jazz.mid")  # doctest: +SKIP
    """
    if genre not in STYLES:
        raise ValueError(f"[simulation.music.compose] genre must be one of {', '.join(GENRES)}; got {genre!r}")
    if seed < 0:
        raise ValueError(f"[simulation.music.compose] seed must not be negative; got {seed}")
    if not seconds > 0:
        raise ValueError(f"[simulation.music.compose] seconds must be positive; got {seconds}")
    identity = [GENRES.index(genre), seed]
    rng = np.random.default_rng(identity)
    song = _Song(rng, STYLES[genre])
    while not song.starts or song.clock.seconds(song.end - song.feel.beats) < seconds:
        song.play(rng)
    first = min(note.start for notes in song.notes.values() for note in notes)
    clock = replace(song.clock, offset=song.clock.seconds(first))

    midi = pretty_midi.PrettyMIDI(initial_tempo=clock.tempo)
    meter = (12, 8) if song.feel.grid == 1 / 3 else (song.feel.beats, 4)
    midi.time_signature_changes.append(pretty_midi.TimeSignature(*meter, 0))
    for index, (name, notes) in enumerate(song.notes.items()):
        part = pretty_midi.Instrument(song.programs[name], is_drum=name == "drums", name=name)
        human = np.random.default_rng([*identity, index])
        part.notes = _perform(human, notes, clock, song.style.looseness, seconds)
        if part.notes:
            midi.instruments.append(part)

    beats = np.array([clock.seconds(beat) for beat in range(int(song.end))])
    heard = (beats > -1e-9) & (beats < seconds)
    return Score(
        genre=genre,
        seed=seed,
        seconds=seconds,
        feel=song.feel.name,
        tempo=clock.tempo,
        key=song.key,
        mode=song.mode,
        meter="{}/{}".format(*meter),
        swing=clock.swing,
        form="".join(letter for start, letter in song.starts if clock.seconds(start) < seconds),
        progression=song.sections["A"].progression,
        loudness=song.loudness,
        tone=song.tone,
        drive=song.style.drive,
        reverb=song.style.reverb,
        midi=midi,
        chords=_timed(song.chords, song.end, clock, seconds),
        beats=beats[heard],
        downbeats=beats[:: song.feel.beats][heard[:: song.feel.beats]],
    )


def _perform(
    rng: np.random.Generator, notes: list[Note], clock: Clock, looseness: float, seconds: float
) -> list[pretty_midi.Note]:
    """Turn beats into seconds, as far as they are heard, no more exact than a human plays."""
    human = rng.normal(size=(len(notes), 2)).clip(-3, 3)
    performed = []
    for note, (late, touch) in zip(notes, human.tolist(), strict=True):
        start = max(clock.seconds(note.start) + note.spread + looseness * late, 0.0)
        end = min(clock.seconds(note.end), seconds)
        if start < seconds - 0.05:
            velocity = int(np.clip(round(note.velocity + _TOUCH * touch), 20, 127))
            performed.append(pretty_midi.Note(velocity, note.key, start, max(end, start + 0.05)))
    return sorted(performed, key=lambda note: (note.start, note.pitch))


def _timed(chords: list[tuple[float, Chord]], end: float, clock: Clock, seconds: float) -> tuple[TimedChord, ...]:
    """Chords in seconds; a chord that is repeated is one chord."""
    times = [clock.seconds(beat) for beat, _ in chords] + [clock.seconds(end)]
    timed: list[TimedChord] = []
    for start, stop, (_, chord) in zip(times, times[1:], chords, strict=False):
        if start >= seconds or stop <= 0:
            continue
        if timed and timed[-1].chord == chord:
            timed[-1] = replace(timed[-1], end=min(stop, seconds))
        else:
            timed.append(TimedChord(max(start, 0.0), min(stop, seconds), chord))
    return tuple(timed)


def _absolute(scale: str, key: int) -> tuple[int, ...]:
    return tuple((key + step) % 12 for step in SCALES[scale])


def _lead_scale(scale: str, mode: str) -> str:
    """Scale to sing: the mode's own by name ``mode``; no major melody over a minor song, nor the other way round."""
    if scale == "mode":
        return mode
    if scale.endswith("pentatonic"):
        return "minor pentatonic" if 3 in SCALES[mode] else "major pentatonic"
    return "minor" if scale == "major" and 3 in SCALES[mode] else scale


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]
