"""Tokens drawn against exact probabilities, transformers' and NumPy's, for every option."""

import re

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from brain2music import _core

sample_tokens = _core.kernels.sample_tokens

#: Far apart, close together and equal; a logit that cannot be drawn.
LOGITS = torch.tensor([1.5, -0.5, 0.25, 0.25, 2.0, -torch.inf, 0.25, -3.0, 1.0, 0.75, -9.0, 1.25, 0.5])

OPTIONS = [
    {},
    {"temperature": 0.5},
    {"temperature": 3.0},
    {"top_k": 1},
    {"top_k": 4},
    {"top_k": 7},  # cuts through three equal logits
    {"top_k": 100},
    {"top_p": 0.3},
    {"top_p": 0.85},
    {"top_p": 0.999},
    {"temperature": 0.7, "top_k": 5},
    {"temperature": 2.0, "top_p": 0.6},
    {"top_k": 6, "top_p": 0.8},
    {"temperature": 1.3, "top_k": 9, "top_p": 0.9},
]


def whole(logits):
    """Ranges and streams of rows that may draw all ids."""
    rows, vocabulary = logits.shape
    return torch.tensor([[0, vocabulary]]).repeat(rows, 1).to(logits.device), torch.arange(rows, device=logits.device)


def draw(logits, step=0, seed=0, ranges=None, streams=None, **options):
    everything, numbered = whole(logits)
    return sample_tokens(
        logits,
        everything if ranges is None else ranges,
        numbered if streams is None else streams,
        torch.tensor(step, device=logits.device),
        seed,
        **options,
    )


def probabilities(logits, temperature=1.0, top_k=0, top_p=1.0):
    """Their definition, in float64; of equal logits, all are kept."""
    x = logits.double().numpy() / temperature
    if 0 < top_k < len(x):
        x = np.where(x >= np.sort(x)[-top_k], x, -np.inf)
    p = np.exp(x - x.max())
    p /= p.sum()
    if top_p < 1:
        before = np.array([p[x > value].sum() for value in x])  # the more probable ids
        p = np.where(before < top_p, p, 0)
    return p / p.sum()


def check_draws(tokens, p):
    counts = np.bincount(tokens.cpu().flatten().numpy(), minlength=len(p))
    assert counts[p == 0].sum() == 0
    expected = p * counts.sum()
    seldom = expected < 5  # too few draws for the chi-square distribution: counted together
    counts, expected = (np.append(x[~seldom], x[seldom].sum()) for x in (counts, expected))
    if expected[-1] == 0:
        counts, expected = counts[:-1], expected[:-1]
    if len(expected) > 1:
        assert chisquare(counts, expected).pvalue > 1e-4


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_draws_have_the_exact_probabilities(device, options):
    logits = LOGITS.repeat(1000, 1).to(device)
    tokens = torch.stack([draw(logits, step, **options) for step in range(100)])
    check_draws(tokens, probabilities(LOGITS, **options))
    if options.get("top_k") != 1:
        assert len(tokens.unique(dim=0)) == 100  # steps, and streams, differ
        assert len(tokens.unique(dim=1).T) > 990


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_probabilities_are_those_of_transformers(options):
    warpers = pytest.importorskip("transformers.generation.logits_process")
    scores = LOGITS.unique()[None].double()  # of equal logits, transformers keeps one or another
    expected = probabilities(scores[0], **options)
    if "temperature" in options:
        scores = warpers.TemperatureLogitsWarper(options["temperature"])(None, scores)
    if "top_k" in options:
        scores = warpers.TopKLogitsWarper(options["top_k"])(None, scores)
    if "top_p" in options:
        scores = warpers.TopPLogitsWarper(options["top_p"])(None, scores)
    np.testing.assert_allclose(scores.softmax(-1)[0], expected, rtol=1e-12)


def test_draws_of_a_whole_vocabulary(device):
    options = {"temperature": 0.9, "top_k": 300, "top_p": 0.95}
    logits = 2 * torch.randn(1025, generator=torch.Generator().manual_seed(0))
    tokens = torch.stack([draw(logits.repeat(500, 1).to(device), step, **options) for step in range(60)])
    check_draws(tokens, probabilities(logits, **options))


def test_each_row_draws_from_its_range(device):
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(0, 13, (1000,), generator=generator)
    first[first == 5] = 4  # id 5 alone cannot be drawn
    last = first + 1 + (torch.rand(1000, generator=generator) * (13 - first)).long()
    ranges = torch.stack([first, last], 1)
    logits = LOGITS.repeat(1000, 1)
    logits[:, 2] = torch.where((first > 2) | (last <= 2), torch.nan, logits[:, 2])  # outside, nothing is looked at
    tokens = torch.stack(
        [draw(logits.to(device), step, ranges=ranges.to(device), top_k=3) for step in range(100)]
    ).cpu()
    assert ((tokens >= first) & (tokens < last)).all()
    for begin, end in [(0, 13), (3, 7), (4, 6), (12, 13)]:
        alike = (first == begin) & (last == end)
        if alike.any():
            check_draws(tokens[:, alike] - begin, probabilities(LOGITS[begin:end], top_k=3))


