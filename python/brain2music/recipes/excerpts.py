"""What a recipe learns from: excerpts of music at 16 kHz on disk, with captions and, if known, what is heard there."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brain2music.files import replacing

__all__ = ["RATE", "SECONDS", "Excerpt", "Excerpts", "write_excerpts"]

#: Samples a second, and seconds of an excerpt.
RATE, SECONDS = 16_000, 30.0

#: Excerpts of a file: what is written before a crash is not written again.
_BLOCK = 50


@dataclass(frozen=True)
class Excerpt:
    """What is known of an excerpt beside its sound.

    Attributes
    ----------
    name : str
        The track, and where in it.
    captions : tuple of (start, stop, text)
        Captions of spans, in seconds of the excerpt.
    genre : str or None
        One word.
    tags : tuple of (start, stop, tags)
        What is heard in spans: instruments, moods and whatever else a tagger is to learn; empty where nothing is known.
    """

    name: str
    captions: tuple[tuple[float, float, str], ...]
    genre: str | None = None
    tags: tuple[tuple[float, float, tuple[str, ...]], ...] = ()


class Excerpts(Sequence[Excerpt]):
    """A folder that :func:`write_excerpts` has written.

    Parameters
    ----------
    folder : path
        The folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._about: list[Excerpt] = []
        self._sound: list[npt.NDArray[np.int16]] = []
        for path in sorted(self.folder.glob("excerpts-*.json")):
            self._about += [_read(row) for row in json.loads(path.read_text(encoding="utf-8"))]
            self._sound.append(np.load(path.with_suffix(".npy"), mmap_mode="r"))
        if not self._about:
            raise ValueError(f"[recipes.Excerpts] the folder must hold excerpts; got none in {self.folder}")
        self._first = np.cumsum([0, *map(len, self._sound)])

    def __len__(self) -> int:
        return len(self._about)

    def __getitem__(self, index: int) -> Excerpt:  # type: ignore[override]
        return self._about[index]

    def sound(self, index: int, start: float = 0.0, seconds: float = SECONDS) -> npt.NDArray[np.float32]:
        """Return samples (seconds * RATE,) of an excerpt, float32."""
        file = int(np.searchsorted(self._first, index, side="right")) - 1
        first = round(start * RATE)
        samples = self._sound[file][index - self._first[file], first : first + round(seconds * RATE)]
        return np.divide(samples, 32767, dtype=np.float32)


def write_excerpts(
    folder: str | os.PathLike[str],
    count: int,
    make: Callable[[int], tuple[Excerpt, npt.NDArray[np.float32]]],
    identity: str,
    processes: int | None = None,
    progress: bool = True,
) -> Excerpts:
    """Write excerpts, those that are not there yet.

    Parameters
    ----------
    folder : path
        Where they go.
    count : int
        How many.
    make : callable
        Makes excerpt number i, and its sound: samples of 30 s at 16 kHz. It is called in processes of its own.
    identity : str
        What the excerpts are made from; a folder of another identity is refused.
    processes : int, optional
        As many as there are cores by default.
    progress : bool, default True
        Show a bar.

    Raises
    ------
    ValueError
        If the folder holds excerpts of another identity.
    """
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    stamp = root / "identity.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") != identity:
        raise ValueError(
            f"[recipes.write_excerpts] a folder holds excerpts of one kind; got {stamp.read_text(encoding='utf-8')!r} "
            f"in {root}, to be filled with {identity!r}: choose another folder"
        )
    stamp.write_text(identity, encoding="utf-8")
    blocks = [range(first, min(first + _BLOCK, count)) for first in range(0, count, _BLOCK)]
    missing = [block for block in blocks if not _path(root, block).with_suffix(".json").exists()]
    done = count - sum(map(len, missing))
    with tqdm(total=count, initial=done, desc="excerpts", unit="excerpt", disable=not progress) as bar:
        for block in _written(root, missing, make, processes or os.cpu_count() or 1):
            bar.update(len(block))
    return Excerpts(root)


def _written(
    root: Path,
    blocks: list[range],
    make: Callable[[int], tuple[Excerpt, npt.NDArray[np.float32]]],
    processes: int,
) -> Iterator[range]:
    write = partial(_write, root, make)
    if processes == 1 or len(blocks) < 2:
        yield from map(write, blocks)
        return
    with ProcessPoolExecutor(min(processes, len(blocks))) as pool:
        yield from pool.map(write, blocks)


def _write(root: Path, make: Callable[[int], tuple[Excerpt, npt.NDArray[np.float32]]], block: range) -> range:
    made = [make(index) for index in block]
    sound = np.stack([np.round(samples * 32767).astype(np.int16) for _, samples in made])
    path = _path(root, block)
    with replacing(path.with_suffix(".npy")) as temporary, temporary.open("wb") as file:
        np.save(file, sound)
    # The list comes last: a block with a list is whole.
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps([asdict(about) for about, _ in made]) + "\n", encoding="utf-8")
    return block


def _path(root: Path, block: range) -> Path:
    return root / f"excerpts-{block.start:06}"


def _read(row: dict) -> Excerpt:  # type: ignore[type-arg]
    captions = tuple((start, stop, text) for start, stop, text in row["captions"])
    tags = tuple((start, stop, tuple(names)) for start, stop, names in row["tags"])
    return Excerpt(row["name"], captions, row["genre"], tags)
