"""musicnn, read out of its wheel, version 0.1.0, that the user downloaded."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from brain2music.bundles.writer import write
from brain2music.exporters.patch_tagger import PatchEmbedder, Spectrogram, roles
from brain2music.exporters.tensorflow_checkpoint import read_checkpoint
from brain2music.exporters.wheel import Wheel

__all__ = ["CHECKPOINTS", "MusicnnPatches", "export_musicnn"]

_WHERE = "exporters.export_musicnn"
SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
RATE = 16000
N_FFT, HOP, BANDS, PATCH = 512, 256, 96, 187
#: What TensorFlow adds to variances before it divides by their root.
EPSILON = 1e-3

#: Tags of each checkpoint that exclude each other more or less; synonyms, voices and decades are in no group.
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "MTT_musicnn": {
        "genres": (
            *("classical", "techno", "electronic", "rock", "ambient", "indian", "opera", "pop", "new age", "dance"),
            *("country", "metal"),
        ),
        "instruments": (
            *("guitar", "strings", "drums", "piano", "violin", "synth", "harpsichord", "flute", "sitar", "choir"),
            *("harp", "cello"),
        ),
        "moods": ("slow", "fast", "loud", "quiet", "soft", "weird"),
    },
    "MSD_musicnn": {
        "genres": (
            *("rock", "pop", "alternative", "indie", "electronic", "dance", "alternative rock", "jazz", "metal"),
            *("classic rock", "soul", "indie rock", "electronica", "folk", "punk", "blues", "hard rock", "ambient"),
            *("experimental", "Hip-Hop", "country", "easy listening", "funk", "electro", "heavy metal"),
            *("Progressive rock", "rnb", "indie pop", "House"),
        ),
        "moods": ("beautiful", "chillout", "Mellow", "chill", "party", "sexy", "catchy", "sad", "happy"),
    },
}
#: Data that the networks were trained on.
CHECKPOINTS = {"MTT_musicnn": "MagnaTagATune", "MSD_musicnn": "the Million Song Dataset"}


def export_musicnn(
    wheel: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    checkpoint: str = "MTT_musicnn",
    sha256: str = SHA256,
    replace: bool = False,
) -> Path:
    """Make a bundle of musicnn from its wheel, which ``pip download --no-deps musicnn==0.1.0`` fetches.

    The bundle has the roles ``tagger``, with 50 tags, and ``music_embedder``, the 200 numbers that the tags are judged
    by. Both take 10 s at 16 kHz and average over four patches of 3 s, spread evenly from the window's beginning to its
    end.

    Nothing of the wheel is installed or run. The weights are its authors', under whatever licence they give them; they
    are not part of brain2music.

    Parameters
    ----------
    wheel : path
        The wheel.
    folder : path
        The bundle to be made.
    checkpoint : {"MTT_musicnn", "MSD_musicnn"}
        Which network: the one trained on MagnaTagATune knows instruments, some genres (no blues, disco, hip-hop, jazz
        or reggae) and no moods but tempo and loudness; the one trained on the Million Song Dataset knows more genres
        (no classical, disco or reggae) and moods, but no instruments.
    sha256 : str
        What the SHA-256 of the wheel must be; by default that of ``musicnn-0.1.0-py3-none-any.whl``.
    replace : bool, default False
        Replace the bundle that lies there.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    FileNotFoundError
        If there is no wheel.
    ValueError
        If the file is another one, or the checkpoint is none of these or does not hold such a network.
    FileExistsError
        If something lies where the bundle is to be.

    Notes
    -----
    Pons and Serra, *musicnn: pre-trained convolutional neural networks for music audio tagging*, 2019. The package
    keeps spectrograms in float16, which loud music exceeds; here they are float32.
    """
    if checkpoint not in CHECKPOINTS:
        raise ValueError(f"[{_WHERE}] checkpoint must be one of {', '.join(CHECKPOINTS)}; got {checkpoint!r}")
    opened = Wheel(_WHERE, wheel, sha256, "musicnn==0.1.0")
    tags = opened.read_strings("musicnn/configuration.py", f"{checkpoint[:3]}_LABELS")
    stem = f"musicnn/{checkpoint}/"
    weights = _Weights(read_checkpoint(opened.read(f"{stem}.index"), opened.read(f"{stem}.data-00000-of-00001")))
    network = Musicnn(weights)
    head = weights.linear("dense_1")
    weights.check_empty()
    if len(tags) != head.out_features:
        raise ValueError(f"[{_WHERE}] each tag must have a name; got {len(tags)} names for {head.out_features} tags")
    return write(
        folder,
        name=f"musicnn ({checkpoint})",
        description=f"{checkpoint} as tagger and music embedder. The weights are not brain2music's: see the licence.",
        roles=roles(
            PatchEmbedder(MusicnnPatches(), network),
            head,
            RATE,
            tags,
            GROUPS[checkpoint],
            {
                "name": checkpoint,
                "source": "musicnn 0.1.0 on PyPI, https://github.com/jordipons/musicnn",
                "licence": "ISC for the package; the weights are not named apart (models of these names carry "
                "CC BY-NC-SA 4.0 elsewhere): ask their authors before you pass them on",
                "notes": f"The weights are not brain2music's. Trained on {CHECKPOINTS[checkpoint]} by Pons and Serra, "
                "2019. Spectrograms in float32.",
            },
        ),
        replace=replace,
    )


class MusicnnPatches(nn.Module):
    """What musicnn looks at: (B, samples) at 16 kHz, full scale 1, to (B, patches, 187, 96).

    ``log10(1 + 10000 * power)`` in 96 mel bands, 62.5 frames a second. As many patches as are needed to cover the
    waveform are spread evenly over it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram = Spectrogram(_mel_bands(), torch.hann_window(N_FFT), HOP, centred=True, power=True)
        self.patch = PATCH

    def forward(self, wave: Tensor) -> Tensor:
        """Return the patches."""
        mel = (1.0 + 10000.0 * self.spectrogram(wave)).log10()
        frames = mel.size(1)
        if frames < self.patch:
            raise ValueError(f"[exporters.MusicnnPatches] a window must have {self.patch} frames; got {frames}")
        last = frames - self.patch
        count = (frames - 1) // self.patch  # patches after the first
        patches: list[Tensor] = []
        for i in range(count + 1):
            start = last * i // max(count, 1)
            patches.append(mel[:, start : start + self.patch])
        return torch.stack(patches, 1)