@pytest.mark.parametrize("vocabulary", [1, 2, 7, 1024, 1337])
def test_zero_takes_the_greatest_logit_and_the_lowest_id(device, vocabulary):
    logits = torch.randn(30, vocabulary).mul(2).round().to(device)
    greedy = draw(logits, temperature=0.0)
    assert torch.equal(greedy, (logits == logits.amax(1, keepdim=True)).int().argmax(1))
    assert torch.equal(draw(logits, 1, 2, temperature=0.0, top_k=3, top_p=0.2), greedy)
    for options in ({"temperature": 1e-310}, {"temperature": 1e-6}, {"top_k": 1}, {"top_p": 1e-300}):
        tokens = draw(logits, **options)
        assert torch.equal(logits.gather(1, tokens[:, None])[:, 0], logits.amax(1)), options


def test_a_very_high_temperature_makes_all_equal(device):
    logits = LOGITS.repeat(1000, 1).to(device)
    p = LOGITS.isfinite().double().numpy() / 12
    for temperature in (1e9, 1e308):
        check_draws(torch.stack([draw(logits, step, temperature=temperature) for step in range(20)]), p)


def test_top_p_keeps_the_fewest_that_reach_it(device):
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125]).log2().mul(np.log(2)).repeat(2000, 1).to(device)
    for top_p, kept in ((0.49, 1), (0.51, 2), (0.74, 2), (0.76, 4), (0.9, 4)):
        assert set(draw(logits, top_p=top_p).tolist()) == set(range(kept)), top_p
    assert set(draw(logits, top_k=2, top_p=0.65).tolist()) == {0}  # of what top-k leaves, two thirds


def test_rows_from_which_nothing_can_be_drawn(device):
    logits = torch.zeros(6, 300)
    logits[0] = -torch.inf
    logits[1, 299] = torch.nan
    logits[2, 3] = -torch.nan
    logits[3, 150] = torch.inf
    logits[4, 1:] = -torch.inf
    for options in ({}, {"temperature": 0.0}, {"top_k": 5, "top_p": 0.5}):
        tokens = draw(logits.to(device), **options).tolist()
        assert tokens[:5] == [-1, -1, -1, -1, 0]
        assert 0 <= tokens[5] < 300


def test_a_draw_depends_on_seed_stream_and_step_alone(device):
    logits = torch.randn(64, 500).to(device)
    options = {"temperature": 1.1, "top_k": 100, "top_p": 0.9}
    streams = torch.randint(-(2**62), 2**62, (64,)).to(device)
    tokens = draw(logits, 7, -3, streams=streams, **options)
    assert tokens.dtype == torch.int64
    assert tokens.device == logits.device
    order = torch.randperm(64).to(device)
    assert torch.equal(draw(logits[order], 7, -3, streams=streams[order], **options), tokens[order])
    assert torch.equal(draw(logits.t().contiguous().t(), 7, -3, streams=streams, **options), tokens)
    assert torch.equal(draw(logits[5:6], 7, -3, streams=streams[5:6], **options), tokens[5:6])
    for other in ({"step": 8}, {"seed": -4}, {"streams": streams + 1}):
        changed = draw(logits, **({"step": 7, "seed": -3, "streams": streams} | other), **options)
        assert (changed != tokens).float().mean() > 0.5
    assert draw(logits[:0]).shape == (0,)


def test_numpy_in_numpy_out():
    logits = np.zeros((3, 4), np.float32)
    tokens = sample_tokens(logits, np.array([[0, 4]] * 3), np.arange(3), np.array(2), 1)
    assert isinstance(tokens, np.ndarray)
    assert tokens.tolist() == draw(torch.zeros(3, 4), 2, 1).tolist()


def test_bad_input_is_named():
    logits = torch.zeros(2, 5)
    ranges, streams = whole(logits)
    good = {"logits": logits, "ranges": ranges, "streams": streams, "step": torch.tensor(0), "seed": 0}
    for bad, message in (
        ({"logits": logits[0]}, "logits must be (rows, vocabulary); got shape [5]"),
        ({"logits": logits[:, :0]}, "got shape [2, 0]"),
        ({"logits": logits.double()}, "logits must be float32; got Double"),
        ({"ranges": ranges[:1]}, "ranges must have shape [2, 2]; got [1, 2] for logits of shape [2, 5]"),
        ({"ranges": ranges.int()}, "ranges must be int64; got Int"),
        ({"streams": streams[:, None]}, "streams must have shape [2]; got [2, 1]"),
        ({"step": torch.zeros(1, dtype=torch.int64)}, "step must have shape []; got [1]"),
        ({"step": torch.tensor(0.0)}, "step must be int64; got Float"),
        ({"step": torch.tensor(0, device="meta")}, "logits and step must lie on one device; got cpu and meta"),
        ({"ranges": torch.tensor([[0, 5], [3, 3]])}, "0 <= first < last <= 5; got 3 and 3 in row 1"),
        ({"ranges": torch.tensor([[0, 6], [0, 5]])}, "got 0 and 6 in row 0"),
        ({"temperature": -1.0}, "temperature must be 0 (the greatest logit) or a positive number; got -1"),
        ({"temperature": float("inf")}, "got inf"),
        ({"temperature": float("nan")}, "got nan"),
        ({"top_k": -1}, "top_k must be 0 (all ids) or more; got -1"),
        ({"top_p": 0.0}, "top_p must lie above 0 and be at most 1 (all ids); got 0"),
        ({"top_p": 1.5}, "got 1.5"),
        ({"top_p": float("nan")}, "got nan"),
    ):
        with pytest.raises(ValueError, match=r"^\[kernels.sample_tokens\] .*" + re.escape(message)):
            sample_tokens(**(good | bad))
