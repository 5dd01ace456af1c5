"""Sequences are laid out as the manifest says: MusicLM's as a table, others by hand."""

import copy
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from brain2music import _core

HASH = "0123456789abcdef" * 4
CARD = {"name": "N", "source": "S", "licence": "L", "replaces": "R"}


def network(**fields):
    return {
        "file": "stage.pt",
        "sha256": HASH,
        "methods": ["init_state", "extend"],
        "dtypes": ["float32"],
        "card": CARD,
        **fields,
    }


def codes_of(first, count, levels, kind):
    return {"from": kind, "order": first, "offsets": [count + 1024 * level for level in range(levels)]}


#: MusicLM (Agostinelli et al. 2023, Section 3): 12 style codes of 1024; semantic tokens of 1024 at 25 a second; 4 coarse
#: and 8 fine levels of 1024 at 50 frames a second; sequences of 30, 10 and 3 seconds.
MUSICLM = [
    network(
        name="semantic",
        family="tokens",
        frame_rate=25,
        codes=[1024],
        vocabulary=13 * 1024,
        max_length=1000,
        window=30.0,
        overlap=15.0,
        layout={"prefix": [codes_of("levels", 1024, 12, "conditioner")], "order": "frames", "offsets": [0]},
        sampling={"temperature": 1.0},
    ),
    network(
        name="coarse",
        family="tokens",
        frame_rate=50,
        codes=[1024] * 4,
        vocabulary=17 * 1024,
        max_length=3000,
        window=10.0,
        overlap=5.0,
        codec_levels=[0, 1, 2, 3],
        layout={
            "prefix": [codes_of("levels", 4096, 12, "conditioner"), codes_of("frames", 16384, 1, "semantic")],
            "order": "frames",
            "offsets": [0, 1024, 2048, 3072],
        },
        sampling={"temperature": 0.95},
    ),
    network(
        name="fine",
        family="tokens",
        frame_rate=50,
        codes=[1024] * 8,
        vocabulary=12 * 1024,
        max_length=2000,
        window=3.0,
        overlap=1.5,
        codec_levels=[4, 5, 6, 7, 8, 9, 10, 11],
        layout={
            "prefix": [codes_of("frames", 8192, 4, "coarse")],
            "order": "frames",
            "offsets": [1024 * level for level in range(8)],
        },
        sampling={"temperature": 0.4},
    ),
]

#: Of a piece of 32 s: sequences, frames (first, fresh, end), positions of prefix and of sequence, and a few cells of it.
TABLE = {
    # the 12 style codes, then one token a frame
    ("semantic", 0): ((0, 0, 750), 12, 12 + 750, {0: "style 0", 11: "style 11", 12: "own 0 0", 761: "own 749 0"}),
    ("semantic", 1): ((375, 750, 800), 12, 12 + 425, {12: "own 0 0", 436: "own 424 0"}),
    # style, the 250 semantic tokens of ten seconds, then the four levels of each frame
    ("coarse", 0): (
        (0, 0, 500),
        262,
        262 + 2000,
        {12: "semantic 0 0", 261: "semantic 249 0", 262: "own 0 0", 263: "own 0 1", 265: "own 0 3", 266: "own 1 0"},
    ),
    ("coarse", 1): ((250, 500, 750), 262, 262 + 2000, {12: "semantic 125 0", 262: "own 0 0"}),
    # the four coarse levels of three seconds, then eight levels of each frame
    ("fine", 0): (
        (0, 0, 150),
        600,
        600 + 1200,
        {0: "coarse 0 0", 3: "coarse 0 3", 4: "coarse 1 0", 599: "coarse 149 3", 600: "own 0 0", 607: "own 0 7"},
    ),
    ("fine", 1): ((75, 150, 225), 600, 600 + 1200, {0: "coarse 75 0", 608: "own 1 0"}),
}
RATES = {"semantic": (25, 1), "coarse": (50, 4)}


def written(folder, stages):
    bundle = {
        "schema": 1,
        "name": "MusicLM",
        "description": "Its layout.",
        "space": {"dimension": 128, "roles": [], "hashes": [HASH]},
        "stages": stages,
        "roles": {
            "conditioner": {
                **network(),
                "methods": ["quantize"],
                "dimension": 128,
                "levels": 12,
                "vocabulary": 1024,
            },
            "codec": {
                **network(),
                "methods": ["decode"],
                "sample_rate": 24000,
                "frame_rate": 50,
                "levels": 12,
                "vocabulary": 1024,
                "channels": 1,
            },
        },
    }
    path = Path(folder) / "bundle.json"
    path.write_text(json.dumps(bundle))
    return path


def made_codes(seconds, seed=0):
    generator = np.random.default_rng(seed)
    sources = {"conditioner": torch.from_numpy(generator.integers(0, 1024, (2, 12, 1)))}
    for name, (rate, levels) in RATES.items():
        sources[name] = torch.from_numpy(generator.integers(0, 1024, (2, levels, int(seconds * rate))))
    return sources


