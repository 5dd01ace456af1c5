"""Rock: backbeat, overdriven guitars in eighths, picked bass, organ, guitar solos; ballads and garage beside it."""

from brain2music.simulation.music.style import Feel, Lead, Part, Style

CRUNCH = "overdriven guitar"
SOLOISTS = "overdriven guitar, solo voice, voice, overdriven guitar, rock organ"
KITS = "drum kit, room drum kit, power drum kit"
BACKBEAT = "....X.......X... ....X..o.o..X... ....X.......X.x."

DRIVING = Feel(
    "driving rock",
    tempo=(104, 168),
    kits=KITS,
    drums={
        "kick": "x.......x.x..... x..x....x.x..... x.x.....x....... x.....x.x.x.....",
        "snare": BACKBEAT,
        "hat": "x.x.x.x.x.x.x.x.",
        "crash": "................ x...............",
    },
    band={
        "bass": Part("picked bass, fingered bass", 38, "11111111 1111111a 1.111.15", 94),
        "rhythm": Part(CRUNCH, 52, "dddddddd d-dd-dd- ddeeddee p---p-pp", 92),
        "second": Part(
            "overdriven guitar, clean electric guitar, rock organ", 60, "x------- x--x--x- x-------x-----x-", 66, 0.8
        ),
    },
    lead=Lead(SOLOISTS, 70, (0.9, 2.0), 0.35, 0.25, "minor pentatonic", level=98),
    weight=1.3,
)

RIFF = Feel(
    "hard-rock riff",
    tempo=(84, 136),
    kits=KITS,
    drums={
        "kick": "x......xx.x..... x..x..x.x....... x.x....xx.x.....",
        "snare": BACKBEAT,
        "hat": "x.x.x.x.x.x.x.x. x...x...x...x...",
        "cowbell": "................ x...x...x...x...",
    },
    band={
        "riff": Part(CRUNCH, 45, "p--p--7.p-.3-.4- p-.p-.1.3.1.7.1. p-1.3-1.4-3-1.7. p---1-3-4-3-p---", 98),
        "bass": Part("picked bass, fingered bass", 36, "1..1..7.1..3..4. 1.1.1.1.1.1.3.4. 1...1.1.1.1.1...", 94),
        "organ": Part("rock organ, drawbar organ, bright piano", 60, "x--------------- x-----x-", 56, 0.5),
    },
    lead=Lead(SOLOISTS, 69, (0.9, 2.2), 0.4, 0.35, "blues", level=98),
)

BALLAD = Feel(
    "rock ballad",
    tempo=(64, 102),
    kits=KITS,
    drums={
        "kick": "x.......x....... x.....x.x.......",
        "snare": "....X.......X...",
        "ride": "x.x.x.x.x.x.x.x. ................",
        "hat": "x.x.x.x.x.x.x.x. ................",
    },
    band={
        "bass": Part("fingered bass, picked bass", 38, "1---1--- 1-----5- 1--11-1-", 88),
        "rhythm": Part(CRUNCH, 52, "p------- p---p--- d-dd-dd-", 84),
        "arpeggio": Part("clean electric guitar, steel-string guitar", 60, "15358535 1-5-8-5- 1535853515358535", 70),
        "organ": Part("rock organ, drawbar organ", 60, "x-------", 52, 0.6),
    },
    lead=Lead(SOLOISTS, 71, (0.7, 1.6), 0.3, 0.2, "major pentatonic", level=98),
    weight=0.8,
)

GARAGE = Feel(
    "garage rock",
    tempo=(118, 188),
    kits=KITS,
    drums={
        "kick": "x...x...x...x... x.....x.x.....x. x...x.x.x...x.x.",
        "snare": "....X.......X... ..X...X...X...X.",
        "open": "x.x.x.x.x.x.x.x. x...x...x...x...",
    },
    band={
        "bass": Part("picked bass", 38, "11111111 1111111111111111", 94),
        "rhythm": Part(CRUNCH, 53, "xxxxxxxx dddddddd XoXoXoXo", 92),
        "second": Part(
            "clean electric guitar, rock organ, overdriven guitar", 62, "x---x--- ........|x.x.x---", 60, 0.5
        ),
    },
    lead=Lead(SOLOISTS, 70, (0.9, 1.8), 0.3, 0.35, "major pentatonic", level=98),
)

STYLE = Style(
    feels=(DRIVING, RIFF, BALLAD, GARAGE),
    progressions={
        "mixolydian": ("I bVII IV I", "I I bVII IV", "I IV bVII IV", "I bIII IV I"),
        "major": ("I IV V IV", "I V vi IV", "I IV I V", "I vi IV V"),
        "minor": ("i bVII bVI bVII", "i bIII bVII IV", "i bVI bVII i"),
    },
    loudness=(-17, -13),
    tone=(-1, 4, 1),
    reverb=0.3,
    drive=1.7,
    looseness=0.006,
)
