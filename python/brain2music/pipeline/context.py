"""What the steps of a run share: settings, study, bundle, and where outputs go."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from brain2music import _core
from brain2music.bundles import Bundle
from brain2music.bundles.by_name import bundle_folder
from brain2music.files import digest_file, write_json
from brain2music.pipeline.settings import Settings
from brain2music.pipeline.store import Store
from brain2music.study import Study

__all__ = ["Context"]


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
        )

    @cached_property
    def bundle(self) -> Bundle:
        """The networks; they fill every role that is asked for."""
        bundle = Bundle(bundle_folder(self.settings.bundle), self.settings.device)
        missing = [role for role in self.settings.embeddings if role not in bundle.roles]
        if missing:
            raise ValueError(
                f"[pipeline.Context] the bundle must fill the roles asked for, {', '.join(self.settings.embeddings)}; "
                f"got {', '.join(bundle.roles)} in {bundle.path}"
            )
        return bundle

    @property
    def subjects(self) -> list[str]:
        """The subjects asked for, checked; all by default."""
        chosen = self.settings.subjects
        if chosen is None:
            return self.study.subjects
        labels = [subject.removeprefix("sub-") for subject in chosen]
        unknown = [label for label in labels if label not in self.study.subjects]
        if unknown or not labels:
            raise ValueError(
                f"[pipeline.Context] subjects must be among {', '.join(self.study.subjects)}; got {', '.join(unknown)}"
            )
        return labels

    @cached_property
    def tracks(self) -> dict[str, str]:
        """SHA-256 of every track heard, by name: whoever swaps a track gets new results."""
        paths = sorted({self.study.stimuli.path(clip.clip) for clip in self.study.clips})
        return {path.stem: digest_file(path) for path in paths}

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
