"""Attention with a cache beside plain attention over the whole sequence, written out in NumPy in float64."""

import numpy as np
import pytest
import torch

from brain2music.exporters import CrossAttention, Rotary, SelfAttention, cache_places

D = 8


def array(tensor):
    return tensor.detach().double().numpy()


def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def turned(heads, base):
    """Pairs of dimensions as complex numbers, turned by position * frequency (RoFormer)."""
    half = heads.shape[-1] // 2
    angles = np.arange(heads.shape[-2])[:, None] * base ** (-np.arange(half) / half)
    numbers = (heads[..., :half] + 1j * heads[..., half:]) * np.exp(1j * angles)
    return np.concatenate([numbers.real, numbers.imag], -1)


def plain(attention, x, base):
    """Attention of a whole sequence (B, T, d), each query seeing the last `window` positions."""
    batch, length, _ = x.shape
    heads, few = attention.heads, attention.key_heads
    mixed = array(x) @ array(attention.project.weight).T
    if attention.project.bias is not None:
        mixed = mixed + array(attention.project.bias)
    mixed = mixed.reshape(batch, length, heads + 2 * few, -1).transpose(0, 2, 1, 3)
    queries, keys, values = np.split(mixed, [heads, heads + few], axis=1)
    if base:
        queries, keys = turned(queries, base), turned(keys, base)
    keys, values = np.repeat(keys, heads // few, axis=1), np.repeat(values, heads // few, axis=1)
    scale = attention.scale or queries.shape[-1] ** -0.5
    age = np.arange(length)[:, None] - np.arange(length)
    seen = (age >= 0) & (age < (attention.window or length))
    out = softmax(np.where(seen, queries @ keys.swapaxes(-1, -2) * scale, -np.inf)) @ values
    out = out.transpose(0, 2, 1, 3).reshape(batch, length, -1) @ array(attention.out.weight).T
    return out if attention.out.bias is None else out + array(attention.out.bias)


def cached(attention, x, base, pieces, length=None):
    rotary = Rotary(attention.head_dimension, base) if base else None
    keys, values = attention.init_state(x.size(0), length or x.size(1))
    out, position = [], 0
    with torch.inference_mode():
        for piece in pieces:
            places = cache_places(torch.tensor(position), piece, keys, attention.window is not None)
            rotation = rotary(places.positions) if rotary else None
            out.append(attention.extend(x[:, position : position + piece], places, rotation, keys, values))
            position += piece
    assert position == x.size(1)
    return torch.cat(out, 1)


def made(dimension=24, **options):
    torch.manual_seed(0)
    return SelfAttention(dimension, 6, head_dimension=D, **options)


@pytest.mark.parametrize("window", [None, 1, 2, 7, 100])
@pytest.mark.parametrize("options", [{}, {"key_heads": 2, "bias": True}, {"key_heads": 1, "scale": 0.7}])
@pytest.mark.parametrize("base", [None, 10_000.0])
def test_caches_give_what_the_whole_sequence_gives(window, options, base):
    attention = made(window=window, **options)
    w = 7 if window is None else min(window, 13)
    length = 5 * w + 9
    x = torch.randn(2, length, 24)
    expected = plain(attention, x, base)
    for new in {1, max(w - 1, 1), w, w + 1, 3 * w}:
        pieces = [new] * (length // new) + [length % new] * (length % new > 0)
        np.testing.assert_allclose(array(cached(attention, x, base, pieces)), expected, atol=1e-5)
        pieces = [1, 1, new, 1, *[1] * (length - new - 3)]  # many after one, one after many
        np.testing.assert_allclose(array(cached(attention, x, base, pieces)), expected, atol=1e-5)
    np.testing.assert_allclose(array(cached(attention, x, base, [length])), expected, atol=1e-5)


def test_a_ring_does_not_grow_and_goes_on_for_ever():
    attention = made(window=16)
    assert [tuple(tensor.shape) for tensor in attention.init_state(3, 100_000)] == [(3, 6, 16, D)] * 2
    assert attention.init_state(3, 5)[0].shape == (3, 6, 5, D)
    assert made().init_state(3, 40)[0].shape == (3, 6, 40, D)
    x = torch.randn(1, 90, 24)
    out = cached(attention, x, None, [30, *[1] * 60], length=20)  # longer than was said
    np.testing.assert_allclose(array(out), plain(attention, x, None), atol=1e-5)


@pytest.mark.parametrize("pieces", [[1500], [3, 1497], [1490, 10], [700, 1, 799]])
def test_blocks_of_keys_that_no_query_sees_leave_no_trace(pieces):
    """Fused kernels go through keys in blocks: one that is wholly masked must not become NaN."""
    attention = made(window=600)
    x = torch.randn(1, 1500, 24)
    np.testing.assert_allclose(array(cached(attention, x, None, pieces)), plain(attention, x, None), atol=1e-5)


def test_a_full_cache_is_not_overrun():
    attention = made()
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        cached(attention, torch.randn(1, 11, 24), None, [10, 1], length=10)


@pytest.mark.parametrize("window", [None, 7])
def test_training_without_a_cache(window):
    from brain2music.exporters import band_mask

    attention = made(window=window, key_heads=3)
    x = torch.randn(2, 20, 24)
    rotation = Rotary(D)(torch.arange(20))
    out = attention(x, band_mask(20, window, x), rotation)
    np.testing.assert_allclose(array(out), plain(attention, x, 10_000.0), atol=1e-5)
    out.sum().backward()
    assert attention.project.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("bias", [False, True])
def test_cross_attention_beside_torch(bias):
    torch.manual_seed(0)
    ours = CrossAttention(24, 10, 3, bias=bias)
    theirs = torch.nn.MultiheadAttention(24, 3, bias=bias, kdim=10, vdim=10, batch_first=True)
    with torch.no_grad():
        theirs.q_proj_weight.copy_(ours.queries.weight)
        theirs.k_proj_weight.copy_(ours.keys.weight)
        theirs.v_proj_weight.copy_(ours.values.weight)
        theirs.out_proj.weight.copy_(ours.out.weight)
        if bias:
            theirs.in_proj_bias.copy_(torch.cat([ours.queries.bias, ours.keys.bias, ours.values.bias]))
            theirs.out_proj.bias.copy_(ours.out.bias)
    x, condition = torch.randn(2, 5, 24), torch.randn(2, 4, 10)
    state = [torch.zeros(1), *ours.init_state(condition)]
    torch.testing.assert_close(ours.extend(x, state, 1), theirs(x, condition, condition, need_weights=False)[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SelfAttention(10, 3),
            r"\[exporters.SelfAttention\] dimension must be a multiple of heads; got 10 of 3",
        ),
        (lambda: SelfAttention(12, 3, key_heads=2), r"heads must be a multiple of key_heads; got 3 of 2"),
        (lambda: SelfAttention(12, 3, window=0), r"window must be 1 or more; got 0"),
        (lambda: CrossAttention(10, 4, 3), r"\[exporters.CrossAttention\] dimension .* got 10 of 3"),
        (lambda: Rotary(7), r"\[exporters.Rotary\] head_dimension must be even; got 7"),
    ],
)
def test_sizes_that_do_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()
