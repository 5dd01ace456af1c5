"""Pieces heard whole: which piece and second each scan belongs to, on the events of ds004007."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_study import SHAPE, SmallStudy

import brain2music as b2m
from brain2music import signal

EVENTS = Path(__file__).parents[1] / "data" / "ds004007"
TR = 1.0
RULES = b2m.EventRules(
    "listen", None, track="stim_file", track_name="{track}", genre=None, start=None, end=None, dummies=0
)


def rows(subject, run):
    path = EVENTS / f"sub-{subject}" / "func" / f"sub-{subject}_task-listen_run-{run:02d}_events.tsv"
    with path.open() as file:
        return [
            (row["stim_file"], float(row["onset"]), float(row["duration"]))
            for row in csv.DictReader(file, delimiter="\t")
        ]


class Listening(SmallStudy):
    """The real events, and small images that end a little after them."""

    def __init__(self, root, subject="01"):
        super().__init__(root)
        shutil.copytree(EVENTS, root, dirs_exist_ok=True)
        self.lengths = []
        for run in (1, 2):
            last = rows(subject, run)[-1]
            self.lengths.append(int(last[1] + last[2]) + 7)
            self.bold(f"sub-{subject}_task-listen_run-{run:02d}", run, tr=TR, volumes=self.lengths[-1])

    def brain(self, subject="01", **options):
        return self.study(RULES, **options).continuous(subject)


@pytest.fixture(scope="module")
def listening(tmp_path_factory):
    return Listening(tmp_path_factory.mktemp("ds004007") / "study")


def test_each_scan_knows_its_piece_and_second(listening):
    brain = listening.brain()
    assert brain.tr == TR
    assert len(brain.responses) == sum(listening.lengths)
    assert brain.run.tolist() == [1] * listening.lengths[0] + [2] * listening.lengths[1]
    for run in (1, 2):
        piece, second = (values[brain.run == run] for values in (brain.piece, brain.second))
        expected = [("", np.nan)] * listening.lengths[run - 1]
        for name, onset, duration in rows("01", run):
            for scan in range(len(expected)):
                if onset <= scan * TR < onset + duration:
                    expected[scan] = (name, scan * TR - onset)
        assert piece.tolist() == [name for name, _ in expected]
        np.testing.assert_allclose(second, [time for _, time in expected])
    assert (brain.piece[brain.run == 1][-7:] == "").all()
    assert len(set(brain.piece.tolist()) - {""}) == 16


def test_runs_are_detrended_and_standardised_by_themselves(listening):
    brain = listening.brain()
    data = listening.data(2, listening.lengths[1]).astype(np.float32)
    raw = data.reshape(-1, listening.lengths[1]).T  # C order: that of the mask
    expected = signal.zscore(signal.median_detrend(raw, tr=TR))
    np.testing.assert_allclose(brain.responses[brain.run == 2], expected, atol=1e-5)


def test_features_are_those_of_the_window_around_the_scan(listening):
    brain = listening.brain()
    rng = np.random.default_rng(0)
    pieces = sorted(set(brain.piece.tolist()) - {""})
    windows = {piece: rng.standard_normal((60, 3)).astype(np.float32) for piece in pieces}
    made = brain.features(windows, window=10.0, hop=1.5)
    assert made.shape == (len(brain.piece), 3)
    for scan in range(0, len(made), 37):
        if not brain.piece[scan]:
            assert not made[scan].any()
            continue
        middles = np.arange(60) * 1.5 + 5.0
        nearest = np.abs(middles - (brain.second[scan] + TR / 2)).argmin()
        assert (made[scan] == windows[brain.piece[scan]][nearest]).all()
    with pytest.raises(ValueError, match=rf"every piece must have windows, .*; got none for {pieces[0]}"):
        brain.features({piece: windows[piece] for piece in pieces[1:]}, 10, 1.5)
    with pytest.raises(ValueError, match=r"got shapes \[\(2,\), \(3,\)\]"):
        brain.features({**windows, pieces[0]: np.zeros((5, 2))}, 10, 1.5)
    with pytest.raises(ValueError, match="window and hop must be positive; got 10 and 0"):
        brain.features(windows, 10, 0)


def test_an_encoder_with_delays_finds_the_voxels_that_listen(tmp_path):
    study = Listening(tmp_path / "study")
    silent = study.brain()
    rng = np.random.default_rng(1)
    windows = {piece: rng.standard_normal((250, 2)).astype(np.float32) for piece in set(silent.piece.tolist()) - {""}}
    features = silent.features(windows, window=1.0, hop=1.0)
    for run in (1, 2):  # the first four voxels follow the first feature five scans later
        here = features[silent.run == run][:, 0]
        data = study.data(run, len(here)).astype(float)
        late = np.concatenate([np.zeros(5), here[:-5]])
        data.reshape(-1, len(here))[:4] += 60 * late
        study.image(study.func("sub-01") / f"sub-01_task-listen_run-{run:02d}_bold.nii", data.astype(np.int16), TR)
    brain = study.brain()
    train, test = brain.run == 1, brain.run == 2
    encoder = b2m.VoxelwiseEncoder(cv=3, delays=(4, 5, 6))
    groups = np.repeat([1, 2, 3], -(-train.sum() // 3))[: train.sum()]
    encoder.fit(features[train], brain.responses[train], groups=groups)
    tested = encoder.significance(features[test], brain.responses[test], brain.run[test], null="shifts", random_state=0)
    assert tested.significant(0.05, "max").tolist() == [True] * 4 + [False] * (np.prod(SHAPE) - 4)


def test_pieces_that_begin_between_scans_or_end_after_the_run_are_read(tmp_path):
    study = Listening(tmp_path / "study")
    study.bold("sub-01_task-listen_run-01", 1, tr=TR, volumes=300)  # the second piece is cut
    path = study.func("sub-01") / "sub-01_task-listen_run-01_events.tsv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "0.4\t224.3\tFinlandia.wav", *lines[2:]]) + "\n")
    brain = study.brain()
    first = brain.run == 1
    assert first.sum() == 300
    assert brain.piece[first][:2].tolist() == ["", "Finlandia.wav"]
    assert brain.second[first][1] == pytest.approx(0.6)
    assert brain.piece[first][-1] == rows("01", 1)[1][0]


def test_continuous_responses_come_from_the_cache(tmp_path):
    study = Listening(tmp_path / "study")
    first = study.brain(cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    again = study.brain(cache=tmp_path / "cache")
    np.testing.assert_array_equal(first.responses, again.responses)
