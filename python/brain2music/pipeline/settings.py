"""What a run is to do: all that is needed to repeat it, in one JSON file."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["CONDITIONINGS", "Settings"]

#: What music can be made from.
CONDITIONINGS = ("clip", "moments", "track")

_WHERE = "pipeline.Settings"


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Parameters
    ----------
    study : str
        The BIDS folder.
    stimuli, derivatives, captions, rois, mask, mask_threshold, space, assume_aligned, assume_same_grid, motion
        As for ``b2m.Study``.
    subjects : tuple of str, optional
        All by default.
    exclude_runs : tuple of str
        Runs to leave out, by their entities, as for ``b2m.Study``.
    select : tuple of str
        Entities that images must have, such as ``dir-AP``, as for ``b2m.Study``.
    events : str, optional
        JSON file of ``b2m.EventRules``: how the events files are written.
    confounds : tuple of str
        Columns of fMRIPrep's confounds to regress out, as for ``b2m.Study``.
    censor : tuple of str
        Scans to leave out: ``framewise_displacement=0.5``, ``non_steady_state``, ``motion_outlier``, ``missing``; as
        for ``b2m.Study``.
    min_regions : int
        Fewest regions of an atlas, as for ``b2m.Study``.
    bundle : str, optional
        Folder of trained networks, or the name of a bundle that comes with brain2music: "composer", the default, or
        "acoustic".
    corpus : str, optional
        Index of a music library, as ``Corpus.build`` wrote it. By default the folder ``corpus`` of a simulated study,
        or else tracks of the composer.
    include_stimuli : bool
        Whether tracks of the study may stand in the library; they are marked then. By default they are taken out.
    embeddings : tuple of str, optional
        Roles of the bundle to decode; the first one retrieves, and makes music. By default those of the paper's Table 1
        that the bundle fills: music_embedder, text_embedder (where the study has captions), semantic_encoder, codec.
    embeddings_file : str, optional
        File of embeddings of your own, as ``b2m.Embeddings.save`` writes it, that hold the study's clips. They are
        decoded in place of the bundle's, and retrieve from a library that was embedded alike, or else from the
        embeddings of the file that are of no clip.
    delay_scans : int
        Scans by which responses lag behind the music.
    delay : float, optional
        Seconds by which responses lag behind the music, in place of ``delay_scans``: the nearest number of scans.
    n_rois : int
        Regions whose predictions are averaged.
    cv : str or int
        Folds: "runs", or a number of folds of clips.
    alphas : tuple of float, optional
        Penalties to choose from.
    held_out_genres : bool
        Whether to decode each genre by decoders that never saw it, too.
    neighbours : int
        Tracks retrieved for each clip.
    examples : int
        Clips that the report plays.
    generation : bool
        Whether to make music, where the bundle can.
    encoding : bool
        Whether to fit encoding models, from features of the music to each voxel, too.
    conditioning : tuple of str
        What music is made from, the first one for the report's players. "clip": the decoded embedding averaged over the
        clip's windows, as in the paper. "moments": that, brought to the mean and the spread of real embeddings.
        "track": the decoded embedding of each window, followed in time.
    samples : int
        Pieces of music for each clip.
    tagger : str, optional
        Folder of a bundle whose tagger compares generated music with what was heard; by default the first bundle's own
        tagger, where it has one.
    seed : int
        Decides what is drawn at random.
    device : str
        "cpu", "cuda" or "auto".

    Raises
    ------
    ValueError
        If a value is out of range; names are checked where they are used.
    """

    study: str
    stimuli: str | None = None
    derivatives: str | None = None
    captions: str | None = None
    rois: str | tuple[str, ...] = "destrieux"
    mask: str | None = None
    mask_threshold: float | None = None
    space: str | None = None
    assume_aligned: bool = False
    assume_same_grid: bool = False
    motion: str | None = None
    subjects: tuple[str, ...] | None = None
    exclude_runs: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    events: str | None = None
    confounds: tuple[str, ...] = ()
    censor: tuple[str, ...] = ()
    min_regions: int = 20
    bundle: str | None = None
    corpus: str | None = None
    include_stimuli: bool = False
    embeddings: tuple[str, ...] | None = None
    embeddings_file: str | None = None
    delay_scans: int = 3
    delay: float | None = None
    n_rois: int = 6
    cv: str | int = "runs"
    alphas: tuple[float, ...] | None = None
    held_out_genres: bool = True
    neighbours: int = 10
    examples: int = 6
    generation: bool = True
    encoding: bool = True
    conditioning: tuple[str, ...] = CONDITIONINGS
    samples: int = 1
    tagger: str | None = None
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("delay_scans", "seed"):
            self._whole(name, 0)
        for name in ("n_rois", "neighbours", "examples", "samples", "min_regions"):
            self._whole(name, 1)
        for name, values in (("embeddings", self.embeddings), ("conditioning", self.conditioning)):
            if values is not None and (not values or len(set(values)) < len(values)):
                raise ValueError(f"[{_WHERE}] {name} must be one or more, each once; got {values}")
        if self.delay is not None and not 0 <= self.delay < math.inf:
            raise ValueError(f"[{_WHERE}] delay must be a number of seconds from 0; got {self.delay!r}")
        if self.embeddings_file is not None and self.embeddings is not None:
            raise ValueError(
                f"[{_WHERE}] embeddings are roles of the bundle, embeddings_file is in their place; got both"
            )
        self.censoring()
        wrong = [entry for entry in self.select if not all(entry.partition("-")[::2])]
        if wrong:
            raise ValueError(f"[{_WHERE}] select must be entities such as dir-AP; got {wrong[0]!r}")
        unknown = [way for way in self.conditioning if way not in CONDITIONINGS]
        if unknown:
            raise ValueError(f"[{_WHERE}] conditioning must be among {', '.join(CONDITIONINGS)}; got {unknown[0]!r}")
        if self.cv != "runs" and (isinstance(self.cv, str | bool) or self.cv < 2):
            raise ValueError(f"[{_WHERE}] cv must be 'runs' or a number of folds from 2; got {self.cv!r}")

    def censoring(self) -> dict[str, float | bool] | None:
        """Return the rules by which scans are left out, as ``b2m.Study`` takes them."""
        rules: dict[str, float | bool] = {}
        for entry in self.censor:
            name, equals, limit = entry.partition("=")
            try:
                rules[name] = float(limit) if equals else True
            except ValueError:
                raise ValueError(
                    f"[{_WHERE}] censor must be a column and its limit, such as framewise_displacement=0.5, or "
                    f"non_steady_state, motion_outlier, missing; got {entry!r}"
                ) from None
        return rules or None

    def _whole(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"[{_WHERE}] {name} must be a whole number from {least}; got {value!r}")

    @classmethod
    def load(cls, path: Path, given: Mapping[str, Any] | None = None) -> "Settings":
        """Read a JSON file whose keys are this class's parameters; what is given besides counts more."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"[{_WHERE}] settings must be JSON; got '{error}' in {path}") from error
        if isinstance(values, dict):
            values = {key: value for key, value in values.items() if key != "brain2music"}
        return cls.of({**values, **(given or {})} if isinstance(values, dict) else values, path)

    @classmethod
    def of(cls, values: Any, where: Path | str = "the settings") -> "Settings":
        """Check names and types of values from JSON or a command line."""
        known = {field.name: field for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or not values.keys() <= known.keys() or "study" not in values:
            unknown = sorted(values.keys() - known.keys()) if isinstance(values, dict) else type(values).__name__
            raise ValueError(
                f"[{_WHERE}] settings must have study and be among {sorted(known)}; got {unknown} in {where}"
            )
        for name, value in values.items():
            if not _fits(value, str(known[name].type)):
                raise ValueError(f"[{_WHERE}] {name} must be {known[name].type}; got {value!r} in {where}")
        fitting: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**fitting)

    def as_json(self) -> dict[str, Any]:
        """Return the settings as JSON has them."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()
        }


def _fits(value: Any, kind: str) -> bool:
    """Whether a value has the type of a field, as it is written above."""
    if value is None:
        return "None" in kind
    if kind.startswith("tuple") or (isinstance(value, list | tuple) and "tuple" in kind):
        inner = float | int if "float" in kind else str
        return isinstance(value, list | tuple) and all(isinstance(each, inner) for each in value)
    if isinstance(value, bool):
        return "bool" in kind
    if isinstance(value, int):
        return "int" in kind or "float" in kind
    return (isinstance(value, str) and "str" in kind) or (isinstance(value, float) and "float" in kind)
