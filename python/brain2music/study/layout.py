"""Where the files of a BIDS study lie: the runs of each subject, with their images, events, sidecars and derivatives.

Every run that is there is found, from images, derivatives and events alike. A run that cannot be used is an error that
says why; a file that could be two things is an error, never a guess.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain2music.study import derivatives as derived
from brain2music.study.inventory import SELECTABLE, WITHIN_A_RUN, Exclusions, Found, gather
from brain2music.study.listing import Listing, Named
from brain2music.study.names import not_fetched
from brain2music.study.sidecars import NIFTI, inherit, read_sidecar
from brain2music.study.timing import Timing, read_timing

__all__ = ["Layout", "Run"]


@dataclass(frozen=True)
class Run:
    """One run of one subject: its image, how it was made, and its events."""

    subject: str
    task: str
    session: str | None
    index: int | None  # None where the names have no run
    bold: Path
    bold_right: Path | None  # of surfaces, whose ``bold`` is the left hemisphere; None for a volume
    events: Path
    timing: Timing
    space: str | None  # of derivatives: None for raw BOLD and fMRIPrep's native space of each run
    prepared: bool  # whether fMRIPrep made the image
    mask: Path | None
    confounds: Path | None
    sidecars: tuple[Path, ...]
    extra: str = ""  # entities that tell runs of one number apart: dir-AP

    @property
    def tr(self) -> float | None:
        """Seconds from scan to scan, from the sidecars."""
        return self.timing.tr

    @property
    def aligned(self) -> bool:
        """Whether the image is aligned to the subject's other runs: fMRIPrep's native space is each run's own."""
        return self.prepared and self.space is not None

    @property
    def name(self) -> str:
        """Short name for messages and progress bars."""
        session = f"ses-{self.session} " if self.session else ""
        extra = f" {self.extra}" if self.extra else ""
        return f"sub-{self.subject} {session}{self.task}{extra}" + ("" if self.index is None else f" run {self.index}")


#: Fields of a sidecar that both hemispheres of a run must agree on.
_TIMING = {"RepetitionTime", "StartTime", "VolumeTiming", "DelayTime", "AcquisitionDuration"}


