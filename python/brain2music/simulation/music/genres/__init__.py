"""The ten genres of GTZAN, one file each."""

from brain2music.simulation.music.genres import (
    blues,
    classical,
    country,
    disco,
    hiphop,
    jazz,
    metal,
    pop,
    reggae,
    rock,
)
from brain2music.simulation.music.style import Style

__all__ = ["GENRES", "STYLES"]

STYLES: dict[str, Style] = {
    "blues": blues.STYLE,
    "classical": classical.STYLE,
    "country": country.STYLE,
    "disco": disco.STYLE,
    "hiphop": hiphop.STYLE,
    "jazz": jazz.STYLE,
    "metal": metal.STYLE,
    "pop": pop.STYLE,
    "reggae": reggae.STYLE,
    "rock": rock.STYLE,
}

GENRES: tuple[str, ...] = tuple(STYLES)