def _mel_bands() -> npt.NDArray[np.float64]:
    """Return triangles of equal area on the mel scale of Slaney, from 0 Hz to half the rate; shape (96, 257)."""
    straight, steps = 200 / 3, np.log(6.4) / 27  # straight up to 1 kHz, which is mel 15
    top = 15 + np.log(RATE / 2 / 1000) / steps
    mel = np.linspace(0, top, BANDS + 2)
    edges = np.where(mel < 15, mel * straight, 1000 * np.exp(steps * (mel - 15)))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    hertz = np.arange(N_FFT // 2 + 1) * RATE / N_FFT
    triangles = np.maximum(0, np.minimum((hertz - left) / (centre - left), (right - hertz) / (right - centre)))
    return np.asarray(triangles * (2 / (right - left)))


class _Weights:
    """The weights of a checkpoint, by the names that ``tf.layers`` gives; the optimiser's numbers are left out."""

    def __init__(self, tensors: dict[str, npt.NDArray[np.generic]]) -> None:
        self._left = {
            name: value
            for name, value in tensors.items()
            if not name.endswith(("/Adam", "/Adam_1", "_power", "global_step"))
        }

    def take(self, name: str) -> nn.Parameter:
        if name not in self._left:
            raise ValueError(f"[{_WHERE}] the checkpoint must have the weight {name}; got none of that name")
        return nn.Parameter(torch.from_numpy(np.array(self._left.pop(name), np.float32)))

    def convolution(self, name: str) -> nn.Conv2d:
        kernel, bias = self.take(f"{name}/kernel"), self.take(f"{name}/bias")
        height, width, channels, filters = kernel.shape
        layer = nn.Conv2d(channels, filters, (height, width))
        layer.weight, layer.bias = nn.Parameter(kernel.permute(3, 2, 0, 1).contiguous()), bias
        return layer

    def linear(self, name: str) -> nn.Linear:
        kernel, bias = self.take(f"{name}/kernel"), self.take(f"{name}/bias")
        layer = nn.Linear(kernel.size(0), kernel.size(1))
        layer.weight, layer.bias = nn.Parameter(kernel.T.contiguous()), bias
        return layer

    def normalisation(self, number: int) -> tuple[Tensor, Tensor]:
        """Return factor and term of a batch normalisation."""
        name = "batch_normalization" + (f"_{number}" if number else "")
        factor = self.take(f"{name}/gamma") / (self.take(f"{name}/moving_variance") + EPSILON).sqrt()
        term = self.take(f"{name}/beta") - self.take(f"{name}/moving_mean") * factor
        return factor.detach(), term.detach()

    def check_empty(self) -> None:
        if self._left:
            raise ValueError(
                f"[{_WHERE}] every weight must have a place in the network; got {len(self._left)} without, "
                f"{next(iter(self._left))} the first"
            )


class Normalisation(nn.Module):
    """Scales each channel, (..., channels), as a batch normalisation does that learns no more."""

    factor: Tensor
    term: Tensor

    def __init__(self, factor: Tensor, term: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", factor)
        self.register_buffer("term", term)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled channels."""
        return x * self.factor + self.term


class MaxOverBands(nn.Module):
    """Filters over patches (N, frames, bands) to (N, frames, filters): the largest of all positions in the bands."""

    def __init__(self, weights: _Weights, number: int) -> None:
        super().__init__()
        self.convolution = weights.convolution("conv2d" + (f"_{number}" if number else ""))
        self.normalise = Normalisation(*weights.normalisation(number + 1))
        height = self.convolution.kernel_size[0]
        self.before, self.after = (height - 1) // 2, height // 2

    def forward(self, x: Tensor) -> Tensor:
        """Return the maxima."""
        padded = nn.functional.pad(x.unsqueeze(1), (0, 0, self.before, self.after))
        filtered = nn.functional.relu(self.convolution(padded))
        # A negative factor turns the largest into the smallest.
        return torch.maximum(
            self.normalise(filtered.amax(3).transpose(1, 2)), self.normalise(filtered.amin(3).transpose(1, 2))
        )


class Musicnn(nn.Module):
    """The layers below the tags: patches (N, frames, 96) to (N, 200)."""

    def __init__(self, weights: _Weights) -> None:
        super().__init__()
        self.normalise = Normalisation(*weights.normalisation(0))
        self.front = nn.ModuleList(MaxOverBands(weights, number) for number in range(5))
        self.middle = nn.ModuleList(MaxOverBands(weights, number) for number in range(5, 8))
        self.normalise_pooled = Normalisation(*weights.normalisation(9))
        self.dense = weights.linear("dense")
        self.normalise_dense = Normalisation(*weights.normalisation(10))

    def forward(self, patches: Tensor) -> Tensor:
        """Return the last layer but one."""
        x = self.normalise(patches)
        fronts: list[Tensor] = []
        for filters in self.front:
            fronts.append(filters(x))
        front = torch.cat(fronts, 2)
        features, last = [front], front
        for i, filters in enumerate(self.middle):
            last = filters(last) + last if i else filters(last)
            features.append(last)
        joined = torch.cat(features, 2)
        pooled = torch.stack([joined.amax(1), joined.mean(1)], 2).flatten(1)
        dense = nn.functional.relu(self.dense(self.normalise_pooled(pooled)))
        embedded: Tensor = self.normalise_dense(dense)
        return embedded
