"""The words of captions. Where a word depends on the music, its key says on what."""

#: How often a caption speaks of harmony.
HARMONY_CHANCE = 0.2

GENRE_NAMES: dict[str, tuple[str, ...]] = {
    "blues": ("blues", "twelve-bar blues", "blues"),
    "classical": ("classical", "Western classical", "classical"),
    "country": ("country", "country and western", "American country"),
    "disco": ("disco", "1970s disco", "disco dance"),
    "hiphop": ("hip hop", "hip-hop", "rap"),
    "jazz": ("jazz", "small-group jazz", "jazz"),
    "metal": ("metal", "heavy metal", "heavy-metal"),
    "pop": ("pop", "mainstream pop", "melodic pop"),
    "reggae": ("reggae", "Jamaican reggae", "reggae"),
    "rock": ("rock", "guitar rock", "rock"),
}

#: Below how many beats a minute, which words.
TEMPI: tuple[tuple[float, tuple[str, ...]], ...] = (
    (72, ("very slow", "slow and unhurried", "slow")),
    (92, ("slow", "relaxed", "leisurely")),
    (116, ("medium", "moderate", "comfortable")),
    (142, ("brisk", "fairly fast", "upbeat")),
    (999, ("fast", "very fast", "racing")),
)

#: By arousal: calm, middling, excited.
ADJECTIVES: dict[int, tuple[str, ...]] = {
    -1: ("gentle", "quiet", "soft", "delicate", "mellow", "understated"),
    0: ("steady", "warm", "flowing", "easy-going", "catchy", "well-balanced"),
    1: ("energetic", "loud", "driving", "powerful", "dense", "lively"),
}

#: By valence and arousal.
MOODS: dict[tuple[int, int], tuple[str, ...]] = {
    (-1, -1): ("sad", "melancholic", "lonely", "mournful", "wistful"),
    (-1, 0): ("brooding", "dark", "bittersweet", "serious", "moody"),
    (-1, 1): ("aggressive", "angry", "menacing", "tense", "fierce"),
    (0, -1): ("thoughtful", "dreamy", "intimate", "nostalgic", "calm"),
    (0, 0): ("cool", "confident", "smooth", "laid-back", "reflective"),
    (0, 1): ("urgent", "bold", "intense", "gritty", "determined"),
    (1, -1): ("tender", "peaceful", "serene", "sweet", "comforting"),
    (1, 0): ("cheerful", "warm-hearted", "sunny", "friendly", "playful"),
    (1, 1): ("exciting", "joyful", "festive", "exuberant", "triumphant"),
}

PLACES: dict[str, tuple[str, ...]] = {
    "blues": ("a smoky bar", "a late night on the porch", "a small blues club", "a long drive at night"),
    "classical": ("a concert hall", "a candle-lit salon", "a costume drama", "a quiet evening of reading"),
    "country": ("a barn dance", "a road trip through the prairie", "a rodeo", "a country fair"),
    "disco": ("a dance floor under a mirror ball", "a roller rink", "a seventies party", "a night club"),
    "hiphop": ("a block party", "a car with a big sound system", "a street scene", "a dance battle"),
    "jazz": ("a jazz club", "a cocktail bar", "a film noir", "a rooftop dinner"),
    "metal": ("a mosh pit", "a stadium full of headbangers", "a fight scene", "a horror game"),
    "pop": ("the radio", "a teenage film", "a shopping trip", "a summer playlist"),
    "reggae": ("a beach bar", "a lazy summer afternoon", "an open-air festival", "a Kingston dance hall"),
    "rock": ("a live arena", "a garage rehearsal", "a motorcycle ride", "an open-air concert"),
}

OPENINGS: tuple[str, ...] = (
    "this is {adjective} {genre} music at a {tempo} tempo",
    "a {adjective} {genre} piece in a {tempo} tempo",
    "the {genre} track is {adjective}, at a {tempo} pace",
    "{adjective} {genre} with a {tempo} tempo",
    "a {tempo} and {adjective} {genre} piece",
    "this {genre} tune is {adjective}, its tempo {tempo}",
)

SOLOS: dict[str, tuple[str, ...]] = {
    "played": (
        "{lead} carries the melody",
        "the melody is played by {lead}",
        "{lead} takes the lead",
        "in the foreground {lead} is soloing",
        "{lead} plays the main theme",
    ),
    "sung": (
        "{lead} sings the melody",
        "the tune is sung by {lead}",
        "{lead} takes the lead",
        "we hear the singing of {lead}",
    ),
    "rap": ("{lead} is rapping rhythmically", "{lead} delivers rapid verses", "the verses are rapped by {lead}"),
}

BANDS: tuple[str, ...] = (
    ", accompanied by {band}",
    ", while {band} can be heard",
    " over {band}",
    ", with {band} in the background",
    ", supported by {band}",
)
NO_SOLOS: tuple[str, ...] = (
    "there is no solo, only {band}",
    "instead of a melody there is {band}",
    "the instrumental backing consists of {band}",
)

