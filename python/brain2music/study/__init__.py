"""Studies of music listening: BIDS in, responses to clips out."""

from brain2music.plain_arrays import guard
from brain2music.study.continuous import Continuous
from brain2music.study.events import EventRules
from brain2music.study.regions import RegionLabels
from brain2music.study.responses import Clips, Responses
from brain2music.study.stimuli import Stimuli
from brain2music.study.study import Study
from brain2music.study.surfaces import Surface
from brain2music.study.windows import EMBEDDING_WINDOWS, WindowRows, Windows, average_windows, window_rows

__all__ = [
    "EMBEDDING_WINDOWS",
    "Clips",
    "Continuous",
    "EventRules",
    "RegionLabels",
    "Responses",
    "Stimuli",
    "Study",
    "Surface",
    "WindowRows",
    "Windows",
    "average_windows",
    "window_rows",
]

guard(__name__)
