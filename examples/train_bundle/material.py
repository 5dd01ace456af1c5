"""What is measured on: a simulated study, excerpts of a stream of their own, and the trained networks."""

from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import brain2music as b2m
from brain2music.pipeline import Context, Settings
from brain2music.recipes import Plan, Recipe
from brain2music.recipes.composed import composed_excerpt
from brain2music.recipes.excerpts import Excerpts, write_excerpts
from brain2music.simulation import simulate

#: Excerpts of the evaluation's own stream.
EXCERPTS = 100


class Material:
    """Made when it is first asked for, and kept in WORK.

    Parameters
    ----------
    work, bundle, musicnn : Path
        The recipe's folder, the bundle, and a bundle of musicnn, or None.
    goals : dict
        What ``goals.json`` says.
    subjects : int
        Simulated brains.
    """

    def __init__(self, work: Path, bundle: Path, musicnn: Path | None, goals: dict[str, Any], subjects: int) -> None:
        self.work, self.goals, self.subjects = work, goals, subjects
        self.bundle = b2m.Bundle(bundle, device="cpu")
        self.acoustic = b2m.Bundle.shipped("acoustic", device="cpu")
        self.musicnn = None if musicnn is None else b2m.Bundle(musicnn, device="cpu")
        self.recipe = Recipe(work, Plan(), processes=1, device="cpu", progress=False)

    @cached_property
    def context(self) -> Context:
        """The main job on the study, with the bundle."""
        wanted = self.goals["study"]
        train, test = map(int, wanted["runs"].split(","))
        study = simulate(
            self.work / "study",
            subjects=self.subjects,
            seed=wanted["seed"],
            runs=(train, test),
            signal=wanted["signal"],
            progress=False,
        )
        settings = Settings(
            str(study),
            bundle=str(self.bundle.path),
            embeddings=("music_embedder",),
            held_out_genres=False,
            device="cpu",
            seed=wanted["seed"],
        )
        return Context(settings, self.work / "measured", progress=False)

    @cached_property
    def clips(self) -> dict[str, tuple[npt.NDArray[np.float32], int]]:
        """Clips as they were heard, by id: waveform and rate."""
        stimuli = self.context.study.stimuli
        return {clip.clip: stimuli[clip.clip] for clip in self.context.study.clips}

    @cached_property
    def genres(self) -> dict[str, str]:
        """The genre of each clip."""
        return {clip.clip: clip.genre for clip in self.context.study.clips}

    @cached_property
    def split(self) -> tuple[list[str], list[str]]:
        """Ids of the training clips, and of the test clips."""
        brain = self.context.study.responses(self.context.subjects[0])
        return brain.train_clips.ids.tolist(), brain.test_clips.ids.tolist()

    @cached_property
    def excerpts(self) -> Excerpts:
        """Excerpts that no part of the recipe saw."""
        stream = self.goals["streams"]["evaluation"]
        make = partial(composed_excerpt, stream)
        return write_excerpts(
            self.work / "evaluation", EXCERPTS, make, f"composer, stream {stream}", processes=1, progress=False
        )

    def embed(
        self, bundle: b2m.Bundle, sounds: dict[str, Any], seconds: float | None = None
    ) -> npt.NDArray[np.float32]:
        """Embed sounds (waveform, rate) by a bundle's music embedder, windows averaged: (n, d)."""
        by_rate: dict[int, list[str]] = {}
        for name, (_, rate) in sounds.items():
            by_rate.setdefault(rate, []).append(name)
        values: dict[str, Any] = {}
        for rate, names in by_rate.items():
            made = bundle.embed(
                "music_embedder", ([sounds[name][0] for name in names], rate), ids=names, seconds=seconds
            )
            values |= dict(zip(names, made.values.mean(axis=1), strict=True))
        return np.stack([values[name] for name in sounds])

    def through_codec(self, names: list[str]) -> dict[str, tuple[npt.NDArray[np.float32], int]]:
        """Clips encoded and decoded by the codec."""
        codec = b2m.Codec(self.bundle)
        sounds = {}
        for name in names:
            waveform, rate = self.clips[name]
            decoded = codec.decode(codec.encode(waveform[None], rate))[0, 0]
            sounds[name] = (np.asarray(decoded, np.float32), codec.rate)
        return sounds
