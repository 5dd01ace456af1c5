"""What a run would read, and all that is wrong with it, before anything takes long."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from brain2music.decoding import BrainDecoder
from brain2music.pipeline.context import OWN, Context
from brain2music.pipeline.retrieval import library, unused_told
from brain2music.retrieval import Corpus
from brain2music.study.subject import RunData, SubjectData, scans_per_clip
from brain2music.study.surfaces import Surface
from brain2music.study.windows import members_of

__all__ = ["Check", "check"]

#: Of problems that are alike, such as tracks that are not there, so many are shown.
_SHOWN = 5

#: What is read of a study may be wrong in these ways; anything else is a defect of ours.
_USERS = (ValueError, OSError, RuntimeError, KeyError)


@dataclass(eq=False)
class Check:
    """What was found.

    Attributes
    ----------
    lines : list of str
        What would be read: the study, a line for each subject, what stands in the notes, the music.
    problems : list of str
        Why a run would fail; empty if it would not, as far as headers, events and music tell.
    """

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def say(self) -> str:
        """Return both as text."""
        told = [*self.lines]
        if self.problems:
            told += ["", f"A run would fail, for {len(self.problems)} reasons:", *(f"- {one}" for one in self.problems)]
        else:
            told += ["", "A run would read all of this. The voxels themselves were not read."]
        return "\n".join(told)


def check(context: Context, listen: bool = True) -> Check:
    """Look at a study as a run would read it: layout, events, headers, regions, music, captions, networks.

    Parameters
    ----------
    context : Context
        Its folder of outputs is not touched.
    listen : bool, default True
        Whether to decode every clip, too: a track may be cut, or silent.

    Returns
    -------
    Check
    """
    found = Check()
    try:
        study, subjects = context.study, context.subjects
    except _USERS as error:
        found.problems.append(_text(error))
        return found
    found.lines.append(f"{study.root}: {len(subjects)} of {len(study.subjects)} subjects")
    found.lines += [f"Not read: sub-{subject}: {why}" for subject, why in context.left_out.items()]
    for subject in subjects:
        data, problems = study.look_at(subject)
        if data is not None:
            found.lines.append(_line(data))
            found.lines += [f"  {note}" for note in data.notes]
            problems = [*problems, *_decoding(context, data)]
        found.problems += [f"sub-{subject}: {problem}" for problem in dict.fromkeys(problems)]
    for part in (_music(context, listen), _captions(context), _networks(context)):
        for wrong, text in part:
            (found.problems if wrong else found.lines).append(text)
    return found


def _line(data: SubjectData) -> str:
    clips = [len({event.clip for item in runs for event in item.events.kept}) for runs in (data.train, data.test)]
    what = "vertices" if isinstance(data.grid, Surface) else "voxels"
    regions = "" if data.rois is None else f" in {len(np.unique(data.rois.labels[data.rois.labels > 0]))} regions"
    space = data.train[0].run.space if data.train else None
    runs = f"{len(data.train)} training and {len(data.test)} test runs, {clips[0]} and {clips[1]} clips"
    if not data.test:
        runs = f"{len(data.train)} runs, {clips[0]} clips, to be cross-validated"
    voxels = f"{int(data.mask.sum()):,} {what}{regions}, {space or 'own space'}"
    return f"sub-{data.subject}: {runs}, {voxels}, TR {data.tr:g} s"


def _decoding(context: Context, data: SubjectData) -> Iterator[str]:
    """Say what decoding asks for beyond reading."""
    chosen = context.settings
    if data.rois is None:
        yield "[pipeline.decode] rois must be given; got None"
    else:
        _, counts = np.unique(data.rois.labels[data.rois.labels > 0], return_counts=True)
        least = BrainDecoder().min_voxels
        large = int((counts >= least).sum())
        if large < chosen.n_rois:
            yield (
                f"[pipeline.decode] n_rois must be at most the regions of {least} voxels or more, {large}; got "
                f"{chosen.n_rois}"
            )
    if any(event.genre == "all" for item in (*data.train, *data.test) for event in item.events.kept):
        yield "[pipeline.evaluate] a genre must not be called 'all', which stands for all genres; got it in the events"
    try:
        scans = scans_per_clip(data)
        for runs, kind, least in ((data.train, "training", 4), (data.test, "test", 2)):
            heard = _measured(runs, scans, context.delay_scans, data)
            if runs and heard < least:
                yield (
                    f"[pipeline.decode] {least} {kind} clips or more must have scans, at a delay of "
                    f"{context.delay_scans} scans; got {heard}"
                )
        clips = len({event.clip for item in data.train for event in item.events.kept})
        if isinstance(chosen.cv, int) and clips < 2 * chosen.cv:
            yield f"[pipeline.decode] every fold must hold two clips or more; got {chosen.cv} folds of {clips} clips"
    except _USERS as error:
        yield _text(error)
        return
    try:
        own = context.own
    except _USERS:
        return  # told with the networks
    try:
        if own is not None:
            members_of(own.window, own.hop, own.values.shape[1], scans, data.tr, "embeddings_file", "pipeline.decode")
    except _USERS as error:
        yield _text(error)


def _measured(runs: Sequence[RunData], scans: int, delay: int, data: SubjectData) -> int:
    """Count the clips of which a scan is measured."""
    heard: set[str] = set()
    for item in runs:
        there = np.asarray(item.measured(item.scans(data.tr, scans, delay, data.rules)).any(axis=1))
        heard.update(event.clip for event, any_scan in zip(item.events.kept, there, strict=True) if any_scan)
    return len(heard)


def _music(context: Context, listen: bool) -> Iterator[tuple[bool, str]]:
    try:
        clips = context.study.clips
    except _USERS:
        return  # the events are wrong, which the subjects' lines say
    try:
        stimuli = context.study.stimuli
    except _USERS as error:
        problems = context.study.music_problems() or [_text(error)]
    else:
        problems = []
        for clip in stimuli.ids if listen else ():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a track that ends a little early is told when it is read
                    _ = stimuli[clip]
            except _USERS as error:
                problems.append(_text(error))
        if not problems:
            yield False, f"music: {len(clips)} clips" + (", each decoded" if listen else "")
    different = list(dict.fromkeys(problems))
    for problem in different[:_SHOWN]:
        yield True, problem
    if len(different) > _SHOWN:
        yield True, f"... and {len(different) - _SHOWN} more problems of clips' music"


def _captions(context: Context) -> Iterator[tuple[bool, str]]:
    wanted = context.settings.embeddings
    if wanted is not None and "text_embedder" not in wanted:
        return
    if wanted is None and not context.study.has_captions:
        yield False, "captions: none, so that no text is embedded"
        return
    try:
        yield False, f"captions: {len(context.study.captions)}"
        if others := context.study.unused_captions:
            yield False, f"  {len(others)} rows of the captions are of no clip, {others[0]!r} the first: not used"
    except _USERS as error:
        yield True, _text(error)


def _networks(context: Context) -> Iterator[tuple[bool, str]]:
    try:
        roles = context.embeddings
        yield False, f"networks: {context.bundle.path}; embeddings: {', '.join(roles)}"
        _ = context.tagger
        if context.settings.corpus is not None:
            corpus = Corpus.open(Path(context.settings.corpus), None if roles[0] == OWN else context.bundle)
            yield False, f"library: {len(corpus)} tracks in {context.settings.corpus}"
            if told := unused_told(corpus):
                yield False, f"  {told}"
            if roles[0] != OWN and corpus.role != roles[0]:
                yield True, f"[pipeline.library] the library must be embedded as {roles[0]}; got {corpus.role}"
        if roles[0] == OWN:
            library(context)
    except _USERS as error:
        yield True, _text(error)


def _text(error: BaseException) -> str:
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error)
