"""Events of a listening task: which clip was heard when, in which run.

What ds003720's own files need is the default of :class:`EventRules`: quotes around genres, some of them broken, and a
first event that repeats a clip heard elsewhere and is dropped with its scans.
"""

import dataclasses
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain2music.study.tables import read_table

__all__ = ["Event", "EventRules", "RunEvents", "check_split", "presentations", "read_events"]

GTZAN_GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")

#: Seconds by which times may be off: events files hold hundredths.
TOLERANCE = 0.02

#: Ends messages on rows such as button presses and rests.
_NO_CLIP = " (a row that is no clip is passed over by the rule keep)"


@dataclass(frozen=True)
class EventRules:
    """How a task's events files are written; the defaults are those of ds003720.

    Parameters
    ----------
    train_task, test_task : str
        BIDS task labels of the runs to train and to test on; ``test_task=None`` where there are no test runs.
    onset, duration, genre, track, start, end : str
        Names of the columns. Without ``start`` and ``end`` (both None) a clip is its track's beginning; without
        ``genre`` (None) every genre is ``"n/a"``.
    genres : sequence of str, optional
        The genres there are; any other is an error. None allows all.
    quotes : str
        Characters taken off both ends of a genre or track. ds003720 writes ``'jazz'``, three times ``jazz'``.
    track_name : str
        Format of a track's name from ``genre`` and ``track``; ``:05d`` demands a whole number.
    dummies : int
        Events at the beginning of each run that are dropped, with all scans before the first event that is kept. They
        only let the signal settle: ds003720 fills them with a clip heard elsewhere, so that kept they would give twelve
        training clips twice and a fifth, different repeat to six test clips.
    dummies_repeat : bool
        Whether a dummy must be a clip heard elsewhere in its task; if it is not, dropping it would lose a clip.
    repeats : int, optional
        Times that each test clip is heard. None allows any number, and different ones.
    train_repeats : bool
        Whether a training clip may be heard more than once. Its responses are averaged then, as those of test clips
        are, so that no fold holds one hearing out and trains on another.
    equal_lengths : bool
        Whether all clips must last equally long. If not, scans and windows after a shorter clip's end are missing.
    keep : mapping from str to sequence of str, optional
        Columns, and what stands there in the rows that are clips: ``{"trial_type": ["music"]}`` passes over button
        presses and rests. All rows are clips by default.
    onset_unit : float
        Seconds in one unit of the columns onset and duration: 0.001 for milliseconds, the TR for scans.
    onset_shift : float
        Seconds added to all onsets, so that the first volume starts at 0: for runs whose first volumes were removed.
    snap : float
        Seconds by which an onset may miss the start of a scan; the nearest scan is then taken. A duration may miss a
        whole number of scans by as much.
    """

    train_task: str = "Training"
    test_task: str | None = "Test"
    onset: str = "onset"
    duration: str = "duration"
    genre: str | None = "genre"
    track: str = "track"
    start: str | None = "start"
    end: str | None = "end"
    genres: Sequence[str] | None = GTZAN_GENRES
    quotes: str = "'\""
    track_name: str = "{genre}.{track:05d}"
    dummies: int = 1
    dummies_repeat: bool = True
    repeats: int | None = 4
    train_repeats: bool = False
    equal_lengths: bool = True
    keep: Mapping[str, Sequence[str]] | None = None
    onset_unit: float = 1.0
    onset_shift: float = 0.0
    snap: float = 0.02

    def __post_init__(self) -> None:
        if (self.start is None) != (self.end is None):
            raise ValueError(
                f"[study.EventRules] start and end must both be columns or both None; got {self.start!r}, {self.end!r}"
            )
        if self.keep is not None and not _is_choice(self.keep):
            raise ValueError(
                '[study.EventRules] keep must list texts for each column, as in {"trial_type": ["music"]}; got '
                f"{self.keep!r}"
            )
        few = self.repeats is not None and self.repeats < 1
        if self.dummies < 0 or few or not (0 < self.onset_unit < math.inf):
            raise ValueError(
                "[study.EventRules] dummies must be 0 or more, repeats 1 or more, onset_unit positive; got "
                f"{self.dummies}, {self.repeats}, {self.onset_unit}"
            )
        if not math.isfinite(self.onset_shift):
            raise ValueError(f"[study.EventRules] onset_shift must be finite; got {self.onset_shift}")

    @classmethod
    def load(cls, path: str | Path) -> "EventRules":
        """Read rules from a JSON file whose keys are this class's parameters; absent ones keep their default."""
        path = Path(path)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:  # also what is not UTF-8
            raise ValueError(f"[study.EventRules] rules must be JSON; got '{error}' in {path}") from error
        known = {field.name: field.default for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or not values.keys() <= known.keys():
            unknown = sorted(values.keys() - known.keys()) if isinstance(values, dict) else type(values).__name__
            raise ValueError(f"[study.EventRules] rules must be among {sorted(known)}; got {unknown} in {path}")
        for name, value in values.items():
            if not _fits(name, value, known[name]):
                raise ValueError(f"[study.EventRules] {name} must be like {known[name]!r}; got {value!r} in {path}")
        return cls(**values)


@dataclass(frozen=True)
class Event:
    """One presentation of a clip. Times in seconds: ``onset`` from the run's first volume, ``start`` in the track."""

    clip: str
    genre: str
    track: str
    start: float
    end: float
    onset: float
    duration: float
    where: str


@dataclass(frozen=True)
class RunEvents:
    """Events of one run, dummies apart, in order of onset."""

    path: Path
    dummies: tuple[Event, ...]
    kept: tuple[Event, ...]
    notes: tuple[str, ...] = ()

    @property
    def end(self) -> float:
        """Second at which the last clip ends."""
        return self.kept[-1].onset + self.kept[-1].duration


def read_events(path: str | Path, rules: EventRules | None = None) -> RunEvents:
    """Read and check the events of one run.

    Parameters
    ----------
    path : path
        A BIDS ``*_events.tsv``; CRLF and LF line ends.
    rules : EventRules, optional
        How it is written; by default as in ds003720.

    Returns
    -------
    RunEvents

    Raises
    ------
    ValueError
        For whatever is inconsistent, naming file, row and column.

    Examples
    --------
    >>> events = read_events("sub-001_task-Training_run-01_events.tsv")  # doctest: +SKIP
    >>> events.kept[0].clip  # doctest: +SKIP
    'blues.00098_6.46'
    """
    path, rules = Path(path), rules or EventRules()
    named = [rules.onset, rules.duration, rules.genre, rules.track, rules.start, rules.end, *(rules.keep or ())]
    table = read_table(path, [name for name in named if name is not None])
    rows, dummies, notes = _clips_of(table, path, rules)
    events = [_event(row, f"row {number} of {path}", rules, number in dummies) for number, row in rows]
    if len(events) <= rules.dummies:
        raise ValueError(
            f"[study.events] a run must hold more events than its {rules.dummies} dummies; got {len(events)} in {path}"
        )
    for before, after in itertools.pairwise(events):
        if after.onset < before.onset + before.duration - TOLERANCE:
            raise ValueError(
                f"[study.events] {rules.onset} must not lie before the end of the event before, "
                f"{before.onset + before.duration:g} s; got {after.onset:g} s in {after.where}"
            )
    return RunEvents(path, tuple(events[: rules.dummies]), tuple(events[rules.dummies :]), tuple(notes))


def _clips_of(
    table: list[dict[str, str]], path: Path, rules: EventRules
) -> tuple[list[tuple[int, dict[str, str]]], list[int], list[str]]:
    """Return the rows that are clips with their numbers, in order of onset; the dummies; and what was passed over."""
    rows = list(enumerate(table, start=1))
    notes = []
    if rules.keep is not None:
        others = {
            number: ", ".join(row[column] for column in rules.keep)
            for number, row in rows
            if any(row[column] not in texts for column, texts in rules.keep.items())
        }
        rows = [(number, row) for number, row in rows if number not in others]
        if others:
            kinds = ", ".join(sorted(set(others.values())))
            notes.append(f"{len(others)} rows of {path.name} are no clips by the rule keep ({kinds}): passed over.")
    onsets = {number: _number(row, rules.onset, f"row {number} of {path}") for number, row in rows}
    ordered = sorted(rows, key=lambda each: onsets[each[0]])
    if ordered != rows:
        notes.append(f"Rows of {path.name} are not in order of {rules.onset}: sorted.")
    # A slip of the pen in an onset must not make another row the dummy.
    dummies = [number for number, _ in rows[: rules.dummies]]
    early = next((number for number, _ in ordered[: rules.dummies] if number not in dummies), None)
    if early is not None and onsets[early] >= 0:
        raise ValueError(
            f"[study.events] dummies must be the first rows and the first in time; got row {early} before row "
            f"{dummies[0]} by {rules.onset} in {path}"
        )
    return ordered, dummies, notes


def check_split(train: Sequence[RunEvents], test: Sequence[RunEvents], rules: EventRules) -> list[str]:
    """Check that runs form a study: training clips once each, test clips ``rules.repeats`` times, nothing in both.

    Parameters
    ----------
    train, test : sequences of RunEvents
        All runs of one subject.
    rules : EventRules

    Returns
    -------
    list of str
        What the user should know about it, one sentence each.
    """
    heard = [presentations(runs) for runs in (train, test)]
    for clip, events in heard[0].items():
        if len(events) > 1 and not rules.train_repeats:
            first, second = events[0].where, events[1].where
            where = f"{first} and {second}" if second != first else f"{first}, which applies to several runs"
            raise ValueError(
                f"[study.events] a training clip must be heard once; got {clip} in {where} (the rule train_repeats "
                "allows it, and averages)"
            )
    for clip, events in heard[1].items():
        if rules.repeats is not None and len(events) != rules.repeats:
            raise ValueError(
                f"[study.events] a test clip must be heard {rules.repeats} times; got {clip} {len(events)} times, "
                f"first in {events[0].where} (the rule repeats may be null: any number)"
            )
    _check_dummies(train, heard[0], rules)
    _check_dummies(test, heard[1], rules)
    notes = [note for run in [*train, *test] for note in run.notes] + _check_overlap(*heard)
    often = [events for events in heard[0].values() if len(events) > 1]
    if often:
        notes.append(
            f"{len(often)} training clips are heard up to {max(map(len, often))} times: their responses are averaged."
        )
    counts = sorted({len(events) for events in heard[1].values()})
    if len(counts) > 1:
        notes.append(f"Test clips are heard {counts[0]} to {counts[-1]} times.")
    dropped = sum(len(run.dummies) for run in [*train, *test])
    if dropped:
        notes.append(
            f"{dropped} dummy events at the beginning of {len(train) + len(test)} runs dropped with their scans"
            + (": each repeats a clip heard elsewhere." if rules.dummies_repeat else ".")
        )
    return notes


def _event(row: dict[str, str], where: str, rules: EventRules, dropped: bool) -> Event:
    """Read a row; of one that is dropped with its scans neither a negative onset nor a lacking duration matters."""
    onset = _number(row, rules.onset, where) * rules.onset_unit + rules.onset_shift
    unknown = dropped and row[rules.duration] == "n/a"
    duration = 0.0 if unknown else _number(row, rules.duration, where) * rules.onset_unit
    if duration <= 0 and not unknown:
        raise ValueError(f"[study.events] {rules.duration} must be positive; got {duration:g} s in {where}{_NO_CLIP}")
    if onset < 0 and rules.onset_shift == 0 and not dropped:
        raise ValueError(f"[study.events] {rules.onset} must not be negative; got {onset:g} s in {where}")
    genre = "n/a" if rules.genre is None else row[rules.genre].strip(rules.quotes)
    if rules.genres is not None and rules.genre is not None and genre not in rules.genres:
        raise ValueError(
            f"[study.events] {rules.genre} must be one of {', '.join(rules.genres)}; got {row[rules.genre]!r} in "
            f"{where}{_NO_CLIP if genre == 'n/a' else ' (the rule genres lists others; null allows any)'}"
        )
    start, end = 0.0, duration
    if rules.start is not None and rules.end is not None:
        start, end = _number(row, rules.start, where), _number(row, rules.end, where)
        if start < 0 or (abs(end - start - duration) > TOLERANCE and not unknown):
            raise ValueError(
                f"[study.events] {rules.start} and {rules.end} must be {duration:g} s apart; got {start:g} and {end:g} "
                f"in {where}"
            )
    track = _track_name(row, genre, where, rules)
    return Event(f"{track}_{start:.2f}", genre, track, start, end, onset, duration, where)


def _track_name(row: dict[str, str], genre: str, where: str, rules: EventRules) -> str:
    text = row[rules.track].strip(rules.quotes)
    whole = re.sub(r"\.0$", "", text)  # pandas writes whole numbers beside missing ones so
    number = int(whole) if re.fullmatch("[0-9]{1,9}", whole) else text
    try:
        if text:
            return rules.track_name.format(genre=genre, track=number)
    except (ValueError, LookupError):
        pass
    raise ValueError(f"[study.events] {rules.track} must fit {rules.track_name!r}; got {text!r} in {where}")


def _number(row: dict[str, str], column: str, where: str) -> float:
    # float() alone would take "1_5" and "nan".
    text = row[column]
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text) and math.isfinite(float(text)):
        return float(text)
    hint = _NO_CLIP if text == "n/a" else ""
    raise ValueError(f"[study.events] {column} must be a number; got {text!r} in {where}{hint}")


