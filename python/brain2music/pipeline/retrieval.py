"""Third step: decoded embeddings fetch music from a library."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music import _core
from brain2music.files import digest_file
from brain2music.pipeline.context import OWN, Context
from brain2music.pipeline.decoding import Decoded, average, decode, mean_target
from brain2music.retrieval import Corpus

__all__ = ["Library", "Retrieved", "library", "retrieve"]

#: Tracks of each genre that are composed where there is no library.
_COMPOSED = 30
#: Composed tracks are numbered from here on: GTZAN's own end at 99.
_FIRST_NUMBER = 100
_SECONDS = 15.0


@dataclass(frozen=True, eq=False)
class Retrieved:
    """Nearest tracks of every test clip, (n, k): by the decoded embedding, and by the true one."""

    subject: str
    scores: npt.NDArray[np.float32]
    indices: npt.NDArray[np.int64]
    oracle_scores: npt.NDArray[np.float32]
    oracle_indices: npt.NDArray[np.int64]
    path: Path


@dataclass(frozen=True, eq=False)
class Library:
    """Music to retrieve from.

    ``audio`` is the folder that its tracks are in, where that is known; ``key`` says in JSON what it depends on.
    """

    corpus: Corpus
    audio: Path | None
    key: dict[str, Any]


def library(context: Context) -> Library | None:
    """Open or build the music library, without the study's own tracks.

    With embeddings of one's own it is the index given, or else what their file holds beside the study's clips; None
    where that is nothing.
    """
    if "library" not in context.kept:
        context.kept["library"] = _library(context)
    found: Library | None = context.kept["library"]
    return found


def _library(context: Context) -> Library | None:
    chosen = context.settings
    role = context.embeddings[0]
    if role == OWN:
        return _own_library(context)
    audio = None
    if chosen.corpus is not None:
        path = Path(chosen.corpus)
    else:
        audio = Path(chosen.study) / "corpus"
        if not audio.is_dir():
            audio = _compose(context)
        inputs = {
            "bundle": context.bundle.hash,  # an index is opened with the very bundle that it was built with
            "audio": {file.relative_to(audio).as_posix(): digest_file(file) for file in sorted(audio.rglob("*.wav"))},
        }
        path = context.store.path("retrieve", "corpus", inputs, ".index")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            context.tell("Embedding the music library: decoded embeddings fetch the nearest of its tracks.")
            Corpus.build(audio, context.bundle, path, role=role, seconds=_SECONDS, progress=context.progress)
    corpus = Corpus.open(path, context.bundle)
    if corpus.role != role:
        raise ValueError(
            f"[pipeline.library] the library must be embedded as the first of embeddings, {role}; got {corpus.role} in "
            f"{path}"
        )
    heard = [track for track in corpus.ids.tolist() if track.rpartition("/")[2] in context.tracks]
    if heard and not chosen.include_stimuli:
        corpus = corpus.exclude(heard)
    else:
        heard = []
    return Library(corpus, audio, {"index": digest_file(path / "index.json"), "excluded": heard})


def _own_library(context: Context) -> Library | None:
    own, index = context.own, context.settings.corpus
    if own is None:
        return None
    dimension = own.values.shape[2]
    if index is not None:
        corpus = Corpus.open(Path(index))
        if corpus.dimension != dimension or (corpus.role is not None and corpus.network_hash != own.hash):
            made = "given embeddings" if corpus.role is None else corpus.role
            raise ValueError(
                f"[pipeline.library] the library must be embedded as the embeddings of embeddings_file, {dimension} "
                f"dimensions; got {made} of {corpus.dimension} in {index}"
            )
        return Library(corpus, None, {"index": digest_file(Path(index) / "index.json"), "excluded": []})
    clips = {clip.clip for clip in context.study.clips}
    others = [name for name in own.clip_ids if name not in clips]
    if not others:
        return None
    corpus = Corpus.from_embeddings(mean_target(own[others].values), others)
    return Library(corpus, None, {"embeddings": digest_file(Path(str(context.settings.embeddings_file)))})


def _compose(context: Context) -> Path:
    """Write tracks of the composer, where a study brings no library."""
    from brain2music.simulation.music import GENRES, write_tracks

    folder = context.out / "corpus"
    context.tell("Composing a music library, since none was given: tracks that music is retrieved from.")
    tracks = [(genre, _FIRST_NUMBER + number) for genre in GENRES for number in range(_COMPOSED)]
    write_tracks(folder, tracks, 2 * context.settings.seed + 1, _SECONDS, context.progress)
    return folder


def retrieve(context: Context, subject: str) -> tuple[Retrieved, Decoded]:
    """Search the library with each test clip's embedding averaged over its windows: decoded, and true."""
    decoded = decode(context, subject, context.embeddings[0])
    found = library(context)
    if found is None:
        raise ValueError(
            "[pipeline.library] to retrieve by embeddings of your own, give a library that was embedded alike "
            "(corpus), or let the file hold embeddings of other music; got neither"
        )
    corpus = found.corpus
    count = min(context.settings.neighbours, len(corpus))
    inputs = {"decoded": decoded.folder.name, "corpus": found.key, "neighbours": count}

    def write(path: Path) -> None:
        scores, indices = corpus.search(average(decoded.test, decoded.test_target)[0], k=count)
        oracle_scores, oracle_indices = corpus.search(mean_target(decoded.test_target), k=count)
        tensors = {
            "scores": scores,
            "indices": indices,
            "oracle_scores": oracle_scores,
            "oracle_indices": oracle_indices,
        }
        _core.io.save_safetensors(path, tensors, {})

    path = context.store.once("retrieve", f"sub-{subject}", inputs, ".safetensors", write)
    tensors, _ = _core.io.load_safetensors(path)
    return Retrieved(subject, **{name: tensor.numpy() for name, tensor in tensors.items()}, path=path), decoded
