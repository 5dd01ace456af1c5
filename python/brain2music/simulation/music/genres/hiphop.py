"""Hip hop: drum machine, deep bass, a short loop of keys or strings, a rapping or sung voice, sparse harmony."""

from brain2music.simulation.music.style import Feel, Lead, Part, Style

RAPPERS = "synth voice, solo voice, voice"
LOOPS = "electric piano, grand piano, vibraphone, string section, clean electric guitar, flute, pizzicato strings"

BOOM_BAP = Feel(
    "boom bap",
    tempo=(78, 108),
    swing=(0.53, 0.62),
    swing_unit=0.25,
    kits="electronic drums, power drum kit, 808 drum machine",
    drums={
        "kick": "X.....x...X..... X.x.......Xx.... X......x.xX..... X.....xx..x....?",
        "snare": "....X.......X... ....X..o.o..X..o",
        "hat": "x.x.x.x.x.x.x.x. xoxoxoxoxoxoxoxo x.xxx.x.x.xxx.x.",
    },
    band={
        "bass": Part(
            "fingered bass, deep synth bass, upright bass",
            34,
            "1.....1...5..... 1--...1.1-...... 1.....3...1..7..",
            108,
        ),
        "loop": Part(LOOPS, 62, "x-----x---...... 1.5.8...7.5.3... x--x--x-........ 8..5..3.8..5..3.", 62),
        "stab": Part("brass section, string section, choir", 60, "x...............|................", 66, 0.3),
    },
    lead=Lead(RAPPERS, 57, (2.0, 3.2), 0.5, 0.15, "minor pentatonic", span=3, chance=0.75, level=88),
    fills=0.2,
    weight=1.3,
)

TRAP = Feel(
    "trap",
    tempo=(62, 88),
    kits="808 drum machine",
    drums={
        "kick": "X.....x...x..... X..x......X..x.. X.........xx..?.",
        "clap": "........X.......",
        "snare": "........X....... ........X.....o.",
        "hat": "x.x.x.x.x.x.x.x.x.xxx.x.x.x.xxxx x.x.x.xxx.x.x.x.x.x.xxxxx.x.x.x. xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "open": "................ ..........x.....",
    },
    band={
        "bass": Part("deep synth bass, synth bass", 31, "1-----1---1----- 1---------5----- 1--1------7--5--", 116),
        "loop": Part(
            "grand piano, celesta, pizzicato strings, crystal synth, choir",
            67,
            "8.5.3.5.8.5.3.5. x-------........ 8..5..3..5..8...",
            58,
        ),
        "pad": Part("slow strings, choir, warm pad", 58, "x---------------", 48, 0.6),
    },
    lead=Lead(RAPPERS, 58, (2.2, 3.6), 0.5, 0.2, "minor pentatonic", span=3, chance=0.7, level=86),
    fills=0.1,
)

G_FUNK = Feel(
    "west-coast funk",
    tempo=(84, 112),
    swing=(0.5, 0.58),
    swing_unit=0.25,
    kits="electronic drums, 808 drum machine, power drum kit",
    drums={
        "kick": "X..x..x...x..... X.....x.x....... X..x......xx....",
        "snare": "....X.......X...",
        "clap": "....X.......X... ................",
        "hat": "x.x.x.x.x.x.x.x. xoxoxoxoxoxoxoxo",
        "tambourine": "................ ....x.......x...",
    },
    band={
        "bass": Part(
            "synth bass, slap bass, deep synth bass", 33, "1..1..8...7.5... 1.....1.3...5.7. 1..1....7..7..8.", 110
        ),
        "keys": Part("electric piano, FM piano, clavinet", 62, "x-----..x--..... ..x...x...x...x. x--x----", 60),
        "guitar": Part(
            "muted guitar, clean electric guitar", 66, "....x..o....x.x. ..x...x.........|................", 54, 0.5
        ),
    },
    lead=Lead("saw-wave lead, square-wave lead, synth voice, solo voice", 72, (0.8, 2.0), 0.4, 0.4, "minor pentatonic"),
    fills=0.2,
    weight=0.8,
)

STYLE = Style(
    feels=(BOOM_BAP, TRAP, G_FUNK),
    progressions={
        "minor": ("i i bVI bVII", "i bVI", "i i iv i", "i bVI bIII bVII", "i7 iv7", "i i i i"),
        "dorian": ("i9 IV9", "i7 ii7", "i9 i9 IV9 i9"),
        "phrygian": ("i bII", "i i bII i"),
    },
    loudness=(-18, -14),
    tone=(7, -3, 2),
    reverb=0.15,
    forms=("AAAB", "AABA"),
    drive=1.6,
    looseness=0.002,
)
