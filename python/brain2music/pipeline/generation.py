"""Fourth step: music is made from what was decoded, and listened to by the networks that listened to the clips."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brain2music import _core
from brain2music.bundles import Bundle, Embeddings
from brain2music.decoding import MomentMatching
from brain2music.files import write_json
from brain2music.generation import Audio, MusicGenerator
from brain2music.generation.audio import within_full_scale
from brain2music.metrics import TOP_N
from brain2music.pipeline.context import Context
from brain2music.pipeline.decoding import Decoded, average, decode, mean_target, measured
from brain2music.pipeline.embedding import embed
from brain2music.study.stimuli import load_audio

__all__ = ["Generated", "Heard", "generate", "generate_oracle", "heard_tags"]

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Generated:
    """Music made for each test clip, and what the networks hear in it.

    ``embedded`` is (n, s, d): the embedding of each of s pieces, averaged over its windows. ``tags`` is (n, s, classes)
    or None: what the tagger says of each. ``quieter`` counts the pieces that exceeded full scale, and were made quieter
    as a whole.
    """

    clips: tuple[str, ...]
    embedded: _Floats
    tags: _Floats | None
    quieter: int
    folder: Path

    def sound(self, clip: str, sample: int = 0) -> tuple[_Floats, int]:
        """Load a piece: (samples,), and its rate."""
        pieces = self.embedded.shape[1]
        name = clip if pieces == 1 else f"{clip}_sample-{sample}"
        return load_audio(self.folder / f"{name}.wav")


@dataclass(frozen=True, eq=False)
class Heard:
    """What the tagger says of the oracle's clips (n, classes), and the columns of the paper's groups that it has."""

    tags: _Floats
    groups: dict[str, list[int]]


def generate(context: Context, subject: str, way: str) -> tuple[Generated, Decoded]:
    """Make music from what was decoded from a subject, in one of the ways of ``Settings.conditioning``."""
    role = context.embeddings[0]
    decoded = decode(context, subject, role)
    space, _ = embed(context, role)

    def condition() -> Any:
        return _condition(decoded, way, space)

    inputs = {"decoded": decoded.folder.name, "way": way}
    why = f"from what was decoded from sub-{subject} ({way})"
    return _generate(context, f"sub-{subject}_{way}", inputs, decoded.test_clips.ids, condition, why), decoded


def _all_clips(context: Context) -> npt.NDArray[np.str_]:
    """Return the test clips of all subjects, each once: subjects may hear them in another order, or some not."""
    every = [decode(context, subject, context.embeddings[0]).test_clips.ids for subject in context.subjects]
    return np.array(list(dict.fromkeys(clip for clips in every for clip in clips.tolist())))


def generate_oracle(context: Context) -> Generated:
    """Make music from the true embeddings of all subjects' test clips, each averaged over its windows."""
    space, path = embed(context, context.embeddings[0])
    clips = _all_clips(context)

    def condition() -> Any:
        own = space[clips]
        return Embeddings(mean_target(own.values)[:, None], own.clip_ids, own.window, own.hop, own.role, own.hash)

    why = "from their true embeddings, the best that generation can do"
    return _generate(context, "oracle", {"embeddings": path.name}, clips, condition, why)


def heard_tags(context: Context) -> Heard | None:
    """Tag the test clips as they were heard; None without a tagger."""
    tagger = context.tagger
    if tagger is None:
        return None
    stimuli = context.study.stimuli
    clips = _all_clips(context)
    inputs = {
        **_tagger_key(tagger),
        "clips": clips.tolist(),
        "tracks": context.tracks,
        "fade": stimuli.fade,
        "level": stimuli.level,
    }

    def write(path: Path) -> None:
        # Clips may differ in their rates, and a tagger is given one rate at a time.
        window = context.window(tagger.roles["tagger"]["window"])
        sounds = map(stimuli.__getitem__, clips)
        tags = [tagger.tag((waveform[None], rate), window=window).values for waveform, rate in sounds]
        _core.io.save_safetensors(path, {"tags": np.concatenate(tags)}, {})

    path = context.store.once("generate", "heard", inputs, ".safetensors", write)
    tensors, _ = _core.io.load_safetensors(path)
    entry = tagger.roles["tagger"]
    column = {name: i for i, name in enumerate(entry["classes"])}
    named = entry.get("groups", {})
    groups = {group: [column[name] for name in named[group]] for group in TOP_N if group in named}
    return Heard(tensors["tags"].numpy(), groups)


