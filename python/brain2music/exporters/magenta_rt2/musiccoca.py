"""MusicCoCa's music tower as a music embedder, out of the TorchScript files of the public PyTorch port."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.exporters.script import scripted

__all__ = ["MusicTower", "music_embedder_role"]

_WHERE = "exporters.magenta_rt2"
RATE, SECONDS = 16000, 10
#: Samples of a frame, from one frame to the next, and of the Fourier transform; frames of a clip.
FRAME, HOP, N_FFT, FRAMES = 400, 160, 2048, 992
PRE_EMPHASIS, FLOOR = 0.97, 0.001
#: The files of the port, as its ``MusicCoCa`` names them.
TOWER, BANDS = "music_encoder.pt", "mel_params.npz"


class MusicTower(nn.Module):
    """``embed``: clips (B, 160,000) at 16 kHz to (B, d).

    The logarithm of 0.001 plus power in mel bands of the pre-emphasised waveform, 992 frames of a clip; then the tower,
    one clip at a time: it was traced with one.

    Parameters
    ----------
    tower : ScriptModule
        From (1, frames, bands) to d numbers.
    bands : array of shape (1024, bands)
        The weight in each band of each frequency but the lowest.
    taper : array of shape (400,)
        What frames are multiplied by.
    """

    bands: Tensor
    taper: Tensor

    def __init__(self, tower: nn.Module, bands: npt.NDArray[np.floating], taper: npt.NDArray[np.floating]) -> None:
        super().__init__()
        self.tower = tower
        self.frame, self.hop, self.n_fft, self.frames = FRAME, HOP, N_FFT, FRAMES
        self.pre_emphasis, self.floor = PRE_EMPHASIS, FLOOR
        self.register_buffer("bands", torch.tensor(bands, dtype=torch.float32))
        self.register_buffer("taper", torch.tensor(taper, dtype=torch.float32))

    def spectrogram(self, wave: Tensor) -> Tensor:
        """Map (B, samples) to (B, frames, bands)."""
        emphasised = torch.cat([wave[:, :1], wave[:, 1:] - self.pre_emphasis * wave[:, :-1]], 1)
        frames = functional.pad(emphasised, [0, self.frame]).unfold(1, self.frame, self.hop)[:, : self.frames]
        power = torch.fft.rfft(frames * self.taper, n=self.n_fft, dim=2).abs().square()[:, :, 1:]
        return torch.log(torch.matmul(power, self.bands) + self.floor)

    @torch.jit.export
    def embed(self, wave: Tensor) -> Tensor:
        """Embed clips."""
        spectrogram = self.spectrogram(wave)
        clips: list[Tensor] = []
        for i in range(wave.size(0)):
            clips.append(self.tower(spectrogram[i : i + 1]).reshape(-1))
        return torch.stack(clips)


def music_embedder_role(folder: str | os.PathLike[str], dimension: int = 768) -> dict[str, Any]:
    """Return the entry of a music embedder.

    Parameters
    ----------
    folder : path
        Where ``music_encoder.pt`` and ``mel_params.npz`` of the port lie.
    dimension : int
        d of the embeddings.

    Returns
    -------
    dict
        The network is made when it is written.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If ``mel_params.npz`` does not hold the bands and the taper.
    """
    for name in (TOWER, BANDS):
        if not (Path(folder) / name).is_file():
            raise FileNotFoundError(
                f"[{_WHERE}] embedder must be a folder with {TOWER} and {BANDS}; got no file {Path(folder) / name}"
            )
    with np.load(Path(folder) / BANDS, allow_pickle=False) as arrays:
        bands, taper = (arrays[name] if name in arrays else np.empty(0) for name in ("mel", "hann"))
    if bands.ndim != 2 or len(bands) != N_FFT // 2 or taper.shape != (FRAME,):
        raise ValueError(
            f"[{_WHERE}] {BANDS} must hold mel ({N_FFT // 2}, bands) and hann ({FRAME},); got {bands.shape} and "
            f"{taper.shape}"
        )
    return {
        "module": lambda: scripted(MusicTower(_tower(Path(folder) / TOWER), bands, taper)),
        "methods": ["embed"],
        "sample_rate": RATE,
        "window": float(SECONDS),
        "dimension": dimension,
        "card": {
            "name": "MusicCoCa's music tower",
            "source": "multimodalart/magenta-realtime-torch, converted from google/magenta-realtime-2",
            "licence": "CC-BY-4.0",
            "replaces": "MuLan's music tower",
            "notes": "Read, not verified: the tower is the port's file as it is, and the front end follows its code; "
            "brain2music has not compared either with MusicCoCa.",
        },
    }


def _tower(path: Path) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        tower: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]
            str(path), map_location="cpu"
        )
    return tower.eval()
