"""A music library, embedded once, to retrieve from by cosine similarity."""

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brain2music import _core
from brain2music.retrieval.building import build_index
from brain2music.retrieval.skipped import Skipped

__all__ = ["Corpus"]


class Corpus:
    """Embeddings of a music library, searched exactly; in memory, or mapped from a folder.

    Made by :meth:`build`, :meth:`open` and :meth:`from_embeddings`.

    Parameters
    ----------
    index : brain2music._core.retrieval.Index
    path : Path, optional
        The folder that the index is mapped from.
    """

    def __init__(self, index: _core.retrieval.Index, path: Path | None = None) -> None:
        self._index = index
        self._path = path

    @classmethod
    def build(
        cls,
        folder: str | os.PathLike[str],
        bundle: Any,
        out: str | os.PathLike[str],
        *,
        role: str = "music_embedder",
        seconds: float = 15.0,
        channel: int | None = None,
        jobs: int | None = None,
        progress: bool = True,
    ) -> "Corpus":
        """Embed a folder of audio files: the beginning of each, its windows averaged.

        Reads WAV, FLAC, OGG, Opus, MP3, AIFF, AU, CAF and W64 files at any depth. A file's id is its path below
        ``folder`` without the ending, with ``/`` between folders: ``genres/blues/blues.00017``. Every other file is
        listed in :attr:`skipped` with the reason: files that cannot be used (no audio, cut short, shorter than
        ``seconds``, silent or silent after mixing to mono), music that is not read (``.m4a``, ``.wma``), and files that
        are no audio, such as covers. A warning counts the first two kinds. Hidden files are not looked at.

        What is done is kept beside ``out`` in a hidden folder until ``out`` is whole: run again after an interruption,
        it goes on where it was and ends with the same bytes. If ``out`` is already the index of these files, none of
        them newer than it, it is opened as it is; files that are not read may have come or gone, and
        :attr:`skipped` lists those that are there now.

        Parameters
        ----------
        folder : path
            The library.
        bundle : Bundle
            Embeds the files; its hash is recorded.
        out : path
            Folder to write the index into, such as ``fma.index``.
        role : str, default "music_embedder"
            The network of the bundle to use.
        seconds : float, default 15.0
            How much of each file's beginning to embed; the paper takes 15 s.
        channel : int, optional
            Take this channel of every file, from 0, instead of the mean of all: for files whose channels are of
            opposite phase and cancel each other. A file without it is skipped.
        jobs : int, optional
            Threads that decode; by default one for each processor.
        progress : bool, default True
            Show a bar.

        Returns
        -------
        Corpus

        Raises
        ------
        ValueError
            If there is no file to use, two files have one id, or ``out`` is something else than the index of these
            files.
        RuntimeError
            If ``out`` is being built by another process, or cannot be written.

        References
        ----------
        Denk, Takagi et al. (2023), *Brain2Music*, section 3.4 (retrieval from FMA).
        """
        target = Path(out)
        skipped = build_index(
            Path(folder), bundle, target, role=role, seconds=seconds, channel=channel, jobs=jobs, progress=progress
        )
        corpus = cls.open(target, bundle)
        corpus.skipped = skipped
        return corpus

    @classmethod
    def open(cls, path: str | os.PathLike[str], bundle: Any = None, *, verify: bool = False) -> "Corpus":
        """Map a corpus that was built or saved; its pages are read when a search touches them.

        Parameters
        ----------
        path : path
            The folder.
        bundle : Bundle, optional
            The bundle that queries come from; must be the one that the corpus was built with.
        verify : bool, default False
            Read all files and compare their SHA-256 with those recorded.

        Returns
        -------
        Corpus

        Raises
        ------
        RuntimeError
            If a file is missing or not as it should be; file and field are named.
        ValueError
            If ``bundle`` is another one.
        """
        corpus = cls(_core.retrieval.Index.open(Path(path), verify), Path(path))
        if bundle is not None:
            corpus._check_bundle(bundle, "retrieval.Corpus.open")
        return corpus

    @classmethod
    def from_embeddings(cls, array: npt.ArrayLike | torch.Tensor, ids: Sequence[str]) -> "Corpus":
        """Make a corpus of embeddings.

        Parameters
        ----------
        array : array of shape (n, d)
            Any real type and any length but zero; kept as float32 of length 1.
        ids : sequence of str
            n ids, no two alike.

        Returns
        -------
        Corpus
            In memory; :meth:`save` writes it.

        Raises
        ------
        ValueError
            If shapes do not fit, an id is there twice, or a row, named, is zero or not finite.
        """
        return cls(_core.retrieval.Index(array, _texts(ids, "retrieval.Corpus.from_embeddings")))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the corpus for :meth:`open`, whole or not at all.

        Parameters
        ----------
        path : path
            A folder that is not there yet.

        Raises
        ------
        RuntimeError
            If it is there, or cannot be written.
        """
        self._index.save(Path(path))

    def search(self, embedding: Any, k: int = 10, *, bundle: Any = None) -> tuple[Any, Any]:
        """Find the items most similar to each embedding: exactly, by cosine.

        Scores are cosines in float64, rounded to float32; of equal scores the lower index comes first. The result does
        not depend on the number of threads, the other queries or the device.

        Parameters
        ----------
        embedding : array of shape (q, d) or (q, r, d), or Embeddings
            Queries; those with r windows are averaged over them, as the paper does. NumPy array or torch tensor of any
            real type and length; a tensor may lie on a CUDA device, to which the corpus is then copied, once.
            ``Embeddings`` must be of the role, network and window of the corpus, where both state these;
            embeddings of texts need ``bundle``. Hops may differ, since windows are averaged.
        k : int, default 10
            Items for each query, from 1 to ``len(corpus)``.
        bundle : Bundle, optional
            The bundle that the queries come from; must be the one that the corpus was built with.

        Returns
        -------
        scores : array of shape (q, k), float32
            Descending; of the kind of ``embedding``, on its device.
        indices : array of shape (q, k), int64
            ``corpus.ids[indices]`` are the ids.

        Raises
        ------
        ValueError
            If shapes do not fit, ``k`` is out of range, a value is NaN or Inf (it is named) or a query is zero; if
            ``bundle`` is another one, or Embeddings lie in another space than the corpus.
        """
        if bundle is not None:
            self._check_bundle(bundle, "retrieval.Corpus.search")
        values = embedding
        if hasattr(embedding, "clip_ids"):
            self._check_space(embedding, bundle)
            values = embedding.values
        found: tuple[Any, Any] = self._index.search(values, k)
        return found

    def exclude(self, ids: Iterable[str], *, missing_ok: bool = False) -> "Corpus":
        """Leave items out, such as those that a study tests on.

        Parameters
        ----------
        ids : iterable of str
            What to leave out.
        missing_ok : bool, default False
            Take ids that are not in the corpus for left out already.

        Returns
        -------
        Corpus
            The others, in their order, in memory.

        Raises
        ------
        ValueError
            If an id is not in the corpus, or none would be left.
        """
        unwanted = set(_texts(ids, "retrieval.Corpus.exclude"))
        unknown = sorted(unwanted.difference(self.ids.tolist()))
        if unknown and not missing_ok:
            raise ValueError(
                f"[retrieval.Corpus.exclude] every id must be in the corpus (or missing_ok=True); got {len(unknown)} "
                f"that are not, {unknown[0]!r} the first"
            )
        keep = [row for row, name in enumerate(self.ids.tolist()) if name not in unwanted]
        if not keep:
            raise ValueError(f"[retrieval.Corpus.exclude] an item must be left; got all {len(self)} to leave out")
        index = self._index
        files = index.files
        return Corpus(
            _core.retrieval.Index(
                self.values[keep],
                self.ids[keep].tolist(),
                index.bundle_hash,
                index.role,
                index.window,
                index.hop,
                index.seconds,
                [files[row] for row in keep] if files else [],
                self.skipped,
                index.network_hash,
            )
        )

    def to_faiss(self) -> Any:
        """Hand the embeddings to FAISS, for libraries that outgrow exact search.

        Returns
        -------
        faiss.IndexFlatIP
            Holds :attr:`values`; its inner products are cosines for queries of length 1. Other FAISS indexes are filled
            alike: ``index.add(corpus.values)``.

        Raises
        ------
        ImportError
            If FAISS is not installed.
        """
        try:
            import faiss  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError as error:
            raise ImportError(
                f"[retrieval.Corpus.to_faiss] FAISS is needed: 'pip install faiss-cpu'; got '{error}'"
            ) from error
        index = faiss.IndexFlatIP(self.dimension)
        index.add(self.values)
        return index

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """Ids of the items, shape (n,); not to be written to."""
        return _frozen(self._index.ids)

    @cached_property
    def files(self) -> npt.NDArray[np.str_] | None:
        """Files of the items below the library's folder, shape (n,); None for a corpus of given embeddings."""
        return _frozen(self._index.files) if self._index.files else None

    @cached_property
    def values(self) -> npt.NDArray[np.float32]:
        """Embeddings of length 1, shape (n, d), float32; not to be written to."""
        values: npt.NDArray[np.float32] = self._index.vectors
        values.flags.writeable = False
        return values

    @cached_property
    def skipped(self) -> list[Skipped]:
        """Files of the library that are not in the corpus, and why, in natural order.

        Files that could not be used, music that is not read, and files that are no audio: see :meth:`build`.
        """
        return [Skipped(*each) for each in self._index.skipped]

    @property
    def dimension(self) -> int:
        """Length of an embedding, d."""
        return int(self.values.shape[1])

    @property
    def bundle_hash(self) -> str | None:
        """Hash of the bundle that made the embeddings; None for a corpus of given embeddings."""
        return self._index.bundle_hash or None

    @property
    def role(self) -> str | None:
        """Role of the network in that bundle."""
        return self._index.role or None

    @property
    def network_hash(self) -> str | None:
        """SHA-256 of that network; None for a corpus of given embeddings."""
        return self._index.network_hash or None

    @property
    def seconds(self) -> float | None:
        """How many seconds of each file's beginning were embedded."""
        return self._index.seconds or None

    @property
    def window(self) -> float | None:
        """Length of a window in seconds."""
        return self._index.window or None

    @property
    def hop(self) -> float | None:
        """Seconds from window to window."""
        return self._index.hop or None

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def __repr__(self) -> str:
        parts = [f"{len(self)} items x {self.dimension} dimensions"]
        if self.bundle_hash:
            parts.append(f"{self.role} of bundle {self.bundle_hash[:12]}")
        if music := sum(one.is_audio for one in self.skipped):
            parts.append(f"{music} audio files skipped")
        if self._path is not None:
            parts.append(str(self._path))
        return f"Corpus({', '.join(parts)})"

    def _check_bundle(self, bundle: Any, where: str) -> None:
        if bundle.hash != self.bundle_hash:
            raise ValueError(
                f"[{where}] queries must come from the bundle that the corpus was built with, "
                f"{self.bundle_hash or 'which is not known'}; got {bundle.hash}"
            )

    def _check_space(self, queries: Any, bundle: Any) -> None:
        """Refuse Embeddings of another space, where their space and that of the corpus are known."""
        where = "retrieval.Corpus.search"
        if self.role is None or queries.hash is None:
            return
        if queries.role == "text_embedder" != self.role:
            if bundle is None:
                raise ValueError(
                    f"[{where}] embeddings of texts must come with bundle=, which tells that they are of the corpus's "
                    f"space; got None for a corpus of {self.role}"
                )
            expected = ("text_embedder", bundle.roles["text_embedder"]["sha256"], queries.window)
        else:
            expected = (self.role, self.network_hash, self.window)  # corpora of before networks were told have none
        if (queries.role, queries.hash, queries.window) != (expected[0], expected[1] or queries.hash, expected[2]):
            raise ValueError(
                f"[{where}] queries must lie in the space of the corpus, {_space(*expected)}; got "
                f"{_space(queries.role, queries.hash, queries.window)}"
            )


def _space(role: str, network_hash: str | None, window: float) -> str:
    return f"{role} of network {(network_hash or 'unknown')[:12]} with windows of {window:g} s"


def _texts(ids: Iterable[str], where: str) -> list[str]:
    """Return ids as a list; one string is no list of ids."""
    names = ids if isinstance(ids, str) else list(ids)
    odd = names if isinstance(names, str) else next((name for name in names if not isinstance(name, str)), None)
    if isinstance(names, str) or odd is not None:
        raise TypeError(f"[{where}] ids must be a sequence of str; got {odd!r}")
    return [str(name) for name in names]


def _frozen(texts: list[str]) -> npt.NDArray[np.str_]:
    array = np.array(texts, dtype=np.str_)
    array.flags.writeable = False
    return array
