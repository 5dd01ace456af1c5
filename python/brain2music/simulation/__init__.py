"""Simulated music and simulated studies with known truth."""

try:
    import pretty_midi  # type: ignore[import-untyped]  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"[simulation] the synthesiser's packages must be installed: pip install 'brain2music[simulate]'; got '{error}'"
    ) from error

from brain2music.simulation.study import simulate

__all__ = ["simulate"]
