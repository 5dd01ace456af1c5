"""Pop: four-chord loops in major keys, a sung hook, synthesisers, pianos and clean guitars, claps."""

from brain2music.simulation.music.style import Feel, Lead, Part, Style

SINGERS = "voice, solo voice, synth voice, voice, square-wave lead"
SYNTHS = "polyphonic synth, bright synth, warm pad, synth strings"
KITS = "electronic drums, room drum kit, electronic drums, drum kit"

DANCE = Feel(
    "dance pop",
    tempo=(94, 132),
    kits="electronic drums, 808 drum machine, electronic drums",
    drums={
        "kick": "x...x...x...x... x...x...x..xx... x..x..x.x..x..x.",
        "clap": "....X.......X...",
        "hat": "..x...x...x...x. x.x.x.x.x.x.x.x. xoxoxoxoxoxoxoxo",
        "shaker": "xoxoxoxoxoxoxoxo ................",
    },
    band={
        "bass": Part("synth bass, deep synth bass", 38, "11111111 1..1..1. .1.1.1.1 1-------", 92),
        "pluck": Part(
            "bright synth, polyphonic synth, crystal synth, marimba",
            68,
            "x..x..x.x..x..x. 1.5.8.5.1.5.8.5. 8.5.3.8.5.3.8.5.",
            76,
        ),
        "pad": Part("warm pad, synth strings, sweeping pad", 62, "x---------------", 68),
        "piano": Part("bright piano, grand piano", 64, "x--x--x- x-x-x-x-", 72, 0.4),
    },
    lead=Lead(SINGERS, 71, (1.0, 2.0), 0.45, 0.15, "major pentatonic", level=102),
    weight=1.2,
)

BALLAD = Feel(
    "pop ballad",
    tempo=(62, 98),
    kits=KITS,
    drums={
        "kick": "x.......x....... x......xx....... x.....x...x.....",
        "snare": "....x.......x...",
        "hat": "x.x.x.x.x.x.x.x. xoxoxoxoxoxoxoxo",
    },
    band={
        "bass": Part("fingered bass, fretless bass, synth bass", 38, "1------- 1--11--- 1---5---", 84),
        "piano": Part("grand piano, electric piano, FM piano", 62, "x-x-x-x- 1-5-8-5- x--x--x- 15851585", 80),
        "pad": Part("slow strings, warm pad, string section, synth strings", 64, "x-------", 64),
    },
    lead=Lead(SINGERS, 70, (0.8, 1.6), 0.35, 0.1, level=100),
)

SYNTH_POP = Feel(
    "synth pop",
    tempo=(92, 142),
    kits="electronic drums, 808 drum machine",
    drums={
        "kick": "x.......x....... x.....x.x....... x...x...x...x...",
        "snare": "....X.......X...",
        "clap": "....X.......X... ................",
        "hat": "x.x.x.x.x.x.x.x. xoxoxoxoxoxoxoxo",
    },
    band={
        "bass": Part("synth bass, deep synth bass", 38, "11111111 1.1.1.11 1-1-5-1- 1118111811181118", 90),
        "sequence": Part(
            "polyphonic synth, square-wave lead, bright synth, FM piano",
            69,
            "13583585 1.3.5.8.7.5.3.5. 8.8.5.5.3.3.5.5.",
            70,
        ),
        "pad": Part("synth strings, warm pad, sweeping pad, choir", 62, "x------- x-----x-", 72),
    },
    lead=Lead(SINGERS, 72, (0.9, 1.8), 0.35, 0.15, level=100),
)

GUITAR_POP = Feel(
    "guitar pop",
    tempo=(82, 128),
    kits=KITS,
    drums={
        "kick": "x.....x.x....... x..x....x.x..... x.x.....x.x.....",
        "snare": "....X.......X... ....X.......X.o.",
        "hat": "x.x.x.x.x.x.x.x. ................",
        "tambourine": "x.x.x.x.x.x.x.x. ....x.......x...",
        "clap": "................ ....x.......x...",
    },
    band={
        "bass": Part("fingered bass, picked bass", 38, "11111111 1..1..1. 1--11-5-", 88),
        "guitar": Part("steel-string guitar, clean electric guitar", 62, "x-xox-xo x.xx.xxo x--x-xx-", 66, strum=0.008),
        "keys": Part(SYNTHS, 66, "x------- 8.5.8.5.", 70),
        "piano": Part("grand piano, glockenspiel, electric piano", 72, "x------- 8-5-3-5-", 68, 0.6),
    },
    lead=Lead(SINGERS, 71, (1.0, 1.9), 0.4, 0.15, "major pentatonic", level=102),
)

STYLE = Style(
    feels=(DANCE, BALLAD, SYNTH_POP, GUITAR_POP),
    progressions={
        "major": (
            "I V vi IV",
            "vi IV I V",
            "I vi IV V",
            "IV I V vi",
            "Iadd9 IVadd9 vi7 V",
            "I iii IV V",
            "IV V iii vi",
            "I V ii IV",
        ),
        "minor": ("i bVI bIII bVII", "i bVII bVI bVII", "i iv bVI bVII"),
    },
    loudness=(-18, -14),
    tone=(3, -3, 3),
    reverb=0.4,
    forms=("AABB", "ABAB", "AAB", "AABA"),
    drive=1.5,
    looseness=0.003,
)