def presentations(runs: Sequence[RunEvents]) -> dict[str, list[Event]]:
    """Presentations of each clip, in order of first hearing; one id must mean one piece of music."""
    heard: dict[str, list[Event]] = {}
    for event in (event for run in runs for event in run.kept):
        first = heard.setdefault(event.clip, [event])[0]
        if event.start != first.start or abs(event.end - first.end) > TOLERANCE:
            raise ValueError(
                f"[study.events] clips of one id must have one start and end; got {event.clip} at {first.start:g} to "
                f"{first.end:g} s in {first.where} and at {event.start:g} to {event.end:g} s in {event.where}"
            )
        if event is not first:
            heard[event.clip].append(event)
    return heard


def _check_dummies(runs: Sequence[RunEvents], heard: dict[str, list[Event]], rules: EventRules) -> None:
    for dummy in (dummy for run in runs for dummy in run.dummies):
        if rules.dummies_repeat and dummy.clip not in heard:
            raise ValueError(
                "[study.events] a dummy event must repeat a clip heard elsewhere, or dropping it loses that clip; got "
                f"{dummy.clip} in {dummy.where}, heard nowhere else (is a run missing?)"
            )


def _check_overlap(train: dict[str, list[Event]], test: dict[str, list[Event]]) -> list[str]:
    """Music that was trained on must not be tested on; another stretch of the same track is worth a note."""
    by_track: dict[str, list[Event]] = {}
    for events in train.values():
        by_track.setdefault(events[0].track, []).append(events[0])
    shared = []
    for tested in (events[0] for events in test.values()):
        for trained in by_track.get(tested.track, []):
            if tested.start < trained.end and trained.start < tested.end:
                raise ValueError(
                    f"[study.events] training and test must share no music; got {trained.clip} in {trained.where} and "
                    f"{tested.clip} in {tested.where}"
                )
            shared.append(tested.track)
    return [f"Other parts of these tracks are in training and in test: {', '.join(shared)}."] if shared else []


def _is_choice(value: Any) -> bool:
    """Whether a value lists texts for columns."""
    return isinstance(value, Mapping) and all(
        isinstance(column, str)
        and isinstance(texts, list | tuple)
        and texts
        and all(isinstance(text, str) for text in texts)
        for column, texts in value.items()
    )


def _fits(name: str, value: Any, default: Any) -> bool:
    """Whether a value from JSON has the type of a rule."""
    if value is None:
        return name in {"test_task", "genre", "start", "end", "genres", "repeats", "keep"}
    if name == "keep":
        return _is_choice(value)
    if name == "genres":
        return isinstance(value, list) and all(isinstance(genre, str) for genre in value)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)
