"""A cortex to turn and to ask: maps of several subjects and feature spaces on one mesh, drawn by the page itself."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Cortex", "CortexMap", "CortexMesh"]

#: Bytes that a cortex may take in the page.
_LIMIT = 6_000_000

#: What stands for "no score" among scores in hundredths.
_NONE = -128


@dataclass(frozen=True, eq=False)
class CortexMesh:
    """Two hemispheres.

    Parameters
    ----------
    coordinates : (left, right), arrays of shape (v, 3)
        Millimetres: to the right, to the front, up.
    faces : (left, right), arrays of shape (f, 3)
        Each hemisphere's own vertices, up to 65,536.
    depth : (left, right), arrays of shape (v,)
        Above 0 in a furrow.
    """

    coordinates: tuple[npt.NDArray[Any], npt.NDArray[Any]]
    faces: tuple[npt.NDArray[Any], npt.NDArray[Any]]
    depth: tuple[npt.NDArray[Any], npt.NDArray[Any]]

    @property
    def vertices(self) -> int:
        """Of both hemispheres."""
        return sum(len(side) for side in self.coordinates)


@dataclass(frozen=True, eq=False)
class CortexMap:
    """One subject's scores by one feature space.

    Parameters
    ----------
    subject, features : str
    scores : array of shape (v,)
        Correlations of all vertices, left then right; NaN where there is none.
    significant : array of shape (v,), bool
    """

    subject: str
    features: str
    scores: npt.NDArray[Any]
    significant: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Cortex:
    """A cortex to turn and to click on.

    Parameters
    ----------
    title, caption : str
    mesh : CortexMesh
    maps : tuple of CortexMap
        The first is shown first.
    colours : array of shape (256, 3)
        Red, green, blue from 0 to 255: of a score of 0, up to the largest of all maps.
    regions : mapping from str to array of shape (v,)
        The region of each vertex, by subject; 0 for none.
    region_names : mapping from str to mapping from int to str
        The names of a subject's regions.

    Raises
    ------
    ValueError
        If a map is of another mesh, or all takes more than 6 MB.
    """

    title: str
    caption: str
    mesh: CortexMesh
    maps: tuple[CortexMap, ...]
    colours: npt.NDArray[np.uint8]
    regions: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    region_names: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = "report.Cortex"
        if not self.title.strip() or not self.maps:
            raise ValueError(
                f"[{where}] a cortex must have a title and a map; got {self.title!r}, {len(self.maps)} maps"
            )
        if max(map(len, self.mesh.coordinates)) > 65536:
            raise ValueError(
                f"[{where}] a hemisphere must have at most 65,536 vertices; got {max(map(len, self.mesh.coordinates))}"
            )
        pairs = [(one.subject, one.features) for one in self.maps]
        twice = next((pair for pair in pairs if pairs.count(pair) > 1), None)
        if twice is not None:
            raise ValueError(f"[{where}] a subject must have one map of a feature space; got two of {', '.join(twice)}")
        arrays = [each for one in self.maps for each in (one.scores, one.significant)]
        for array in (*arrays, *self.regions.values()):
            if array.shape != (self.mesh.vertices,):
                raise ValueError(
                    f"[{where}] maps must be of the mesh's {self.mesh.vertices} vertices; got shape {array.shape}"
                )
        for one in self.maps:
            largest = np.nanmax(np.abs(one.scores), initial=0)
            if largest > 1:
                raise ValueError(
                    f"[{where}] scores must be correlations; got {largest:g} of subject {one.subject}, {one.features}"
                )

    def payload(self) -> str:
        """Return what the page's script reads: JSON, arrays as base64 of little-endian numbers.

        Raises
        ------
        ValueError
            If it takes more than 6 MB.
        """
        reach = max(float(np.abs(side).max()) for side in self.mesh.coordinates)
        names = [""]
        regions = {}
        for subject, labels in self.regions.items():
            own, inverse = np.unique(labels, return_inverse=True)
            known = self.region_names.get(subject, {})
            place = [0 if label == 0 else _place(names, known.get(int(label), str(label))) for label in own.tolist()]
            regions[subject] = _packed(np.array(place)[inverse], "<u2")
        value = {
            "left": len(self.mesh.coordinates[0]),
            "reach": reach,
            "coordinates": [_packed(np.rint(side / reach * 32767), "<i2") for side in self.mesh.coordinates],
            "faces": [_packed(side, "<u2") for side in self.mesh.faces],
            "furrow": [_packed(side > 0, "u1") for side in self.mesh.depth],
            "colours": _packed(self.colours, "u1"),
            "top": max(float(np.nanmax(one.scores, initial=0)) for one in self.maps) or 1.0,
            "maps": [
                {
                    "subject": one.subject,
                    "features": one.features,
                    "scores": _packed(np.where(np.isfinite(one.scores), np.rint(one.scores * 100), _NONE), "i1"),
                    "significant": _packed(np.packbits(one.significant, bitorder="little"), "u1"),
                }
                for one in self.maps
            ],
            "regions": regions,
            "names": names,
        }
        text = json.dumps(value, separators=(",", ":"))
        if len(text) > _LIMIT:
            raise ValueError(
                f"[report.Cortex] a cortex must take at most {_LIMIT / 1e6:.0f} MB; got {len(text) / 1e6:.1f} MB with "
                f"{len(self.maps)} maps: show fewer"
            )
        return text


def _place(names: list[str], name: str) -> int:
    """Return where a name stands in a list; it is added where it is new."""
    if name not in names:
        names.append(name)
    return names.index(name)


def _packed(values: Any, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode()
