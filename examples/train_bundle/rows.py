"""The rows of the table of goals: each a function of the material that returns its value, chance and oracle."""

import time
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from material import Material

import brain2music as b2m
from brain2music import metrics
from brain2music.recipes.codec_training import codec_error
from brain2music.recipes.composed import tags_of
from brain2music.recipes.language import SemanticLanguage, bigram_losses, held_out_loss
from brain2music.recipes.spectra import LogMel

__all__ = ["ROWS"]

_Floats = npt.NDArray[np.float32]
_Row = dict[str, Any] | None


# ---- the embedder ---------------------------------------------------------------------------------------------------


@cache
def _both_towers(material: Material) -> tuple[_Floats, _Floats]:
    """Embed all clips and their captions, to length 1."""
    context = material.context
    music = material.bundle.embed("music_embedder", context.study.stimuli)
    captions = context.study.captions
    texts = material.bundle.embed("text_embedder", captions)[np.array(music.clip_ids)]
    return _unit(music.values.mean(axis=1)), _unit(texts.values.mean(axis=1))


def _truth(material: Material) -> list[tuple[str, ...]]:
    """List what the composer knows of each clip: tags, and a word for the tempo."""
    from brain2music.simulation.music import compose, track_seed, truth
    from brain2music.simulation.music.vocabulary import TEMPI

    seed = 2 * material.goals["study"]["seed"]
    known = []
    for clip in material.context.study.clips:
        number = int(clip.track.rpartition(".")[2])
        facts = truth(compose(clip.genre, track_seed(seed, clip.genre, number)), clip.start, clip.end)
        tempo = next(i for i, (limit, _) in enumerate(TEMPI) if facts.tempo_bpm < limit)
        known.append((*tags_of(facts), f"tempo {tempo}"))
    return known


