"""Country: alternating bass, train beat and two-step, steel guitars, banjo, fiddle; major keys."""

from brain2music.simulation.music.style import Feel, Lead, Part, Style

SOLOISTS = "fiddle, clean electric guitar, harmonica, steel-string guitar, honky-tonk piano"
KITS = "drum kit, brushed drums, room drum kit"
ACOUSTIC = "steel-string guitar"
BASSES = "upright bass, fingered bass"

TRAIN = Feel(
    "train beat",
    tempo=(84, 138),
    kits=KITS,
    drums={
        "kick": "x.......x....... x...x...x...x...",
        "snare": "oooXoooXoooXoooX ooXoooXoooXoooXo oxXooxXooxXooxXo",
        "hat": "..x...x...x...x. ................",
    },
    band={
        "bass": Part(BASSES, 38, "1...5... 1...5.5. 1...5...|1...w.a.", 92),
        "strum": Part(ACOUSTIC, 60, "..x...x. ..xo..xo x.xox.xo", 88, strum=0.009),
        "twang": Part("clean electric guitar, muted guitar, banjo", 64, "1.3.5.3. .3.5.8.5 13581358", 62, 0.6),
    },
    lead=Lead(SOLOISTS, 71, (0.9, 1.8), 0.2, 0.3, "major pentatonic"),
    weight=1.2,
)

TWO_STEP = Feel(
    "two-step shuffle",
    tempo=(92, 150),
    swing=(0.55, 0.66),
    kits=KITS,
    drums={"kick": "x...x... x...x.x.", "rim": "..x...x.", "hat": "x.x.x.x. x.xxx.xx ..x...x."},
    band={
        "bass": Part(BASSES, 38, "1...5... 1...5...|1.w.w.a. 1.3.5.6.", 92),
        "strum": Part(ACOUSTIC, 60, "..x...x. ..xo..xo .xx..xx.", 88, strum=0.009),
        "piano": Part("honky-tonk piano, grand piano", 64, "..x...x. ?.x.?.xx", 60, 0.6),
    },
    lead=Lead(SOLOISTS, 71, (0.8, 1.6), 0.2, 0.3, "major pentatonic"),
)

WALTZ = Feel(
    "country waltz",
    tempo=(84, 140),
    beats=3,
    kits=KITS,
    drums={"kick": "x.....", "rim": "..x.x. ....x.", "hat": "x.x.x. xoxoxo"},
    band={
        "bass": Part(BASSES, 38, "1-....|5-.... 1-.... 1-....|1-..a.", 90),
        "strum": Part(ACOUSTIC, 60, "..x.x. ..xoxo", 86, strum=0.010),
        "pad": Part("reed organ, accordion, fiddle", 62, "x-----", 50, 0.4),
    },
    lead=Lead(SOLOISTS, 71, (0.6, 1.2), 0.1, 0.2, "major"),
    weight=0.7,
)

BLUEGRASS = Feel(
    "bluegrass",
    tempo=(96, 164),
    band={
        "bass": Part("upright bass", 38, "1...5... 1...5...|1.w.w.a.", 94),
        "roll": Part("banjo", 64, "13581358 5318531853185318 1358531813585318 15381538", 76),
        "chop": Part(ACOUSTIC, 62, "..X...X. ..Xo..Xo", 74, strum=0.006),
    },
    lead=Lead("fiddle, banjo, steel-string guitar, harmonica", 73, (1.3, 2.4), 0.15, 0.2, "major pentatonic"),
)

BALLAD = Feel(
    "country ballad",
    tempo=(66, 108),
    kits=KITS,
    drums={
        "kick": "x.......x.x..... x.....x.x.......",
        "rim": "....x.......x...",
        "hat": "x.x.x.x.x.x.x.x. xoxoxoxoxoxoxoxo",
    },
    band={
        "bass": Part(BASSES, 38, "1-----5- 1---5--- 1--15--5", 88),
        "picking": Part(ACOUSTIC, 58, "15358535 1-5-8-5- 1535853515358535", 88, strum=0.009),
        "steel": Part("clean electric guitar, fiddle", 67, "x------- 5---3--- ........|x---5---", 54, 0.7),
    },
    lead=Lead(SOLOISTS, 70, (0.6, 1.3), 0.2, 0.25, "major pentatonic"),
)

STYLE = Style(
    feels=(TRAIN, TWO_STEP, WALTZ, BLUEGRASS, BALLAD),
    progressions={
        "major": (
            "I I IV I I I V V",
            "I IV I V I IV V I",
            "I I IV IV V V I I",
            "I V IV I I V I I",
            "I vi IV V",
            "I I7 IV I V7 V7 I I",
            "IV I V I IV I V I",
        ),
        "mixolydian": ("I bVII IV I", "I I bVII IV"),
    },
    loudness=(-21, -16),
    tone=(-4, 0, 5),
    reverb=0.25,
)
