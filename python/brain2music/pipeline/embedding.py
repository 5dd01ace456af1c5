"""First step: the music that was heard becomes embeddings."""

from pathlib import Path

from brain2music.bundles import Embeddings
from brain2music.pipeline.context import Context

__all__ = ["embed"]


def embed(context: Context, role: str) -> tuple[Embeddings, Path]:
    """Embed every clip of the study, once; the embeddings, and the file they are in.

    A text embedder embeds the clips' captions, one embedding for the whole clip.
    """
    study, entry = context.study, context.bundle.roles[role]
    if role == "text_embedder":
        captions = study.captions
        about = {"role": role, "network": entry["sha256"], "captions": captions}

        def write_texts(path: Path) -> None:
            context.tell(
                f"Embedding {len(captions)} captions ({entry['card']['name']}): points that decoding predicts."
            )
            context.bundle.embed(role, captions, progress=context.progress).save(path)

        path = context.store.once("embed", role, about, ".safetensors", write_texts)
        return Embeddings.load(path), path
    stimuli = study.stimuli
    inputs = {
        "role": role,
        "network": entry["sha256"],
        "window": entry["window"],
        "clips": [[clip.clip, clip.start, clip.end] for clip in study.clips],
        "tracks": context.tracks,
        "fade": stimuli.fade,
        "level": stimuli.level,
    }

    def write(path: Path) -> None:
        context.tell(f"Embedding {len(stimuli.ids)} clips ({entry['card']['name']}): points that decoding predicts.")
        context.bundle.embed(role, stimuli, progress=context.progress).save(path)

    path = context.store.once("embed", role, inputs, ".safetensors", write)
    return Embeddings.load(path), path
