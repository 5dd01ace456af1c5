"""Reggae: chords off the beat, one drop and steppers, bubbling organ, heavy melodic bass, horns; ska beside it."""

from brain2music.simulation.music.style import Feel, Lead, Part, Style

SKANK = "clean electric guitar, muted guitar, clean electric guitar"
SINGERS = "voice, solo voice, harmonica, trombone, tenor saxophone, brass section, accordion"
KITS = "room drum kit, drum kit"
BASSES = "fingered bass, fingered bass, fretless bass, deep synth bass"
BASS_LINES = (
    "1--1..3.5...5.3. ....1.1.3.5..... 1...1..35.....3. "
    "1.1...5...8.5.3. 1-....5.3.1.....|......5.8.5.3... 1..3..5........."
)

ONE_DROP = Feel(
    "one drop",
    tempo=(64, 94),
    swing=(0.5, 0.6),
    swing_unit=0.25,
    kits=KITS,
    drums={
        "kick": "........X.......",
        "rim": "........X....... ........X..x.... ...x....X.....x.",
        "hat": "x.x.x.x.x.x.x.x. x.oxx.oxx.oxx.ox ..x...x...x...x.",
        "bongo": "................ ..x..x....x..xx.",
    },
    band={
        "bass": Part(BASSES, 35, BASS_LINES, 114),
        "skank": Part(SKANK, 67, "....x.......x... ..x...x...x...x. ....xo......xo..", 80, strum=0.004),
        "bubble": Part(
            "percussive organ, drawbar organ, rock organ",
            62,
            "..o.x.o...o.x.o. .oxo.oxo.oxo.oxo ..xo..xo..xo..xo",
            62,
            0.8,
        ),
        "piano": Part("grand piano, electric piano", 60, "....x.......x... ..x...x...x...x.", 62, 0.6),
        "horns": Part("brass section, trombone", 65, "................ 5--.3.1---......|................", 74, 0.35),
    },
    lead=Lead(SINGERS, 69, (0.7, 1.5), 0.45, 0.3),
    weight=1.5,
)

STEPPERS = Feel(
    "steppers",
    tempo=(68, 100),
    swing=(0.5, 0.58),
    swing_unit=0.25,
    kits=KITS,
    drums={
        "kick": "x...x...x...x...",
        "rim": "........X....... ...x....X..x.... ......x.X.....x.",
        "hat": "..x...x...x...x. x.xxx.xxx.xxx.xx",
    },
    band={
        "bass": Part(BASSES, 35, BASS_LINES, 114),
        "skank": Part(SKANK, 67, "..x...x...x...x. ....x.......x...", 80, strum=0.004),
        "bubble": Part("percussive organ, drawbar organ", 62, ".oxo.oxo.oxo.oxo ..o.x.o...o.x.o.", 62),
        "horns": Part(
            "trombone, brass section, tenor saxophone",
            65,
            "................ 8--.5.3---......|................",
            72,
            0.4,
        ),
    },
    lead=Lead(SINGERS, 68, (0.6, 1.3), 0.4, 0.4, "minor pentatonic"),
)

SKA = Feel(
    "ska",
    tempo=(104, 156),
    swing=(0.5, 0.6),
    kits=KITS,
    drums={
        "kick": "..x...x. x.x.x.x.",
        "rim": "..x...x.",
        "hat": ".x.x.x.x xxxxxxxx x.x.x.x.",
    },
    band={
        "bass": Part("upright bass, fingered bass", 38, "1-w-w-a- 1.3.5.6. 1.1.5.5.", 98),
        "skank": Part(SKANK, 67, ".x.x.x.x .X.x.X.x", 82, strum=0.004),
        "piano": Part("grand piano, rock organ, percussive organ", 63, ".x.x.x.x .x.x.xox", 66),
        "horns": Part("brass section, trumpet", 66, "........ x..x....|........ ........|5.3.1...", 78, 0.7),
    },
    lead=Lead("trombone, trumpet, tenor saxophone, voice, brass section", 68, (0.8, 1.6), 0.35, 0.3),
    weight=0.5,
)

STYLE = Style(
    feels=(ONE_DROP, STEPPERS, SKA),
    progressions={
        "major": ("I IV I V", "I vi IV V", "I ii I ii", "I IV", "I V vi IV", "I I IV V"),
        "minor": ("i iv i iv", "i bVII i bVII", "i bVII bVI bVII", "i iv V i", "i i iv iv"),
        "dorian": ("i IV i IV", "i7 i7 IV7 i7"),
    },
    loudness=(-20, -15),
    tone=(8, -2, -3),
    reverb=0.5,
    drive=1.2,
    looseness=0.008,
)
