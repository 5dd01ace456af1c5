"""Music from embeddings, by a bundle's stages and codec."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from brain2music import _core
from brain2music.bundles import Bundle, Embeddings
from brain2music.bundles.bundle import core_object
from brain2music.decoding.moment_matching import MomentMatching
from brain2music.generation.audio import Audio

__all__ = ["MusicGenerator"]

_WHERE = "generation.MusicGenerator.generate"
_SAMPLING = ("temperature", "top_k", "top_p", "guidance")


class MusicGenerator:
    """Turn embeddings into music: conditioner, stages and codec of a bundle, as its manifest lays them out.

    Parameters
    ----------
    bundle : Bundle
        It must have stages, and a codec that decodes.
    device : str or torch.device, default "auto"
        Where the networks run; "auto" takes CUDA where there is one.
    dtype : str or torch.dtype, optional
        Type of the stages' weights: "float32", "bfloat16", "float16" or, on a CPU, "int8", of those that each stage
        declares; by default the first of these. On a CPU it is the type of the weights of products alone, and all else
        is float32; what int8 weights are multiplied with is rounded to 16 bits. Conditioner and codec run in the first
        type that the manifest declares for them.

    Attributes
    ----------
    rate : int
        Samples a second of the music.
    dimension : int
        Dimensions of an embedding.

    Raises
    ------
    ValueError
        If the bundle has no stages, or they do not make the codec's codes.
    RuntimeError
        If a network is not what the manifest says.

    Examples
    --------
    >>> generator = b2m.MusicGenerator(b2m.Bundle("bundle/"))  # doctest: +SKIP
    >>> audio = generator.generate(decoder.predict(brain.test)[:, 0], seconds=15, samples=4, seed=0)  # doctest: +SKIP
    >>> audio.save("music/", names=brain.test_clips.ids)  # doctest: +SKIP

    References
    ----------
    Agostinelli et al. (2023), *MusicLM*; Denk, Takagi et al. (2023), *Brain2Music*, "Music generation".
    """

    def __init__(
        self, bundle: Bundle, device: str | torch.device = "auto", dtype: str | torch.dtype | None = None
    ) -> None:
        self._bundle = bundle
        self._core = core_object(bundle, _core.generation.MusicGenerator, device, dtype)
        self._dtype = "as the bundle says" if dtype is None else str(dtype).removeprefix("torch.")
        self.rate: int = self._core.rate
        self.dimension: int = self._core.dimension

    def generate(
        self,
        embedding: Any,
        seconds: float = 15.0,
        samples: int = 1,
        seed: int = 0,
        *,
        hop: float | None = None,
        window: float | None = None,
        temperature: float | Mapping[str, float] | None = None,
        top_k: int | Mapping[str, int] | None = None,
        top_p: float | Mapping[str, float] | None = None,
        guidance: float | Mapping[str, float] | None = None,
        normalize: str | MomentMatching | None = None,
        memory_limit: int | None = None,
        progress: bool = False,
    ) -> Audio:
        """Make music.

        The random numbers of a sample depend on the seed, the sample's number, the stage and the position alone: on a
        CPU in float32 a sample is the same alone and beside others.

        Parameters
        ----------
        embedding : Embeddings, or array of shape (q, d) or (q, r, d)
            One embedding for each piece; or a style track, one for each window, that the music follows: each sequence
            of a stage is conditioned on the mean of the track over its time, in between two windows interpolated.
            Embeddings that state another space than the bundle's are refused.
        seconds : float, default 15
            Length of the music.
        samples : int, default 1
            Pieces for each embedding.
        seed : int, default 0
            Of the random numbers.
        hop, window : float, optional
            Of a style track: seconds from one embedding to the next, and of music that one describes. ``Embeddings``
            bring them; for an array the window is by default that of the bundle's embedder.
        temperature, top_k, top_p, guidance : number, or mapping from stage to number, optional
            How codes are drawn; by default as the manifest says. ``temperature`` 0 takes the most probable code;
            ``top_k`` 0 draws among all; ``guidance`` 1 is none.
        normalize : {"unit"} or MomentMatching, optional
            Ridge regression shrinks what it predicts. "unit" scales each embedding to length 1 first;
            :class:`~brain2music.MomentMatching` gives it the mean and the spread of real ones, dimension by dimension.
        memory_limit : int, optional
            Bytes that the networks' states may take; by default what is free. Pieces are made in several batches if
            they do not fit into one, which changes no sample (CPU, float32).
        progress : bool, default False
            Show a bar, a step a position.

        Returns
        -------
        Audio
            ``waveform`` of shape (q, samples, channels, time), of the kind of array that came in.

        Raises
        ------
        ValueError
            If the embedding has another number of dimensions, is not finite, all zero, or of another space; if an
            option is out of range; if ``normalize`` is of another space; or if the states do not fit into memory.
        RuntimeError
            If a network fails.
        """
        values, options = self._request(
            embedding,
            seconds,
            samples,
            seed,
            hop,
            window,
            (temperature, top_k, top_p, guidance),
            normalize,
            memory_limit,
        )
        with _bar(progress) as on_step:
            waveform, rate = self._core.generate(values, {**options, "progress": on_step})
        return Audio(waveform, rate, self._settings(embedding, normalize, options))

    def stream(
        self,
        embedding: Any,
        seconds: float = 15.0,
        samples: int = 1,
        seed: int = 0,
        *,
        block: float = 1.0,
        hop: float | None = None,
        window: float | None = None,
        temperature: float | Mapping[str, float] | None = None,
        top_k: int | Mapping[str, int] | None = None,
        top_p: float | Mapping[str, float] | None = None,
        guidance: float | Mapping[str, float] | None = None,
        normalize: str | MomentMatching | None = None,
        memory_limit: int | None = None,
    ) -> Iterator[Any]:
        """Make the music of :meth:`generate` block by block, as soon as its codes are written.

        Parameters
        ----------
        embedding, seconds, samples, seed, hop, window, temperature, top_k, top_p, guidance, normalize, memory_limit
            As for :meth:`generate`.
        block : float, default 1
            Seconds of a block; the last may be shorter.

        Yields
        ------
        array of shape (q, samples, channels, time), float32
            One behind the other they are the ``waveform`` of :meth:`generate`.

        Raises
        ------
        ValueError
            As :meth:`generate`; if the codec's entry in the manifest tells no ``context``; or if the pieces cannot be
            made together.
        RuntimeError
            If a network fails.
        """
        values, options = self._request(
            embedding,
            seconds,
            samples,
            seed,
            hop,
            window,
            (temperature, top_k, top_p, guidance),
            normalize,
            memory_limit,
        )
        blocks = self._core.stream(values, float(block), {**options, "progress": None})
        return _until_none(blocks.next)

    def _request(
        self,
        embedding: Any,
        seconds: float,
        samples: int,
        seed: int,
        hop: float | None,
        window: float | None,
        sampling: tuple[Any, ...],
        normalize: str | MomentMatching | None,
        memory_limit: int | None,
    ) -> tuple[Any, dict[str, Any]]:
        """Check what C++ cannot; the array, and what C++ is given."""
        matching = normalize if isinstance(normalize, MomentMatching) else None
        if matching is None and not (normalize is None or (isinstance(normalize, str) and normalize == "unit")):
            raise ValueError(f"[{_WHERE}] normalize must be None, 'unit' or a MomentMatching; got {normalize!r}")
        if matching is not None and matching.space is not None:
            self._core.check_space(matching.space.hash)
        values = embedding
        if isinstance(embedding, Embeddings):
            if embedding.hash is not None:
                self._core.check_space(embedding.hash)
            for name, given, own in (("hop", hop, embedding.hop), ("window", window, embedding.window)):
                if given is not None and given != own:
                    raise ValueError(f"[{_WHERE}] {name} must be that of the embeddings, {own:g} s; got {given:g} s")
            matched = embedding if matching is None else matching.apply(embedding)
            values, hop, window = matched.values, matched.hop, matched.window
        elif not isinstance(embedding, torch.Tensor):
            values = np.asarray(embedding)
            if values.dtype.kind in "iu":
                values = values.astype(np.float32)
        if matching is not None and not isinstance(embedding, Embeddings):
            values = matching.apply(values)
        if window is None:
            members = (self._bundle.space or {}).get("roles", [])
            window = float(self._bundle.roles[members[0]].get("window", 0.0)) if members else 0.0
        options = {
            "seconds": float(seconds),
            "samples": _whole("samples", samples),
            "seed": _whole("seed", seed),
            "window": float(window),
            "hop": 0.0 if hop is None else float(hop),
            "unit_length": normalize == "unit",
            "memory_limit": None if memory_limit is None else _whole("memory_limit", memory_limit),
            **_by_stage(dict(zip(_SAMPLING, sampling, strict=True))),
        }
        return values, options

    def _settings(
        self, embedding: Any, normalize: str | MomentMatching | None, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Tell what a piece was made with, for the file beside it."""
        about: dict[str, Any] = {
            "brain2music": _core.version(),
            "bundle": {"name": self._bundle.name, "hash": self._bundle.hash},
            "dtype": self._dtype,
        }
        if isinstance(embedding, Embeddings) and embedding.space is not None:
            about["embeddings"] = {"role": embedding.role, "hash": embedding.hash}
        about["normalize"] = (
            {"kind": "moments", "sha256": normalize.sha256} if isinstance(normalize, MomentMatching) else normalize
        )
        kept = ("seconds", "seed", "window", "hop", "sampling", "stages")
        return {**about, **{key: options[key] for key in kept}}


def _until_none(call: Callable[[], Any]) -> Iterator[Any]:
    while (value := call()) is not None:
        yield value


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"[{_WHERE}] {name} must be a whole number; got {value!r}")
    return int(value)


def _by_stage(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers for all stages, and numbers for single ones."""
    everywhere: dict[str, Any] = {}
    stages: dict[str, dict[str, Any]] = {}
    for name, given in sampling.items():
        if isinstance(given, Mapping):
            for stage, value in given.items():
                stages.setdefault(str(stage), {})[name] = _number(name, value)
        elif given is not None:
            everywhere[name] = _number(name, given)
    return {"sampling": everywhere, "stages": stages}


def _number(name: str, value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"[{_WHERE}] {name} must be a number, or a mapping from stage to number; got {value!r}")
    return _whole(name, value) if name == "top_k" else float(value)


@contextmanager
def _bar(shown: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar, a step a position, or nothing."""
    if not shown:
        yield None
        return
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    with tqdm(desc="music", unit="step") as bar:

        def on_step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield on_step
