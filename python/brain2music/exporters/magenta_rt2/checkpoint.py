"""A checkpoint's tensors, mapped into memory and checked against the names and shapes that magenta-rt builds."""

import json
import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from brain2music import _core

__all__ = ["PREFIXES", "Table", "read_part", "table_of"]

_WHERE = "exporters.magenta_rt2"

#: Shapes by name.
Table = Mapping[str, tuple[int, ...]]

#: What the names of each part of a checkpoint begin with.
PREFIXES = {
    "small": "params/depthformer/",
    "base": "params/depthformer/",
    "soundstream": "params/soundstream/",
    "encoder": "params/encoder/",
}
_TYPES = (torch.float32, torch.bfloat16, torch.float16)


def table_of(part: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a part, by its name in the file.

    Parameters
    ----------
    part : str
        ``"small"`` or ``"base"``, a language model; ``"soundstream"``, the codec's quantiser and decoder, which lie in
        the same file; ``"encoder"``.

    Returns
    -------
    dict from str to tuple of int
    """
    written = json.loads(resources.files(__package__).joinpath("names.json").read_text())
    table: dict[str, tuple[int, ...]] = {}
    for pattern, shape in written["parts"][part].items():
        layers = re.search(r"\{0-(\d+)\}", pattern)
        if layers is None:
            table[pattern] = tuple(shape)
            continue
        for layer in range(int(layers[1]) + 1):
            table[pattern.replace(layers[0], str(layer))] = tuple(shape)
    return table


def read_part(path: str | os.PathLike[str], part: str, table: Table | None = None) -> dict[str, Tensor]:
    """Map one part of a checkpoint into memory.

    Parameters
    ----------
    path : path
        The ``.safetensors`` file. Tensors of other parts are not looked at.
    part : str
        The part, as for :func:`table_of`.
    table : mapping, optional
        Shapes to check against in place of the published ones.

    Returns
    -------
    dict from str to Tensor
        Tensors by name, without the part's prefix. They are views of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a tensor is missing, of another shape or of a type that is no floating-point number, or if the file has
        tensors of this part that the model has not.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"[{_WHERE}] SOURCE must hold the checkpoint; got no file {os.fspath(path)}")
    prefix = PREFIXES[part]
    expected = table_of(part) if table is None else table
    tensors = cast(dict[str, Tensor], cast(Any, _core.io.load_safetensors(os.fspath(path)))[0])
    found = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    _check(Path(path).name, part, found, expected)
    return {name.removeprefix(prefix): found[name] for name in sorted(expected)}


def _check(file: str, part: str, found: Mapping[str, Tensor], expected: Table) -> None:
    missing = sorted(expected.keys() - found.keys())
    if missing:
        raise ValueError(
            f"[{_WHERE}] {file} must hold the {len(expected)} tensors of '{part}'; got none named {missing[0]}"
            + (f", nor {len(missing) - 1} others" if len(missing) > 1 else "")
        )
    odd = next((name for name in sorted(expected) if tuple(found[name].shape) != tuple(expected[name])), None)
    if odd is not None:
        raise ValueError(
            f"[{_WHERE}] {odd} must have the shape {tuple(expected[odd])} in '{part}'; got "
            f"{tuple(found[odd].shape)} in {file}: is it of another size?"
        )
    extra = sorted(found.keys() - expected.keys())
    if extra:
        raise ValueError(
            f"[{_WHERE}] every tensor of '{part}' must have a place in the network; got {extra[0]} in {file}"
            + (f" and {len(extra) - 1} others" if len(extra) > 1 else "")
        )
    whole = next((name for name in sorted(expected) if found[name].dtype not in _TYPES), None)
    if whole is not None:
        raise ValueError(
            f"[{_WHERE}] weights must be floating-point numbers of 16 or 32 bits; got {found[whole].dtype} for {whole}"
        )
