"""Building a corpus: audio files in, an index out; interrupted at any point, it goes on where it was."""

import fcntl
import hashlib
import json
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from brain2music import _core
from brain2music.files import natural
from brain2music.retrieval.skipped import Skipped
from brain2music.sound import find_audio, is_hidden, is_read, read_mono

__all__ = ["build_index"]

#: Files of a part: what is lost at most when a build is interrupted. 32 of 15 s at 44.1 kHz take 85 MB, decoded.
PART = 32

_WHERE = "retrieval.Corpus.build"

#: File of an index that was built from one channel of each file: its number.
_CHANNEL = "channel.txt"

Waveform = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Settings:
    """What all embeddings of a corpus have in common."""

    bundle_hash: str
    role: str
    seconds: float
    channel: int | None = None


@dataclass
class _Part:
    """Embeddings of up to PART files: ids of those that have one, and reasons of those that have none."""

    files: list[str]
    skipped: list[tuple[str, str]]
    window: float
    hop: float
    values: npt.NDArray[np.float32]


def build_index(
    folder: Path,
    bundle: Any,
    out: Path,
    *,
    role: str,
    seconds: float,
    channel: int | None,
    jobs: int | None,
    progress: bool,
) -> list[Skipped]:
    """Write the index of ``folder`` into ``out``, and list what is not in it; see :meth:`brain2music.Corpus.build`."""
    if not 0 < seconds < float("inf"):
        raise ValueError(f"[{_WHERE}] seconds must be a positive number; got {seconds}")
    if channel is not None and channel < 0:
        raise ValueError(f"[{_WHERE}] channel must be None, or a number from 0; got {channel}")
    if jobs is not None and jobs < 1:
        raise ValueError(f"[{_WHERE}] jobs must be 1 or more; got {jobs}")
    _check_role(bundle, role, seconds)
    settings = _Settings(str(bundle.hash), role, float(seconds), channel)
    files, others = find_audio(folder, _WHERE)
    if out.exists():
        index = _require_current(out, folder, files, settings)
        shutil.rmtree(_working(out), ignore_errors=True)  # of a process that was killed in its last moment
        return _listed(_unusable(index), others)
    working = _working(out)
    with _locked(working):
        parts = _parts(folder, files, bundle, settings, working, jobs or os.cpu_count() or 1, progress)
        skipped = _listed([each for part in parts for each in part.skipped], others)
        _finish(parts, settings, str(bundle.roles[role]["sha256"]), folder, ids_of(files), skipped, working, out)
    shutil.rmtree(working, ignore_errors=True)
    return skipped


def _listed(unusable: Iterable[tuple[str, str]], others: Iterable[tuple[str, str]]) -> list[Skipped]:
    """List all files that are not in the corpus, in natural order: 2 before 10."""
    listed = [Skipped(_printable(file), _printable(reason)) for file, reason in (*unusable, *others)]
    return sorted(listed, key=lambda one: natural(one.file))


def _working(out: Path) -> Path:
    return out.with_name(f".{out.name}.building")


def _check_role(bundle: Any, role: str, seconds: float) -> None:
    """Refuse at once what the bundle would refuse for every file."""
    roles = bundle.roles
    if role not in roles:
        raise ValueError(f"[{_WHERE}] the bundle must fill role {role!r}; got one with {', '.join(roles) or 'none'}")
    window = float(roles[role]["window"])
    if seconds < window:
        raise ValueError(f"[{_WHERE}] seconds must be a window of the role or more, {window:g} s; got {seconds:g} s")


def ids_of(files: list[str]) -> dict[str, str]:
    """Return the id of each file: its path without its ending; with it, where two files differ in nothing else."""
    stems = Counter(file[: file.rindex(".")] for file in files)
    return {file: stem if stems[stem := file[: file.rindex(".")]] == 1 else file for file in files}


