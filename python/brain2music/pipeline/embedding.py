"""First step: the music that was heard becomes embeddings."""

from pathlib import Path
from typing import Any

from brain2music.bundles import Embeddings
from brain2music.pipeline.context import Context

__all__ = ["embed"]


def embed(context: Context, role: str) -> tuple[Embeddings, Path]:
    """Embed every clip of the study, once; the embeddings, and the file they are in.

    A text embedder embeds the clips' captions, one embedding for the whole clip.
    """
    study, entry = context.study, context.bundle.roles[role]
    inputs: dict[str, Any] = {"role": role, "network": entry["sha256"]}
    what: Any
    if role == "text_embedder":
        what = study.captions
        inputs["captions"] = what
        said = f"{len(what)} captions"
    else:
        what = study.stimuli
        inputs |= {
            "window": entry["window"],
            "clips": [[clip.clip, clip.start, clip.end] for clip in study.clips],
            "tracks": context.tracks,
            "fade": what.fade,
            "level": what.level,
        }
        said = f"{len(what.ids)} clips"

    def write(path: Path) -> None:
        context.tell(f"Embedding {said} ({entry['card']['name']}): points that decoding predicts.")
        context.bundle.embed(role, what, progress=context.progress).save(path)

    path = context.store.once("embed", role, inputs, ".safetensors", write)
    return Embeddings.load(path), path
