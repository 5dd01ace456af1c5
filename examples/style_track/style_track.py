"""Does music follow a decoded time course? ``python examples/style_track/style_track.py``.

A simulated listener hears clips. The decoded embedding of one clip, held for 22.5 s, then that of another genre's clip,
held as long, are a style track: the shipped networks make 45 s of music from it. The music is embedded again, window
by window, and each window is asked which of the two clips it is nearer to (Pearson r with their true embeddings).
Beside it stand the same track of true embeddings, and a control without a time course: one embedding, the mean of the
two. Stages that write sequences of 15 s follow the mean of the track over each, so their music turns over some ten
seconds. Pairs share clips: intervals are taken by drawing clips, not pairs, with replacement.

``--frames BUNDLE`` drives a bundle whose stage is of the family ``frames`` with the same tracks, brought to its number
of dimensions by a random projection. Its weights may be random: what is asked is whether the sound before the change is
that of the first clip alone, to the last bit, and another one after it. What was found goes into results.json.
"""

import argparse
import json
import sys
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np

import brain2music as b2m
from brain2music.simulation import simulate

HOP, SECONDS, CHANGE = 1.5, 45.0, 22.5
WINDOWS = round(SECONDS / HOP)


def decoded(folder: Path, bundle: b2m.Bundle) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return decoded and true embeddings (n, d) of the test clips, and their genres."""
    study = b2m.Study(
        simulate(folder / "study", subjects=1, runs=(4, 2), corpus=0, progress=False), rois="destrieux", cache=False
    )
    brain = study.responses("001", delay_scans=3)
    music = bundle.embed("music_embedder", study.stimuli)
    train, test = music[brain.train_clips], music[brain.test_clips]
    decoder = b2m.BrainDecoder(n_rois=6, cv="runs")
    decoder.fit(brain.train, train, rois=brain.rois, groups=brain.train_clips.run)
    predicted = np.nanmean(decoder.predict(brain.test, missing="nan"), axis=1)
    return predicted, test.values.mean(axis=1), [str(genre) for genre in brain.test_clips.genre]


def middles_of(window: float) -> np.ndarray:
    """Return the middles (WINDOWS,) of the windows of a track, in seconds."""
    return np.arange(WINDOWS) * HOP + window / 2


def track(first: np.ndarray, then: np.ndarray, window: float) -> np.ndarray:
    """Return a style track (WINDOWS, d) that changes in the middle: at 22.5 s."""
    return np.where((middles_of(window) < CHANGE)[:, None], first, then)


def nearer(audio: b2m.Audio, bundle: b2m.Bundle, pairs: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return middles (w,) of windows in seconds, and r with the first clip less r with the second (pairs, w)."""
    sound = np.clip(audio.waveform[:, 0, 0], -1, 1)
    again = bundle.embed("music_embedder", (sound, audio.rate), hop=2.5)
    likeness = [
        [np.corrcoef(window, true[first])[0, 1] - np.corrcoef(window, true[then])[0, 1] for window in piece]
        for piece, (first, then) in zip(again.values, pairs, strict=True)
    ]
    return np.arange(again.values.shape[1]) * again.hop + again.window / 2, np.array(likeness)


def interval(difference: np.ndarray, pairs: np.ndarray, draws: int = 2000) -> np.ndarray:
    """Return the 95 % interval (2, w) of the mean over pairs, each clip drawn as often as it comes up."""
    rng = np.random.default_rng(1)
    clips = int(pairs.max()) + 1
    times = np.stack([np.bincount(rng.integers(clips, size=clips), minlength=clips) for _ in range(draws)])
    weights = times[:, pairs[:, 0]] * times[:, pairs[:, 1]]
    means = (weights @ difference) / weights.sum(axis=1, keepdims=True)
    return np.nanpercentile(means, [2.5, 97.5], axis=0)


def follow(folder: Path, count: int) -> dict[str, object]:
    """Return what the shipped networks make of decoded and of true tracks, and of means."""
    bundle = b2m.Bundle.default()
    predicted, true, genres = decoded(folder, bundle)
    pairs = np.array([(i, j) for i, j in combinations(range(len(genres)), 2) if genres[i] != genres[j]])
    rng = np.random.default_rng(0)
    pairs = rng.permuted(pairs[rng.permutation(len(pairs))[:count]], axis=1)  # which one comes first is left to chance
    window = bundle.embed("music_embedder", (np.zeros((1, 16000 * 15), np.float32), 16000)).window
    generator = b2m.MusicGenerator(bundle)
    figures: dict[str, object] = {"pairs": len(pairs), "seconds": SECONDS, "change": CHANGE}
    for name, given in {
        "decoded track": np.stack([track(predicted[i], predicted[j], window) for i, j in pairs]),
        "track of true embeddings": np.stack([track(true[i], true[j], window) for i, j in pairs]),
        "one embedding, the mean of two decoded ones": np.stack([predicted[[i, j]].mean(axis=0) for i, j in pairs]),
    }.items():
        timing = {"hop": HOP, "window": window} if given.ndim == 3 else {}
        audio = generator.generate(given, seconds=SECONDS, seed=0, **timing)
        middles, difference = nearer(audio, bundle, pairs, true)
        before, after = middles + window / 2 <= CHANGE, middles - window / 2 >= CHANGE
        figures["middles"] = middles.tolist()
        figures[name] = {
            "difference": difference.mean(axis=0).round(4).tolist(),
            "interval_95": interval(difference, pairs).round(4).tolist(),
            "nearer_to_first_before": round(float((difference[:, before].mean(axis=1) > 0).mean()), 3),
            "nearer_to_second_after": round(float((difference[:, after].mean(axis=1) < 0).mean()), 3),
            "turns": round(float((difference[:, before].mean(1) > difference[:, after].mean(1)).mean()), 3),
        }
    return figures


def drive(folder: Path, path: Path) -> dict[str, object]:
    """Return how the sound of a ``frames`` stage agrees with that of one clip, before the change and after it."""
    predicted, _, genres = decoded(folder, b2m.Bundle.default())
    generator = b2m.MusicGenerator(b2m.Bundle(path))
    projection = np.random.default_rng(0).standard_normal((predicted.shape[1], generator.dimension))
    known = predicted @ projection
    window = 10.0
    middles = middles_of(window)
    last_middle = float(middles[middles < CHANGE][-1])  # from here the track is a straight line to the next window
    other = next(i for i, genre in enumerate(genres) if genre != genres[0])
    given = np.stack([track(known[0], known[other], window), track(known[0], known[0], window)])
    changed, same = generator.generate(given, seconds=SECONDS, hop=HOP, window=window, seed=0).waveform[:, 0]
    differs = np.flatnonzero((changed != same).any(axis=0))
    return {
        "seconds_alike": round(float(differs[0] / generator.rate), 3) if len(differs) else SECONDS,
        "track_changes_from": last_middle,
        "share_that_differs_after": round(len(differs) / int(changed.shape[1] - differs[0]), 4)
        if len(differs)
        else 0.0,
    }


def main() -> int:
    """Generate, embed again, keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=60, help="pairs of clips, 2 or more")
    parser.add_argument("--frames", type=Path, help="a bundle with a stage of the family frames")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    options = parser.parse_args()
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        part = "frames" if options.frames else "shipped"
        found[part] = drive(Path(name), options.frames) if options.frames else follow(Path(name), options.pairs)
    options.out.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found[part], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
