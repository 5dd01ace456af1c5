"""A folder of tracks laid out as GTZAN is, with the truth of each in a table."""

import csv
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from brain2music.files import replacing
from brain2music.simulation.music.annotation import COLUMNS, truth
from brain2music.simulation.music.composer import compose
from brain2music.simulation.music.genres import GENRES
from brain2music.simulation.music.score import Score
from brain2music.simulation.music.synthesis import RATE, render

__all__ = ["track_seed", "write_tracks"]

#: Begins the comment of every file written here, so that no other file is ever taken for one, or written over.
_STAMP = "composed by brain2music.simulation"


def write_tracks(
    folder: str | os.PathLike[str],
    tracks: int | Iterable[tuple[str, int]] = 100,
    seed: int = 0,
    seconds: float = 30.0,
    progress: bool = True,
) -> Path:
    """Write tracks as ``genres/<genre>/<genre>.000NN.wav``, and ``tracks.tsv`` with what is true of them.

    A track that is there already is kept, so that a call that was stopped goes on where it stopped.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    tracks : int or iterable of (genre, number), default 100
        How many of each genre, or which.
    seed : int, default 0
        Seed of the whole library; see ``track_seed``.
    seconds : float, default 30
        Length of a track.
    progress : bool, default True
        Show a bar.

    Returns
    -------
    pathlib.Path
        ``tracks.tsv``, one row a track; a sidecar ``tracks.json`` says what its columns mean.

    Raises
    ------
    ValueError
        If a genre is unknown or a track is asked for twice.
    FileExistsError
        If a file of another origin lies where a track should.
    """
    wanted = [(genre, number) for genre in GENRES for number in range(tracks)] if isinstance(tracks, int) else [*tracks]
    for index, track in enumerate(wanted):
        if track in wanted[:index]:
            raise ValueError(f"[simulation.music.write_tracks] a track is asked for once; got {track} twice")
    root = Path(folder)

    def write(which: tuple[str, int]) -> dict[str, str]:
        genre, number = which
        score = compose(genre, track_seed(seed, genre, number), seconds)
        path = root / "genres" / genre / f"{genre}.{number:05}.wav"
        if not _is_there(path, score):
            _write(path, score)
        return {"track": path.stem, **truth(score).cells()}

    # FluidSynth plays without the interpreter's lock.
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        rows: list[dict[str, str]] = list(
            tqdm(pool.map(write, wanted), total=len(wanted), desc="tracks", unit="track", disable=not progress)
        )
    finally:
        pool.shutdown(cancel_futures=True)
    table = root / "tracks.tsv"
    with replacing(table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["track", *COLUMNS], delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    columns = {"track": "File of the track, without folder and ending", **COLUMNS}
    with replacing(table.with_suffix(".json")) as temporary:
        sidecar = {column: {"Description": description} for column, description in columns.items()}
        temporary.write_text(json.dumps(sidecar, indent=2) + "\n", encoding="utf-8")
    return table


def track_seed(seed: int, genre: str, number: int) -> int:
    """Seed that composes track ``number`` of a genre in the library of a seed: no two libraries share tracks."""
    if genre not in GENRES:
        raise ValueError(f"[simulation.music.track_seed] genre must be one of {', '.join(GENRES)}; got {genre!r}")
    return int(np.random.SeedSequence([seed, GENRES.index(genre), number]).generate_state(1)[0])


def _write(path: Path, score: Score) -> None:
    samples = np.round(render(score) * 32767).astype(np.int16)
    with (
        replacing(path) as temporary,
        soundfile.SoundFile(temporary, "w", RATE, channels=1, subtype="PCM_16", format="WAV") as file,
    ):
        file.comment = _comment(score)
        file.write(samples)


def _is_there(path: Path, score: Score) -> bool:
    """Whether the very track lies there; another one of ours is to be replaced, anything else is not ours to touch."""
    if not path.exists():
        return False
    try:
        with soundfile.SoundFile(path) as file:
            comment, frames = file.comment, file.frames
    except soundfile.LibsndfileError as error:
        comment, frames = str(error), 0
    if not comment.startswith(_STAMP):
        raise FileExistsError(
            f"[simulation.music.write_tracks] only tracks composed here may be replaced; got {path} with comment "
            f"{comment!r}. Choose another folder."
        )
    return bool(comment == _comment(score) and frames == round(score.seconds * RATE))


def _comment(score: Score) -> str:
    return f"{_STAMP}: {score.genre}, seed {score.seed}, {score.seconds:g} s"
