"""Metal: distorted power chords low on the neck, palm-muted gallops, double kick, minor and phrygian riffs."""

from brain2music.simulation.music.style import Feel, Lead, Part, Style

WALL = "distorted guitar"
BASSES = "picked bass, fingered bass"
KITS = "power drum kit, power drum kit, room drum kit"
SHRED = "distorted guitar, overdriven guitar"
DOUBLE = "xxxxxxxxxxxxxxxx x.xxx.xxx.xxx.xx xxxx..xxxxxx..xx"

THRASH = Feel(
    "thrash",
    tempo=(120, 200),
    kits=KITS,
    drums={
        "kick": DOUBLE,
        "snare": "..X...X...X...X. ....X.......X... ..X...X...X..XX.",
        "hat": "x.x.x.x.x.x.x.x.",
        "crash": "................ x...x...x...x...",
    },
    band={
        "riff": Part(WALL, 40, "1111p-1111p-11p- 1.11p-1.1.2-3-2- 1111211131112111 p-11p-11p-112-3-", 120),
        "double": Part(WALL, 47, "p-------p------- p---p---p---p-p- p-11p-11p-11p-p-", 112),
        "bass": Part(BASSES, 31, "1111111111111111 1.111.111.111.11", 96),
    },
    lead=Lead(SHRED, 74, (1.8, 3.6), 0.15, 0.3, level=114, chance=0.55),
    weight=1.2,
)

GALLOP = Feel(
    "heavy-metal gallop",
    tempo=(92, 164),
    kits=KITS,
    drums={
        "kick": "x.xxx.xxx.xxx.xx x...x.x.x...x.x. x.x...x.x.x...x.",
        "snare": "....X.......X...",
        "hat": "x.x.x.x.x.x.x.x. x...x...x...x...",
        "crash": "................ x.......x.......",
    },
    band={
        "riff": Part(WALL, 40, "1.111.111.11p--- p-111-111-11p-p- 1.11p-1.1.11p-3-", 120),
        "double": Part(
            "distorted guitar, overdriven guitar", 52, "p--------------- p-----p---p----- 8.7.5.7.8.7.5.3.", 108
        ),
        "bass": Part(BASSES, 31, "1.111.111.111.11 1.1.1.1.1.1.1.1.", 96),
    },
    lead=Lead(SHRED, 73, (1.0, 2.6), 0.2, 0.35, level=114, chance=0.6),
)

DOOM = Feel(
    "doom",
    tempo=(60, 100),
    kits=KITS,
    drums={
        "kick": "x.....x.x....... x.......x.x..... x..x....x..x....",
        "snare": "....X.......X... ........X.......",
        "ride": "x...x...x...x... x.x.x.x.x.x.x.x.",
        "crash": "x............... x.......x.......",
    },
    band={
        "riff": Part(WALL, 40, "p-------p---p--- p-----p-2---1--- p---------3-2-1-", 120),
        "double": Part(WALL, 47, "p-------p---p--- p---------------", 112),
        "bass": Part("picked bass, fingered bass", 31, "1-------1---1--- 1---1---1---1---", 100),
        "choir": Part("choir, church organ, slow strings", 60, "x---------------", 50, 0.35),
    },
    lead=Lead(SHRED, 70, (0.6, 1.4), 0.2, 0.4, level=114, chance=0.5),
    weight=0.9,
)

GROOVE = Feel(
    "groove metal",
    tempo=(82, 132),
    kits=KITS,
    drums={
        "kick": "x..xx.x...xxx.x. x.xx..x.x.xx..x. xxx.x.xxx.x.xxx.",
        "snare": "....X.......X... ........X.......",
        "hat": "x...x...x...x... x.x.x.x.x.x.x.x.",
        "crash": "x...x...x...x... ................",
    },
    band={
        "riff": Part(WALL, 38, "1..11.1...111.2. p.11..1.p.11..2- 111.1.111.1.3-2-", 120),
        "double": Part(WALL, 45, "p..pp.p...ppp.p- p-------p-------", 112),
        "bass": Part(BASSES, 31, "1..11.1...111.1. 1.11..1.1.11..1.", 102),
    },
    lead=Lead(SHRED, 72, (0.8, 2.4), 0.3, 0.4, level=114, chance=0.5),
)

STYLE = Style(
    feels=(THRASH, GALLOP, DOOM, GROOVE),
    progressions={
        "minor": ("i5 i5 bVI5 bVII5", "i5 bVI5 bIII5 bVII5", "i5 i5 i5 bVII5", "i5 bVII5 bVI5 V5", "i5 iv5 bVI5 V5"),
        "phrygian": ("i5 bII5 i5 bII5", "i5 i5 bII5 bIII5", "i5 bII5 bVII5 i5", "i5 i5 i5 bII5"),
    },
    loudness=(-15, -11.5),
    tone=(4, -2, 3),
    reverb=0.2,
    forms=("AABB", "ABAB", "AABC"),
    drive=2.2,
    looseness=0.003,
)
