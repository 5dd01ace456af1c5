"""The notes of a score as columns, for what is counted over them."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from brain2music.simulation.music.instruments import DRUMS, family
from brain2music.simulation.music.score import Score

__all__ = ["CYMBALS", "Notes"]

CYMBALS = tuple(DRUMS[piece] for piece in ("hat", "pedal", "open", "crash", "ride", "bell", "tambourine", "shaker"))

_Floats = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Notes:
    """Columns of n notes: seconds, MIDI key, velocity from 0 to 1, part (``"drums"``, ``"bass"``, ...), family."""

    start: _Floats
    end: _Floats
    key: _Floats
    velocity: _Floats
    part: npt.NDArray[np.str_]
    family: npt.NDArray[np.str_]

    @classmethod
    def of(cls, score: Score) -> "Notes":
        """Collect the notes of a score."""
        rows = [
            (note.start, note.end, note.pitch, note.velocity / 127, part.name, _family(part.is_drum, part.program))
            for part in score.midi.instruments
            for note in part.notes
        ]
        start, end, key, velocity, part, kind = zip(*rows, strict=True)
        return cls(
            start=np.array(start),
            end=np.array(end),
            key=np.array(key, float),
            velocity=np.array(velocity),
            part=np.array(part),
            family=np.array(kind),
        )

    def __getitem__(self, chosen: _Flags) -> "Notes":
        return Notes(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def within(self, start: float, stop: float) -> "Notes":
        """Cut out a span; notes begun before it begin at ``start``."""
        heard = self[(self.end > start) & (self.start < stop)]
        return Notes(
            np.maximum(heard.start, start),
            np.minimum(heard.end, stop),
            heard.key,
            heard.velocity,
            heard.part,
            heard.family,
        )

    @property
    def drums(self) -> _Flags:
        """Which notes are drummed."""
        return np.equal(self.part, "drums")

    @property
    def pitched(self) -> _Flags:
        """Which notes have a pitch."""
        return ~self.drums

    @property
    def cymbals(self) -> _Flags:
        """Which notes are struck on cymbals, tambourine or shaker."""
        return self.drums & np.isin(self.key, CYMBALS)


def _family(is_drum: bool, program: int) -> str:
    return "drums" if is_drum else family(program)
