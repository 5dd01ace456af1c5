"""What a recipe learns from: excerpts of music at 16 kHz on disk, with captions and, if known, what is heard there."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import copy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from brain2music.files import replacing

__all__ = [
    "CLIP",
    "RATE",
    "SECONDS",
    "Excerpt",
    "Excerpts",
    "Made",
    "claim",
    "draw_clips",
    "heard",
    "write_blocks",
    "write_excerpts",
]

#: Samples a second, and seconds of an excerpt.
RATE, SECONDS = 16_000, 30.0

#: Seconds of the clips that embedder and tagger learn from.
CLIP = 10.0

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


#: An excerpt, and its samples: 30 s at 16 kHz.
Made = tuple[Excerpt, npt.NDArray[np.float32]]


class Excerpts(Sequence[Excerpt]):
    """A folder that :func:`write_excerpts` or :func:`write_blocks` has written, or some of its excerpts.

    Parameters
    ----------
    folder : path
        The folder.

    Attributes
    ----------
    left_out : tuple of (str, str)
        Music that gave no excerpt, and why.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._about: list[Excerpt] = []
        self._sound: list[npt.NDArray[np.int16]] = []
        left_out: list[tuple[str, str]] = []
        for path in sorted(self.folder.glob("excerpts-*.json")):
            self._about += [_read(row) for row in json.loads(path.read_text(encoding="utf-8"))]
            self._sound.append(np.load(path.with_suffix(".npy"), mmap_mode="r"))
            listed = path.with_name(path.name.replace("excerpts-", "left-out-"))
            if listed.exists():
                left_out += [(what, why) for what, why in json.loads(listed.read_text(encoding="utf-8"))]
        self.left_out = tuple(left_out)
        if not self._sound:
            raise ValueError(f"[recipes.Excerpts] the folder must hold excerpts; got none in {self.folder}")
        self._first = np.cumsum([0, *map(len, self._sound)])
        self._rows = list(range(len(self._about)))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Excerpt:  # type: ignore[override]
        return self._about[self._rows[index]]

    def chosen(self, rows: Sequence[int]) -> "Excerpts":
        """Return some of the excerpts, in this order."""
        chosen = copy(self)
        chosen._rows = [self._rows[row] for row in rows]
        return chosen

    def sound(self, index: int, start: float = 0.0, seconds: float = SECONDS) -> npt.NDArray[np.float32]:
        """Return samples (seconds * RATE,) of an excerpt, float32."""
        row = self._rows[index]
        file = int(np.searchsorted(self._first, row, side="right")) - 1
        first = round(start * RATE)
        samples = self._sound[file][row - self._first[file], first : first + round(seconds * RATE)]
        return np.divide(samples, 32767, dtype=np.float32)


_What = TypeVar("_What")


def draw_clips(
    excerpts: Excerpts,
    rows: Sequence[int],
    spans: Callable[[Excerpt], Sequence[tuple[float, float, _What]]],
    seconds: float,
    generator: torch.Generator,
) -> tuple[Tensor, list[tuple[float, float, _What]]]:
    """Draw a span of each excerpt, and a clip that lies in it.

    Parameters
    ----------
    excerpts : Excerpts
        Where the clips come from.
    rows : sequence of int
        An excerpt for each clip.
    spans : callable
        From an excerpt to (start, stop, what is true of the span), in seconds.
    seconds : float
        Length of the clips.
    generator : torch.Generator
        Of the CPU.

    Returns
    -------
    Tensor of shape (rows, seconds * RATE), float32
    list of (start, stop, what is true of the span)
    """
    sound, drawn = [], []
    for row in rows:
        known = spans(excerpts[row])
        start, stop, what = known[int(torch.randint(len(known), (), generator=generator))]
        late = float(torch.rand((), generator=generator)) * max(stop - start - seconds, 0.0)
        sound.append(torch.from_numpy(excerpts.sound(row, start + late, seconds)))
        drawn.append((start, stop, what))
    return torch.stack(sound), drawn


def heard(names: Sequence[Sequence[str]], tags: Sequence[str]) -> Tensor:
    """Turn the names of each row into ones among zeros: (rows, tags) float32; names that are no tags are left out."""
    column = {name: i for i, name in enumerate(tags)}
    ones = torch.zeros(len(names), len(tags))
    for i, row in enumerate(names):
        ones[i, [column[name] for name in row if name in column]] = 1
    return ones


def claim(folder: str | os.PathLike[str], identity: str) -> None:
    """Make a folder and write into it what it is filled from.

    Raises
    ------
    ValueError
        If the folder is filled from something else.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    stamp = root / "identity.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") != identity:
        raise ValueError(
            f"[recipes.write_excerpts] a folder holds excerpts of one kind; got {stamp.read_text(encoding='utf-8')!r} "
            f"in {root}, to be filled with {identity!r}: choose another folder"
        )
    stamp.write_text(identity, encoding="utf-8")


def write_excerpts(
    folder: str | os.PathLike[str],
    count: int,
    make: Callable[[int], Made],
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
    blocks = [range(first, min(first + _BLOCK, count)) for first in range(0, count, _BLOCK)]
    return write_blocks(folder, blocks, partial(_each, make), identity, "excerpt", processes, progress)


def write_blocks(
    folder: str | os.PathLike[str],
    blocks: Sequence[range],
    make: Callable[[range], tuple[list[Made], list[tuple[str, str]]]],
    identity: str,
    unit: str,
    processes: int | None = None,
    progress: bool = True,
) -> Excerpts:
    """Write excerpts block by block, those blocks that are not there yet.

    Parameters
    ----------
    folder, identity, processes, progress
        As :func:`write_excerpts` takes them.
    blocks : sequence of range
        Numbers of what excerpts are made from, one block after the other.
    make : callable
        Makes the excerpts of a block with their sound, and lists what gave none, with reasons. It is called in
        processes of its own.
    unit : str
        What is numbered, for the bar.
    """
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    root = Path(folder)
    claim(root, identity)
    missing = [block for block in blocks if not _path(root, block).with_suffix(".json").exists()]
    count = sum(map(len, blocks))
    done = count - sum(map(len, missing))
    with tqdm(total=count, initial=done, desc="excerpts", unit=unit, disable=not progress) as bar:
        for block in _written(root, missing, make, processes or os.cpu_count() or 1):
            bar.update(len(block))
    return Excerpts(root)


def _each(make: Callable[[int], Made], block: range) -> tuple[list[Made], list[tuple[str, str]]]:
    return [make(index) for index in block], []


def _written(
    root: Path,
    blocks: list[range],
    make: Callable[[range], tuple[list[Made], list[tuple[str, str]]]],
    processes: int,
) -> Iterator[range]:
    write = partial(_write, root, make)
    if processes == 1 or len(blocks) < 2:
        yield from map(write, blocks)
        return
    with ProcessPoolExecutor(min(processes, len(blocks))) as pool:
        yield from pool.map(write, blocks)


def _write(root: Path, make: Callable[[range], tuple[list[Made], list[tuple[str, str]]]], block: range) -> range:
    made, left_out = make(block)
    sound = np.empty((len(made), round(SECONDS * RATE)), np.int16)
    for row, (_, samples) in zip(sound, made, strict=True):
        row[:] = np.round(samples * 32767).astype(np.int16)
    path = _path(root, block)
    with replacing(path.with_suffix(".npy")) as temporary, temporary.open("wb") as file:
        np.save(file, sound)
    if left_out:
        with replacing(path.with_name(path.name.replace("excerpts-", "left-out-") + ".json")) as temporary:
            temporary.write_text(json.dumps(left_out) + "\n", encoding="utf-8")
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
