"""The loop that trains every part of a recipe: seeded, resumed where it was stopped, its curve written as it goes."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from brain2music.files import replacing

__all__ = ["learning_rate", "mixed", "train"]


def mixed(dtype: str, device: torch.device) -> torch.autocast:
    """Linear maps in this type, all else and the weights in float32; "bfloat16" pays where there are matrix units."""
    return torch.autocast(device.type, getattr(torch, dtype), enabled=dtype != "float32")


def learning_rate(step: int, steps: int, peak: float, warm_up: int = 100) -> float:
    """Rise in a line, then fall as a half cosine to a hundredth of the peak."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / max(steps - warm_up, 1)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def train(
    network: nn.Module,
    loss: Callable[[int, torch.Generator], Mapping[str, Tensor]],
    checkpoint: str | os.PathLike[str],
    *,
    steps: int,
    peak: float = 1e-3,
    seed: int = 0,
    weight_decay: float = 0.01,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
    every: int = 200,
    stop_after: float | None = None,
    progress: bool = True,
) -> bool:
    """Train a network, or go on where a call was stopped.

    Parameters
    ----------
    network : Module
        What is trained, on the device where it lies. Its buffers are kept in checkpoints as well.
    loss : callable
        Of the step and a generator of the CPU that is seeded by it: terms by name; "loss" is what falls.
    checkpoint : path
        A folder for ``checkpoint.pt`` and ``curve.jsonl``. Any device opens what another has written.
    steps : int
        How many in all.
    peak : float
        The largest learning rate; it warms up over 100 steps and falls as a half cosine.
    seed : int
        Seeds every step.
    weight_decay : float
        Of AdamW.
    evaluate : callable, optional
        Figures on held-out music, written to the curve.
    every : int
        Steps between checkpoints.
    stop_after : float, optional
        Seconds after which to stop at the next checkpoint, to be resumed.
    progress : bool
        Show a bar.

    Returns
    -------
    bool
        Whether all steps are done.
    """
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    folder = Path(checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "checkpoint.pt"
    optimizer = torch.optim.AdamW(network.parameters(), peak, betas=(0.9, 0.98), weight_decay=weight_decay)
    begun, spent = 0, 0.0
    if kept.exists():
        state: dict[str, Any] = torch.load(kept, map_location="cpu", weights_only=True)
        network.load_state_dict(state["network"])
        for name, value in state["extra"].items():
            network.get_buffer(name).copy_(value)
        optimizer.load_state_dict(state["optimizer"])
        begun, spent = state["step"], state["seconds"]
    started = time.monotonic()
    network.train()
    sums: dict[str, float] = {}
    count = 0
    with tqdm(total=steps, initial=begun, desc=folder.name, unit="step", disable=not progress) as bar:
        for step in range(begun, steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps, peak)
            generator = torch.Generator().manual_seed((seed << 32) + step)
            torch.manual_seed((seed << 32) + step)
            terms = loss(step, generator)
            optimizer.zero_grad(set_to_none=True)
            terms["loss"].backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            bar.update()
            count += 1
            late = stop_after is not None and time.monotonic() - started > stop_after
            if (step + 1) % every == 0 or step + 1 == steps or late:
                seconds = spent + time.monotonic() - started
                network.eval()
                figures = {name: value / count for name, value in sums.items()}
                with torch.no_grad():
                    figures |= {} if evaluate is None else dict(evaluate())
                network.train()
                sums, count = {}, 0
                _keep(kept, network, optimizer, step + 1, seconds)
                row = {"step": step + 1, "seconds": round(seconds), **{k: round(v, 5) for k, v in figures.items()}}
                with (folder / "curve.jsonl").open("a", encoding="utf-8") as curve:
                    curve.write(json.dumps(row) + "\n")
                bar.set_postfix({name: f"{value:.3f}" for name, value in figures.items()})
            if late and step + 1 < steps:
                return False
    network.eval()
    return True


def _keep(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, step: int, seconds: float) -> None:
    weights = network.state_dict()
    extra = {name: value for name, value in network.named_buffers() if name not in weights}
    state = {
        "network": weights,
        "extra": extra,
        "optimizer": optimizer.state_dict(),
        "step": step,
        "seconds": seconds,
    }
    with replacing(path) as temporary:
        torch.save(state, temporary)
