"""The bundles that come with brain2music, by name."""

import os
from pathlib import Path

__all__ = ["DEFAULT", "bundle_folder", "shipped_folder", "shipped_names"]

#: The bundle that is taken where none is named.
DEFAULT = "composer"

_SHIPPED = Path(__file__).parent / "shipped"


def shipped_names() -> list[str]:
    """List the bundles that come with brain2music, in the order of the alphabet."""
    return sorted(path.parent.name for path in _SHIPPED.glob("*/bundle.json"))


def shipped_folder(name: str) -> Path:
    """Find a bundle that comes with brain2music.

    Parameters
    ----------
    name : str
        One of :func:`shipped_names`.

    Returns
    -------
    pathlib.Path
        Its folder.

    Raises
    ------
    ValueError
        If no shipped bundle has this name.
    """
    if name not in shipped_names():
        names = ", ".join(shipped_names())
        raise ValueError(
            f"[bundles.Bundle.shipped] name must be a bundle that comes with brain2music, {names}; got {name!r}"
        )
    return _SHIPPED / name


def bundle_folder(given: str | os.PathLike[str] | None) -> Path:
    """Find the bundle that a command line or settings name.

    Parameters
    ----------
    given : str or path, optional
        The name of a shipped bundle, or a folder. A str that is a shipped name means the shipped bundle: write
        ``./acoustic`` for a folder of that name. None means the default bundle.

    Returns
    -------
    pathlib.Path
        Its folder; whether a bundle lies there is not looked at.
    """
    name = DEFAULT if given is None else given
    return shipped_folder(name) if isinstance(name, str) and name in shipped_names() else Path(name)
