"""Classical: no drum kit; keyboard, quartet, orchestra, waltz, plucked; rubato and swelling dynamics."""

from brain2music.simulation.music.style import Feel, Lead, Part, Style

SONATA = Feel(
    "keyboard sonata",
    tempo=(84, 150),
    band={"left hand": Part("grand piano", 53, "15351535 1535153515351535 1-3-5-3- 1.5.3.5.|1.5.8.5.", 60)},
    lead=Lead("grand piano", 77, (1.2, 2.6), 0.05, 0.1, level=84),
    rubato=0.03,
    swell=10,
)

NOCTURNE = Feel(
    "nocturne",
    tempo=(56, 92),
    band={
        "left hand": Part("grand piano", 44, "1-5-8-9-8-5- 1-5-8-5- 158-98-5", 52),
        "bass": Part("grand piano", 36, "1------- 1---5---", 54, 0.5),
    },
    lead=Lead("grand piano", 74, (0.7, 1.5), 0.15, 0.1, level=80),
    rubato=0.08,
    swell=16,
)

BAROQUE = Feel(
    "baroque ensemble",
    tempo=(76, 126),
    band={
        "continuo": Part("harpsichord", 60, "x-x-x-x- x---x-x- 13531353 x-5-3-5-", 66),
        "bass": Part("cello, bassoon, harpsichord", 45, "1-w-w-a- 1.2.3.5. 1-5-3-a-", 70),
    },
    lead=Lead("recorder, violin, oboe, flute, harpsichord", 76, (1.6, 3.0), 0.05, 0.1, level=84),
    swell=5,
)

QUARTET = Feel(
    "string quartet",
    tempo=(60, 140),
    band={
        "second violin": Part("violin, viola", 64, "x---x--- xoxoxoxo x------- 3-5-3-5-", 60),
        "viola": Part("viola", 57, "x------- 5------- .x.x.x.x", 56, 0.8),
        "bass": Part("cello", 43, "1------- 1---5--- 1-w-w-a-", 70),
    },
    lead=Lead("violin", 76, (0.9, 2.2), 0.1, 0.05, level=84),
    rubato=0.04,
    swell=14,
)

ORCHESTRA = Feel(
    "orchestra",
    tempo=(64, 150),
    band={
        "strings": Part("string section, tremolo strings, slow strings", 60, "x------- x---x--- xoxoxoxo", 66),
        "bass": Part("double bass, cello", 40, "1------- 1---1-1- 1---5---", 76),
        "horns": Part("French horn, brass section, trombone", 57, "x------- ....x--- x--xx---", 62, 0.7),
        "timpani": Part("timpani", 41, "1....... 1...1.11 1...5...", 72, 0.6),
    },
    lead=Lead("flute, oboe, clarinet, string section, trumpet, French horn", 74, (0.6, 1.8), 0.1, 0.1),
    rubato=0.04,
    swell=18,
    weight=1.3,
)

WALTZ = Feel(
    "waltz",
    tempo=(96, 176),
    beats=3,
    band={
        "bass": Part("double bass, cello, pizzicato strings", 41, "1-.... 1..... 1-....|5-....", 74),
        "chords": Part("pizzicato strings, string section, grand piano, viola", 62, "..x.x. ..x-x-", 60),
    },
    lead=Lead("violin, clarinet, string section, grand piano, flute", 76, (0.7, 1.4), 0.05, 0.05),
    rubato=0.06,
    swell=12,
)

PLUCKED = Feel(
    "solo plucked strings",
    tempo=(66, 120),
    band={
        "arpeggio": Part("nylon-string guitar, harp", 57, "13583585 1-5-3-5- 1358531358531358", 62),
        "bass": Part("nylon-string guitar", 43, "1------- 1---5---", 70),
    },
    lead=Lead("nylon-string guitar, flute, harp", 72, (0.6, 1.6), 0.1, 0.15, level=78),
    rubato=0.05,
    swell=10,
    weight=0.8,
)

STYLE = Style(
    feels=(SONATA, NOCTURNE, BAROQUE, QUARTET, ORCHESTRA, WALTZ, PLUCKED),
    progressions={
        "major": (
            "I IV V7 I",
            "I V vi iii IV I IV V7",
            "I vi ii V7 I IV V7 I",
            "I I V7 V7 V7 V7 I I",
            "I IV-I V7-I V I vi ii-V7 I",
        ),
        "harmonic minor": (
            "i iv V7 i",
            "i bVI iv V7 i bVII bIII V7",
            "i bVII bVI V",
            "i V7 i V7 bIII bVII bVI V7",
            "i iv bVII bIII bVI iidim V7 i",
        ),
    },
    loudness=(-28, -21),
    tone=(-4, 0, -3),
    reverb=0.7,
    forms=("AABA", "AABB", "ABAC", "ABCA"),
    looseness=0.008,
)