def _require_current(out: Path, folder: Path, files: list[str], settings: _Settings) -> _core.retrieval.Index:
    """Open ``out``, which must be the index of these files, none of them newer than it.

    Files that are not read do not count: they may come and go.
    """
    try:
        index = _core.retrieval.Index.open(out)
    except RuntimeError as error:
        raise ValueError(f"[{_WHERE}] out must be a new folder, or an index; got {out} and '{error}'") from error
    written = (out / "index.json").stat().st_mtime_ns
    newer = [file for file in files if (_stat(folder / file) or (0, 0))[1] > written]
    kept = out / _CHANNEL
    channel = int(kept.read_text(encoding="ascii")) if kept.exists() else None
    if _Settings(index.bundle_hash, index.role, index.seconds, channel) != settings:
        problem = f"one of bundle {index.bundle_hash}, role {index.role}, {index.seconds:g} s, channel {channel}"
    elif sorted([*index.files, *(file for file, _ in _unusable(index))]) != sorted(map(_printable, files)):
        problem = "one of other files"
    elif newer:
        problem = f"one that is older than {len(newer)} of them, {newer[0]} the first"
    else:
        return index
    raise ValueError(
        f"[{_WHERE}] out must be a new folder, or the index of these files, bundle and settings; got {problem} in "
        f"{out}: remove it, or take another name"
    )


def _unusable(index: _core.retrieval.Index) -> list[tuple[str, str]]:
    """Files with an ending that is read that could not be used; older indexes list hidden ones, too."""
    return [(file, reason) for file, reason in index.skipped if is_read(file) and not is_hidden(file)]


def _stat(path: Path) -> tuple[int, int] | None:
    """Size and time of change; None for a link to nowhere."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


@contextmanager
def _locked(working: Path) -> Iterator[None]:
    """Hold the working folder; a process that dies lets go of it."""
    working.parent.mkdir(parents=True, exist_ok=True)
    working.mkdir(exist_ok=True)
    with (working / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(
                f"[{_WHERE}] one process at a time builds an index; got another one at work in {working}"
            ) from error
        yield


def _parts(
    folder: Path,
    files: list[str],
    bundle: Any,
    settings: _Settings,
    working: Path,
    jobs: int,
    progress: bool,
) -> list[_Part]:
    """Embed the files part by part, those parts that are not there from an earlier run."""
    chunks = [files[first : first + PART] for first in range(0, len(files), PART)]
    places = [working / f"part-{_key(folder, chunk, settings)}" for chunk in chunks]
    parts: list[_Part | None] = [_load_part(place) for place in places]
    missing = [number for number, part in enumerate(parts) if part is None]
    with (
        ThreadPoolExecutor(jobs) as pool,
        tqdm(total=len(files), desc="corpus", unit="file", disable=not progress) as bar,
    ):
        try:
            bar.update(len(files) - sum(len(chunks[number]) for number in missing))
            decoding: list[list[Future[tuple[Waveform, int] | str]]] = []
            for turn, number in enumerate(missing):
                for ahead in missing[len(decoding) : turn + 2]:  # the next part is decoded while this one is embedded
                    decoding.append(
                        [
                            pool.submit(read_mono, folder, file, settings.seconds, settings.channel)
                            for file in chunks[ahead]
                        ]
                    )
                sounds = [future.result() for future in decoding[turn]]
                decoding[turn] = []
                part = _embed(chunks[number], sounds, bundle, settings)
                _save_part(places[number], part)
                parts[number] = part
                bar.update(len(chunks[number]))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [part for part in parts if part is not None]


def _key(folder: Path, chunk: list[str], settings: _Settings) -> str:
    """Name a part by all that it depends on; a file's content counts by its size and time of change."""
    listing = [(file, _stat(folder / file)) for file in chunk]
    text = json.dumps([_core.version(), asdict(settings), listing])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _embed(chunk: list[str], sounds: list[tuple[Waveform, int] | str], bundle: Any, settings: _Settings) -> _Part:
    """Embed decoded files, those of one rate at a time, and average their windows."""
    reasons = {file: sound for file, sound in zip(chunk, sounds, strict=True) if isinstance(sound, str)}
    by_rate: dict[int, list[tuple[str, Waveform]]] = {}
    for file, sound in zip(chunk, sounds, strict=True):
        if not isinstance(sound, str):
            by_rate.setdefault(sound[1], []).append((file, sound[0]))
    part = _Part([], [], 0.0, 0.0, np.empty((0, 0), np.float32))
    vectors: dict[str, npt.NDArray[np.float64]] = {}
    for rate, group in by_rate.items():
        for names, embeddings in _embed_group(group, rate, bundle, settings.role, reasons):
            part.window, part.hop = float(embeddings.window), float(embeddings.hop)
            averages = np.asarray(embeddings.values).mean(axis=1, dtype=np.float64)
            vectors.update(zip(names, averages, strict=True))
    for file, vector in list(vectors.items()):
        if not np.isfinite(vector).all() or not vector.astype(np.float32).any():
            reasons[file] = "its embedding must be finite and not zero; got another"
            del vectors[file]
    part.files = [file for file in chunk if file in vectors]
    part.skipped = [(file, reasons[file]) for file in chunk if file in reasons]
    if vectors:
        part.values = np.stack([vectors[file] for file in part.files]).astype(np.float32)
    return part