@pytest.mark.parametrize(("stage", "window"), list(TABLE))
def test_the_layout_of_musiclm(tmp_path, stage, window):
    (first, fresh, end), prefix, length, cells = TABLE[stage, window]
    entry = next(each for each in MUSICLM if each["name"] == stage)
    sources = made_codes(32)
    before = torch.from_numpy(np.random.default_rng(1).integers(0, 1024, (2, len(entry["codes"]), fresh - first)))
    plan = _core.generation.lay_out(written(tmp_path, MUSICLM), stage, 32.0, window, sources, before)
    assert plan["windows"][window] == (first, fresh, end)
    grid = plan["grid"]
    assert grid.shape == (2, 1, length)
    levels = len(entry["codes"])
    assert plan["lead"] == prefix + (fresh - first) * levels
    assert plan["steps"] == length - plan["lead"]
    offsets = {part["from"]: part["offsets"] for part in entry["layout"]["prefix"]}
    for position, what in cells.items():
        kind, frame, *level = what.split()
        if kind == "own":
            offset = entry["layout"]["offsets"][int(level[0])]
            assert plan["ranges"][position, 0].tolist() == [offset, offset + 1024]
            assert plan["known"][0, position] == (int(frame) < fresh - first)
            if int(frame) < fresh - first:
                expected = before[:, int(level[0]), int(frame)] + offset
                assert torch.equal(grid[:, 0, position], expected)
            continue
        if kind == "style":
            expected = sources["conditioner"][:, int(frame), 0] + offsets["conditioner"][int(frame)]
        else:
            expected = sources[kind][:, int(level[0]), int(frame)] + offsets[kind][int(level[0])]
        assert torch.equal(grid[:, 0, position], expected), position
        assert plan["known"][0, position]
    np.testing.assert_array_equal(plan["codes"][:, :, : fresh - first], before)


def test_windows_tile_the_piece(tmp_path):
    path = written(tmp_path, MUSICLM)
    nothing = torch.zeros(2, 8, 0, dtype=torch.int64)
    for seconds in (0.5, 2.99, 3.0, 3.02, 7.3, 32.0):
        plan = _core.generation.lay_out(path, "fine", seconds, 0, made_codes(33), nothing)
        spans = plan["windows"]
        assert spans[0][:2] == (0, 0)
        assert spans[-1][2] == int(np.ceil(seconds * 50 - 1e-9))
        for (_, _, end), (first, fresh, _) in itertools.pairwise(spans):
            assert fresh == end
            assert fresh - first == 75


DELAYED = network(
    name="acoustic",
    family="parallel",
    frame_rate=50,
    codes=[1024] * 12,
    vocabulary=1024,
    max_length=3000,
    window=10.0,
    overlap=5.0,
    codec_levels=list(range(12)),
    layout={
        "given": [{"from": "semantic"}, {"from": "conditioner", "delay": 2}],
        "delays": [0, 1, 2, 3, 1, 1, 1, 1, 1, 1, 1, 4],
        "pad": 1024,
    },
    sampling={"temperature": 0.9},
)


@pytest.mark.parametrize("window", [0, 1])
def test_levels_stand_side_by_side_each_delayed(tmp_path, window):
    """Against a loop over the definition: own level l of frame f at f + 1 + delay, given ones at f + delay."""
    sources = made_codes(12)
    first, fresh, end = [(0, 0, 500), (250, 500, 600)][window]
    before = torch.from_numpy(np.random.default_rng(1).integers(0, 1024, (2, 12, fresh - first)))
    path = written(tmp_path, [MUSICLM[0], DELAYED])
    plan = _core.generation.lay_out(path, "acoustic", 12.0, window, sources, before)
    assert plan["windows"][window] == (first, fresh, end)
    frames, delays = end - first, DELAYED["layout"]["delays"]
    length = frames + 1 + max(delays)
    grid = np.full((2, 13 + 12, length), 1024)
    known = np.ones((12, length), bool)
    for frame in range(frames):
        grid[:, 0, frame] = sources["semantic"][:, 0, (first + frame) // 2]
        if frame + 2 < length:
            grid[:, 1:13, frame + 2] = sources["conditioner"][:, :, 0]
        for level, delay in enumerate(delays):
            own = frame < fresh - first
            known[level, frame + 1 + delay] = own
            if own:
                grid[:, 13 + level, frame + 1 + delay] = before[:, level, frame]
    np.testing.assert_array_equal(plan["known"], known)
    given_or_known = np.concatenate([np.ones((13, length), bool), known])
    np.testing.assert_array_equal(plan["grid"].numpy()[:, given_or_known], grid[:, given_or_known])
    lead = int(np.argmin(known.all(0)))
    assert plan["lead"] == lead
    assert plan["steps"] == length - lead
    assert plan["ranges"].tolist() == [[[0, 1024]] * 12] * length


def test_levels_one_after_the_other(tmp_path):
    stages = copy.deepcopy(MUSICLM)
    stages[2]["layout"]["order"] = "levels"
    before = torch.from_numpy(np.random.default_rng(1).integers(0, 1024, (2, 8, 75)))
    plan = _core.generation.lay_out(written(tmp_path, stages), "fine", 4.0, 1, made_codes(4), before)
    frames = 200 - 75
    grid, known = plan["grid"][:, 0], plan["known"][0]
    for level in range(8):
        start = 4 * frames + level * frames
        assert known[start : start + 75].all()
        assert not known[start + 75 : start + frames].any()
        assert torch.equal(grid[:, start : start + 75], before[:, level] + 1024 * level)
    assert plan["steps"] == 8 * frames - 75


def test_a_sequence_beyond_max_length_is_refused(tmp_path):
    stages = copy.deepcopy(MUSICLM)
    del stages[0]["window"], stages[0]["overlap"]
    nothing = torch.zeros(2, 1, 0, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"stage 'semantic' must have at most 1000 positions .* got 1012"):
        _core.generation.lay_out(written(tmp_path, stages), "semantic", 40.0, 0, made_codes(40), nothing)
