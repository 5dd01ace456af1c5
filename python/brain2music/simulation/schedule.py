"""Which clip is heard when: the order of ds003720, with its dummies and its oddities."""

from dataclasses import dataclass

import numpy as np

from brain2music.simulation.music import GENRES

__all__ = ["CLIP_S", "REPEATS", "Schedule", "Shown", "draw_schedule"]

CLIP_S = 15.0
#: Times each test clip is heard.
REPEATS = 4
#: Clips of a run, its dummy apart.
_CLIPS = 40
_TRACKS_PER_GENRE = 100
_LATEST_START_S = 15.0


@dataclass(frozen=True)
class Shown:
    """A clip: ``start`` and ``end`` in seconds of the track."""

    genre: str
    track: int
    start: float
    end: float

    @property
    def clip(self) -> str:
        """Id of the clip, as ``Study`` gives it."""
        return f"{self.genre}.{self.track:05}_{self.start:.2f}"


@dataclass(frozen=True)
class Schedule:
    """Runs of each task, the dummy first in each; the same for all subjects."""

    training: tuple[tuple[Shown, ...], ...]
    test: tuple[tuple[Shown, ...], ...]

    @property
    def clips(self) -> list[Shown]:
        """Every clip once, in order of hearing: training, then test."""
        return list(dict.fromkeys(clip for run in (*self.training, *self.test) for clip in run[1:]))

    def runs(self) -> list[tuple[str, int, tuple[Shown, ...]]]:
        """Task, number and clips of every run."""
        tasks = (("Training", self.training), ("Test", self.test))
        return [(task, number, run) for task, runs in tasks for number, run in enumerate(runs, start=1)]

    def events(self, task: str, number: int, line_end: str = "\r\n") -> str:
        """Text of a run's ``events.tsv``.

        As in the files of ds003720: genres in single quotes, of which the last three of training run 4 lack the first
        one; no line end after the last row.
        """
        run = (self.training if task == "Training" else self.test)[number - 1]
        broken = range(len(run) - 3, len(run)) if (task, number) == ("Training", min(4, len(self.training))) else ()
        rows = ["\t".join(("onset", "duration", "genre", "track", "start", "end"))]
        for row, clip in enumerate(run):
            quote = "" if row in broken else "'"
            cells = (row * CLIP_S, CLIP_S, f"{quote}{clip.genre}'", clip.track, clip.start, clip.end)
            rows.append("\t".join(f"{cell:.6g}" if isinstance(cell, float) else str(cell) for cell in cells))
        return line_end.join(rows)


def draw_schedule(seed: int, runs: tuple[int, int]) -> Schedule:
    """Draw clips and their order.

    Every ten clips hold each genre once, no genre follows itself, no track is heard in two clips. A run begins with a
    dummy: in training the last clip of the run before (of the last run, before the first), in test the run's own last
    clip. A test run plays the same ten clips four times. One clip lasts 14.99 s.

    Parameters
    ----------
    seed : int
    runs : (int, int)
        Training and test runs; ds003720 has 12 and 6.

    Returns
    -------
    Schedule
    """
    rng = np.random.default_rng([seed, 4])
    tracks = {genre: rng.permutation(_TRACKS_PER_GENRE) for genre in GENRES}
    taken = dict.fromkeys(GENRES, 0)

    def draw(genre: str) -> Shown:
        track = int(tracks[genre][taken[genre]])
        taken[genre] += 1
        start = round(float(rng.uniform(0, _LATEST_START_S)), 2)
        return Shown(genre, track, start, round(start + CLIP_S, 2))

    def ten(before: str | None) -> list[Shown]:
        order = [GENRES[index] for index in rng.permutation(len(GENRES))]
        while order[0] == before:
            order = [GENRES[index] for index in rng.permutation(len(GENRES))]
        return [draw(genre) for genre in order]

    training: list[list[Shown]] = []
    for _ in range(runs[0]):
        run: list[Shown] = []
        while len(run) < _CLIPS:
            run += ten(run[-1].genre if run else None)
        training.append(run)
    short = training[-1][31]
    training[-1][31] = Shown(short.genre, short.track, short.start, round(short.end - 0.01, 2))
    test = [ten(None) * REPEATS for _ in range(runs[1])]
    return Schedule(
        tuple((training[number - 1][-1], *run) for number, run in enumerate(training)),
        tuple((run[-1], *run) for run in test),
    )
