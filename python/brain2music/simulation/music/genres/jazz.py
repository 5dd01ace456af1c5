"""Jazz: swinging ride, walking bass, rootless voicings, horns and vibraphone; bossa, ballad and waltz beside it."""

from brain2music.simulation.music.style import Feel, Lead, Part, Style

HORNS = "tenor saxophone, alto saxophone, trumpet, muted trumpet, trombone, soprano saxophone, clarinet"
SOLOISTS = f"{HORNS}, vibraphone, jazz guitar, grand piano"
COMPING = "grand piano, jazz guitar, vibraphone, grand piano"
KITS = "jazz drum kit, brushed drums"

SWING = Feel(
    "swing",
    tempo=(104, 216),
    swing=(0.58, 0.68),
    kits=KITS,
    grid=0.5,
    drums={
        "ride": "x.xxx.xx x.xox.xo xox.xox.",
        "pedal": "..x...x.",
        "kick": "o.o.o.o. o...?... .?.....?",
        "snare": "...?...? .?.?...o ..o..?.?",
    },
    band={
        "bass": Part("upright bass", 40, "1-w-w-a- 1-3-5-a- 1-w-5-a-|8-w-w-a-", 96),
        "comping": Part(COMPING, 61, ".x.....? x..x.... ...x...?|.?..x... ?..x.?..", 62),
    },
    lead=Lead(SOLOISTS, 68, (1.1, 2.0), 0.45, 0.25, level=90),
    weight=1.8,
)

BALLAD = Feel(
    "ballad",
    tempo=(56, 92),
    swing=(0.52, 0.62),
    kits="brushed drums",
    drums={"snare": "xoooxooo x.oox.oo", "ride": "x.xox.xo x...x...", "pedal": "..x...x."},
    band={
        "bass": Part("upright bass, fretless bass", 40, "1---5--- 1-----a- 1---w-a-", 86),
        "comping": Part(COMPING, 61, "x-----x- x---x--- .x---x--", 56),
    },
    lead=Lead(SOLOISTS, 67, (0.7, 1.7), 0.35, 0.15, level=86),
    rubato=0.02,
    fills=0.2,
)

BOSSA = Feel(
    "bossa nova",
    tempo=(98, 150),
    kits=KITS,
    drums={
        "rim": "x..x..x...x..x.. x..x..x....x..x.",
        "kick": "x..xx..xx..xx..x x...x...x...x...",
        "hat": "xoxoxoxoxoxoxoxo x.x.x.x.x.x.x.x.",
        "shaker": "xoxoxoxoxoxoxoxo ................",
    },
    band={
        "bass": Part("upright bass, fingered bass", 40, "1--55--1 1--55--a", 88),
        "guitar": Part(
            "nylon-string guitar, jazz guitar",
            60,
            "x..x..x...x..x.. ..x..x..x..x..x. x.xx.x.xx.xx.x.x",
            68,
            strum=0.006,
        ),
        "keys": Part("grand piano, vibraphone, electric piano", 64, "........|x------- ...x--..|........", 52, 0.5),
    },
    lead=Lead("tenor saxophone, flute, jazz guitar, voice, trumpet, trombone", 69, (0.7, 1.5), 0.5, 0.25, level=84),
)

WALTZ = Feel(
    "jazz waltz",
    tempo=(108, 180),
    swing=(0.56, 0.66),
    beats=3,
    kits=KITS,
    grid=0.5,
    drums={"ride": "x.xxx. x.x.x. x.xxxx", "pedal": "..x... ..x.x.", "snare": "...?.? .?...?"},
    band={
        "bass": Part("upright bass", 40, "1-w-a- 1---a- 1-----|5---a-", 92),
        "comping": Part(COMPING, 61, "...x-- x..x.. ?..x.?", 60),
    },
    lead=Lead(SOLOISTS, 69, (1.0, 1.8), 0.35, 0.2, level=88),
    weight=0.8,
)

STYLE = Style(
    feels=(SWING, BALLAD, BOSSA, WALTZ),
    progressions={
        "major": (
            "ii9 V13 Imaj9 Imaj9",
            "Imaj9-VI7 ii9-V13 Imaj9-VI7 ii9-V13 I9 IV9-#IVdim7 iii7-VI7 ii9-V13",
            "Imaj9 vi9 ii9 V13",
            "ii9 V13 iii7 VI7 ii9 V13 Imaj9 VI7",
            "I13 IV13 I13 I13 IV13 IV13 I13 VI7 ii9 V13 I13-VI7 ii9-V13",
            "Imaj9 II9 ii9 V13-bII9",
        ),
        "dorian": ("i9 i9 i9 i9 bii9 bii9 i9 i9", "i9 iv9 ii7b5 Valt", "i9 bVImaj7 ii7-Valt i9"),
        "minor": ("ii7b5 Valt i9 i9", "i9 iv9 bVII9 bIIImaj9 bVImaj9 ii7b5 Valt i9"),
    },
    loudness=(-23, -17),
    tone=(2, 0, -3),
    reverb=0.4,
    forms=("AABA", "AABA", "AAB", "ABAB"),
    looseness=0.012,
)
