"""The shipped bundle ``acoustic``: statistics of log-mel spectra in place of trained networks.

Nothing here has learnt from labels. ``music_embedder`` takes, over a window of 10 s, means, spreads and changes of a
log-mel spectrum, its modulation, the rhythm of its onsets and its pitch classes; ``codec`` takes log-mel frames. What
is fitted is their scale, and for the first the principal components, on music of the composer
(``brain2music.simulation.music``, a seed of its own).

``python -m brain2music.bundles.acoustic OUT`` makes the bundle again: some minutes, nearly all of them to render music.
"""

import argparse
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brain2music import _core
from brain2music.bundles.writer import write

__all__ = ["FrameEmbedder", "MusicEmbedder", "build", "fit", "training_clips"]

RATE = 22050
N_FFT = 2048
DIMENSION = 128
#: Of the library of tracks that the bundle is fitted on; nothing else should use it.
SEED = 2307
#: Added to the variance of each principal component before it is scaled to 1: the variance of a single statistic, so
#: that what hardly varies is not blown up.
SHRINKAGE = 1.0
#: Eight groups of bands, five octaves of modulation below 15 Hz, 24 steps of tempo: the grid of the modulation spectra.
GROUPS, MODULATION_HZ, TEMPO_HZ = 8, (0.3, 0.7, 1.4, 2.8, 5.6, 15.1), np.geomspace(0.5, 14, 25)

_Floats = npt.NDArray[np.float64]


