"""What is measured on: a simulated study, excerpts of streams of their own, and the networks of the bundle."""

from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import brain2music as b2m
from brain2music.pipeline import Context, Settings
from brain2music.recipes import Plan, Recipe
from brain2music.recipes.codec import CodecNetwork
from brain2music.recipes.composed import composed_excerpt
from brain2music.recipes.excerpts import Excerpts, write_excerpts
from brain2music.recipes.language import AcousticLanguage, SemanticLanguage
from brain2music.recipes.packed import unpacked
from brain2music.recipes.semantic import SemanticEncoder
from brain2music.recipes.tokens import Tokens, acoustic_tokens, embeddings, semantic_tokens
from brain2music.recipes.towers import MusicTower
from brain2music.simulation import simulate

#: Excerpts of the evaluation's own stream.
EXCERPTS = 100


class Material:
    """Made when it is first asked for, and kept in WORK.

    Parameters
    ----------
    work : Path
        The folder of excerpts; the recipe's own, or a new one, in which they are composed.
    bundle : Path or None
        The bundle; the shipped one if None.
    musicnn : Path or None
        A bundle of musicnn.
    goals : dict
        What ``goals.json`` says.
    subjects : int
        Simulated brains.
    """

    def __init__(
        self, work: Path, bundle: Path | None, musicnn: Path | None, goals: dict[str, Any], subjects: int
    ) -> None:
        self.work, self.goals, self.subjects = work, goals, subjects
        self.bundle = (
            b2m.Bundle.shipped("composer", device="cpu") if bundle is None else b2m.Bundle(bundle, device="cpu")
        )
        self.acoustic = b2m.Bundle.shipped("acoustic", device="cpu")
        self.musicnn = None if musicnn is None else b2m.Bundle(musicnn, device="cpu")

    # ---- the networks, as the bundle holds them ---------------------------------------------------------------------

    def _of_bundle(self, name: str, network: torch.nn.Module) -> torch.nn.Module:
        """Give a network of the recipe the weights of a role or stage: what is shipped is measured."""
        entry = {**self.bundle.roles, **self.bundle.stages}[name]
        state = torch.jit.load(self.bundle.path / entry["file"], map_location="cpu").state_dict()
        # A script also holds what the network makes for itself (windows of spectra) or needs for training alone.
        missing, _ = network.load_state_dict(unpacked(state), strict=False)
        if missing:
            raise ValueError(f"[material] the bundle's {name} must be of the recipe; got one without {missing[0]}")
        return network.eval()

    @cached_property
    def codec(self) -> CodecNetwork:
        """The codec."""
        network = CodecNetwork(codes=self.codes)
        self._of_bundle("codec", network)
        return network

    @cached_property
    def languages(self) -> dict[str, SemanticLanguage | AcousticLanguage]:
        """The stages, by name."""
        clusters = self.bundle.roles["semantic_encoder"]["vocabulary"]
        made = {"semantic": SemanticLanguage(clusters), "acoustic": AcousticLanguage(clusters, codes=self.codes)}
        for name, language in made.items():
            self._of_bundle(name, language.stage)
        return made

    @cached_property
    def codes(self) -> int:
        """Codes of each level of the codec."""
        return int(self.bundle.roles["codec"]["vocabulary"])

    # ---- music ------------------------------------------------------------------------------------------------------

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
    def training(self) -> Excerpts:
        """The excerpts that the networks were trained on; composed again where WORK does not hold them."""
        return Recipe(self.work, Plan(), device="cpu").excerpts()[0]

    @cached_property
    def excerpts(self) -> Excerpts:
        """Excerpts that no part of the recipe saw."""
        stream = self.goals["streams"]["evaluation"]
        make = partial(composed_excerpt, stream)
        return write_excerpts(
            self.work / "evaluation", EXCERPTS, make, f"composer, stream {stream}", processes=1, progress=False
        )

    @cached_property
    def tokens(self) -> tuple[Tokens, Tokens]:
        """Tokens of the training excerpts, and of the evaluation's; kept in WORK for these networks."""
        tower = MusicTower()
        self._of_bundle("music_embedder", tower)
        encoder = SemanticEncoder(MusicTower(), clusters=self.languages["semantic"].clusters)
        self._of_bundle("semantic_encoder", encoder)
        kept = self.work / "measured_tokens" / self.bundle.roles["codec"]["sha256"][:16]
        made = []
        for name, excerpts in (("training", self.training), ("evaluation", self.excerpts)):
            made.append(
                Tokens(
                    semantic_tokens(excerpts, encoder, kept / name, False),
                    acoustic_tokens(excerpts, self.codec, kept / name, False),
                    embeddings(excerpts, tower, kept / name, False),
                )
            )
        return made[0], made[1]

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
