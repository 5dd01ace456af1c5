"""How a genre is written down: feels, parts and tabs.

A tab is one bar in characters, each an equal share of the bar; ``|`` separates bars that take turns. Where several tabs
stand in a row, with spaces between, each section of a track draws one of them; of instruments, with commas between, a
track draws one.

=========  =============================================================================
``.``      silence
``-``      the note before goes on
``x X o``  the chord, or the drum: normal, accented, soft
``?``      as ``o``, sometimes
``1``-``9``  a degree of the chord: of its own tones, else of the scale above its root
``p``      power chord: root, fifth, octave
``d e``    root with fifth, root with sixth: the boogie of a blues guitar
``w``      walk: a tone of chord or scale close to the note before
``a``      approach: a semitone from the next chord's root
=========  =============================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Feel", "Lead", "Part", "Style"]


@dataclass(frozen=True)
class Part:
    """An accompanying part: who may play it, where, and what.

    ``instruments`` are out of ``instruments.PROGRAMS``; ``register`` is a MIDI key, ``level`` a MIDI velocity,
    ``chance`` how often the band has the part at all, and ``strum`` the seconds from string to string.
    """

    instruments: str
    register: int
    tabs: str
    level: int = 80
    chance: float = 1.0
    strum: float = 0.0


@dataclass(frozen=True)
class Lead:
    """A melody: notes a beat, share of them off the beat, share of answers left to silence."""

    instruments: str
    register: int
    density: tuple[float, float] = (0.8, 1.6)
    syncopation: float = 0.3
    space: float = 0.2
    scale: str = "mode"
    level: int = 95
    chance: float = 1.0
    span: int = 9


@dataclass(frozen=True)
class Feel:
    """One way of playing a genre: tempo and swing (share of the first of two eighths), drums and band.

    ``drums`` gives the tabs of each piece of the kit.
    """

    name: str
    tempo: tuple[float, float]
    band: Mapping[str, Part]
    lead: Lead
    drums: Mapping[str, str] = field(default_factory=dict)
    kits: str = "drum kit"
    swing: tuple[float, float] = (0.5, 0.5)
    swing_unit: float = 0.5
    beats: int = 4
    grid: float = 0.25
    rubato: float = 0.0
    swell: float = 0.0
    fills: float = 0.7
    weight: float = 1.0


@dataclass(frozen=True)
class Style:
    """A genre: its feels, for each mode its progressions, and how it is mixed.

    ``loudness`` is RMS in dB of full scale, ``tone`` what the mix adds at 80, 800 and 8,000 Hz in dB (each track a
    little otherwise), ``drive`` how hard it is compressed, ``reverb`` the level of the room from 0 to 1,
    ``looseness`` the standard deviation of onsets in seconds.
    """

    feels: tuple[Feel, ...]
    progressions: Mapping[str, tuple[str, ...]]
    loudness: tuple[float, float]
    forms: tuple[str, ...] = ("AABA", "AABB", "ABAB", "AAAB")
    tone: tuple[float, float, float] = (0.0, 0.0, 0.0)
    drive: float = 1.0
    reverb: float = 0.3
    looseness: float = 0.006
