"""Bundles in words: what is in one, and whether it does what it says."""

import os
from collections.abc import Iterator
from typing import Any

import torch

from brain2music.bundles.bundle import Bundle

__all__ = ["info", "verified", "verify"]

_UNITS = {
    "sample_rate": " Hz",
    "frame_rate": " frames/s",
    "window": " s",
    "overlap": " s",
    "max_seconds": " s",
    "dimension": " dimensions",
    "levels": " levels",
    "vocabulary": " codes",
    "max_length": " tokens at most",
}


def info(path: str | os.PathLike[str]) -> str:
    """Describe a bundle: its roles and stages, the networks in them, what they stand in for and under which licence.

    Parameters
    ----------
    path : path
        The bundle's folder.

    Returns
    -------
    str
        Lines for people.

    Raises
    ------
    RuntimeError
        If it is no bundle, or a file is missing or of another hash.
    """
    bundle = Bundle(path, device="cpu")
    lines = [f"{bundle.name}: {bundle.description}", f"  {bundle.path}", f"  hash {bundle.hash}"]
    for role, entry in bundle.roles.items():
        lines += ["", role, *(f"  {line}" for line in _role(bundle, entry))]
    for stage, entry in bundle.stages.items():
        lines += ["", f"stage {stage}", *(f"  {line}" for line in _role(bundle, entry) + _layout(bundle, entry))]
    return "\n".join(lines)


def verify(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> str:
    """Check a bundle in full: schema, hashes, and every network in every type it declares, on a tiny input.

    Parameters
    ----------
    path : path
        The bundle's folder.
    device : str or torch.device, default "cpu"
        Where the networks are tried; "auto" takes CUDA where there is one.

    Returns
    -------
    str
        What was checked, a line for each role and stage.

    Raises
    ------
    RuntimeError
        At the first thing that is wrong; role, field, what was expected and what was found are named.
    """
    return "\n".join(verified(path, device))


def verified(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Iterator[str]:
    """Yield the lines of :func:`verify`, each once what it says has been checked."""
    bundle = Bundle(path, device)
    yield f"{bundle.name}: schema and hashes as they should be ({bundle.hash})"
    for kind, entries in (("", bundle.roles), ("stage ", bundle.stages)):
        for name, entry in entries.items():
            left: list[str] = []
            for dtype in entry["dtypes"]:
                if dtype != "int8" or bundle._device.type == "cpu":
                    left = bundle.load(name, getattr(torch, dtype))
                    bundle.release(name)  # of several large networks one at a time is in memory
            yield f"{kind}{name}: {', '.join(entry['methods'])}, in {', '.join(entry['dtypes'])}"
            if left:
                yield f"  not packed, since the weights are no constants: {', '.join(left)}"


def _role(bundle: Bundle, entry: dict[str, Any]) -> list[str]:
    card = entry["card"]
    megabytes = (bundle.path / entry["file"]).stat().st_size / 1e6
    numbers = [f"{_number(entry[field])}{unit}" for field, unit in _UNITS.items() if field in entry]
    lines = [
        f"{card['name']}, in place of {card['replaces']}",
        f"source   {card['source']}",
        f"licence  {card['licence']}",
        f"methods  {', '.join(entry['methods'])}, in {', '.join(entry['dtypes'])}",
    ]
    if numbers:
        lines.append(f"with     {', '.join(numbers)}")
    if "notes" in card:
        lines.append(f"notes    {card['notes']}")
    lines.append(f"file     {entry['file']}, {megabytes:.1f} MB, {entry['sha256'][:12]}")
    return lines + _figures(card.get("figures", []))


def _figures(figures: list[dict[str, Any]]) -> list[str]:
    """Return a table with a line for each figure, and below a missed goal its reason."""
    if not figures:
        return []
    rows = [("figure", "value", "goal", "chance", "oracle", "of")]
    for figure in figures:
        numbers = (f"{figure[name]:g}" if name in figure else "-" for name in ("chance", "oracle"))
        rows.append((figure["name"], f"{figure['value']:g}", _goal(figure), *numbers, figure["of"]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    reasons = ["", *(f"  {figure['reason']}" if "reason" in figure else "" for figure in figures)]
    return [line for pair in zip(lines, reasons, strict=True) for line in pair if line]


def _goal(figure: dict[str, Any]) -> str:
    """Return the bound, and whether it was missed."""
    if "goal" not in figure:
        return "-"
    at_most, goal, value = figure.get("at_most", False), figure["goal"], figure["value"]
    missed = value > goal if at_most else value < goal
    return f"{'<=' if at_most else '>='} {goal:g}{', missed' if missed else ''}"


def _number(value: float | list[float]) -> str:
    return ", ".join(f"{each:g}" for each in value) if isinstance(value, list) else f"{value:g}"


def _layout(bundle: Bundle, entry: dict[str, Any]) -> list[str]:
    """Describe what a stage reads, writes and draws with."""
    layout = entry["layout"]
    parts = layout.get("prefix", []) + layout.get("given", []) + layout.get("channels", [])
    read = [part["from"] for part in parts if "from" in part]
    if "condition" in entry:
        read.append(f"{entry['condition']['from']} (init_state)")
    codec = entry.get("codec_levels")
    sampling = ", ".join(f"{name} {value:g}" for name, value in entry["sampling"].items())
    return [
        f"reads    {', '.join(read) or 'nothing'}",
        f"writes   {len(entry['codes'])} levels"
        + (f": {codec} of the codec" if codec else "")
        + f" ({entry['family']})",
        f"draws    {sampling}",
    ]