def mel_bands(n: int, lowest: float = 30.0, highest: float = RATE / 2) -> _Floats:
    """Triangles on the mel scale of O'Shaughnessy, each of sum 1; shape (n, N_FFT / 2 + 1)."""
    mel = np.linspace(2595 * np.log10(1 + lowest / 700), 2595 * np.log10(1 + highest / 700), n + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bands = np.maximum(0, np.minimum((_hertz() - left) / (centre - left), (right - _hertz()) / (right - centre)))
    return np.asarray(bands / bands.sum(axis=1, keepdims=True), dtype=np.float64)


def pitch_classes(lowest: float = 80.0, highest: float = 2000.0) -> _Floats:
    """From the spectrum to C, C sharp, ..., B, linearly between semitones; shape (12, N_FFT / 2 + 1)."""
    hertz = np.maximum(_hertz(), 1)
    semitones = 69 + 12 * np.log2(hertz / 440)
    distance = np.abs((semitones - np.arange(12)[:, None] + 6) % 12 - 6)
    return np.asarray(np.where((hertz >= lowest) & (hertz <= highest), np.maximum(0, 1 - distance), 0.0), np.float64)


def octaves(frames: int, frame_rate: float, edges: npt.ArrayLike) -> _Floats:
    """Means over ranges of a power spectrum of so many frames; shape (frames / 2 + 1, ranges)."""
    hertz = np.arange(frames // 2 + 1)[:, None] * frame_rate / frames
    limits = np.asarray(edges, dtype=float)
    inside = ((hertz >= limits[:-1]) & (hertz < limits[1:])).astype(float)
    return np.asarray(inside / inside.sum(axis=0))


def _hertz() -> _Floats:
    return np.arange(N_FFT // 2 + 1, dtype=np.float64) * (RATE / N_FFT)


def _tensor(array: npt.ArrayLike) -> torch.Tensor:
    return torch.tensor(np.asarray(array), dtype=torch.float32)


class Spectrum(torch.nn.Module):
    """Power in bands: (B, samples) to (B, bands, frames). Weights may be of a narrow type; sums are of float32."""

    window: torch.Tensor
    bands: torch.Tensor

    def __init__(self, bands: _Floats, hop: int) -> None:
        super().__init__()
        self.hop = hop
        self.n_fft = N_FFT
        self.register_buffer("window", torch.hann_window(N_FFT))
        self.register_buffer("bands", _tensor(bands))

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        window, bands = self.window.float(), self.bands.float()
        # One by one on the CPU: four times as fast, since a spectrum of many does not fit its caches.
        step = wave.size(0) if wave.is_cuda else 1
        parts: list[torch.Tensor] = []
        for start in range(0, wave.size(0), max(step, 1)):
            spectrum = torch.stft(
                wave[start : start + step],
                self.n_fft,
                self.hop,
                self.n_fft,
                window,
                center=True,
                pad_mode="constant",
                return_complex=True,
            )
            power = torch.real(spectrum).square() + torch.imag(spectrum).square()
            parts.append(torch.matmul(bands, power[..., : wave.size(1) // self.hop]))
        return torch.cat(parts)


class MusicStatistics(torch.nn.Module):
    """What a window of music is like: (B, samples) of ten seconds to (B, statistics), whatever its level."""

    octaves: torch.Tensor
    tempi: torch.Tensor
    taper: torch.Tensor

    def __init__(self, bands: int = 64, hop: int = 735, seconds: float = 10.0) -> None:
        super().__init__()
        self.n_bands, self.groups = bands, GROUPS
        self.spectrum = Spectrum(np.concatenate([mel_bands(bands), pitch_classes()]), hop)
        frames = round(seconds * RATE) // hop
        self.register_buffer("octaves", _tensor(octaves(frames, RATE / hop, MODULATION_HZ)))
        self.register_buffer("tempi", _tensor(octaves(frames, RATE / hop, TEMPO_HZ)))
        self.register_buffer("taper", _tensor(np.hanning(frames)))

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        level = wave.square().mean(-1, keepdim=True).sqrt()
        power = self.spectrum(wave / (level + 1e-5))
        mel = (power[:, : self.n_bands] + 1e-3).log10()
        change = mel[..., 1:] - mel[..., :-1]
        taper = self.taper.float()

        slow = mel.reshape(mel.size(0), self.groups, -1, mel.size(2)).mean(2)
        slow = (slow - slow.mean(-1, keepdim=True)) * taper
        modulation = torch.matmul(torch.fft.rfft(slow).abs().square(), self.octaves.float())

        onsets = torch.nn.functional.pad(change.clamp_min(0.0).mean(1), [1, 0])
        onsets = (onsets - onsets.mean(-1, keepdim=True)) * taper
        rhythm = torch.matmul(torch.fft.rfft(onsets).abs().square(), self.tempi.float())

        pitch = power[:, self.n_bands :] + 1e-3
        pitch = pitch / pitch.sum(1, keepdim=True)
        profile = pitch.mean(-1)
        return torch.cat(
            [
                mel.mean(-1),
                mel.std(-1),
                change.abs().mean(-1),
                (modulation + 1e-3).log10().flatten(1),
                (rhythm + 1e-6).log10(),
                profile,
                pitch.std(-1),
                torch.fft.rfft(profile).abs()[:, 1:],  # the same in every key
                mel.mean(1).std(-1, keepdim=True),
                onsets.std(-1, keepdim=True),
            ],
            1,
        )


class MusicEmbedder(torch.nn.Module):
    """``embed``: (B, samples) at 22,050 Hz, ten seconds each, to (B, 128)."""

    mean: torch.Tensor
    scale: torch.Tensor
    components: torch.Tensor

    def __init__(self, mean: npt.ArrayLike, scale: npt.ArrayLike, components: npt.ArrayLike) -> None:
        super().__init__()
        self.statistics = MusicStatistics()
        self.register_buffer("mean", _tensor(mean))
        self.register_buffer("scale", _tensor(scale))
        self.register_buffer("components", _tensor(components))

    @torch.jit.export
    def embed(self, wave: torch.Tensor) -> torch.Tensor:
        """Embed windows."""
        standard = (self.statistics(wave) - self.mean.float()) * self.scale.float()
        return torch.matmul(standard, self.components.float())


class FrameEmbedder(torch.nn.Module):
    """``embed``: (B, samples) at 22,050 Hz to (B, frames, 128), 50 frames a second."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, mean: npt.ArrayLike = 0.0, scale: npt.ArrayLike = 1.0) -> None:
        super().__init__()
        self.spectrum = Spectrum(mel_bands(DIMENSION), hop=RATE // 50)
        self.register_buffer("mean", _tensor(mean))
        self.register_buffer("scale", _tensor(scale))

    @torch.jit.export
    def embed(self, wave: torch.Tensor) -> torch.Tensor:
        """Embed windows."""
        mel = (self.spectrum(wave) + 1e-5).log10().transpose(1, 2)
        embedded: torch.Tensor = (mel - self.mean.float()) * self.scale.float()
        return embedded


def training_clips(tracks: int = 40, progress: bool = True) -> Iterator[npt.NDArray[np.float32]]:
    """Compose what the bundle is fitted on: so many tracks a genre, two clips of 15 s of each, faded as stimuli are."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    from brain2music.simulation import music
    from brain2music.study.stimuli import prepare_clip

    wanted = list(product(range(tracks), music.GENRES))
    for number, genre in tqdm(wanted, desc="tracks", unit="track", disable=not progress):
        sound = music.render(music.compose(genre, music.track_seed(SEED, genre, number), 30.0))
        stored = (np.round(sound * 32767) / 32767).astype(np.float32)  # of 16 bits: hides how processors' tanh differ
        for start in (0.0, 15.0):
            yield prepare_clip(stored, RATE, start, start + 15.0)


def fit(clips: Iterable[npt.NDArray[np.float32]]) -> tuple[MusicEmbedder, FrameEmbedder]:
    """Fit both embedders on clips at 22,050 Hz: scales, and the principal components of the statistics."""
    statistics, frames = MusicStatistics(), FrameEmbedder()
    rows: list[npt.NDArray[np.float32]] = []
    counts, sums, squares = 0, np.zeros(DIMENSION), np.zeros(DIMENSION)
    with torch.inference_mode(), _one_thread():
        for clip in clips:
            windows = _core.embedding.clip_windows(clip, RATE, RATE, 10.0, 1.5)
            rows.append(statistics(torch.stack(windows)).numpy())
            mel = frames.embed(torch.from_numpy(clip)[None])[0].double().numpy()
            counts, sums, squares = counts + len(mel), sums + mel.sum(0), squares + np.square(mel).sum(0)
    x: _Floats = np.concatenate(rows).astype(np.float64)
    mean, deviation = x.mean(0), x.std(0)
    variance, vectors = np.linalg.eigh(np.cov((x - mean) / deviation, rowvar=False, ddof=0))
    vectors = vectors[:, ::-1][:, :DIMENSION]
    vectors *= np.sign(
        vectors[np.abs(vectors).argmax(0), np.arange(DIMENSION)]
    )  # eigenvectors have no sign of their own
    components = vectors / np.sqrt(variance[::-1][:DIMENSION] + SHRINKAGE)
    centre = sums / counts
    return (
        MusicEmbedder(mean, 1 / deviation, components),
        FrameEmbedder(centre, 1 / np.sqrt(squares / counts - centre**2)),
    )


def build(folder: Path, tracks: int = 40, replace: bool = False, progress: bool = True) -> Path:
    """Make the bundle.

    Parameters
    ----------
    folder : path
        To be made.
    tracks : int
        Tracks of each genre to fit it on.
    replace : bool
        Replace the bundle that lies there.
    progress : bool
        Show a bar.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    ImportError
        If the extra ``simulate`` is not installed.
    """
    music_embedder, codec = fit(training_clips(tracks, progress))
    card = {
        "source": "python -m brain2music.bundles.acoustic",
        "licence": "Apache-2.0",
        "notes": f"No training on labels; scales fitted on {10 * tracks} tracks of brain2music's own composer.",
    }
    common = {"methods": ["embed"], "dtypes": ["float32", "bfloat16", "float16"], "sample_rate": RATE}
    return write(
        folder,
        name="acoustic",
        description="Acoustic statistics in place of trained networks: what works offline, and what these must beat.",
        roles={
            "music_embedder": {
                "module": _scripted(music_embedder),
                **common,
                "window": 10.0,
                "dimension": DIMENSION,
                "card": {"name": "Acoustic statistics", "replaces": "MuLan's music tower", **card},
            },
            "codec": {
                "module": _scripted(codec),
                **common,
                "frame_rate": 50,
                "window": 1.5,
                "dimension": DIMENSION,
                "card": {"name": "Log-mel frames", "replaces": "SoundStream's encoder (SoundStream-avg)", **card},
            },
        },
        replace=replace,
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """As fast, the operations being small; and the same sums on every machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _scripted(module: torch.nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        return torch.jit.script(module.eval())


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m brain2music.bundles.acoustic", description="Make the shipped bundle 'acoustic'."
    )
    parser.add_argument("out", type=Path, help="folder to be made")
    parser.add_argument("--tracks", type=int, default=40, help="tracks of each genre to fit on (default 40)")
    parser.add_argument("--replace", action="store_true", help="replace the bundle that lies there")
    arguments = parser.parse_args()
    print(build(arguments.out, arguments.tracks, arguments.replace))


if __name__ == "__main__":  # under its own name: TorchScript writes a class's module into the file
    from brain2music.bundles import acoustic

    acoustic.main()
