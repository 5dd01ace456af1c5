"""Simulated music and simulated studies with known truth."""

from brain2music.simulation.study import simulate

__all__ = ["simulate"]
