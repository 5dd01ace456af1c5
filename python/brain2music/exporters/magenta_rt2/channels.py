"""What the stage's source is given beside the style: nothing of notes and drums, and the scales of guidance."""

__all__ = ["other_channels"]

_WHERE = "exporters.magenta_rt2"
_NOTES, _MASKED = 128, -1
#: The scale of code 0, and the highest scale.
_LOWEST, _HIGHEST = -1.0, 7.0
#: Between the scales of two codes: of the style, of the notes, of the drums.
_STEPS = (0.2, 0.2, 1.0)


def other_channels(style: float = 3.0, notes: float = 1.0, drums: float = 1.0) -> list[int]:
    """Return the codes of the 132 channels that follow the style's twelve.

    Guidance is part of the input: the model was trained on codes that say how strongly it is to follow its style,
    notes and drums, so that nothing is computed twice. Notes and drums are masked.

    Parameters
    ----------
    style, notes, drums : float
        Scales of guidance, -1 to 7, rounded to steps of 0.2 (drums: 1). The defaults are magenta-rt's.

    Returns
    -------
    list of int
        -1 where a channel is masked.

    Raises
    ------
    ValueError
        If a scale is out of range.
    """
    scales = {"style": style, "notes": notes, "drums": drums}
    for name, scale in scales.items():
        if not _LOWEST <= scale <= _HIGHEST:
            raise ValueError(f"[{_WHERE}] guidance must be {_LOWEST:g} to {_HIGHEST:g}; got {scale!r} for {name}")
    guidance = [round((scale - _LOWEST) / step) for scale, step in zip(scales.values(), _STEPS, strict=True)]
    return [_MASKED] * (_NOTES + 1) + guidance
