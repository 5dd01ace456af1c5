"""What the steps of a run share: settings, study, bundle, and where outputs go."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from brain2music import _core
from brain2music._core.embedding import window_count
from brain2music.bundles import Bundle, Embeddings
from brain2music.bundles.by_name import bundle_folder
from brain2music.files import digest_file, write_json
from brain2music.narration import tell
from brain2music.pipeline.settings import Settings
from brain2music.pipeline.store import Store
from brain2music.study import Study

__all__ = ["OWN", "TABLE_1", "Context"]

#: What embeddings of one's own are called beside the roles of a bundle.
OWN = "own"

#: Seconds from one window's start to the next in the paper: a scan.
HOP = 1.5

#: Roles that embed, in the order in which they are decoded, and the embedding of the paper's Table 1 each stands for.
TABLE_1 = {
    "music_embedder": "mulan-music",
    "text_embedder": "mulan-text",
    "semantic_encoder": "w2v-bert-avg",
    "codec": "soundstream-avg",
}


@dataclass(frozen=True, eq=False)
class Context:
    """One run.

    Parameters
    ----------
    settings : Settings
    out : Path
        Folder of the outputs.
    progress : bool
        Show bars.
    kept : dict
        What steps keep from one call to the next.
    """

    settings: Settings
    out: Path
    progress: bool = True
    kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def store(self) -> Store:
        """Where outputs go."""
        return Store(self.out)

    @cached_property
    def study(self) -> Study:
        """The study; processed responses are kept in the folder of the outputs."""
        chosen = self.settings
        return Study(
            chosen.study,
            stimuli=chosen.stimuli,
            derivatives=chosen.derivatives,
            captions=chosen.captions,
            rois=chosen.rois,
            mask=chosen.mask,
            mask_threshold=chosen.mask_threshold,
            space=chosen.space,
            assume_aligned=chosen.assume_aligned,
            assume_same_grid=chosen.assume_same_grid,
            motion=chosen.motion,
            cache=self.out / "responses",
            exclude_runs=chosen.exclude_runs,
            select=dict(entry.split("-", 1) for entry in chosen.select) or None,
            events=chosen.events,
            confounds=chosen.confounds,
            censor=chosen.censoring(),
            min_regions=chosen.min_regions,
        )

    @cached_property
    def bundle(self) -> Bundle:
        """The networks; they fill every role that is asked for."""
        bundle = Bundle(bundle_folder(self.settings.bundle), self.settings.device)
        wanted = self.settings.embeddings or ()
        missing = [role for role in wanted if role not in bundle.roles]
        if missing:
            raise ValueError(
                f"[pipeline.Context] the bundle must fill the roles asked for, {', '.join(wanted)}; got "
                f"{', '.join(bundle.roles)} in {bundle.path}"
            )
        return bundle

    @cached_property
    def tagger(self) -> Bundle | None:
        """The bundle whose tagger compares music, if there is one."""
        path = self.settings.tagger
        bundle = self.bundle if path is None else Bundle(bundle_folder(path), self.settings.device)
        if "tagger" in bundle.roles:
            return bundle
        if path is not None:
            raise ValueError(f"[pipeline.Context] tagger must be a bundle with the role tagger; got {bundle}")
        return None

    @property
    def embeddings(self) -> tuple[str, ...]:
        """Roles to decode, the one that retrieves and makes music first."""
        if self.own is not None:
            return (self.own_role,)
        if self.settings.embeddings is not None:
            return self.settings.embeddings
        captioned = self.study.has_captions
        roles = self.bundle.roles
        # A codec or an encoder may make codes alone.
        able = [role for role in TABLE_1 if {"embed", "embed_ids"} & set(roles.get(role, {}).get("methods", ()))]
        found = tuple(role for role in able if role != "text_embedder" or captioned)
        if not found:
            raise ValueError(
                f"[pipeline.Context] the bundle must fill one of {', '.join(TABLE_1)}; got "
                f"{', '.join(self.bundle.roles)} in {self.bundle.path}"
            )
        return found

    @cached_property
    def delay_scans(self) -> int:
        """Scans by which responses lag behind the music."""
        delay = self.settings.delay
        return self.settings.delay_scans if delay is None else round(delay / self.study.tr)

    @cached_property
    def clip_seconds(self) -> tuple[float, float]:
        """Seconds of the shortest and the longest clip: of the music, or of its scans where these are less."""
        tr = self.study.tr
        seconds = [clip.end - clip.start for clip in self.study.clips]
        fitting = [min(length, max(1, round(length / tr)) * tr) for length in seconds]
        return min(fitting), max(fitting)

    @cached_property
    def hop(self) -> float:
        """Seconds from one window's start to the next: 1.5 s or a little more, so that each starts with a scan."""
        tr = self.study.tr
        return round(math.ceil(HOP / tr - 0.05) * tr, 6)  # a TR of 1.49 s has windows every 1.49 s

    def window(self, seconds: float, whole: bool = False) -> float:
        """Seconds of a window in this study.

        Parameters
        ----------
        seconds : float
            What the network asks for.
        whole : bool
            Whether one window stands for the whole clip, as of texts.

        Returns
        -------
        float
            The length of the shortest clip, where that is less: its window is repeated to fill the network's. Of whole
            clips the length of the longest.
        """
        shortest, longest = self.clip_seconds
        if whole:
            return seconds if abs(longest - seconds) <= 0.1 * self.hop else round(longest, 6)
        return seconds if window_count(shortest, seconds, self.hop) else round(shortest, 6)

    @cached_property
    def own(self) -> Embeddings | None:
        """Embeddings of one's own, for every clip of the study and perhaps more; None where the bundle's are taken."""
        path = self.settings.embeddings_file
        if path is None:
            return None
        own = _load_own(Path(path))
        known = set(own.clip_ids)
        missing = [clip.clip for clip in self.study.clips if clip.clip not in known]
        if missing:
            raise ValueError(
                f"[pipeline.Context] embeddings_file must hold every clip of the study; got none for {len(missing)} of "
                f"{len(self.study.clips)}, '{missing[0]}' the first, in {path}"
            )
        return own

    @property
    def own_role(self) -> str:
        """The bundle's role that made one's own embeddings, where its network did; "own" otherwise."""
        own = self.own
        entry = None if own is None or own.role is None else self.bundle.roles.get(own.role)
        if own is None or own.role is None or entry is None or entry["sha256"] != own.hash:
            return OWN
        return own.role if entry["dimension"] == own.values.shape[2] else OWN

    def card(self, role: str) -> tuple[str, str | None]:
        """Return what makes an embedding, and what in the paper it stands for: None for one's own."""
        if role == OWN:
            return f"embeddings from {Path(str(self.settings.embeddings_file)).name}", None
        card = self.bundle.roles[role]["card"]
        return card["name"], card["replaces"]

    @property
    def generates(self) -> bool:
        """Whether music is made: it is asked for, and the bundle makes it from the first of the embeddings."""
        space = self.bundle.space
        return self.settings.generation and space is not None and self.embeddings[0] in space["roles"]

    @property
    def subjects(self) -> list[str]:
        """The subjects asked for, checked; all by default."""
        chosen = self.settings.subjects
        if chosen is None:
            return [subject for subject in self.study.subjects if subject not in self.left_out]
        labels = [subject.removeprefix("sub-") for subject in chosen]
        unknown = [label for label in labels if label not in self.study.subjects]
        if unknown or not labels:
            raise ValueError(
                f"[pipeline.Context] subjects must be among {', '.join(self.study.subjects)}; got {', '.join(unknown)}"
            )
        return labels

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Why subjects are not read though none was chosen: those who have no run to train on."""
        task = self.study.rules.train_task
        if self.settings.subjects is not None:
            return {}
        return {
            subject: f"no runs of task {task}" for subject in self.study.subjects if not self.study.has_runs(subject)
        }

    @cached_property
    def tracks(self) -> dict[str, str]:
        """SHA-256 of every track heard, by name: whoever swaps a track gets new results."""
        paths = sorted({self.study.stimuli.path(clip.clip) for clip in self.study.clips})
        return {path.stem: digest_file(path) for path in paths}

    def tell(self, sentence: str) -> None:
        """Say what is being done and why, where bars are shown."""
        tell(sentence, self.progress)

    def write_config(self) -> None:
        """Write ``config.json``: with it, ``brain2music run --config`` does the same again."""
        write_json(self.out / "config.json", {"brain2music": _core.version(), **self.settings.as_json()})

    @classmethod
    def open(cls, out: Path, progress: bool = True, **changes: Any) -> "Context":
        """Open a run's folder again, as its ``config.json`` says; ``changes`` count more."""
        path = out / "config.json"
        if not path.is_file():
            raise FileNotFoundError(
                f"[pipeline.Context] {out} must hold config.json, which 'brain2music embed' or 'run' writes; got none"
            )
        return cls(Settings.load(path, changes), out, progress)


def _load_own(path: Path) -> Embeddings:
    """Load embeddings of one's own, and refuse what no step could use."""
    try:
        own = Embeddings.load(path)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"[pipeline.Context] embeddings_file must be a file that Embeddings.save wrote; got '{error}'"
        ) from error
    if own.values.shape[2] < 2:
        raise ValueError(
            f"[pipeline.Context] embeddings_file must have two dimensions or more; got {own.values.shape[2]} in {path}"
        )
    flat = np.flatnonzero(np.nanstd(own.values, axis=2).max(axis=1, initial=0, where=own.present) == 0)
    if flat.size:
        raise ValueError(
            "[pipeline.Context] embeddings_file must hold embeddings that vary over their dimensions; got one number "
            f"for {own.clip_ids[int(flat[0])]} in {path}"
        )
    return own
