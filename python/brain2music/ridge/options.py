"""What all ridge estimators ask of the compiled part, checked and put into its terms."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["core_options", "memory_in_bytes", "told_of_progress", "weights_of_rows", "where_to_compute"]

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def memory_in_bytes(limit: int | float | str | None, where: str) -> int:
    """Bytes of a limit such as 2_000_000_000 or "2 GiB"; 0 for None."""
    if limit is None:
        return 0
    match = re.fullmatch(r"([0-9.]+)\s*([A-Za-z]*)", str(limit).strip())
    unit = match.group(2).upper() if match else None
    try:
        size = int(float(match.group(1)) * _UNITS[unit or ""]) if match else 0
    except (KeyError, ValueError):
        size = 0
    if size <= 0:
        raise ValueError(f"[{where}] memory_limit must be bytes, or a number and a unit such as '2 GiB'; got {limit!r}")
    return size


def where_to_compute(device: Any, X: Any, where: str) -> str | None:
    """Name of the device to compute on; None: where X lies."""
    if isinstance(X, torch.Tensor) and (device is None or (isinstance(device, str) and device == "auto")):
        return None
    if device is None or (isinstance(device, str) and device == "auto"):
        return "cuda" if torch.cuda.is_available() else None
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"[{where}] device must be 'auto' or a device of torch; got {device!r}") from error
    if wanted.type not in ("cpu", "cuda"):
        raise ValueError(f"[{where}] device must be 'auto', a CPU or a CUDA device; got {device!r}")
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"[{where}] device must be one that is there, and there is no CUDA device; got {device!r}")
    return str(wanted)


def core_options(estimator: Any, X: Any, where: str, sample_weight: Any = None, **more: Any) -> dict[str, Any]:
    """Options of the compiled part, of an estimator's parameters."""
    alphas = [] if estimator.alphas is None else np.ravel(estimator.alphas).astype(float).tolist()
    if estimator.alphas is not None and not alphas:
        raise ValueError(f"[{where}] alphas must hold a penalty; got none")
    options = {
        "alphas": alphas,
        "fit_intercept": bool(estimator.fit_intercept),
        "scoring": _scoring(estimator.scoring, where),
        "keep_path": bool(estimator.keep_path),
        "memory_limit": memory_in_bytes(estimator.memory_limit, where),
        **more,
    }
    device = where_to_compute(estimator.device, X, where)
    if device is not None:
        options["device"] = device
    if sample_weight is not None:
        options["sample_weight"] = weights_of_rows(sample_weight, len(X), where)
    return options


def weights_of_rows(sample_weight: Any, rows: int, where: str) -> Any:
    """Weights of the rows in float64, from an array or one number for all."""
    if isinstance(sample_weight, torch.Tensor):
        return sample_weight.double().expand(rows) if sample_weight.ndim == 0 else sample_weight.double()
    weights = np.asarray(sample_weight, dtype=float)
    if weights.ndim == 0:
        weights = np.full(rows, float(weights))
    if weights.shape != (rows,):
        raise ValueError(
            f"[{where}] sample_weight must hold a number for each row; got shape {weights.shape} for {rows} rows"
        )
    return weights


@contextmanager
def told_of_progress(shown: bool, name: str, unit: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function (done, of) that moves a bar; None where no bar shall be shown."""
    if not shown:
        yield None
        return
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    with tqdm(desc=name, unit=unit) as bar:

        def tell(done: int, of: int) -> None:
            bar.total = of
            bar.update(max(0, done - bar.n))  # threads may tell in another order

        yield tell


def _scoring(scoring: Any, where: str) -> str:
    """Return how penalties are compared; None is the default, as in scikit-learn."""
    if scoring is None:
        return "r2"
    if not isinstance(scoring, str):
        raise ValueError(f"[{where}] scoring must be 'r2' or 'correlation'; got {scoring!r}")
    return scoring