class Layout:
    """Finds the files of a study.

    Parameters
    ----------
    root : Path
        BIDS folder.
    derivatives : Path, optional
        fMRIPrep's folder, or a folder of pipelines' folders.
    space : str, optional
        Space of the preprocessed BOLD to take, where there are several, as in ``MNI152NLin2009cAsym:res-2``.
    exclude_runs : iterable of str
        Runs to leave out, by their entities.
    select : mapping, optional
        Entities and the value that images must have.
    """

    def __init__(
        self,
        root: Path,
        derivatives: Path | None,
        space: str | None,
        exclude_runs: Iterable[str] = (),
        select: Mapping[str, Any] | None = None,
    ) -> None:
        self.root, self.derivatives = root, derivatives
        self.space = None if space is None else derived.Space.parse(space)
        self.exclusions = Exclusions(exclude_runs, select)
        self.listing = Listing()
        # A link to nowhere is a subject that was not fetched.
        links = [file.path for file in self.listing[root].files if file.path.is_symlink() and not file.extension]
        folders = [*self.listing[root].folders, *links]
        self.subjects = sorted(folder.name[4:] for folder in folders if folder.name.startswith("sub-"))
        if not self.subjects:
            raise FileNotFoundError(f"[study.layout] a BIDS folder must hold folders sub-*; got none in {root}")
        self._found: dict[str, list[Found]] = {}

    def refresh(self, *subjects: str) -> None:
        """Look at the disk again for these subjects, or for all: files may have been fetched or added."""
        self._found = {other: runs for other, runs in self._found.items() if subjects and other not in subjects}
        if not subjects:
            self.listing = Listing()
            return
        roots = [self.root]
        if self.derivatives is not None:
            roots += [self.derivatives, *self.listing[self.derivatives].folders]
        self.listing.forget(roots, [f"sub-{subject}" for subject in subjects])

    def found(self, subject: str) -> list[Found]:
        """All runs of a subject, of every task, in natural order of session and run."""
        if subject not in self.subjects:
            raise ValueError(f"[study.layout] subject must be one of {', '.join(self.subjects)}; got {subject!r}")
        if subject not in self._found:
            folders = self.pipelines(subject)
            self._found[subject] = gather(self.listing, self.root, folders, subject, self.exclusions)
        return self._found[subject]

    def of_task(self, subject: str, task: str) -> list[Found]:
        """Return the runs of a task that were not left out."""
        return [found for found in self.found(subject) if found.task == task and not found.excluded]

    def some(self, subject: str, task: str) -> list[Found]:
        """Return the runs of a task that were not left out; there must be one."""
        runs = self.of_task(subject, task)
        if not runs:
            raise FileNotFoundError(
                f"[study.layout] task {task!r} must have runs; got no sub-{subject}_task-{task}_*_bold.nii[.gz] or "
                f"_events.tsv that is not left out in func of {self.root / f'sub-{subject}'}"
            )
        return runs

    def events(self, subject: str, task: str) -> list[Path]:
        """Find the events file of each run of a task, in order of session and run."""
        paths = []
        for found in self.some(subject, task):
            self.check(found)
            paths.append(self.events_file(found))
        return paths

    def runs(self, subject: str, task: str) -> list[Run]:
        """Find the runs of a task, with their images and sidecars, in order of session and run."""
        return [self.run(found) for found in self.some(subject, task)]

    def check(self, found: Found) -> int | None:
        """Return a run's number; refuse names that are wrong or that two runs have."""
        if found.faults:
            raise ValueError(f"[study.layout] {found.faults[0]}")
        for other in self.of_task(found.subject, found.task or ""):
            # Runs of other acquisitions or directions are runs of their own; of one run, rec- tells reconstructions.
            if other is not found and other.own == found.own:
                key = next((key for key in ("rec", "ce") if key in found.entities or key in other.entities), None)
                value = found.entities.get(key, other.entities.get(key, "")) if key else ""
                how = f"choose by select={{{key!r}: {value!r}}}" if key else "leave others out by exclude_runs"
                raise ValueError(
                    f"[study.layout] a run of a session must be there once ({how}); got {found.files[0].path} and "
                    f"{other.files[0].path}"
                )
        return None if found.run is None else int(found.run)

    def events_file(self, found: Found) -> Path:
        """Return the events file of a run: its own, or one that it inherits."""
        bold = found.stem.with_name(f"{found.stem.name}_bold.nii")
        hint = _hint(found)
        if len(found.events) > 1:
            derived.one([file.path for file in found.events], f"a run must have one events file{hint}")
        applying = inherit(bold, self.root, ".tsv", "events", self.listing)
        applying = [path for path in applying if not self.exclusions.match(Named.of(path).entities)]
        if not applying and found.events:
            raise ValueError(
                "[study.layout] events must belong to a run as a whole, and name none of "
                f"{', '.join(WITHIN_A_RUN)}{hint}; got {found.events[0].path}"
            )
        if not applying:
            image = next(file.path for file in found.files)
            if found.sidecars:
                raise FileNotFoundError(f"[study.layout] a run must have an image and events{hint}; got {image} alone")
            raise FileNotFoundError(f"[study.layout] a run of BOLD must have events{hint}; got none for {image}")
        reason = not_fetched(applying[-1])
        if reason is not None:
            raise FileNotFoundError(f"[study.layout] events must be here{hint}; got {reason}")
        return applying[-1]

    def images(self, found: Found) -> tuple[Named, ...]:
        """Return the image of a run that is read, preprocessed where there is one; or its two hemispheres."""
        chosen = derived.choose_prepared(found, self.space, self.derivatives)
        if not chosen:
            others = [
                file
                for other in self.of_task(found.subject, found.task or "")
                for file in other.prepared
                if file.extension in NIFTI
            ]
            if others and found.images:
                raise ValueError(
                    f"[study.layout] all runs must be preprocessed into one space, or none{_hint(found)}; got raw BOLD "
                    f"{found.images[0].path} beside preprocessed {others[0].path}"
                )
            named = found.events[0].path if found.events else f"{found.stem}_bold"
            hint = "" if found.images else _hint(found)
            images = _magnitudes(found.images)
            several = next(
                (key for key in ("echo", "part") if len({one.entities.get(key) for one in images}) > 1), None
            )
            if several:
                hint = f" (choose by select={{{several!r}: {images[0].entities.get(several, '')!r}}})"
            derived.one([file.path for file in images], f"one BOLD image must belong to {named}{hint}")
            chosen = (images[0],)
        for image in chosen:
            reason = not_fetched(image.path)
            if reason is not None:
                raise FileNotFoundError(f"[study.layout] BOLD must be here{_hint(found)}; got {reason}")
        return chosen

    def run(self, found: Found) -> Run:
        """Find all files of a run, and read its sidecars."""
        index, events, (bold, *right) = self.check(found), self.events_file(found), self.images(found)
        prepared = bold in found.prepared
        # The raw image's sidecar counts where the derivative has none of its own, and where the raw image is not here.
        original = found.images[0].path if found.images else found.stem.with_name(f"{found.stem.name}_bold.nii")
        sidecar = read_sidecar(original, self.root, self.listing)
        if prepared:
            pipeline = [folder for folder in self.pipelines(found.subject) if folder in bold.path.parents][-1]
            own = read_sidecar(bold.path, pipeline, self.listing)
            for other in (read_sidecar(image.path, pipeline, self.listing) for image in right):
                for key in sorted(own.keys() & other.keys()):
                    if own[key] != other[key] and key in _TIMING:
                        raise ValueError(
                            f"[study.layout] both hemispheres must have one {key}; got {own[key]!r} in "
                            f"{own.sources[key]} and {other[key]!r} in {other.sources[key]}"
                        )
                sidecar.merge(other)
            sidecar.merge(own)
        return Run(
            found.subject,
            found.task or "",
            found.session,
            index,
            bold.path,
            right[0].path if right else None,
            events,
            timing=read_timing(sidecar),
            space=bold.entities.get("space") if prepared else None,
            prepared=prepared,
            mask=derived.brain_mask(bold, self.listing) if prepared else None,
            confounds=derived.confounds(bold, self.listing) if prepared else None,
            sidecars=tuple(sidecar.files),
            extra=" ".join(f"{key}-{found.entities[key]}" for key in SELECTABLE if key in found.entities),
        )

    def surfaces(self, subject: str) -> list[str]:
        """Spaces of the subject's preprocessed surfaces."""
        files = (file for found in self.found(subject) for file in found.prepared)
        return sorted(
            {file.entities["space"] for file in files if "hemi" in file.entities and "space" in file.entities}
        )

    def prepared_alone(self) -> dict[str, list[Found]]:
        """Find the preprocessed runs of subjects that the study does not have, by subject."""
        folders = [] if self.derivatives is None else [self.derivatives, *self.listing[self.derivatives].folders]
        held = {one.name[4:] for folder in folders for one in self.listing[folder].folders if one.name[:4] == "sub-"}
        alone = sorted(held - set(self.subjects))
        return {one: gather(self.listing, self.root, self.pipelines(one), one, self.exclusions) for one in alone}

    def pipelines(self, subject: str) -> list[Path]:
        """Folders of derivatives that hold the subject: the given one, or those in it."""
        return derived.pipelines(self.derivatives, subject, self.listing)

    def destrieux(self, subject: str) -> Path:
        """Find a subject's Destrieux labels."""
        return derived.destrieux_file(self.root, self.derivatives, self.space, subject, self.listing)

    def destrieux_of(self, space: str, subject: str) -> tuple[Path, Path]:
        """Find the Destrieux labels of a surface, left and right."""
        return derived.destrieux_annotations(self.root, self.derivatives, space, subject, self.listing)


def _magnitudes(images: list[Named]) -> list[Named]:
    """Return the magnitudes of images: phases beside them are no BOLD."""
    others = {"phase", "real", "imag"}
    return [one for one in images if one.entities.get("part") not in others] or images


def _hint(found: Found) -> str:
    """Say how to leave a run out."""
    return f" (or leave it out: exclude_runs=[{found.stem.name!r}])"