#: By feel.
GROOVES: dict[str, tuple[str, ...]] = {
    "shuffle": ("a rolling shuffle", "a swinging shuffle beat"),
    "slow twelve-eight": ("slow rolling triplets", "a slow twelve-eight groove"),
    "acoustic delta": ("a stomping, thumbed bass", "an old-time country-blues rhythm"),
    "keyboard sonata": ("broken chords in the left hand", "even, running figures"),
    "nocturne": ("wide arpeggios with a free pulse", "slow waves of arpeggios"),
    "baroque ensemble": ("a steady continuo bass", "strict, running counterpoint"),
    "string quartet": ("the interplay of four string voices", "bowed chords that swell and fade"),
    "orchestra": ("broad, sustained chords", "a large, swelling ensemble sound"),
    "waltz": ("a graceful three-four time", "a dancing waltz time"),
    "solo plucked strings": ("plucked arpeggios", "quietly rippling broken chords"),
    "train beat": ("a chugging train beat", "a train-like snare shuffle"),
    "two-step shuffle": ("a two-step shuffle", "a bouncing two-step with alternating bass"),
    "country waltz": ("a swaying waltz", "a waltz in three-four time"),
    "bluegrass": ("rapid banjo rolls and an off-beat chop", "a bluegrass drive of rolling banjo"),
    "country ballad": ("a relaxed ballad beat", "a soft, slow country groove"),
    "orchestral disco": ("four on the floor with open hi-hats off the beat", "a four-on-the-floor disco beat"),
    "electronic disco": ("a mechanical four-on-the-floor pulse", "a pounding, sequenced dance beat"),
    "funky disco": ("four on the floor with funky sixteenths", "a funky dance groove"),
    "boom bap": ("a head-nodding boom-bap beat", "a sampled, swung break beat"),
    "trap": ("a half-time trap beat with rattling hi-hats", "sparse kicks under fast hi-hat rolls"),
    "west-coast funk": ("a funky West Coast beat", "a lazy, bouncing funk groove"),
    "swing": ("a swinging ride-cymbal pattern with walking bass", "a swing beat"),
    "ballad": ("a slow, brushed ballad beat", "a whispering ballad pulse"),
    "bossa nova": ("a bossa-nova rhythm", "a syncopated Brazilian groove"),
    "jazz waltz": ("a swinging waltz", "a lilting jazz waltz in three"),
    "thrash": ("a furious thrash beat", "relentless double kicks and a galloping snare"),
    "heavy-metal gallop": ("a galloping heavy-metal beat", "a marching gallop under power chords"),
    "doom": ("a crawling, crushing beat", "slow, heavy strokes"),
    "groove metal": ("a stuttering, syncopated groove", "a heavy groove locked to the riff"),
    "dance pop": ("a danceable club beat", "a bouncing dance beat"),
    "pop ballad": ("a simple ballad beat", "a slow, even pop beat"),
    "synth pop": ("a straight, sequenced beat", "an eighties drum-machine beat"),
    "guitar pop": ("a light strumming beat", "a bright, straight backbeat"),
    "one drop": ("a one-drop beat under off-beat chords", "a one-drop rhythm with off-beat strokes"),
    "steppers": ("a steppers beat with off-beat chords", "steady kicks below the off-beat skank"),
    "ska": ("a hopping ska rhythm", "a quick off-beat ska groove"),
    "driving rock": ("a driving backbeat in straight eighths", "a straight-ahead rock beat"),
    "hard-rock riff": ("a heavy backbeat around a guitar riff", "a stomping hard-rock beat"),
    "rock ballad": ("a slow rock-ballad beat", "a broad, slow backbeat"),
    "garage rock": ("a raw garage beat", "a bashing, splashy beat"),
}

#: By how dense the drums are.
BUSY: tuple[tuple[str, ...], ...] = (
    ("sparse", "restrained", "light"),
    ("steady", "solid", "regular"),
    ("busy", "dense", "intricate"),
)

DRUMMED: tuple[str, ...] = (
    "the rhythm is {groove}, played by {kit}",
    "underneath, {kit} playing {groove}",
    "percussion: {kit}, playing {groove}",
    "the rhythm section plays {groove}, with {kit}",
)
NO_DRUMS: tuple[str, ...] = (
    "there are no drums; the rhythm comes from {groove}",
    "without drums, the pulse is given by {groove}",
    "instead of percussion there is {groove}",
)

HARMONIES: dict[str, tuple[str, ...]] = {
    "minor": (
        "it is in a minor key",
        "the harmony stays minor",
        "minor chords colour the harmony",
    ),
    "major": (
        "it is in a major key",
        "the harmony is bright and major",
        "major chords colour the harmony",
    ),
}

ENDINGS: tuple[str, ...] = (
    "the mood is {first} and {second}, suitable for {place}",
    "it sounds {first} and {second}, like music for {place}",
    "the atmosphere is {first}, even {second}, and fits {place}",
    "overall it feels {first} and {second}. Fitting for {place}",
    "it has a {first} and {second} feeling. One imagines {place}",
)
