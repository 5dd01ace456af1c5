"""First step: the music that was heard becomes embeddings."""

from pathlib import Path
from typing import Any

from brain2music.bundles import Embeddings
from brain2music.files import digest_file
from brain2music.pipeline.context import Context

__all__ = ["embed"]


def embed(context: Context, role: str) -> tuple[Embeddings, Path]:
    """Embed every clip of the study, once; the embeddings, and the file they are in.

    A text embedder embeds the clips' captions, one embedding for the whole clip. Embeddings of one's own are taken from
    their file.
    """
    if context.own is not None:
        return _own(context, context.own, role)
    study, entry = context.study, context.bundle.roles[role]
    text = role == "text_embedder"
    window = context.window(float(entry["window"]), whole=text)
    unequal = len({round(clip.end - clip.start, 1) for clip in study.clips}) > 1
    inputs: dict[str, Any] = {"role": role, "network": entry["sha256"], "window": window, "hop": context.hop}
    what: Any
    if text:
        what = study.captions
        inputs["captions"] = what
        said = f"{len(what)} captions"
    else:
        what = study.stimuli
        inputs |= {
            "clips": [[clip.clip, clip.start, clip.end] for clip in study.clips],
            "tracks": context.tracks,
            "fade": what.fade,
            "level": what.level,
        }
        said = f"{len(what.ids)} clips"

    def write(path: Path) -> None:
        context.tell(f"Embedding {said} ({entry['card']['name']}): points that decoding predicts.")
        made = context.bundle.embed(
            role, what, window=window, hop=context.hop, equal=not unequal, progress=context.progress
        )
        made.save(path)

    path = context.store.once("embed", role, inputs, ".safetensors", write)
    return Embeddings.load(path), path


def _own(context: Context, own: Embeddings, role: str) -> tuple[Embeddings, Path]:
    """Keep the clips' embeddings beside the other outputs."""
    clips = [clip.clip for clip in context.study.clips]
    inputs = {"file": digest_file(Path(str(context.settings.embeddings_file))), "clips": clips}
    path = context.store.once("embed", role, inputs, ".safetensors", own[clips].save)
    return Embeddings.load(path), path
