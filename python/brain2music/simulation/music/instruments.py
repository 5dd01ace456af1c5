"""Sounds of General MIDI by the names that captions use, and the families that features tell apart."""

__all__ = ["DRUMS", "FAMILIES", "KITS", "PROGRAMS", "family"]

#: Melodic instruments, family by family: name to General MIDI program.
FAMILIES: dict[str, dict[str, int]] = {
    "keys": {
        "grand piano": 0,
        "bright piano": 1,
        "honky-tonk piano": 3,
        "electric piano": 4,
        "FM piano": 5,
        "harpsichord": 6,
        "clavinet": 7,
    },
    "mallets": {"celesta": 8, "glockenspiel": 9, "vibraphone": 11, "marimba": 12, "timpani": 47, "steel drum": 114},
    "organ": {
        "drawbar organ": 16,
        "percussive organ": 17,
        "rock organ": 18,
        "church organ": 19,
        "reed organ": 20,
        "accordion": 21,
        "harmonica": 22,
    },
    "guitar": {
        "nylon-string guitar": 24,
        "steel-string guitar": 25,
        "jazz guitar": 26,
        "clean electric guitar": 27,
        "muted guitar": 28,
        "banjo": 105,
        "harp": 46,
    },
    "distortion": {"overdriven guitar": 29, "distorted guitar": 30},
    "bass": {
        "upright bass": 32,
        "fingered bass": 33,
        "picked bass": 34,
        "fretless bass": 35,
        "slap bass": 36,
        "synth bass": 38,
        "deep synth bass": 39,
    },
    "strings": {
        "violin": 40,
        "viola": 41,
        "cello": 42,
        "double bass": 43,
        "tremolo strings": 44,
        "pizzicato strings": 45,
        "string section": 48,
        "slow strings": 49,
        "synth strings": 50,
        "fiddle": 110,
    },
    "voice": {"choir": 52, "voice": 53, "synth voice": 54, "solo voice": 85},
    "brass": {
        "trumpet": 56,
        "trombone": 57,
        "tuba": 58,
        "muted trumpet": 59,
        "French horn": 60,
        "brass section": 61,
        "synth brass": 62,
    },
    "winds": {
        "soprano saxophone": 64,
        "alto saxophone": 65,
        "tenor saxophone": 66,
        "baritone saxophone": 67,
        "oboe": 68,
        "bassoon": 70,
        "clarinet": 71,
        "flute": 73,
        "recorder": 74,
        "whistle": 78,
    },
    "synth": {
        "square-wave lead": 80,
        "saw-wave lead": 81,
        "charango lead": 84,
        "warm pad": 89,
        "polyphonic synth": 90,
        "sweeping pad": 95,
        "crystal synth": 98,
        "bright synth": 100,
    },
}

PROGRAMS: dict[str, int] = {name: program for members in FAMILIES.values() for name, program in members.items()}

#: Drum kits of bank 128.
KITS: dict[str, int] = {
    "drum kit": 0,
    "room drum kit": 8,
    "power drum kit": 16,
    "electronic drums": 24,
    "808 drum machine": 25,
    "jazz drum kit": 32,
    "brushed drums": 40,
}

#: Keys of a drum kit.
DRUMS: dict[str, int] = {
    "kick": 36,
    "rim": 37,
    "snare": 38,
    "clap": 39,
    "hat": 42,
    "pedal": 44,
    "open": 46,
    "low tom": 45,
    "mid tom": 47,
    "high tom": 50,
    "crash": 49,
    "ride": 51,
    "bell": 53,
    "tambourine": 54,
    "cowbell": 56,
    "bongo": 60,
    "conga": 63,
    "low conga": 64,
    "shaker": 82,
}

_FAMILY_OF = {program: family for family, members in FAMILIES.items() for program in members.values()}


def family(program: int) -> str:
    """Family of a General MIDI program that the composer uses."""
    return _FAMILY_OF[program]
