"""What the stage's source is given: the style, nothing of notes and drums, and the scales of guidance."""

from typing import Any

__all__ = ["channel_layout"]

_WHERE = "exporters.magenta_rt2"
_NOTES, _MASKED = 128, -1
#: The scale of code 0, and the highest scale.
_LOWEST, _HIGHEST = -1.0, 7.0
#: Between the scales of two codes: of the style and the notes, and of the drums.
_STEP, _DRUM_STEP = 0.2, 1.0


def channel_layout(notes: float = 1.0, drums: float = 1.0) -> list[dict[str, Any]]:
    """Return the 144 channels as a bundle's manifest lays them out: ``layout.channels`` of a stage.

    Twelve codes of the style come from the conditioner. Notes and drums are masked. Guidance is part of the input: the
    model was trained on codes that say how strongly it is to follow its style, notes and drums, so that nothing is
    computed twice. The style's scale is the option ``guidance`` of generation.

    Parameters
    ----------
    notes, drums : float
        Scales of guidance, -1 to 7, rounded to steps of 0.2 and 1. The defaults are magenta-rt's.

    Returns
    -------
    list of dict

    Raises
    ------
    ValueError
        If a scale is out of range.
    """
    scales = {"notes": notes, "drums": drums}
    for name, scale in scales.items():
        if not _LOWEST <= scale <= _HIGHEST:
            raise ValueError(f"[{_WHERE}] guidance must be {_LOWEST:g} to {_HIGHEST:g}; got {scale!r} for {name}")
    return [
        {"from": "conditioner"},
        {"code": _MASKED, "count": _NOTES + 1},
        {"guidance": {"lowest": _LOWEST, "step": _STEP, "codes": 1 + round((_HIGHEST - _LOWEST) / _STEP)}},
        {"code": round((notes - _LOWEST) / _STEP)},
        {"code": round((drums - _LOWEST) / _DRUM_STEP)},
    ]
