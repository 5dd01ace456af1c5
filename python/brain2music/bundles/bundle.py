"""The bundle: a folder of trained networks, one for each role that it fills."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brain2music import _core
from brain2music.bundles.by_name import DEFAULT, shipped_folder
from brain2music.bundles.embeddings import Embeddings
from brain2music.bundles.sources import Music, music, texts
from brain2music.bundles.tags import Tags
from brain2music.bundles.tokens import tokenizer

__all__ = ["Bundle"]

_WHERE = "bundles.Bundle.embed"


class Bundle:
    """Trained networks in a folder: ``bundle.json`` says what each role is filled with.

    Opening it checks the manifest against its schema and every file against its SHA-256; a network is loaded when its
    role is first used, and tried on a tiny input.

    Parameters
    ----------
    path : path
        The folder.
    device : str or torch.device, default "auto"
        Where the networks run; "auto" takes CUDA where there is one.
    dtype : str or torch.dtype, optional
        Type of the weights: "float32", "bfloat16" or "float16", of those that a role declares, for stages on a CPU
        also "int8"; by default the first of these. See :class:`brain2music.MusicGenerator` for what it means there.
    sha256 : str, optional
        What :attr:`hash` must be, 64 lower-case hexadecimal digits. A bundle is a program: open only those that you
        trust, and pin them.

    Raises
    ------
    RuntimeError
        If the manifest breaks the schema, the bundle is another one than ``sha256`` says, or a file is missing or of
        another hash: role, field, what was expected and what was found are named. No network is loaded then.
    ValueError
        If ``sha256`` is no such hash.

    Examples
    --------
    >>> bundle = b2m.Bundle.default()
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 15 * 22050))
    >>> bundle.embed("music_embedder", (noise, 22050)).values.shape
    (2, 4, 128)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: str | torch.device = "auto",
        dtype: str | torch.dtype | None = None,
        *,
        sha256: str | None = None,
    ) -> None:
        if sha256 is not None and not isinstance(sha256, str):
            raise TypeError(f"[bundles.Bundle] sha256 must be a str; got {type(sha256).__name__}")
        self._core = _core.models.Bundle(Path(path), sha256)
        self._device = _device(device)
        self._dtype = _dtype(dtype)
        self._embedders: dict[str, _core.embedding.Embedder] = {}
        self._tagger: _core.embedding.Tagger | None = None

    @classmethod
    def default(cls, device: str | torch.device = "auto", dtype: str | torch.dtype | None = None) -> "Bundle":
        """Open the bundle that is taken where none is named: "composer", networks trained on composed music."""
        return cls.shipped(DEFAULT, device, dtype)

    @classmethod
    def shipped(
        cls, name: str, device: str | torch.device = "auto", dtype: str | torch.dtype | None = None
    ) -> "Bundle":
        """Open a bundle that comes with brain2music.

        Parameters
        ----------
        name : {"acoustic", "composer"}
            Which one.
        device : str or torch.device, default "auto"
            Where the networks run.
        dtype : str or torch.dtype, optional
            Type of the weights.

        Returns
        -------
        Bundle

        Raises
        ------
        ValueError
            If no shipped bundle has this name; the names are listed.
        """
        return cls(shipped_folder(name), device, dtype)

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self._core.path)

    @property
    def hash(self) -> str:
        """SHA-256 of the manifest, which names those of all files: the bundle's identity, for ``sha256=``."""
        return self._core.hash

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self._core.manifest)
        return manifest

    @property
    def name(self) -> str:
        """What the bundle is called."""
        return str(self._manifest["name"])

    @property
    def description(self) -> str:
        """What it is, in a sentence."""
        return str(self._manifest["description"])

    @property
    def roles(self) -> dict[str, dict[str, Any]]:
        """From each role that is filled to its entry in the manifest."""
        return dict(self._manifest["roles"])

    @property
    def stages(self) -> dict[str, dict[str, Any]]:
        """From each stage of generation to its entry in the manifest, in the order in which they run."""
        return {entry["name"]: dict(entry) for entry in self._manifest.get("stages", ())}

    @property
    def space(self) -> dict[str, Any] | None:
        """The space of the embeddings that the bundle makes music from, as the manifest says; None if it makes none."""
        space: dict[str, Any] | None = self._manifest.get("space")
        return space

    def __repr__(self) -> str:
        roles = ", ".join(f"{role} by {entry['card']['name']!r}" for role, entry in self.roles.items())
        return f"Bundle({self.name!r}: {roles}; {self.hash[:12]}, {self._device})"

    def load(self, role: str, dtype: str | torch.dtype | None = None) -> list[str]:
        """Load the network of a role or a stage now, and try it on a tiny input.

        Otherwise that happens when it is first used.

        Parameters
        ----------
        role : str
            One that the bundle fills, or the name of a stage.
        dtype : str or torch.dtype, optional
            As for the bundle.

        Returns
        -------
        list of str
            Products of a stage that stay LibTorch's on a CPU, since their weights are no constants of the network.

        Raises
        ------
        ValueError
            If the bundle lacks the role, or the role the type.
        RuntimeError
            If the file is no TorchScript module, lacks a method or does not return the shape that the manifest says.
        """
        return self._core.load(role, self._device, _dtype(dtype) or self._dtype)

    def release(self, role: str) -> None:
        """Let go of what :meth:`load` holds of a role or a stage: it is loaded again when it is next used.

        Parameters
        ----------
        role : str
            A role or a stage. Networks that an embedder or a generator works with stay.
        """
        self._core.release(role)

    def embed(
        self,
        role: str,
        what: Any,
        *,
        ids: Sequence[str] | None = None,
        seconds: float | None = None,
        hop: float = 1.5,
        window: float | None = None,
        equal: bool = True,
        batch: int = 32,
        progress: bool = False,
    ) -> Embeddings:
        """Embed music, or texts.

        A clip is averaged over its channels, resampled to the role's rate and cut into windows that start every ``hop``
        seconds, as many as fit (r). A window that ends after the clip by at most a tenth of a hop counts, and is filled
        with silence: a clip of 14.99 s has the windows of one of 15 s.

        Parameters
        ----------
        role : str
            One that embeds: "music_embedder", "codec" and "semantic_encoder" (whose frames are averaged over each
            window), or "text_embedder".
        what : Stimuli, sequence of paths, (waveforms, rate); mapping or sequence of str
            Music: a study's stimuli, or anything that has ``ids`` and gives (waveform, rate) in that order; audio
            files; or floating-point waveforms (full scale 1) as an array or tensor of shape (n, samples) or (n,
            channels, samples), or a sequence of (samples,) or (channels, samples), with their rate in Hz. For
            "text_embedder": texts, or a mapping from clip id to text, as ``study.captions``.
        ids : sequence of str, optional
            Ids of the clips; by default those of the stimuli or the mapping, the paths as given, or "0", "1", ...
        seconds : float, optional
            Embed only the beginning of each clip; files must last that long.
        hop : float, default 1.5
            Seconds from one window's start to the next.
        window : float, optional
            Seconds of a window, for clips that are shorter than the role's own: it is repeated until it fills the
            role's, as CLAP is given short sounds. For texts the seconds of a clip, which one embedding stands for.
        equal : bool, default True
            Every clip must give as many windows. If False, the windows that a shorter clip lacks are NaN.
        batch : int, default 32
            Windows that the network is given at once: bounds memory, changes no result beyond rounding.
        progress : bool, default False
            Show a bar, a step a clip.

        Returns
        -------
        Embeddings
            ``values`` of shape (n, r, d), float32; r is 1 for texts.

        Raises
        ------
        ValueError
            If the bundle lacks the role, ``window`` is longer than the role's own, a clip is shorter than a window,
            clips differ in their number of windows, or a waveform is not finite or not of a floating type; the clip is
            named.
        RuntimeError
            If a file is no audio or cut short, or the network fails.
        TypeError
            If ``what`` is none of these.

        References
        ----------
        Denk, Takagi et al. (2023), *Brain2Music*, Table 1.
        """
        _check_batch(batch, _WHERE)
        _check_seconds(hop, window, _WHERE)
        embedder = self._embedder(role)
        entry = self.roles[role]
        if role == "text_embedder":
            if seconds is not None:
                raise ValueError(f"[{_WHERE}] seconds are of music; got {seconds} for texts")
            names, text = texts(what, ids, _WHERE)
            values = self._embed_texts(embedder, text, int(batch), progress)[:, None]
            length = float(entry["window"] if window is None else window)
        else:
            clips = music(what, ids, seconds, _WHERE)
            names = clips.ids
            parts: list[npt.NDArray[np.float32]] = []
            length = float(entry["window"] if window is None else window)
            for first, embedded in _on_music(embedder.embed, clips, length, hop, int(batch), progress):
                if equal and parts and embedded.shape[1] != parts[0].shape[1]:
                    raise ValueError(
                        f"[{_WHERE}] every clip must give as many windows; got {parts[0].shape[1]} for {names[0]} and "
                        f"{embedded.shape[1]} for {first}: cut them to one length"
                    )
                parts.append(embedded)
            values = _one_length(parts)
        return Embeddings(values, names, length, float(hop), role, entry["sha256"])

    def tag(
        self,
        what: Any,
        *,
        ids: Sequence[str] | None = None,
        seconds: float | None = None,
        hop: float = 1.5,
        window: float | None = None,
        batch: int = 32,
        progress: bool = False,
    ) -> Tags:
        """Tag music with the probabilities of the classes that the role "tagger" knows.

        Clips are cut into windows as :meth:`embed` does, and probabilities averaged over the windows of a clip. Clips
        may differ in length.

        Parameters
        ----------
        what : Stimuli, sequence of paths, (waveforms, rate)
            Music, as :meth:`embed` takes it.
        ids : sequence of str, optional
            Ids of the clips; by default those of the stimuli, the paths as given, or "0", "1", ...
        seconds : float, optional
            Tag only the beginning of each clip; files must last that long.
        hop : float, default 1.5
            Seconds from one window's start to the next.
        window : float, optional
            Seconds of a window, for clips that are shorter than the role's own, as for :meth:`embed`.
        batch : int, default 32
            Windows that the network is given at once: bounds memory, changes no result beyond rounding.
        progress : bool, default False
            Show a bar, a step a clip.

        Returns
        -------
        Tags
            ``values`` of shape (n, classes), float32.

        Raises
        ------
        ValueError
            If the bundle has no tagger, a clip is shorter than a window, or a waveform is not finite or not of a
            floating type; the clip is named.
        RuntimeError
            If a file is no audio or cut short, the network fails, or it returns something else than probabilities.
        TypeError
            If ``what`` is none of these.

        References
        ----------
        Denk, Takagi et al. (2023), *Brain2Music*, section 4.1, where a tagger judges reconstructions.
        """
        where = "bundles.Bundle.tag"
        _check_batch(batch, where)
        _check_seconds(hop, window, where)
        if self._tagger is None:
            self._tagger = core_object(self, _core.embedding.Tagger)
        entry = self.roles["tagger"]
        clips = music(what, ids, seconds, where)
        length = float(entry["window"] if window is None else window)
        values = np.concatenate(
            [tags for _, tags in _on_music(self._tagger.tag, clips, length, hop, int(batch), progress)]
        )
        groups = {group: tuple(names) for group, names in entry.get("groups", {}).items()}
        return Tags(values, clips.ids, tuple(entry["classes"]), groups, entry["sha256"])

    def _embedder(self, role: str) -> _core.embedding.Embedder:
        if role not in self._embedders:
            self._embedders[role] = _core.embedding.Embedder(self._core, role, self._device, self._dtype)
        return self._embedders[role]

    def _embed_texts(
        self, embedder: _core.embedding.Embedder, texts: list[str], batch: int, progress: bool
    ) -> npt.NDArray[np.float32]:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        entry = self.roles["text_embedder"]
        tokenize = None
        if "embed" not in entry["methods"]:
            file = self.path / entry["tokenizer"]["file"]
            tokenize = tokenizer(self._core.tokenizer("text_embedder"), entry.get("max_length"), file)
        parts: list[npt.NDArray[np.float32]] = []
        for start in tqdm(range(0, len(texts), batch), desc="texts", unit="batch", disable=not progress):
            some = texts[start : start + batch]
            parts.append(embedder.embed_ids(*tokenize(some)) if tokenize else embedder.embed_texts(some, batch))
        return np.concatenate(parts)


