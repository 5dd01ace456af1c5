"""Third step: decoded embeddings fetch music from a library."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brain2music import _core
from brain2music.corpora import Corpus
from brain2music.files import digest_file
from brain2music.pipeline.context import Context
from brain2music.pipeline.decoding import Decoded, decode

__all__ = ["Retrieved", "library", "retrieve"]

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


def library(context: Context) -> tuple[Corpus, Path | None]:
    """Open or build the music library, without the study's own tracks; and the folder its audio is in, if known."""
    chosen = context.settings
    if chosen.corpus is not None:
        corpus, audio = Corpus.open(chosen.corpus, context.bundle), None
    else:
        audio = Path(chosen.study) / "corpus"
        if not audio.is_dir():
            from brain2music.simulation.music import GENRES, write_tracks

            audio = context.out / "corpus"
            tracks = [(genre, _FIRST_NUMBER + number) for genre in GENRES for number in range(_COMPOSED)]
            write_tracks(audio, tracks, 2 * chosen.seed + 1, _SECONDS, context.progress)
        inputs = {
            "network": context.bundle.roles[chosen.embeddings[0]]["sha256"],
            "audio": {path.relative_to(audio).as_posix(): digest_file(path) for path in sorted(audio.rglob("*.wav"))},
        }
        path = context.store.path("retrieve", "corpus", inputs, ".index")
        if path.exists():
            corpus = Corpus.open(path, context.bundle)
        else:
            corpus = Corpus.build(
                audio, context.bundle, path, role=chosen.embeddings[0], seconds=_SECONDS, progress=context.progress
            )
    if chosen.include_stimuli:
        return corpus, audio
    heard = [track for track in corpus.ids if track.rpartition("/")[2] in context.tracks]
    return (corpus.exclude(heard) if heard else corpus), audio


def retrieve(context: Context, subject: str) -> tuple[Retrieved, Decoded]:
    """Search the library with each test clip's embedding averaged over its windows: decoded, and true."""
    decoded = decode(context, subject, context.settings.embeddings[0])
    corpus, _ = library(context)
    count = min(context.settings.neighbours, len(corpus))
    inputs = {"decoded": decoded.folder.name, "corpus": corpus.digest, "neighbours": count}

    def write(path: Path) -> None:
        scores, indices = corpus.search(decoded.test, k=count)
        oracle_scores, oracle_indices = corpus.search(decoded.test_target, k=count)
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
