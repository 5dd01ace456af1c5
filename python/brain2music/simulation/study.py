"""A simulated twin of ds003720: the same files, with the truth beside them."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from brain2music.files import write_json
from brain2music.narration import tell
from brain2music.simulation import bids
from brain2music.simulation.brain.hearing import RATE_HZ, FeatureTable, clip_features
from brain2music.simulation.brain.subject import Listener
from brain2music.simulation.music import GENRES, captions, compose, track_seed, write_tracks
from brain2music.simulation.schedule import CLIP_S, Schedule, Shown, draw_schedule

__all__ = ["simulate"]

TR_S = 1.5
#: Seconds of a track of the library: what retrieval listens to.
LIBRARY_S = 15.0


@dataclass(frozen=True)
class _Settings:
    """What decides the bytes of a simulated study."""

    subjects: int = 2
    seed: int = 0
    runs: tuple[int, int] = (6, 2)
    voxel_size: float = 4.0
    signal: float = 1.0
    motion: bool = False
    line_end: str = "crlf"
    corpus: int = 30

    def __post_init__(self) -> None:
        rules: tuple[tuple[str, bool, str], ...] = (
            ("subjects", 1 <= self.subjects <= 999, "from 1 to 999"),
            ("seed", self.seed >= 0, "0 or more"),
            ("runs", min(self.runs) >= 1 and 4 * self.runs[0] + self.runs[1] <= 100, "1 or more, 12 and 6 at most"),
            ("voxel_size", 1.5 <= self.voxel_size <= 6, "from 1.5 to 6 mm"),
            ("signal", 0 <= self.signal <= 100, "from 0 to 100"),
            ("line_end", self.line_end in bids.LINE_ENDS, " or ".join(bids.LINE_ENDS)),
            ("corpus", 0 <= self.corpus <= 10_000, "from 0 to 10,000 tracks of each genre"),
        )
        for name, holds, rule in rules:
            if not holds:
                raise ValueError(f"[simulation.simulate] {name} must be {rule}; got {getattr(self, name)}")


def simulate(
    out: str | os.PathLike[str],
    *,
    subjects: int = 2,
    seed: int = 0,
    runs: tuple[int, int] = (6, 2),
    voxel_size: float = 4.0,
    signal: float = 1.0,
    motion: bool = False,
    line_end: str = "crlf",
    corpus: int = 30,
    progress: bool = True,
) -> Path:
    """Write a study laid out exactly as ds003720, with its music, captions, derivatives and the truth.

    ``b2m.Study(out, rois="destrieux")`` reads it. What a voxel responds to comes from the score and from a model of the
    ear; it shares no code with the library's log-mel nor with any embedding. Written run by run: memory holds one run.
    A call that was stopped goes on where it stopped.

    Parameters
    ----------
    out : path
        Made if it is not there; a folder with a study of other settings in it is refused.
    subjects : int, default 2
        ds003720 has 5.
    seed : int, default 0
        The same settings and seed give the same bytes.
    runs : (int, int), default (6, 2)
        Training and test runs a subject; ds003720 has (12, 6).
    voxel_size : float, default 4
        Edge of a voxel in mm; 2 as in ds003720.
    signal : float, default 1
        Factor on what the music does to the brain. At 1 one presentation of a clip correlates with what is explainable
        in it by r = 0.3 in the median of the auditory cortex's responsive voxels; 0 is a null study.
    motion : bool, default False
        The head moves in the raw images; the derivatives are aligned.
    line_end : "crlf" or "lf"
        Of the events files; ds003720 has CRLF.
    corpus : int, default 30
        Tracks of each genre in ``out/corpus``, a library to retrieve from; none is heard in the study.
    progress : bool, default True
        Show bars.

    Returns
    -------
    pathlib.Path
        The study's folder.

    Raises
    ------
    ValueError
        If a setting is out of range.
    FileExistsError
        If another study lies in ``out``.
    ImportError
        If what ``pip install brain2music[simulate]`` brings is missing.
    """
    settings = _Settings(subjects, seed, (runs[0], runs[1]), voxel_size, signal, motion, line_end, corpus)
    root = Path(out)
    _claim(root, settings)
    schedule = draw_schedule(seed, settings.runs)
    tracks = sorted({(clip.genre, clip.track) for clip in schedule.clips}, key=lambda t: (GENRES.index(t[0]), t[1]))
    # Seeds of the study's tracks are even, of the library's odd: no track is in both, whatever the seed.
    tell(f"Composing and playing {len(tracks)} tracks: the music that is heard in the scanner.", progress)
    write_tracks(root / "stimuli", tracks, 2 * seed, progress=progress)
    if corpus:
        # Numbered from 100 on, after GTZAN's: no track of the study has a namesake in the library.
        library = [(genre, 100 + number) for genre in GENRES for number in range(corpus)]
        tell(f"Composing {len(library)} tracks that nobody hears: the library that music is retrieved from.", progress)
        write_tracks(root / "corpus", library, 2 * seed + 1, LIBRARY_S, progress)
    bids.write_study(root)
    tell("Listening to each clip with a model of the ear: what the simulated brains respond to.", progress)
    heard = _heard(root, schedule, seed, progress)
    tell(f"Simulating the fMRI of {subjects} subjects: brains, noise, drift, and the files of a study.", progress)
    with tqdm(total=subjects * len(schedule.runs()), desc="brains", unit="run", disable=not progress) as bar:
        for number in range(1, subjects + 1):
            _write_subject(root, number, settings, schedule, heard, bar)
    return root


def _claim(root: Path, settings: _Settings) -> None:
    """Note the settings in an empty folder; in another one they must be the same."""
    path = root / "truth" / "simulation.json"
    wanted = {"Description": "Settings of brain2music simulate", **asdict(settings), "runs": list(settings.runs)}
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != wanted:
            differ = [name for name in wanted if found.get(name) != wanted[name]]
            raise FileExistsError(
                f"[simulation.simulate] a folder holds one study; got {root} with other {', '.join(differ)}. Choose "
                "another folder."
            )
    elif root.exists() and any(root.iterdir()):
        raise FileExistsError(f"[simulation.simulate] the folder must be empty or not there; got {root}")
    write_json(path, wanted)


def _heard(root: Path, schedule: Schedule, seed: int, progress: bool) -> tuple[FeatureTable, dict[Shown, int]]:
    """Features of all clips one after the other, standardised, and the row at which each clip begins.

    Writes the captions too, since both need the scores.
    """
    clips = schedule.clips
    scores = [compose(clip.genre, track_seed(2 * seed, clip.genre, clip.track)) for clip in clips]
    texts = captions(scores, [(clip.start, clip.end) for clip in clips], seed)
    bids.write_captions(root / "captions.csv", {clip.clip: text for clip, text in zip(clips, texts, strict=True)})

    def listen(index: int) -> FeatureTable:
        clip = clips[index]
        name = f"{clip.genre}.{clip.track:05}"
        return clip_features(scores[index], root / f"stimuli/genres/{clip.genre}/{name}.wav", clip.start, clip.end)

    with ThreadPoolExecutor() as pool:
        tables = list(
            tqdm(
                pool.map(listen, range(len(clips))),
                total=len(clips),
                desc="features",
                unit="clip",
                disable=not progress,
            )
        )
    values = np.concatenate([table.values for table in tables])
    spread = values.std(axis=0)
    # A brain saturates: what lies many standard deviations out is drawn in.
    values = 4 * np.tanh((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1) / 4)
    rows = np.cumsum([0, *(len(table.values) for table in tables)])
    table = FeatureTable(tables[0].names, tables[0].spaces, values.astype(np.float32))
    bids.write_features(root / "truth", table, {clip.clip: int(row) for clip, row in zip(clips, rows, strict=False)})
    return table, {clip: int(row) for clip, row in zip(clips, rows, strict=False)}


def _write_subject(
    root: Path,
    number: int,
    settings: _Settings,
    schedule: Schedule,
    heard: tuple[FeatureTable, dict[Shown, int]],
    bar: Any,
) -> None:
    files = bids.SubjectFiles(root, f"{number:03}")
    runs = schedule.runs()
    missing = [index for index, (task, run, _) in enumerate(runs) if not files.has_run(task, run)]
    bar.update(len(runs) - len(missing))
    if not missing and files.has_anatomy:
        return
    table, first = heard
    rows = round(CLIP_S * RATE_HZ)
    listened = [np.concatenate([table.values[first[clip] :][:rows] for clip in run]) for _, _, run in runs]
    listener = Listener(number, settings.seed, settings.voxel_size, table, listened, TR_S, settings.signal)
    files.write_anatomy(listener)
    for index in missing:
        task, run_number, clips = runs[index]
        volumes = listener.bold(listened[index], index, round(len(clips) * CLIP_S / TR_S))
        events = schedule.events(task, run_number, bids.LINE_ENDS[settings.line_end])
        motion = [settings.seed, number, 6, index] if settings.motion else None
        files.write_run(task, run_number, volumes, listener, events, motion)
        bar.update()
