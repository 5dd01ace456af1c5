"""The study: a BIDS folder, its derivatives, its music, and what each subject's brain made of it."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from brain2music.study import cache as caching
from brain2music.study.censoring import Censor, check_censor
from brain2music.study.continuous import Continuous, continuous_responses
from brain2music.study.events import Event, EventRules, presentations
from brain2music.study.gathering import Gatherer
from brain2music.study.layout import Layout
from brain2music.study.responses import Responses, confound_problems, subject_responses
from brain2music.study.run_table import RunTable, check_exclusions
from brain2music.study.stimuli import Stimuli, read_captions, track_problems
from brain2music.study.subject import SubjectData
from brain2music.study.voxel_choice import VoxelChoice

__all__ = ["Study"]


class Study:
    """A study of music listening in BIDS, read as OpenNeuro ds003720 is.

    Parameters
    ----------
    root : path
        The BIDS folder.
    stimuli : path, optional
        GTZAN's folder; by default ``root/stimuli`` where there is one.
    derivatives : path, optional
        Folder of fMRIPrep's derivatives, or of several pipelines' folders; by default ``root/derivatives`` where there
        is one. With preprocessed BOLD in it, the raw images are not read.
    captions : path, optional
        CSV with columns clip and caption; by default ``root/captions.csv`` where there is one.
    rois : "destrieux", path or (path, path), optional
        Regions: FreeSurfer's ``aparc.a2009s+aseg`` (or ``*_seg-destrieux_dseg``) found in the derivatives; or any
        labelled image, with its TSV of names beside it or second in a pair. ``{subject}`` in a path stands for the
        subject. On a surface FreeSurfer's ``lh.`` and ``rh.aparc.a2009s.annot`` of that surface; or any pair of
        ``.annot`` or ``.label.gii`` files.
    mask : path or nibabel image, optional
        Voxels to keep, on the BOLD's grid: 0 outside, one other value inside. By default those in a region, or else
        those in the brain masks of all runs. ``{subject}`` in a path stands for the subject.
    mask_threshold : float, optional
        Voxels of the mask (or of the brain masks) strictly above it are kept, whatever values there are: 0.5 makes a
        mask of a probability map.
    assume_aligned : bool, default False
        Says that the BOLD images given are aligned from volume to volume, from run to run, and to labels and mask.
        Without it only fMRIPrep's images in a common space are read.
    assume_same_grid : bool, default False
        Says that labels and mask lie on the BOLD's grid voxel by voxel, whatever the headers say; shapes must agree.
        Without it an image whose header does not say where its voxels lie (NIfTI with both orientation codes 0, MGH
        with goodRASFlag 0, Analyze) is refused.
    motion : "rigid", optional
        Align every volume of raw BOLD to the first volume of the first training run. Takes minutes a run; regions and
        mask must then lie on that volume.
    space : str, optional
        Space of the preprocessed BOLD (``"T1w"``, ``"MNI152NLin2009cAsym"``, ``"fsaverage5"``), where there are
        several. By default volumes are read, surfaces (``*_hemi-L_*_bold.func.gii``) only where there are no volumes.
    confounds : sequence of str, optional
        Columns of fMRIPrep's confounds to regress out of each run, once they lost their drift as the voxels do. Slow
        drift (cosines of 240 s or longer, a slope, a parabola) goes with them. Confounds that were constant, dependent
        on others, or ``n/a`` and filled, are told in the responses' ``notes``.
    censor : mapping, optional
        Scans to leave out, by columns of fMRIPrep's confounds: those above a limit, ``{"framewise_displacement": 0.5}``
        (mm); fMRIPrep's outliers, ``{"non_steady_state": True, "motion_outlier": True}``; those in which a column of
        ``confounds`` is ``n/a``, ``{"missing": True}``. They count neither in the running median nor in the regression
        on the confounds nor in the z-scoring, and are NaN in the responses, as scans are that were not measured.
    events : EventRules or path, optional
        How the events files are written, or a JSON file that says so; by default as in ds003720.
    channel : int, optional
        Channel of the stimuli to take, from 0, instead of the mean of all: for tracks whose channels cancel each other.
    cache : bool or path, default True
        Where processed responses are kept: the user's cache folder, a folder, or (False) memory only.
    exclude_runs : sequence of str
        Runs to leave out. Each entry names entities that must all match, such as ``"sub-01_task-Training_run-03"`` or
        ``"ses-pilot"``; zeros before a number do not matter, and an entry that matches nothing is an error.
    select : mapping, optional
        Entities, and the value that images must have: ``{"acq": "2mm"}``, ``{"dir": "AP"}``, ``{"rec": "norm"}``,
        ``{"echo": 2}``, ``{"part": "mag"}``. Images with another are left out. Of magnitude and phase the magnitude is
        read anyway.
    res : str or int, optional
        Resolution of the preprocessed BOLD, where its space is there at several: ``space="MNI152NLin2009cAsym", res=2``
        is ``space="MNI152NLin2009cAsym:res-2"``. ``"native"`` stands for a name without ``res-``.
    min_regions : int, default 20
        Fewest regions of an atlas: fewer are taken for classes of tissue, unless you say so.

    Attributes
    ----------
    subjects : list of str
        Labels of the subjects, ``"001"`` and so on.
    rules : EventRules

    Examples
    --------
    >>> study = b2m.Study(  # doctest: +SKIP
    ...     "ds003720", derivatives="fmriprep/", rois="destrieux", space="T1w"
    ... )
    >>> brain = study.responses("001")  # doctest: +SKIP
    >>> brain.train.shape, brain.test.shape  # doctest: +SKIP
    ((480, 10, 58211), (60, 10, 58211))
    """

    def __init__(
        self,
        root: str | Path,
        *,
        stimuli: str | Path | None = None,
        derivatives: str | Path | None = None,
        captions: str | Path | None = None,
        rois: str | Path | Sequence[str | Path] | None = None,
        mask: Any = None,
        mask_threshold: float | None = None,
        assume_aligned: bool = False,
        assume_same_grid: bool = False,
        motion: str | None = None,
        space: str | None = None,
        confounds: str | tuple[str, ...] | list[str] = (),
        censor: Censor | None = None,
        events: EventRules | str | Path | None = None,
        channel: int | None = None,
        cache: bool | str | Path = True,
        exclude_runs: Sequence[str] = (),
        select: Mapping[str, str | int] | None = None,
        res: str | int | None = None,
        min_regions: int = 20,
    ) -> None:
        self.root = Path(root)
        self._stimuli_folder = self._beside(stimuli, "stimuli")
        self._captions_file = self._beside(captions, "captions.csv")
        if res is not None:
            if space is None:
                raise ValueError(f"[study.Study] res needs space, whose resolution it is; got res={res!r} alone")
            space = f"{space}:res-{res}"
        self.layout = Layout(self.root, self._beside(derivatives, "derivatives"), space, exclude_runs, select)
        self.subjects = self.layout.subjects
        self.rules = events if isinstance(events, EventRules) else EventRules.load(events) if events else EventRules()
        check_exclusions(self.layout, (self.rules.train_task, self.rules.test_task))
        if motion not in (None, "rigid"):
            raise ValueError(f"[study.Study] motion must be None or 'rigid'; got {motion!r}")
        columns = (confounds,) if isinstance(confounds, str) else tuple(confounds)
        voxels = VoxelChoice(self.layout, rois, mask, mask_threshold, assume_aligned, assume_same_grid, min_regions)
        self._gatherer = Gatherer(
            self.layout, self.rules, voxels, columns, check_censor(censor, columns), motion, assume_aligned
        )
        self._channel = channel
        if isinstance(cache, bool):
            self._cache = caching.default_folder() if cache else None
        else:
            self._cache = Path(cache)

    def responses(self, subject: str, delay_scans: int = 3, progress: bool = False) -> Responses:
        """Read one subject's runs, and cut them into clips.

        Each run loses its running median over 240 s, then the dummy's scans, and is z-scored (``ddof=0``); runs are
        read one at a time, so that memory holds the result and one run. Processed once, responses come from the cache.

        Parameters
        ----------
        subject : str
            One of ``subjects``.
        delay_scans : int, default 3
            Scans by which the response to a clip lags behind it.
        progress : bool, default False
            Show a bar, a step a run.

        Returns
        -------
        Responses

        Raises
        ------
        ValueError, FileNotFoundError
            For whatever is missing or inconsistent, naming file and field.

        References
        ----------
        Denk, Takagi et al. (2023), *Brain2Music*, sections 3.1 and 3.3.
        """
        if isinstance(delay_scans, bool) or not isinstance(delay_scans, int | np.integer) or delay_scans < 0:
            raise ValueError(f"[study.responses] delay_scans must be a whole number from 0; got {delay_scans!r}")
        return subject_responses(self._subject(subject), int(delay_scans), self._cache, progress)

    def continuous(self, subject: str, progress: bool = False) -> Continuous:
        """Read one subject's runs scan by scan, for music that goes on: pieces heard whole, or again.

        Runs lose their slow drift and are z-scored as :meth:`responses` has it. Pieces may begin between scans, come
        again, and end after the scanner stopped.

        Parameters
        ----------
        subject : str
            One of ``subjects``.
        progress : bool, default False
            Show a bar, a step a run.

        Returns
        -------
        Continuous

        Raises
        ------
        ValueError, FileNotFoundError
            For whatever is missing or inconsistent, naming file and field.

        Examples
        --------
        >>> rules = b2m.EventRules(  # doctest: +SKIP
        ...     "listen", None, track="stim_file", track_name="{track}", genre=None, start=None, end=None, dummies=0
        ... )
        >>> brain = b2m.Study("ds004007", events=rules, space="T1w").continuous("01")  # doctest: +SKIP
        >>> features = brain.features(windows, window=10, hop=1)  # doctest: +SKIP
        >>> b2m.VoxelwiseEncoder(delays=(4, 5, 6, 7)).fit(features, brain.responses, brain.run)  # doctest: +SKIP
        """
        return continuous_responses(self._subject(subject, whole=True), self._cache, progress)

    def look_at(self, subject: str) -> tuple[SubjectData | None, list[str]]:
        """Gather all that is known of a subject before a volume is read, or all that is wrong.

        Parameters
        ----------
        subject : str

        Returns
        -------
        SubjectData, list of str
            What is known, where it can be gathered; and why :meth:`responses` would fail by what names, events,
            headers, labels, masks and confounds say.
        """
        subject = subject.removeprefix("sub-")
        problems = self._table(subject).problems(subject)
        if problems:
            return None, problems
        try:
            data = self._subject(subject)
        except (ValueError, OSError) as error:
            return None, [str(error)]
        return data, confound_problems(data)

    def music_problems(self) -> list[str]:
        """Say of every track that is missing or there twice, which it is; see :attr:`stimuli`."""
        return [] if self._stimuli_folder is None else track_problems(self._stimuli_folder, self.clips)

    def has_runs(self, subject: str) -> bool:
        """Whether a subject has runs to train on; where no subject has, all count as if they had."""
        return self._has(subject, self.rules.train_task)

    def fingerprint(self, subject: str, delay_scans: int = 3) -> str:
        """Hash everything that a subject's responses and regions depend on: files, mask, labels, settings.

        Parameters
        ----------
        subject : str
        delay_scans : int, default 3

        Returns
        -------
        str
            64 hexadecimal digits. Of a large file size, time of change and beginning count.
        """
        data = self._subject(subject)
        labels = None if data.rois is None else hashlib.sha256(data.rois.labels.tobytes()).hexdigest()
        names = None if data.rois is None else sorted(data.rois.names.items())
        return caching.key({**data.settings(delay_scans), "labels": labels, "names": names})

    @property
    def runs(self) -> Any:
        """All runs found, of all subjects and tasks, used or not: a pandas DataFrame with a row for each run.

        Its columns are ``subject``, ``session``, ``task``, ``run``, ``scans`` (volumes in the header; missing where it
        cannot be read), ``events`` (the file, which several runs may inherit), ``used`` and ``why`` (why a run is not
        used; empty if it is). Runs that another subject has and this one lacks are rows, too. The folders are looked
        at anew; a run that :meth:`responses` would refuse is told here and raises nothing.

        Examples
        --------
        >>> study.runs[~study.runs.used]  # doctest: +SKIP
        """
        import pandas as pd  # type: ignore[import-untyped]

        columns = ["subject", "session", "task", "run", "scans", "events", "used", "why"]
        table = pd.DataFrame(self._table().runs(), columns=columns)
        return table.astype({"run": "Int64", "scans": "Int64", "used": bool})

    @property
    def unused_files(self) -> Any:
        """All other files in the ``func`` folders, raw and preprocessed: a pandas DataFrame of ``path`` and ``why``.

        Hidden files (``._x``, ``.DS_Store``) are listed and never opened.
        """
        import pandas as pd

        return pd.DataFrame(self._table().unused(), columns=["path", "why"])

    def _table(self, *subjects: str) -> RunTable:
        """Look at the disk again for these subjects, or for all."""
        self.layout.refresh(*subjects)
        parts = self._gatherer
        reads_confounds = bool(parts.confounds or parts.censor)
        return RunTable(
            self.layout, self.rules, parts.voxels.reads_brain_masks, reads_confounds, parts.voxels.same_grid
        )

    @cached_property
    def clips(self) -> list[Event]:
        """All clips of the study, each once, those to train on before those to test on."""
        runs = [
            run
            for subject in self.subjects
            for task in self._gatherer.tasks
            if self._has(subject, task)
            for run in self._gatherer.events(subject, task)
        ]
        return [hearings[0] for hearings in presentations(runs).values()]

    @cached_property
    def stimuli(self) -> Stimuli:
        """The clips' music."""
        if self._stimuli_folder is None:
            raise FileNotFoundError(f"[study.Study] stimuli must be given; got no folder stimuli in {self.root}")
        return Stimuli(self._stimuli_folder, self.clips, channel=self._channel)

    @property
    def captions(self) -> dict[str, str]:
        """The clips' captions, by clip id."""
        return self._captions[0]

    @property
    def unused_captions(self) -> list[str]:
        """Rows of the captions that are of no clip, by their column ``clip``: they are not used."""
        return self._captions[1]

    @cached_property
    def _captions(self) -> tuple[dict[str, str], list[str]]:
        if self._captions_file is None:
            raise FileNotFoundError(f"[study.Study] captions must be given; got no captions.csv in {self.root}")
        return read_captions(self._captions_file, self.clips)

    def _beside(self, given: str | Path | None, name: str) -> Path | None:
        path = Path(given) if given is not None else self.root / name
        if given is not None and not path.exists():
            raise FileNotFoundError(f"[study.Study] {name.partition('.')[0]} must exist; got {path}")
        return path if path.exists() else None

    @cached_property
    def tr(self) -> float:
        """Seconds from scan to scan, in the first run that is trained on."""
        task = self.rules.train_task
        subject = next((one for one in self.subjects if self._has(one, task)), self.subjects[0])
        return self._gatherer.first_tr(subject)

    @cached_property
    def space(self) -> str | None:
        """Space of the BOLD, as BIDS names it; None where it is each subject's own."""
        task = self.rules.train_task
        subject = next((one for one in self.subjects if self._has(one, task)), self.subjects[0])
        return self.layout.runs(subject, task)[0].space

    @property
    def has_captions(self) -> bool:
        """Whether there are captions to read."""
        return self._captions_file is not None

    def _has(self, subject: str, task: str | None) -> bool:
        """Whether a subject has runs of a task, or no subject has: that is an error where they are read."""
        subjects = (subject, *self.subjects)
        having = [one for one in subjects if task and self.layout.of_task(one, task)]
        return subject in having or not having

    def _subject(self, subject: str, whole: bool = False) -> SubjectData:
        """Gather and check everything but the volumes."""
        if not isinstance(subject, str):
            raise ValueError(
                f"[study.Study] subject must be a label, text as in {self.subjects[0]!r}; got the "
                f"{type(subject).__name__} {subject!r}"
            )
        return self._gatherer.subject(subject.removeprefix("sub-"), whole)
