import numpy as np
import pytest

from brain2music.study import EMBEDDING_WINDOWS, Windows, average_windows, window_rows

#: Scans in each window by hand: scan i starts at 1.5 i seconds.
TABLE_1 = {
    "soundstream-avg": [[i] for i in range(10)],
    "w2v-bert-avg": [list(range(i, i + 4)) for i in range(7)],
    "mulan-music": [list(range(i, i + 7)) for i in range(4)],
    "mulan-text": [list(range(10))],
}


@pytest.mark.parametrize("name", TABLE_1)
def test_windows_of_table_1(name):
    members = EMBEDDING_WINDOWS[name].scans()
    assert [list(np.flatnonzero(row)) for row in members] == TABLE_1[name]
    assert EMBEDDING_WINDOWS[name].count == len(TABLE_1[name])


def test_table_1_lists_them_all():
    assert TABLE_1.keys() == EMBEDDING_WINDOWS.keys()


@pytest.mark.parametrize("name", TABLE_1)
def test_averages_are_those_of_numpy(rng, name):
    responses = rng.standard_normal((6, 10, 5), dtype=np.float32)
    responses[2, 7:] = np.nan  # the last clip of a run
    responses[4] = np.nan
    responses[5, 3] = np.nan
    members = EMBEDDING_WINDOWS[name].scans()
    averaged = average_windows(responses, members)
    expected = np.full((6, len(members), 5), np.nan)
    for clip in range(6):
        for window, scans in enumerate(TABLE_1[name]):
            chosen = responses[clip, scans]
            chosen = chosen[~np.isnan(chosen[:, 0])]
            if len(chosen):
                expected[clip, window] = chosen.astype(float).mean(axis=0)
    np.testing.assert_allclose(averaged, expected, rtol=1e-6, atol=1e-7)

    rows = window_rows(responses, members)
    absent = [tuple(pair) for pair in np.argwhere(np.isnan(expected[..., 0])).tolist()]
    assert list(rows.left_out) == absent
    assert len(rows.responses) == 6 * len(members) - len(absent)
    np.testing.assert_array_equal(rows.responses, averaged[rows.clip, rows.window])
    assert not np.isnan(rows.responses).any()


def test_seven_of_ten_scans(rng):
    """Under a delay of 3 TR only SoundStream's last three windows of a run's last clip are empty."""
    responses = rng.standard_normal((2, 10, 3), dtype=np.float32)
    responses[1, 7:] = np.nan
    left_out = {name: window_rows(responses, windows.scans()).left_out for name, windows in EMBEDDING_WINDOWS.items()}
    assert left_out.pop("soundstream-avg") == ((1, 7), (1, 8), (1, 9))
    assert set(left_out.values()) == {()}


def test_other_trs():
    assert [list(np.flatnonzero(row)) for row in Windows(10, hop=2.0, clip=16).scans(8, tr=2.0)] == [
        [0, 1, 2, 3, 4],
        [1, 2, 3, 4, 5],
        [2, 3, 4, 5, 6],
        [3, 4, 5, 6, 7],
    ]


def test_no_voxels():
    rows = window_rows(np.zeros((3, 10, 0), np.float32), EMBEDDING_WINDOWS["mulan-music"].scans())
    assert rows.responses.shape == (12, 0)


def test_bad_input_is_refused(rng):
    members = Windows(10.0).scans()
    responses = rng.standard_normal((3, 10, 4), dtype=np.float32)
    responses[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="a missing scan must be NaN in all voxels; got 1 of 4 at clip 1, scan 2"):
        average_windows(responses, members)
    with pytest.raises(ValueError, match=r"must be \(clips, scans, voxels\).*; got \(3, 9, 4\) and \(4, 10\)"):
        average_windows(responses[:, :9], members)
    with pytest.raises(ValueError, match=r"length must be positive and at most clip.*; got 16, 15.0, 1.5 s"):
        Windows(16)
    with pytest.raises(ValueError, match="a scan must start inside every window; got none"):
        Windows(1.0, hop=1.0).scans(8, tr=2.0)