def caption_to_clip(material: Material) -> _Row:
    """Count captions whose clip is among the ten nearest; the oracle knows genre, instruments, mood and tempo."""
    music, texts = _both_towers(material)
    scores = texts @ music.T
    own = scores.diagonal()[:, None]
    hits = (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2 < 10
    known = _truth(material)
    alike = np.array([known.count(one) for one in known])
    return _row(hits.mean(), 10 / len(music), np.minimum(1, 10 / alike).mean(), len(music))


def genre_by_caption(material: Material) -> _Row:
    """Count clips whose nearest caption, of those of other clips, is of their genre."""
    music, texts = _both_towers(material)
    genre = np.array([clip.genre for clip in material.context.study.clips])
    scores = music @ texts.T
    np.fill_diagonal(scores, -np.inf)
    hits = genre[scores.argmax(axis=1)] == genre
    chance = np.mean([(np.sum(genre == one) - 1) / (len(genre) - 1) for one in genre])
    return _row(hits.mean(), chance, 1.0, len(genre))


# ---- the codec ------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def codec_log_mel(material: Material) -> _Row:
    """Compare the log-mel error of decoded excerpts with that of the mean spectrum; the oracle rounds nothing."""
    network, mel = material.codec, LogMel(16_000, 1024, 256, 80)
    training = material.training
    some = range(0, len(training), max(len(training) // 200, 1))
    mean = torch.stack([mel(torch.from_numpy(training.sound(i))[None])[0].mean(1) for i in some]).mean(0)
    sound = torch.stack(
        [torch.from_numpy(material.excerpts.sound(i, 5.0, 10.0)) for i in range(len(material.excerpts))]
    )
    rounded = torch.cat([network.decode(network.encode(part[:, None]))[:, 0] for part in sound.split(10)])
    free = torch.cat([network.sound(network.latents(part)) for part in sound.split(10)])
    return _row(codec_error(mel, rounded, sound, mean), 1.0, codec_error(mel, free, sound, mean), len(sound))


@cache
def _musicnn_tags(material: Material) -> tuple[_Floats, _Floats] | None:
    """Tag the test clips, and what the codec makes of them."""
    if material.musicnn is None:
        return None
    test = material.split[1]
    made = material.through_codec(test)
    pair = []
    for sounds in ({name: material.clips[name] for name in test}, made):
        tags = [material.musicnn.tag((waveform[None], rate)).values[0] for waveform, rate in sounds.values()]
        pair.append(np.stack(tags))
    return pair[0], pair[1]


def _top_in_first_three(original: _Floats, made: _Floats) -> npt.NDArray[np.bool_]:
    """Say whether the top tag of each row of ``made`` is among the first three of each original: (originals, made)."""
    first = np.argsort(-original, axis=1)[:, :3]
    return np.asarray((first[:, :, None] == made.argmax(axis=1)).any(axis=1))


def codec_tag(material: Material) -> _Row:
    """Count clips whose reconstruction's top tag is among the first three of the original."""
    tags = _musicnn_tags(material)
    if tags is None:
        return None
    hits = _top_in_first_three(*tags)
    other = ~np.eye(len(hits), dtype=bool)
    return _row(hits.diagonal().mean(), _top_in_first_three(tags[0], tags[0])[other].mean(), 1.0, len(hits))


def codec_tag_margin(material: Material) -> _Row:
    """Take the chance of ``codec_tag`` off it."""
    row = codec_tag(material)
    if row is None:
        return None
    return _row(row["value"] - row["chance"], 0.0, 1 - row["chance"], row["n"])


# ---- the stages -----------------------------------------------------------------------------------------------------


def _under_bigrams(material: Material, part: str) -> _Row:
    training, held = material.tokens
    network = material.languages[part]
    first, second = getattr(training, part), getattr(held, part)
    codes = network.clusters if isinstance(network, SemanticLanguage) else network.codes
    bigrams = bigram_losses(first, second, codes)
    loss = held_out_loss(network, held)
    row = _row(1 - loss / min(bigrams.values()), 0.0, None, len(second))
    return {**row, "loss": loss, "bigrams": bigrams}


def semantic_under_bigrams(material: Material) -> _Row:
    """Compare the semantic stage with bigrams."""
    return _under_bigrams(material, "semantic")


def acoustic_under_bigrams(material: Material) -> _Row:
    """Compare the acoustic stage with bigrams."""
    return _under_bigrams(material, "acoustic")


# ---- generated music ------------------------------------------------------------------------------------------------


@cache
def _oracle(material: Material) -> tuple[list[str], _Floats, dict[str, Any]]:
    """Return the test clips, their true embeddings, and the music that was made of these."""
    from brain2music.pipeline import embed, generate_oracle

    made = generate_oracle(material.context)
    true = embed(material.context, "music_embedder")[0][np.array(made.clips)].values.mean(axis=1)
    return list(made.clips), true, {clip: made.sound(clip) for clip in made.clips}


def memorised(material: Material) -> _Row:
    """Count generated clips that lie nearer to training than the nearest hundredth of held-out clips does.

    Windows of 10 s are compared by the acoustic statistics, which no part of the bundle was trained with.
    """
    training = material.training

    def statistics(sounds: list[_Floats]) -> _Floats:
        made = material.acoustic.embed("music_embedder", (sounds, 16_000), hop=1.0)
        return made.values.reshape(len(sounds), -1, made.values.shape[-1])

    known = statistics([training.sound(i) for i in range(len(training))]).reshape(-1, 128)

    def nearest(windows: _Floats) -> npt.NDArray[np.float64]:
        """Measure from each clip's nearest window to the nearest window of training."""
        squares = (known**2).sum(axis=1)
        return np.array([np.sqrt(max((squares - 2 * w @ known.T + (w**2).sum(1)[:, None]).min(), 0)) for w in windows])

    held = nearest(statistics([material.excerpts.sound(i, 5.0, 15.0) for i in range(len(material.excerpts))]))
    names, _, sounds = _oracle(material)
    made = nearest(statistics([sounds[name][0] for name in names]))
    limit = np.quantile(held, 0.01)
    return _row((made < limit).mean(), 0.01, 0.0, len(made))


def generated_identifies_condition(material: Material) -> _Row:
    """Embed music of true embeddings again, and identify these; the oracle is the clip, coded and decoded."""
    names, true, sounds = _oracle(material)
    again = material.embed(material.bundle, sounds)
    coded = material.embed(material.bundle, material.through_codec(names))
    return _row(_identified(again, true), 0.5, _identified(coded, true), len(names))


def generated_identifies_caption(material: Material) -> _Row:
    """Embed music of captions again, and identify the captions; the oracle is the clip itself."""
    names = material.split[1]
    captions = material.context.study.captions
    texts = material.bundle.embed("text_embedder", [captions[name] for name in names])
    audio = b2m.MusicGenerator(material.bundle).generate(texts, seconds=15.0, seed=material.goals["study"]["seed"])
    sounds = {name: (np.clip(audio.waveform[i, 0, 0], -1, 1), audio.rate) for i, name in enumerate(names)}
    again = material.embed(material.bundle, sounds)
    clips = material.embed(material.bundle, {name: material.clips[name] for name in names})
    target = texts.values[:, 0]
    return _row(_identified(again, target), 0.5, _identified(clips, target), len(names))


def _genre(material: Material, judge: b2m.Bundle | None) -> _Row:
    """Count generated clips that a judge finds nearest to the mean of training clips of their genre."""
    if judge is None:
        return None
    train, _ = material.split
    names, _, sounds = _oracle(material)
    values = material.embed(judge, {name: material.clips[name] for name in train})
    genre = np.array([material.genres[name] for name in train])
    kinds = np.unique(genre)
    means = np.stack([values[genre == kind].mean(axis=0) for kind in kinds])

    def right(music: dict[str, Any]) -> float:
        found = material.embed(judge, music)[:, None] - means
        return float(np.mean(kinds[(found**2).sum(axis=2).argmin(axis=1)] == [material.genres[name] for name in names]))

    return _row(right(sounds), 1 / len(kinds), right(material.through_codec(names)), len(names))


def generated_genre_acoustic(material: Material) -> _Row:
    """Let the acoustic statistics judge."""
    return _genre(material, material.acoustic)


def generated_genre_musicnn(material: Material) -> _Row:
    """Let musicnn judge."""
    return _genre(material, material.musicnn)


def generated_from_brain(material: Material) -> _Row:
    """Identify the clip that was heard by music of decoded embeddings; mean over simulated brains."""
    from brain2music.pipeline import evaluate

    rows, _ = evaluate(material.context)
    found = [row for row in rows if (row.stage, row.genre, row.metric) == ("generate-test", "all", "identification")]
    value, chance, oracle = (
        float(np.mean([getattr(row, name) for row in found])) for name in ("value", "chance", "oracle")
    )
    return _row(value, chance, oracle, len(found))


def seconds_for_15(material: Material) -> _Row:
    """Time the way from embedding to waveform, networks loaded: the median of five."""
    generator = b2m.MusicGenerator(material.bundle)
    _, true, _ = _oracle(material)
    taken = []
    for turn in range(6):  # the first one warms up
        start = time.perf_counter()
        generator.generate(true[turn : turn + 1], seconds=15.0, seed=turn)
        taken.append(time.perf_counter() - start)
    return _row(float(np.median(taken[1:])), None, None, 5)


def _identified(predicted: _Floats, target: _Floats) -> float:
    return float(metrics.identification_accuracy(predicted, target).mean)


def _unit(values: _Floats) -> _Floats:
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), np.float32)


def _row(value: float, chance: float | None, oracle: float | None, n: int) -> dict[str, Any]:
    named = {"value": value, "chance": chance, "oracle": oracle}
    return {**{key: round(float(number), 4) for key, number in named.items() if number is not None}, "n": n}


#: In the order of ``goals.json``.
ROWS = {
    "caption_to_clip_r10": caption_to_clip,
    "genre_by_caption": genre_by_caption,
    "codec_error": codec_log_mel,
    "codec_tag": codec_tag,
    "codec_tag_margin": codec_tag_margin,
    "semantic_under_bigrams": semantic_under_bigrams,
    "acoustic_under_bigrams": acoustic_under_bigrams,
    "memorised": memorised,
    "generated_identifies_condition": generated_identifies_condition,
    "generated_identifies_caption": generated_identifies_caption,
    "generated_genre_acoustic": generated_genre_acoustic,
    "generated_genre_musicnn": generated_genre_musicnn,
    "generated_from_brain": generated_from_brain,
    "seconds_for_15": seconds_for_15,
}
