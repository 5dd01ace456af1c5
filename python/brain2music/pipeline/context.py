"""What the steps of a run share: settings, study, bundle, and where outputs go."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from brain2music import _core
from brain2music.bundles import Bundle
from brain2music.bundles.by_name import bundle_folder
from brain2music.files import digest_file, write_json
from brain2music.narration import tell
from brain2music.pipeline.settings import Settings
from brain2music.pipeline.store import Store
from brain2music.study import Study

__all__ = ["TABLE_1", "Context"]

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
    """

    settings: Settings
    out: Path
    progress: bool = True

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
