"""Disco: four on the floor, open hats off the beat, octave bass, strings and brass, scratching guitar."""

from brain2music.simulation.music.style import Feel, Lead, Part, Style

FOUR = "x...x...x...x..."
CLAPS = "....X.......X... ....X..o....X... ....X.......X.o."
OPEN = "..X...X...X...X."
HATS = "x.o.x.o.x.o.x.o. xo.oxo.oxo.oxo.o xoooxoooxoooxooo"
SINGERS = "voice, synth voice, string section, brass section, solo voice, saw-wave lead"

PHILLY = Feel(
    "orchestral disco",
    tempo=(98, 132),
    kits="drum kit, room drum kit, electronic drums",
    drums={
        "kick": FOUR,
        "snare": CLAPS,
        "open": OPEN,
        "hat": HATS,
        "conga": "..x..x....xx..x. ................ x..x..x...x.x...",
        "tambourine": "....x.......x... x.x.x.x.x.x.x.x. ................",
    },
    band={
        "bass": Part("fingered bass, slap bass, picked bass", 38, "1.8.1.8. 1.81.8.1 1..81.8.5..81.8. 1.8.5.8.", 96),
        "strings": Part("string section, synth strings", 71, "x------- x---x--- ....8.7.5---.... x--x--x-", 82),
        "guitar": Part(
            "clean electric guitar, muted guitar", 66, "..x...x...x...x. x.xxo.xxx.xxo.xx .xx..xx..xx..xx.", 66
        ),
        "brass": Part("brass section, trumpet", 65, "........ x..x....|........ ........|......xx", 82, 0.6),
        "keys": Part("electric piano, bright piano, clavinet", 62, "x--x--x- ..x..x.. x-------", 70, 0.6),
    },
    lead=Lead(SINGERS, 72, (0.8, 1.7), 0.45, 0.25),
    weight=1.4,
)

EURO = Feel(
    "electronic disco",
    tempo=(106, 138),
    kits="electronic drums, 808 drum machine",
    drums={"kick": FOUR, "clap": CLAPS, "open": OPEN, "hat": HATS},
    band={
        "bass": Part(
            "synth bass, deep synth bass", 38, "1818181818181818 1.8.1.8.1.8.1.8. 11811181 1118111811181118", 96
        ),
        "strings": Part("synth strings, string section", 69, "x------- x-----x-", 74),
        "sequence": Part(
            "polyphonic synth, clavinet, FM piano", 67, "1.5.8.5.1.5.8.5. x..x..x.x..x..x. 8.5.3.5.", 62, 0.8
        ),
    },
    lead=Lead(SINGERS, 73, (0.8, 1.6), 0.4, 0.25),
)

FUNK = Feel(
    "funky disco",
    tempo=(94, 122),
    kits="drum kit, room drum kit",
    drums={
        "kick": FOUR,
        "snare": CLAPS,
        "open": OPEN,
        "hat": HATS,
        "cowbell": "................ x...x...x...x...",
    },
    band={
        "bass": Part("slap bass, fingered bass", 38, "1..1..8..71.5.7. 1...8.1..81.7.5. 1.18..7.5..5.7.8", 98),
        "guitar": Part(
            "clean electric guitar, muted guitar", 66, "x.xxo.xxx.xxo.xx ..xxo.x...xxo.x. xoxxoxoxxoxxoxox", 70
        ),
        "strings": Part("string section, synth strings", 72, "x------- ........|8-7-5---", 72, 0.7),
        "keys": Part("clavinet, electric piano", 60, "x..x..o.x..xo... x..o..x.", 72, 0.7),
        "brass": Part("brass section", 65, "x.x.....|........ ........|....x.xx", 82, 0.6),
    },
    lead=Lead(SINGERS, 71, (0.8, 1.6), 0.5, 0.3, "minor pentatonic"),
)

STYLE = Style(
    feels=(PHILLY, EURO, FUNK),
    progressions={
        "minor": (
            "i bVII bVI bVII",
            "i iv bVII bIII",
            "i7 iv7 i7 V7",
            "i bVI bIII bVII",
            "i iv bVII bIII bVI iidim V7 i",
        ),
        "dorian": ("i7 IV9", "i7 i7 IV9 IV9", "i9 ii7 i9 ii7"),
        "major": ("Imaj7 vi7 ii7 V7", "I IV ii V", "Imaj7 iii7 IVmaj7 V"),
    },
    loudness=(-18, -14),
    tone=(0, -1, 6),
    reverb=0.35,
    drive=1.3,
    looseness=0.003,
)