def _on_music(
    network: Callable[..., Any], clips: Music, window: float, hop: float, batch: int, progress: bool
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield the first clip and the result of a few clips at a time, so that Ctrl-C is heard between them."""
    from tqdm.auto import tqdm

    with tqdm(total=len(clips.ids), desc="clips", unit="clip", disable=not progress) as bar:
        for chunk in clips.chunks(window, hop, batch):
            yield chunk[0][0], network(chunk, hop, batch, window)
            bar.update(len(chunk))


def _one_length(parts: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Join clips of different numbers of windows; those that a clip lacks are NaN."""
    most = max(part.shape[1] for part in parts)
    if all(part.shape[1] == most for part in parts):
        return np.concatenate(parts)
    values = np.full((sum(map(len, parts)), most, parts[0].shape[2]), np.nan, np.float32)
    first = 0
    for part in parts:
        values[first : first + len(part), : part.shape[1]] = part
        first += len(part)
    return values


def _check_batch(batch: int, where: str) -> None:
    if isinstance(batch, bool) or not isinstance(batch, int | np.integer) or batch < 1:
        raise ValueError(f"[{where}] batch must be a whole number from 1; got {batch!r}")


def _check_seconds(hop: Any, window: Any, where: str) -> None:
    for name, seconds in (("hop", hop), ("window", window)):
        number = isinstance(seconds, Real) and not isinstance(seconds, bool) and 1e-3 <= float(seconds) < float("inf")
        if not number and not (name == "window" and seconds is None):
            raise ValueError(f"[{where}] {name} must be a number of seconds, 0.001 or more; got {seconds!r}")


def core_object(
    bundle: Bundle, kind: Any, device: str | torch.device | None = None, dtype: str | torch.dtype | None = None
) -> Any:
    """Make an object of the extension that runs a bundle's networks: by default where and how the bundle does."""
    return kind(bundle._core, bundle._device if device is None else _device(device), _dtype(dtype) or bundle._dtype)


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in ("float32", "bfloat16", "float16", "int8"):
        raise ValueError(f"[bundles.Bundle] dtype must be 'float32', 'bfloat16', 'float16' or 'int8'; got {dtype!r}")
    found: torch.dtype = getattr(torch, dtype)
    return found