def _embed_group(
    group: list[tuple[str, Waveform]], rate: int, bundle: Any, role: str, reasons: dict[str, str]
) -> Iterator[tuple[list[str], Any]]:
    """Embed waveforms of one rate together; if that is refused, one by one, to learn which to leave out."""
    names = [file for file, _ in group]
    try:
        embeddings = bundle.embed(role, ([waveform for _, waveform in group], rate))
    except ValueError as error:
        if len(group) == 1:
            reasons[names[0]] = f"the bundle refused it: {error}"
            return
    else:
        yield names, embeddings
        return
    for each in group:
        yield from _embed_group([each], rate, bundle, role, reasons)


def _save_part(place: Path, part: _Part) -> None:
    about = {"files": part.files, "skipped": part.skipped, "window": part.window, "hop": part.hop}
    _core.io.save_npy(place.with_suffix(".npy"), part.values)
    temporary = place.with_suffix(".json.part")
    with temporary.open("w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(about, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(place.with_suffix(".json"))  # last: says that the part is whole


def _load_part(place: Path) -> _Part | None:
    if not place.with_suffix(".json").is_file():
        return None
    about = json.loads(place.with_suffix(".json").read_text(encoding="utf-8", errors="surrogateescape"))
    skipped = [(file, reason) for file, reason in about["skipped"]]
    values = np.load(place.with_suffix(".npy"), allow_pickle=False)
    return _Part(about["files"], skipped, about["window"], about["hop"], values)


def _finish(
    parts: list[_Part],
    settings: _Settings,
    network_hash: str,
    folder: Path,
    ids: dict[str, str],
    skipped: list[Skipped],
    working: Path,
    out: Path,
) -> None:
    filled = [part for part in parts if part.files]
    music = [one for one in skipped if one.is_audio]
    if not filled:
        file, reason = next(one for one in music if is_read(one.file))
        raise ValueError(f"[{_WHERE}] a file must be usable; got none in {folder}: {file}: {reason}")
    shapes = {(part.window, part.hop, part.values.shape[1]) for part in filled}
    if len(shapes) > 1:
        raise ValueError(f"[{_WHERE}] the bundle must give one window, hop and dimension; got {sorted(shapes)}")
    files = [file for part in filled for file in part.files]
    index = _core.retrieval.Index(
        np.concatenate([part.values for part in filled]),
        [ids[file] for file in files],
        settings.bundle_hash,
        settings.role,
        filled[0].window,
        filled[0].hop,
        settings.seconds,
        files,
        skipped,
        network_hash,
    )
    whole = working / "index"
    shutil.rmtree(whole, ignore_errors=True)
    index.save(whole)
    if settings.channel is not None:
        (whole / _CHANNEL).write_text(f"{settings.channel}\n", encoding="ascii")
    whole.rename(out)
    if music:
        file, reason = music[0]
        warnings.warn(
            f"{len(music)} of {len(music) + len(files)} audio files are not in the corpus, {file} the first: {reason} "
            "(all: corpus.skipped)",
            stacklevel=5,
        )


def _printable(text: str) -> str:
    """Replace what is not UTF-8 in a file's name."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
