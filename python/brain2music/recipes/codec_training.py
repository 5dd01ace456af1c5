"""Training of the codec: sound that is encoded, rounded and decoded is to have the spectra of what went in."""

import os
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from brain2music.recipes.codec import CodecNetwork
from brain2music.recipes.excerpts import RATE, SECONDS, Excerpts
from brain2music.recipes.spectra import LogMel
from brain2music.recipes.training import train

__all__ = ["codec_error", "train_codec"]

#: Lengths of the Fourier transforms whose magnitudes are compared; two of them are drawn for each step.
_LENGTHS = (256, 512, 1024, 2048)
#: Seconds of a training clip, and clips a step.
_CLIP, _BATCH = 1.6, 12
#: Steps before vectors are rounded, at most.
_FREE = 100


class SpectralLoss(nn.Module):
    """Distance of two sounds (B, samples): magnitudes of spectra, in logarithms and in proportion, and log-mel."""

    def __init__(self) -> None:
        super().__init__()
        for length in _LENGTHS:
            self.register_buffer(f"window_{length}", torch.hann_window(length), persistent=False)
        self.mel = LogMel(RATE, 1024, 256, 80)

    def forward(self, made: Tensor, true: Tensor, lengths: Sequence[int] = _LENGTHS) -> Tensor:
        """Compare, with spectra of some lengths."""
        total = functional.l1_loss(self.mel(made), self.mel(true)) * len(lengths) / 2
        for length in lengths:
            first, second = (self._magnitudes(sound, length) for sound in (made, true))
            total = total + functional.l1_loss(torch.log(first + 1e-3), torch.log(second + 1e-3))
            total = total + (first - second).abs().mean() / (second.mean() + 1e-3)
        return total

    def _magnitudes(self, sound: Tensor, length: int) -> Tensor:
        window: Tensor = self.get_buffer(f"window_{length}")
        spectrum = torch.stft(sound, length, length // 4, window=window, return_complex=True)
        return (torch.real(spectrum).square() + torch.imag(spectrum).square() + 1e-9).sqrt()


def train_codec(
    network: CodecNetwork,
    training: Excerpts,
    validation: Excerpts,
    checkpoint: str | os.PathLike[str],
    *,
    steps: int,
    seed: int = 0,
    stop_after: float | None = None,
    progress: bool = True,
) -> bool:
    """Train the codec; see :func:`brain2music.recipes.training.train`.

    The number of levels that a step rounds with is drawn, so that the first levels carry most.
    """
    device = network.enter.weight.device
    compare, free = SpectralLoss().to(device), min(_FREE, steps // 2)
    mel = LogMel(RATE, 1024, 256, 80).to(device)

    def batch(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(training), (_BATCH,), generator=generator).tolist()
        starts = torch.rand(_BATCH, generator=generator).mul(SECONDS - _CLIP).tolist()
        sound = [torch.from_numpy(training.sound(row, start, _CLIP)) for row, start in zip(rows, starts, strict=True)]
        gains = 10 ** (torch.rand(_BATCH, 1, generator=generator) * 0.6 - 0.4)
        return (torch.stack(sound) * gains).to(device)

    def loss(step: int, generator: torch.Generator) -> dict[str, Tensor]:
        sound = batch(generator)
        latents = network.latents(sound)
        flat = latents.reshape(-1, network.latent)
        lengths = [_LENGTHS[i] for i in torch.randperm(len(_LENGTHS), generator=generator)[:2].tolist()]
        if step < free:
            error = compare(network.sound(latents), sound, lengths)
            return {"loss": error, "spectra": error}
        quantizer = network.quantizer
        if step == free:
            more = [network.latents(batch(generator)).reshape(-1, network.latent).detach() for _ in range(8)]
            quantizer.begin(torch.cat(more), generator)
        totals, used = quantizer.learn(flat.detach(), generator)
        levels = int(torch.randint(1, quantizer.levels + 1, (), generator=generator))
        levels = quantizer.levels if torch.rand((), generator=generator) < 0.5 else levels
        rounded = flat + (totals[levels - 1] - flat).detach()
        near = functional.mse_loss(flat, totals[-1])
        error = compare(network.sound(rounded.reshape(latents.shape)), sound, lengths)
        return {"loss": error + 0.25 * near, "spectra": error, "near": near, "used": used.mean()}

    held_out = torch.stack(
        [torch.from_numpy(validation.sound(row, 5.0, 4.0)) for row in range(min(40, len(validation)))]
    ).to(device)
    some = torch.stack([torch.from_numpy(training.sound(row, 5.0, 4.0)) for row in range(min(200, len(training)))])
    mean = mel(some.to(device)).mean((0, 2))

    def evaluate() -> dict[str, float]:
        made = network.decode(network.encode(held_out[:, None]))[:, 0]
        return {"held_out": codec_error(mel, made, held_out, mean)}

    return train(
        network,
        loss,
        checkpoint,
        steps=steps,
        peak=1e-3,
        seed=seed,
        evaluate=evaluate,
        stop_after=stop_after,
        progress=progress,
    )


def codec_error(mel: LogMel, made: Tensor, true: Tensor, mean: Tensor) -> float:
    """Log-mel error of decoded sound as a share of the error of predicting the mean spectrum (bands,)."""
    real = mel(true)
    return float((mel(made) - real).abs().mean() / (mean[:, None] - real).abs().mean())
