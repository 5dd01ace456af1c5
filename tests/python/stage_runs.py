"""Runs of a stage's script: whole, in pieces, frozen, saved and loaded."""

import io
import warnings

import torch


def frozen(script):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.freeze(script, preserved_attrs=["init_state", "extend"])


def reloaded(script):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        buffer = io.BytesIO()
        torch.jit.save(script, buffer)
        buffer.seek(0)
        return torch.jit.load(buffer)


def forms(script):
    """Every form in which a stage may reach the library."""
    yield "scripted", script
    yield "loaded", reloaded(script)
    yield "frozen", frozen(script)
    yield "loaded and frozen", frozen(reloaded(script))


def run(script, tokens, condition=None, pieces=None, state=None):
    """Logits of all positions, along the last dimension but one; the tokens go in by pieces of these lengths."""
    length = tokens.size(-1)
    state = script.init_state(tokens.size(0), length, condition) if state is None else state
    logits, position = [], 0
    with torch.inference_mode():
        for piece in pieces or [length]:
            new = tokens[..., position : position + piece]
            logits.append(script.extend(new, torch.tensor(position), state))
            position += piece
    assert position == length
    return torch.cat(logits, dim=-2)


def check_run(script, expected, tokens, condition, pieces):
    """A stage gives what is expected however its sequence is cut, in every form, again and again, alone and in a
    batch."""
    near = 1e-5 * max(1.0, float(expected.abs().max()))
    first = run(script, tokens, condition)
    assert first.dtype == torch.float32
    torch.testing.assert_close(first, expected, rtol=0, atol=1e-4)
    check_choices(first, expected)
    for form, network in forms(script):
        for _ in range(2):  # a second piece as the first
            torch.testing.assert_close(run(network, tokens, condition), first, rtol=0, atol=0, msg=form)
        check_state(network, tokens, condition)
    for cut in pieces:
        torch.testing.assert_close(run(network, tokens, condition, cut), first, rtol=0, atol=near, msg=str(cut))
    for row in range(tokens.size(0)):
        alone = None if condition is None else condition[row : row + 1]
        logits = run(network, tokens[row : row + 1], alone)
        torch.testing.assert_close(logits, first[row : row + 1], rtol=0, atol=near)


def check_choices(logits, expected):
    best = expected.topk(2).values
    clear = best[..., 0] - best[..., 1] > 1e-3
    assert clear.float().mean() > 0.9
    assert torch.equal(logits.argmax(-1)[clear], expected.argmax(-1)[clear])


def check_state(script, tokens, condition):
    """No two tensors of a state share memory, nor do those of two calls, and none is the module's."""
    states = [script.init_state(tokens.size(0), tokens.size(-1), condition) for _ in range(2)]
    places = [tensor.untyped_storage().data_ptr() for state in states for tensor in state]
    assert len(set(places)) == len(places)
    held = {tensor.untyped_storage().data_ptr() for tensor in (*script.parameters(), *script.buffers())}
    assert not held & set(places)
    before = [tensor.clone() for tensor in states[1]]
    run(script, tokens, condition, state=states[0])
    for tensor, kept in zip(states[1], before, strict=True):
        assert torch.equal(tensor, kept)
