"""The recipe: from excerpts of music to a bundle of trained networks, part by part, each resumed where it stopped."""

import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brain2music.bundles.writer import write
from brain2music.exporters import script_stage
from brain2music.recipes.codec import CodecNetwork
from brain2music.recipes.codec_training import train_codec
from brain2music.recipes.composed import Composer
from brain2music.recipes.conditioner import Conditioner, fit_conditioner
from brain2music.recipes.contrast import Contrast, known_words, train_embedder
from brain2music.recipes.excerpts import RATE, Excerpts, claim
from brain2music.recipes.language import AcousticLanguage, SemanticLanguage, train_language
from brain2music.recipes.packed import packed
from brain2music.recipes.semantic import SemanticEncoder, fit_semantic_encoder
from brain2music.recipes.source import Source
from brain2music.recipes.tagger import Tagger, train_tagger
from brain2music.recipes.tokens import Tokens, acoustic_tokens, embeddings, semantic_tokens
from brain2music.recipes.towers import DIMENSION

__all__ = ["Plan", "Recipe"]


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes
    ----------
    excerpts, validation : int
        Excerpts of 30 s of the composer's music to learn from, and to follow the learning on. Music of one's own is
        taken whole, whatever these say.
    embedder, codec, semantic, acoustic, tagger : int
        Steps of training of each part.
    clusters : int
        Semantic tokens.
    codes : int
        Codes of each of the codec's levels.
    directions : int
        Codes of each of the conditioner's levels.
    dtype : str
        Type of linear maps while embedder, tagger and stages are trained (the codec's stay float32).
    """

    excerpts: int = 1000
    validation: int = 100
    embedder: int = 800
    codec: int = 3600
    semantic: int = 1000
    acoustic: int = 1200
    tagger: int = 500
    clusters: int = 512
    codes: int = 512
    directions: int = 64
    dtype: str = "bfloat16"


class Recipe:
    """Trains the parts of a bundle in a folder; every method goes on where a call before was stopped.

    Parameters
    ----------
    folder : path
        Excerpts, checkpoints and curves.
    plan : Plan
        How much of everything.
    source : Source, optional
        The music: the composer's by default, or :class:`OwnMusic`.
    seed : int
        Seeds all parts.
    processes : int, optional
        That make excerpts; as many as there are cores by default.
    device : {"auto", "cpu", "cuda"} or torch.device
        Where networks are trained; "auto" takes CUDA where there is one. Random numbers are drawn on the CPU, so that a
        seed means the same everywhere, and any device goes on from checkpoints of another.
    progress : bool
        Show bars.

    Raises
    ------
    ValueError
        If the device is not there.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        plan: Plan | None = None,
        *,
        source: Source | None = None,
        seed: int = 0,
        processes: int | None = None,
        device: str | torch.device = "auto",
        progress: bool = True,
    ) -> None:
        self.folder = Path(folder)
        self.plan = plan or Plan()
        self.source: Source = source or Composer(self.plan.excerpts, self.plan.validation)
        self.device = _there(device)
        self.seed, self.processes, self.progress = seed, processes, progress
        self._deadline: float | None = None

    # ---- music ------------------------------------------------------------------------------------------------------

    def excerpts(self) -> tuple[Excerpts, Excerpts]:
        """Return excerpts to learn from, and to follow the learning on."""
        claim(self.folder, self.source.identity)
        return self.source.excerpts(self.folder, self.processes, self.progress)

    # ---- parts, in the order in which they are trained --------------------------------------------------------------

    def embedder(self) -> Contrast:
        """Train the two towers."""
        training, validation = self.excerpts()
        tags = tag_names(training)
        torch.manual_seed(self.seed)
        network = Contrast(known_words(training), tags).to(self.device)
        self._finished(
            train_embedder(
                network,
                tags,
                training,
                validation,
                self.folder / "embedder",
                steps=self.plan.embedder,
                dtype=self.plan.dtype,
                **self._how(),
            )
        )
        return network

    def semantic_encoder(self) -> SemanticEncoder:
        """Fit the semantic tokens to the trained tower."""
        encoder = SemanticEncoder(self.embedder().music, clusters=self.plan.clusters).eval().to(self.device)
        self._fitted(
            encoder, "semantic_encoder", lambda: fit_semantic_encoder(encoder, self.excerpts()[0], seed=self.seed)
        )
        return encoder

    def codec(self) -> CodecNetwork:
        """Train the codec."""
        training, validation = self.excerpts()
        torch.manual_seed(self.seed)
        network = CodecNetwork(codes=self.plan.codes).to(self.device)
        self._finished(
            train_codec(network, training, validation, self.folder / "codec", steps=self.plan.codec, **self._how())
        )
        return network

    def tagger(self) -> tuple[Tagger, list[str], dict[str, list[str]]]:
        """Train the tagger; return it with its classes, and the classes of each group.

        Raises
        ------
        ValueError
            If the music has no tags.
        """
        training, validation = self.excerpts()
        groups = self.source.groups(tag_names(training))
        if not groups:
            raise ValueError(f"[recipes.Recipe] a tagger learns from tags; got none of {self.source.identity}")
        classes = [name for group in groups for name in group.tags]
        torch.manual_seed(self.seed)
        network = Tagger([-len(group.tags) if group.exclusive else len(group.tags) for group in groups])
        network.to(self.device)
        self._finished(
            train_tagger(
                network,
                classes,
                training,
                validation,
                self.folder / "tagger",
                steps=self.plan.tagger,
                dtype=self.plan.dtype,
                **self._how(),
            )
        )
        return network, classes, {group.name: list(group.tags) for group in groups}

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Embed windows of all excerpts, (n, windows, 128): of those to learn from, and of the others."""
        music = self.embedder().music.eval()
        training, validation = (
            embeddings(excerpts, music, self.folder / f"tokens_{name}", self.progress)
            for name, excerpts in zip(("training", "validation"), self.excerpts(), strict=True)
        )
        return training, validation

    def tokens(self, acoustic: bool = True) -> tuple[Tokens, Tokens]:
        """Make tokens of all excerpts; codes of the codec only where they are asked for."""
        encoder = self.semantic_encoder()
        codec = self.codec().eval() if acoustic else None
        made = []
        for name, excerpts, embedded in zip(
            ("training", "validation"), self.excerpts(), self.embeddings(), strict=True
        ):
            folder = self.folder / f"tokens_{name}"
            semantic = semantic_tokens(excerpts, encoder, folder, self.progress)
            codes = semantic[:, None, :].new_empty((len(semantic), 0, semantic.size(1)))
            if codec is not None:
                codes = acoustic_tokens(excerpts, codec, folder, self.progress)
            made.append(Tokens(semantic, codes, embedded))
        return made[0], made[1]

    def conditioner(self) -> Conditioner:
        """Fit the conditioner to embeddings of the training excerpts."""
        conditioner = Conditioner(codes=self.plan.directions).eval()
        self._fitted(
            conditioner,
            "conditioner",
            lambda: fit_conditioner(conditioner, self.embeddings()[0].flatten(0, 1), seed=self.seed),
        )
        return conditioner

    def semantic(self) -> SemanticLanguage:
        """Train the stage of semantic tokens."""
        network = SemanticLanguage(self.plan.clusters).to(self.device)
        self._language(network, "semantic", self.plan.semantic)
        return network

    def acoustic(self) -> AcousticLanguage:
        """Train the stage of the codec's codes."""
        network = AcousticLanguage(self.plan.clusters, codes=self.plan.codes).to(self.device)
        self._language(network, "acoustic", self.plan.acoustic)
        return network

    def _language(self, network: SemanticLanguage | AcousticLanguage, name: str, steps: int) -> None:
        training, validation = self.tokens(acoustic=isinstance(network, AcousticLanguage))
        self._finished(
            train_language(
                network, training, validation, self.folder / name, steps=steps, dtype=self.plan.dtype, **self._how()
            )
        )

    # ---- the bundle -------------------------------------------------------------------------------------------------

    def bundle(
        self,
        out: str | os.PathLike[str],
        *,
        name: str,
        cards: dict[str, dict[str, str]],
        description: str = "Networks trained by the recipe.",
    ) -> Path:
        """Train whatever is not trained yet, and write the bundle.

        Parameters
        ----------
        out : path
            The bundle's folder, to be made or replaced.
        name : str
            Its name.
        cards : dict of dict
            The model card of each role and stage. The role ``tagger`` is there where the music has tags.
        description : str
            A sentence on what it is.

        Returns
        -------
        pathlib.Path
            The folder.
        """
        towers, encoder, codec = self.embedder(), self.semantic_encoder(), self.codec()
        conditioner, semantic, acoustic = self.conditioner(), self.semantic(), self.acoustic()
        tagged = bool(tag_names(self.excerpts()[0]))
        tagger = self.tagger() if tagged else None
        frame_rate = RATE / (codec.hop * codec.stride)
        sound = {"sample_rate": RATE, "dtypes": ["float32"]}
        roles: dict[str, dict[str, Any]] = {
            "music_embedder": {
                "module": _scripted(towers.music),
                "methods": ["embed"],
                **sound,
                "window": 10.0,
                "dimension": DIMENSION,
            },
            "text_embedder": {
                "module": _scripted(towers.text),
                "methods": ["embed"],
                "dtypes": ["float32"],
                "window": 15.0,
                "dimension": DIMENSION,
            },
            "semantic_encoder": {
                "module": _scripted(encoder),
                "methods": ["embed", "tokenize"],
                **sound,
                "frame_rate": 25,
                "window": 5.0,
                "dimension": encoder.tower.width,
                "vocabulary": self.plan.clusters,
            },
            "codec": {
                "module": _scripted(codec),
                "methods": ["embed", "encode", "decode"],
                **sound,
                "frame_rate": frame_rate,
                "window": 1.5,
                "dimension": codec.latent,
                "levels": codec.quantizer.levels,
                "vocabulary": self.plan.codes,
                "channels": 1,
                "context": {"past": codec.context, "future": codec.context},
            },
            "conditioner": {
                "module": _scripted(conditioner),
                "methods": ["quantize", "dequantize"],
                "dtypes": ["float32"],
                "dimension": DIMENSION,
                "levels": conditioner.quantizer.levels,
                "vocabulary": conditioner.quantizer.codebooks.size(1),
            },
        }
        if tagger is not None:
            network, classes, groups = tagger
            roles["tagger"] = {
                "module": _scripted(network),
                "methods": ["tag"],
                **sound,
                "window": 10.0,
                "classes": classes,
                "groups": groups,
            }
        stages = [
            {
                "module": script_stage(packed(part.stage)),
                "dtypes": ["float32"],
                **part.layout(rate),
                "sampling": sampling,
                "card": cards[part.layout(rate)["name"]],
            }
            for part, rate, sampling in (
                (semantic, 25.0, {"temperature": 1.0, "top_k": min(100, self.plan.clusters), "guidance": 2.0}),
                # Colder draws sound alike, whatever the condition: examples/train_bundle/sampling.py.
                (acoustic, frame_rate, {"temperature": 1.0, "guidance": 1.0}),
            )
        ]
        return write(
            out,
            name=name,
            description=description,
            roles={role: {**entry, "card": cards[role]} for role, entry in roles.items()},
            stages=stages,
            space={"dimension": DIMENSION, "roles": ["music_embedder", "text_embedder"]},
            replace=True,
        )

    # ---- resuming ---------------------------------------------------------------------------------------------------

    def stop_after(self, seconds: float | None) -> None:
        """Stop training so many seconds from now, at a checkpoint; what runs then raises :class:`TimeoutError`."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def _how(self) -> dict[str, Any]:
        left = None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)
        return {"seed": self.seed, "stop_after": left, "progress": self.progress}

    def _finished(self, whole: bool) -> None:
        if not whole:
            raise TimeoutError(f"[recipes.Recipe] time is up; what was done lies in {self.folder}: run it again")

    def _fitted(self, module: torch.nn.Module, name: str, fit: Any) -> None:
        path = self.folder / f"{name}.pt"
        if path.exists():
            module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
            return
        fit()
        torch.save(module.state_dict(), path)


def tag_names(excerpts: Excerpts) -> list[str]:
    """All tags of excerpts, in the order of the alphabet."""
    return sorted({name for about in excerpts for _, _, names in about.tags for name in names})


def _there(device: str | torch.device) -> torch.device:
    """Return the device, which must be of this machine."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = str(device).partition(":")[0]
    if kind not in ("cpu", "cuda") or (kind == "cuda" and not torch.cuda.is_available()):
        raise ValueError(
            "[recipes.Recipe] device must be 'auto', 'cpu', or 'cuda' where PyTorch finds a GPU; got "
            f"{str(device)!r}, CUDA {'found' if torch.cuda.is_available() else 'not found'}"
        )
    return torch.device(device)


def _scripted(module: torch.nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        return torch.jit.script(packed(module.eval()))
