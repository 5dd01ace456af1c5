"""MusicCoCa's towers as embedders of music and of text, out of the TorchScript files of the public PyTorch port."""

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
from brain2music.exporters.sentence_piece import tokenizer_definition

__all__ = ["MusicTower", "TextTower", "embedder_roles"]

_WHERE = "exporters.magenta_rt2"
RATE, SECONDS = 16000, 10
#: Samples of a frame, from one frame to the next, and of the Fourier transform; frames of a clip.
FRAME, HOP, N_FFT, FRAMES = 400, 160, 2048, 992
PRE_EMPHASIS, FLOOR = 0.97, 0.001
#: Ids of a text: as many as the text tower takes, and the one that a text begins with.
TEXT_LENGTH, BEGIN = 128, 1
#: The files of the port, as its ``MusicCoCa`` names them: of the music tower, and of the text tower.
TOWER, BANDS = "music_encoder.pt", "mel_params.npz"
TEXT_TOWER, PIECES = "text_encoder.pt", "spm.model"


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


class TextTower(nn.Module):
    """``embed_ids``: ids (B, 128) and their mask to (B, d), one text at a time: the tower was traced with one.

    Parameters
    ----------
    tower : ScriptModule
        From ids (1, 128), int32, and padding (1, 128), float32 and 1 where there is no token, to d numbers.
    """

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    @torch.jit.export
    def embed_ids(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Embed texts."""
        texts: list[Tensor] = []
        for i in range(ids.size(0)):
            padding = (1 - mask[i : i + 1]).to(torch.float32)
            texts.append(self.tower(ids[i : i + 1].to(torch.int32), padding).reshape(-1))
        return torch.stack(texts)


def embedder_roles(folder: str | os.PathLike[str], dimension: int = 768) -> dict[str, dict[str, Any]]:
    """Return the entries of the embedders whose files lie in a folder.

    Parameters
    ----------
    folder : path
        Where ``music_encoder.pt`` and ``mel_params.npz`` of the port lie, for the music embedder. Where
        ``text_encoder.pt`` and ``spm.model`` lie there, too, there is a text embedder.
    dimension : int
        d of the embeddings, which both share.

    Returns
    -------
    dict from str to dict
        By role. Networks are made when they are written.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If ``mel_params.npz`` does not hold the bands and the taper, or ``spm.model`` no model of SentencePiece.
    """
    found = {"music_embedder": _music_embedder(Path(folder), dimension)}
    if any((Path(folder) / name).exists() for name in (TEXT_TOWER, PIECES)):
        found["text_embedder"] = _text_embedder(Path(folder), dimension)
    return found


def _text_embedder(folder: Path, dimension: int) -> dict[str, Any]:
    _check_there(folder, (TEXT_TOWER, PIECES), "for a text embedder")
    return {
        "module": lambda: scripted(TextTower(_tower(folder / TEXT_TOWER))),
        "methods": ["embed_ids"],
        "window": float(SECONDS),
        "dimension": dimension,
        "max_length": TEXT_LENGTH,
        "tokenizer": tokenizer_definition(folder / PIECES, begin=BEGIN, length=TEXT_LENGTH, lower=True),
        "card": _card("text"),
    }


def _music_embedder(folder: Path, dimension: int) -> dict[str, Any]:
    _check_there(folder, (TOWER, BANDS), "for a music embedder")
    with np.load(folder / BANDS, allow_pickle=False) as arrays:
        bands, taper = (arrays[name] if name in arrays else np.empty(0) for name in ("mel", "hann"))
    if bands.ndim != 2 or len(bands) != N_FFT // 2 or taper.shape != (FRAME,):
        raise ValueError(
            f"[{_WHERE}] {BANDS} must hold mel ({N_FFT // 2}, bands) and hann ({FRAME},); got {bands.shape} and "
            f"{taper.shape}"
        )
    return {
        "module": lambda: scripted(MusicTower(_tower(folder / TOWER), bands, taper)),
        "methods": ["embed"],
        "sample_rate": RATE,
        "window": float(SECONDS),
        "dimension": dimension,
        "card": _card("music"),
    }


def _check_there(folder: Path, names: tuple[str, str], purpose: str) -> None:
    for name in names:
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"[{_WHERE}] embedder must be a folder with {names[0]} and {names[1]} {purpose}; got no file "
                f"{folder / name}"
            )


def _card(of: str) -> dict[str, str]:
    return {
        "name": f"MusicCoCa's {of} tower",
        "source": "multimodalart/magenta-realtime-torch, converted from google/magenta-realtime-2",
        "licence": "CC-BY-4.0",
        "replaces": f"MuLan's {of} tower",
        "notes": "Read, not verified: the tower is the port's file as it is, and what comes before it follows the "
        "port's code; brain2music has not compared either with MusicCoCa.",
    }


def _tower(path: Path) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        tower: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]
            str(path), map_location="cpu"
        )
    return tower.eval()
