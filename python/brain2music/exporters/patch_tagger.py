"""Taggers that look at short patches of a spectrogram: a window's tags and embedding are means over its patches."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

__all__ = ["PatchEmbedder", "PatchTagger", "Spectrogram", "roles"]

#: Seconds of music that are tagged and embedded at once: those of the evaluation of Denk, Takagi et al. (2023).
WINDOW = 10.0


class Spectrogram(nn.Module):
    """A mel spectrogram, float32: (B, samples) to (B, frames, bands).

    Parameters
    ----------
    bands : array of shape (bands, n_fft / 2 + 1)
        The weight of each frequency in each band.
    taper : Tensor of shape (length,)
        What frames are multiplied by; zeros follow up to ``n_fft`` where they are shorter.
    hop : int
        Samples from one frame to the next.
    centred : bool
        Frame t is centred at t times ``hop``, in zeros before and after the waveform; otherwise frame 0 begins with
        the waveform, and the last frame ends within it.
    power : bool
        Bands sum power; otherwise magnitude.
    """

    bands: Tensor
    taper: Tensor

    def __init__(self, bands: npt.NDArray[np.floating], taper: Tensor, hop: int, *, centred: bool, power: bool) -> None:
        super().__init__()
        self.hop, self.centred, self.power = hop, centred, power
        self.n_fft = 2 * (bands.shape[1] - 1)
        self.register_buffer("bands", torch.tensor(bands.T, dtype=torch.float32).contiguous())
        # torch.stft would put a short taper into the middle of the frame.
        self.register_buffer("taper", nn.functional.pad(taper, (0, self.n_fft - taper.numel())))
        self.missing = 0 if centred else self.n_fft - taper.numel()

    def forward(self, wave: Tensor) -> Tensor:
        """Return the spectrogram."""
        spectrum = torch.stft(
            nn.functional.pad(wave, (0, self.missing)),
            self.n_fft,
            self.hop,
            window=self.taper,
            center=self.centred,
            pad_mode="constant",
            return_complex=True,
        )
        power = torch.real(spectrum).square() + torch.imag(spectrum).square()
        return torch.matmul((power if self.power else power.sqrt()).transpose(1, 2), self.bands)


class PatchEmbedder(nn.Module):
    """``embed``: windows (B, samples) to (B, d), the mean over each window's patches.

    Parameters
    ----------
    patches : Module
        From (B, samples) to (B, patches, frames, bands).
    network : Module
        From (N, frames, bands) to (N, d).
    """

    def __init__(self, patches: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.patches, self.network = patches, network

    def forward(self, wave: Tensor) -> Tensor:
        """Return the vectors of all patches, (B, patches, d)."""
        # One window after another on the CPU, where the feature maps of many do not fit the caches.
        step = wave.size(0) if wave.is_cuda else 1
        parts: list[Tensor] = []
        for start in range(0, wave.size(0), max(step, 1)):
            patches = self.patches(wave[start : start + step])
            vectors = self.network(patches.flatten(0, 1))
            parts.append(vectors.unflatten(0, [patches.size(0), patches.size(1)]))
        return torch.cat(parts)

    @torch.jit.export
    def embed(self, wave: Tensor) -> Tensor:
        """Embed windows."""
        return self.forward(wave).mean(1)


class PatchTagger(nn.Module):
    """``tag``: windows (B, samples) to probabilities (B, classes), the mean over each window's patches.

    Parameters
    ----------
    embedder : PatchEmbedder
        What the classes are judged by.
    head : Linear
        From (..., d) to the logits of the classes (..., classes), each a judgement of its own.
    """

    def __init__(self, embedder: PatchEmbedder, head: nn.Linear) -> None:
        super().__init__()
        self.embedder, self.head = embedder, head

    @torch.jit.export
    def tag(self, wave: Tensor) -> Tensor:
        """Tag windows."""
        return torch.sigmoid(self.head(self.embedder(wave))).mean(1)


def roles(
    embedder: PatchEmbedder,
    head: nn.Linear,
    sample_rate: int,
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    card: Mapping[str, str],
) -> dict[str, dict[str, Any]]:
    """Make the entries of a bundle's roles ``tagger`` and ``music_embedder``.

    Parameters
    ----------
    embedder, head : Module
        The network.
    sample_rate : int
        Of the waveforms that it takes, in Hz.
    classes : sequence of str
        Names of the classes.
    groups : mapping from str to sequence of str
        Classes that are compared with each other. A class that the network does not have is left out.
    card : mapping
        ``name``, ``source``, ``licence`` and ``notes`` of the model cards.

    Returns
    -------
    dict
        For :func:`brain2music.bundles.write`.
    """
    common = {"sample_rate": sample_rate, "window": WINDOW}
    held = {group: [name for name in names if name in classes] for group, names in groups.items()}
    return {
        "tagger": {
            "module": _scripted(PatchTagger(embedder, head)),
            "methods": ["tag"],
            **common,
            "classes": list(classes),
            "groups": {group: names for group, names in held.items() if names},
            "card": {"replaces": "the LEAF classifier of the paper's evaluation", **card},
        },
        "music_embedder": {
            "module": _scripted(embedder),
            "methods": ["embed"],
            **common,
            "dimension": head.in_features,
            "card": {"replaces": "MuLan's music tower", **card},
        },
    }


def _scripted(module: nn.Module) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        script: torch.jit.ScriptModule = torch.jit.script(module.eval().requires_grad_(False))
    return script