def _condition(decoded: Decoded, way: str, space: Embeddings) -> Any:
    """Embeddings that the generator is given: one a clip, or one a window."""
    state = partial(Embeddings, window=space.window, hop=space.hop, role=space.role, hash=space.hash)
    clips = tuple(decoded.test_clips.ids.tolist())
    if way == "track":
        return state(_filled(decoded.test), clips)
    means = average(decoded.test, decoded.test_target)[0]
    if way == "moments":
        if decoded.cross_validated is None:
            raise ValueError("[pipeline.generate] moments take cross-validated predictions; got none")
        means = MomentMatching.fit(*average(decoded.cross_validated, decoded.train_target)).apply(means)
    return state(means[:, None], clips)


def _filled(predicted: _Floats) -> _Floats:
    """Give a window of which no scan was measured the prediction of the nearest one that was, the earlier of two."""
    there = measured(predicted)
    result = predicted.copy()
    for clip, window in np.argwhere(~there).tolist():
        known = np.flatnonzero(there[clip])
        result[clip, window] = predicted[clip, known[np.abs(known - window).argmin()]]
    return result


def _generate(
    context: Context,
    name: str,
    inputs: dict[str, Any],
    clips: npt.NDArray[np.str_],
    condition: Callable[[], Any],
    why: str,
) -> Generated:
    """Make music once, and embed and tag it."""
    chosen, bundle, tagger = context.settings, context.bundle, context.tagger
    role = context.embeddings[0]
    seconds = _seconds(context)
    key = {
        **inputs,
        "bundle": bundle.hash,
        "samples": chosen.samples,
        "seed": chosen.seed,
        "seconds": seconds,
        "version": _core.version(),
    }
    if tagger is not None:
        key |= _tagger_key(tagger)
    ids = [str(clip) for clip in clips]

    def write(folder: Path) -> None:
        context.tell(f"Making music for {len(ids)} clips {why}, and listening to it.")
        generator = MusicGenerator(bundle, chosen.device)
        audio = generator.generate(
            condition(), seconds=seconds, samples=chosen.samples, seed=chosen.seed, progress=context.progress
        )
        with warnings.catch_warnings():
            # How many pieces were written quieter is told in the report, and each one's gain beside its file.
            warnings.filterwarnings("ignore", ".* exceeds full scale", UserWarning)
            audio.save(folder, ids)
        loud = audio.waveform.reshape(-1, *audio.waveform.shape[2:])
        pieces, gains = zip(*map(within_full_scale, loud), strict=True)  # as in their files
        names = _names(audio)
        shape = (len(ids), chosen.samples, -1)
        window = context.window(bundle.roles[role]["window"])
        embedded = bundle.embed(
            role, (pieces, audio.rate), ids=names, window=window, hop=context.hop, progress=context.progress
        ).values
        tensors = {"embedded": np.ascontiguousarray(embedded.mean(axis=1).reshape(shape))}
        if tagger is not None:
            window = context.window(tagger.roles["tagger"]["window"])
            tensors["tags"] = tagger.tag((pieces, audio.rate), ids=names, window=window).values.reshape(shape)
        _core.io.save_safetensors(folder / "heard.safetensors", tensors, {})
        write_json(folder / "about.json", {"clips": ids, "quieter": sum(gain < 1 for gain in gains), **key})

    folder = context.store.once("generate", name, key, "", write)
    tensors, _ = _core.io.load_safetensors(folder / "heard.safetensors")
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    heard = tensors.get("tags")
    return Generated(
        tuple(about["clips"]),
        tensors["embedded"].numpy(),
        None if heard is None else heard.numpy(),
        about["quieter"],
        folder,
    )


def _seconds(context: Context) -> float:
    """Length of the study's clips: music is made as long as what was heard."""
    return float(max(clip.end - clip.start for clip in context.study.clips))


def _names(audio: Audio) -> list[str]:
    q, samples = audio.waveform.shape[:2]
    return [f"piece {i}, sample {j}" for i in range(q) for j in range(samples)]


def _tagger_key(tagger: Bundle) -> dict[str, Any]:
    return {"tagger": tagger.roles["tagger"]["sha256"]}
