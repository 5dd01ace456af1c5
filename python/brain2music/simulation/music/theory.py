"""Scales, chords in Roman numerals, voicings."""

import re
from dataclasses import dataclass

__all__ = ["KEYS", "SCALES", "Chord", "nearest", "progression"]

KEYS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

#: Semitones above the tonic. A mode is one of the first seven; melodies may use the rest.
SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
}

_STEPS = {"I": 0, "II": 2, "III": 4, "IV": 5, "V": 7, "VI": 9, "VII": 11}
_QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "5": (0, 7),
    "m5": (0, 7),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "maj7": (0, 4, 7, 11),
    "9": (0, 4, 7, 10, 14),
    "m9": (0, 3, 7, 10, 14),
    "maj9": (0, 4, 7, 11, 14),
    "13": (0, 4, 10, 14, 21),
    "alt": (0, 4, 10, 13, 20),
    "sus": (0, 5, 7),
    "add9": (0, 4, 7, 14),
    "dim": (0, 3, 6),
    "mdim": (0, 3, 6),
    "m7b5": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "mdim7": (0, 3, 6, 9),
}
#: The interval a degree of a tab asks for first, and what it takes where the chord and the scale lack that.
_DEGREES = {1: (0,), 2: (2, 1), 3: (4, 3, 5), 4: (5, 6), 5: (7, 6, 8), 6: (9, 8), 7: (10, 11), 8: (12,), 9: (14, 13)}


@dataclass(frozen=True)
class Chord:
    """A chord: pitch class of its root, intervals above the root in semitones, numeral as written."""

    root: int
    tones: tuple[int, ...]
    numeral: str

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """Pitch classes, root first."""
        return tuple((self.root + tone) % 12 for tone in self.tones)

    def bass(self, register: int) -> int:
        """Root as the MIDI key nearest to ``register``."""
        return nearest(self.root, register)

    def degree(self, number: int, scale: tuple[int, ...]) -> int:
        """Semitones from the root to a degree, 1 to 9: of the chord if it has that, else of ``scale`` (absolute)."""
        wanted = _DEGREES[number]
        for candidate in wanted:
            if (self.root + candidate) % 12 in self.pitch_classes:
                return candidate
        return next((candidate for candidate in wanted if (self.root + candidate) % 12 in scale), wanted[0])

    def voicing(self, register: int) -> list[int]:
        """Keys within six semitones of ``register``: common tones stay and the others move by step.

        Of five tones and more the root is left to the bass.
        """
        pitch_classes = self.pitch_classes[1:] if len(self.tones) > 4 else self.pitch_classes
        return sorted({nearest(pitch_class, register) for pitch_class in pitch_classes})


def nearest(pitch_class: int, register: int) -> int:
    """MIDI key of a pitch class within six semitones of ``register``."""
    return register + (pitch_class - register + 6) % 12 - 6


def progression(text: str, key: int) -> list[list[Chord]]:
    """Bars of chords: ``"I IV7 ii7-V7"`` is three bars, the last of them with two chords.

    Capital numerals are major, small ones minor; degrees are those of the major scale, with flats in front.
    """
    return [[_chord(numeral, key) for numeral in bar.split("-")] for bar in text.split()]


def _chord(numeral: str, key: int) -> Chord:
    match = re.fullmatch(r"([b#]?)([IV]+|[iv]+)(.*)", numeral)
    if match is None or match[2].upper() not in _STEPS:
        raise ValueError(f"[simulation.music.progression] a chord is a Roman numeral with a quality; got {numeral!r}")
    shift = {"": 0, "b": -1, "#": 1}[match[1]]
    quality = ("m" if match[2].islower() else "") + match[3]
    if quality not in _QUALITIES:
        raise ValueError(
            f"[simulation.music.progression] quality must be one of {', '.join(_QUALITIES)}; got {numeral!r}"
        )
    return Chord((key + shift + _STEPS[match[2].upper()]) % 12, _QUALITIES[quality], numeral)
