"""Music and captions of one's own, as excerpts that a recipe learns from."""

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from brain2music import _core
from brain2music.files import digest_file, replacing
from brain2music.recipes.excerpts import CLIP, RATE, SECONDS, Excerpt, Excerpts, Made, write_blocks
from brain2music.recipes.own_tables import Caption, read_captions, read_tags
from brain2music.recipes.source import TagGroup
from brain2music.sound import STEP_16_BITS, find_audio, is_audio, read_mono, silence
from brain2music.study.stimuli import SHORTFALL

__all__ = ["OwnMusic"]

#: Share of the files that are kept for validation.
_VALIDATION = 0.05

#: A block is one file, or several of so many bytes together: what is decoded again after a crash.
_BLOCK_BYTES = 100_000_000


class OwnMusic:
    """A folder of music with captions, and tags if there are any, as the source of a recipe.

    A file is mixed to mono, resampled to 16 kHz and cut into excerpts of 30 s from its beginning. A file that is louder
    than full scale after resampling is turned down to full scale. A rest of less than 30 s is left out, and so is a
    silent excerpt; 0.1 s may be missing at the end of an excerpt. Whole files, 5 % of them and at least one, drawn by
    the seed among those with captions, are kept to follow the learning on. Files of equal bytes count as one.

    Parameters
    ----------
    folder : path
        Audio files at any depth: AIFF, AU, CAF, FLAC, MP3, OGG, Opus, W64 or WAV. Hidden files are not looked at.
    captions : path
        CSV in UTF-8 with columns ``file`` (path below the folder, with ``/`` and ending) and ``caption``, and if wanted
        ``start`` and ``stop``, in seconds of the file. A file may have several rows. A caption counts for each excerpt
        that holds 10 s of its span or more. Excerpts without captions teach all but the embedder.
    tags : path, optional
        CSV in UTF-8 with columns ``file``, ``group`` and ``tag``, a row for each tag of a file, such as
        ``a.mp3,genres,jazz``. A file with a row must have rows for all that is heard in it. If each file with rows has
        exactly one tag of a group, the probabilities of the group's tags will sum to 1; otherwise each tag has a
        probability by itself. Without tags the bundle has no tagger.
    seed : int, default 0
        Draws the files that are kept for validation.

    Attributes
    ----------
    files : list of str
        Audio files of the folder.

    Raises
    ------
    ValueError
        If the folder holds no audio, or a row of a table is not as it should be; the row is named.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        captions: str | os.PathLike[str],
        tags: str | os.PathLike[str] | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.folder, self.seed = Path(folder), seed
        self.files, others = find_audio(self.folder, "recipes.OwnMusic")
        self._unread = [(file, reason) for file, reason in others if is_audio(file)]
        names = frozenset(self.files)
        self._captions = read_captions(captions, names)
        self._tags, self._groups = ({}, []) if tags is None else read_tags(tags, names)
        self._made: dict[Path, tuple[Excerpts, Excerpts]] = {}

    @cached_property
    def _digests(self) -> dict[str, tuple[int, str]]:
        """Size and SHA-256 of each file."""

        def digest(file: str) -> tuple[int, str]:
            path = self.folder / file
            try:
                return path.stat().st_size, digest_file(path)
            except OSError:
                return 0, "unread"  # decoding will say why

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return dict(zip(self.files, pool.map(digest, self.files), strict=True))

    @cached_property
    def identity(self) -> str:
        """Name the music by the hash of paths, sizes and contents of the files, of captions and tags, and the seed."""
        content = json.dumps([self._digests, self._captions, self._tags, self.seed], sort_keys=True)
        return f"own music, {hashlib.sha256(content.encode(errors='surrogateescape')).hexdigest()[:32]}"

    def excerpts(
        self, folder: str | os.PathLike[str], processes: int | None = None, progress: bool = True
    ) -> tuple[Excerpts, Excerpts]:
        """Cut the music into excerpts, those that are not there yet.

        Parameters
        ----------
        folder : path
            A recipe's folder. All excerpts go into ``music``, and ``music/left_out.tsv`` lists what is left out, and
            why.
        processes : int, optional
            As many as there are cores by default. Each holds a decoded file: an hour of stereo takes 1.3 GB.
        progress : bool, default True
            Show a bar.

        Returns
        -------
        tuple of Excerpts
            Those to learn from, and those to follow the learning on.

        Raises
        ------
        ValueError
            If fewer than two files give excerpts with captions, or the folder holds excerpts of other music.
        """
        root = Path(folder) / "music"
        if root not in self._made:
            cut = _Cut(self.folder, self.files, self._captions, self._tags)
            blocks = _blocks([self._digests[file][0] for file in self.files])
            made = write_blocks(root, blocks, cut, self.identity, "file", processes, progress)
            self._made[root] = self._split(made)
            self._tell(made, self._made[root][0])
        return self._made[root]

    def groups(self, tags: Sequence[str]) -> list[TagGroup]:
        """Sort tags into the groups of the table."""
        groups = []
        for name, of_group, exclusive in self._groups:
            known = tuple(tag for tag in of_group if tag in tags)
            if known:
                groups.append(TagGroup(name, known, exclusive and len(known) > 1))
        return groups

    def _split(self, excerpts: Excerpts) -> tuple[Excerpts, Excerpts]:
        track = [self._digests[_file(about)][1] for about in excerpts]
        captioned = list(dict.fromkeys(track[row] for row, about in enumerate(excerpts) if about.captions))
        if len(captioned) < 2:
            raise ValueError(
                "[recipes.OwnMusic] two files or more must give excerpts with captions, one to learn from and one to "
                f"follow the learning on; got {len(captioned)} of {len(self.files)} files in {self.folder}"
                + "".join(f": {what}, {why}" for what, why in excerpts.left_out[:1])
            )
        count = min(max(1, round(_VALIDATION * len(set(track)))), len(captioned) - 1)
        drawn = {captioned[i] for i in np.random.default_rng(self.seed).permutation(len(captioned))[:count]}
        rows = range(len(excerpts))
        return (
            excerpts.chosen([row for row in rows if track[row] not in drawn]),
            excerpts.chosen([row for row in rows if track[row] in drawn]),
        )

    def _tell(self, excerpts: Excerpts, training: Excerpts) -> None:
        learnt = {name for about in training for _, _, names in about.tags for name in names}
        unlearnt = sorted({name for names in self._tags.values() for name in names} - learnt)
        left_out = [
            *self._unread,
            *excerpts.left_out,
            *((f"tag {name}", "no excerpt to learn from has it") for name in unlearnt),
        ]
        path = excerpts.folder / "left_out.tsv"
        with replacing(path) as temporary:
            rows = [("what", "why"), *((what, " ".join(why.split())) for what, why in left_out)]
            temporary.write_text(
                "".join(f"{_printable(what)}\t{_printable(why)}\n" for what, why in rows), encoding="utf-8"
            )
        if left_out:
            what, why = left_out[0]
            warnings.warn(
                f"{len(left_out)} parts of the music are left out, {_printable(what)} the first: {why} (all: {path})",
                stacklevel=3,
            )


@dataclass(frozen=True)
class _Cut:
    """Cuts files into excerpts; it is called in processes of its own."""

    folder: Path
    files: list[str]
    captions: dict[str, tuple[Caption, ...]]
    tags: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __call__(self, block: range) -> tuple[list[Made], list[tuple[str, str]]]:
        made: list[Made] = []
        left_out: list[tuple[str, str]] = []
        for number in block:
            self._file(self.files[number], made, left_out)
        return made, left_out

    def _file(self, file: str, made: list[Made], left_out: list[tuple[str, str]]) -> None:
        sound = read_mono(self.folder, file)
        if isinstance(sound, str):
            left_out.append((file, sound))
            return
        samples = _core.audio.resample(torch.from_numpy(sound[0]), sound[1], RATE).numpy()
        samples = samples / max(1.0, float(np.abs(samples).max()))
        size = round(SECONDS * RATE)
        count = int((len(samples) + SHORTFALL * RATE) // size)
        used: set[Caption] = set()
        for start in (SECONDS * i for i in range(count)):
            name = f"{file}, {start:g} to {start + SECONDS:g} s"
            part = samples[round(start * RATE) : round(start * RATE) + size]
            if problem := silence(part[np.newaxis], STEP_16_BITS):
                left_out.append((name, f"there must be sound; got {problem}"))
                continue
            spans = {caption: _within(caption, start) for caption in self.captions.get(file, ())}
            captions = {caption: span for caption, span in spans.items() if span[1] - span[0] >= CLIP}
            used |= set(captions)
            if not captions:
                left_out.append((name, f"no caption of {CLIP:g} s of it or more: the embedder does not learn from it"))
            about = Excerpt(
                f"{file}@{start:g}",
                tuple((*span, caption[2]) for caption, span in captions.items()),
                tags=((0.0, SECONDS, self.tags[file]),) if file in self.tags else (),
            )
            made.append((about, np.pad(part, (0, size - len(part)))))
        if len(samples) > count * size:
            rest = f"{file}, {count * SECONDS:g} to {len(samples) / RATE:.2f} s"
            left_out.append((rest, f"shorter than an excerpt of {SECONDS:g} s"))
        for start, stop, text in self.captions.get(file, ()) if count else ():
            if (start, stop, text) not in used:
                left_out.append((f"{file}, caption from {start:g} to {stop:g} s", f"no excerpt holds {CLIP:g} s of it"))


def _within(caption: Caption, start: float) -> tuple[float, float]:
    """Return the part of a caption's span that lies in the excerpt from ``start``, in seconds of the excerpt."""
    return max(caption[0] - start, 0.0), min(caption[1] - start, SECONDS)


def _file(about: Excerpt) -> str:
    return about.name.rpartition("@")[0]


def _blocks(sizes: Sequence[int]) -> list[range]:
    """Cut the numbers of files into blocks by the sizes of the files."""
    firsts, held = [0], 0
    for number, size in enumerate(sizes):
        if held and held + size > _BLOCK_BYTES:
            firsts.append(number)
            held = 0
        held += size
    return [range(first, last) for first, last in zip(firsts, [*firsts[1:], len(sizes)], strict=True)]


def _printable(text: str) -> str:
    """Replace what is not UTF-8 in a file's name, and what would end a field or a line."""
    text = text.replace("\t", " ").replace("\n", " ")
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
