"""Blues: twelve bars, shuffle, boogie guitar or barrelhouse piano, call and response."""

from brain2music.simulation.music.style import Feel, Lead, Part, Style

GUITARS = "clean electric guitar, jazz guitar, overdriven guitar"
SOLOISTS = "harmonica, overdriven guitar, clean electric guitar, tenor saxophone, harmonica"
BASSES = "fingered bass, upright bass, picked bass"
KITS = "drum kit, room drum kit, brushed drums"

SHUFFLE = Feel(
    "shuffle",
    tempo=(84, 140),
    swing=(0.61, 0.68),
    kits=KITS,
    drums={
        "kick": "x...x... x..xx... x.x.x.x. x...xx..",
        "snare": "..X...X. ..X..oX. .oX..oX.",
        "hat": "xoxoxoxo x.xxx.xx x.x.x.x.",
    },
    band={
        "bass": Part(BASSES, 38, "1.3.5.6. 1.1.5.6. 1.3.5.6.|8.6.5.3. 1-w-w-a- 1.5.6.5.", 92),
        "boogie": Part(GUITARS, 45, "ddeeddee d.ded.de d-e-d-e-", 74, 0.7),
        "chords": Part(
            "grand piano, honky-tonk piano, drawbar organ, steel-string guitar",
            60,
            "..x...x. ?.x.?.x. .xx..xx. x--x----",
            66,
            0.8,
        ),
    },
    lead=Lead(SOLOISTS, 69, (0.9, 1.7), 0.45, 0.4, "blues"),
    weight=1.4,
)

SLOW = Feel(
    "slow twelve-eight",
    tempo=(54, 84),
    kits=KITS,
    grid=1 / 3,
    drums={
        "kick": "x.....x..... x....xx..... x.....x.x...",
        "snare": "...X.....X.. ...X....oX..",
        "hat": "xooxooxooxoo x.xx.xx.xx.x",
    },
    band={
        "bass": Part(BASSES, 38, "1-----5----- 1-1---5-a--- 1--3--5--6--", 92),
        "chords": Part("grand piano, honky-tonk piano", 62, "xooxooxooxoo x--...xoo... ...xoo...xoo", 64, 0.8),
        "pad": Part("drawbar organ, rock organ", 58, "x----------- x--------x--", 54, 0.7),
        "boogie": Part(GUITARS, 50, "...x-----x-- x--e--x--e--", 64, 0.6),
    },
    lead=Lead(SOLOISTS, 70, (1.1, 2.2), 0.4, 0.35, "blues"),
)

DELTA = Feel(
    "acoustic delta",
    tempo=(76, 124),
    swing=(0.56, 0.66),
    swing_unit=0.5,
    drums={"kick": "x.x.x.x. x...x...", "rim": "..x...x. ........"},
    kits="brushed drums, drum kit",
    band={
        "bass": Part("steel-string guitar", 42, "1.1.1.1. 1.5.1.5. 1.8.1.8.", 84),
        "boogie": Part("steel-string guitar", 57, "..x.?.x. .xx..xxo ..3.5.6.", 76, strum=0.012),
    },
    lead=Lead("harmonica, steel-string guitar, harmonica", 69, (0.8, 1.6), 0.4, 0.45, "blues"),
    fills=0.0,
    weight=0.7,
)

STYLE = Style(
    feels=(SHUFFLE, SLOW, DELTA),
    progressions={
        "mixolydian": (
            "I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7",
            "I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 I7-V7",
            "I9 IV9 I9 I9 IV9 IV9 I9 VI7 ii7 V9 I9 V9",
            "I7 V7 IV7 IV7 I7 V7 I7 V7",
        ),
        "dorian": ("i7 i7 i7 i7 iv7 iv7 i7 i7 bVI7 V7 i7 V7",),
    },
    loudness=(-20, -16),
    tone=(0, 4, -8),
    reverb=0.3,
    forms=("AAA", "AAB", "ABA"),
    drive=1.2,
    looseness=0.010,
)
