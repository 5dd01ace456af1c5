"""The project's own stages: what is trained on whole sequences is what is generated with, token by token."""

import pytest
import stage_runs
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from brain2music.exporters import (
    CodesCondition,
    ConditionTerm,
    CrossAttention,
    DecoderLayer,
    SelfAttention,
    Stage,
    TransformerStage,
    script_stage,
)

SIZES = {"dimension": 32, "layers": 2, "heads": 4, "feed_forward": 48}
LENGTH = 30
EMBEDDING = {"condition": "embedding", "condition_dimension": 6}
CODES = {"condition": "codes", "condition_codes": (3, 9)}
KINDS = {
    "tokens": {"vocabulary": 50},
    "tokens, window, embedding": {"vocabulary": 50, "window": 7, **EMBEDDING},
    "parallel, codes": {"vocabulary": [50, 40, 30], "family": "parallel", **CODES},
    "parallel, given, window, embedding": {
        **{"vocabulary": [50, 40], "given": [60, 20], "family": "parallel", "window": 7},
        **EMBEDDING,
    },
}


def made(kind, batch=3):
    """A stage with weights that say something, tokens and a condition."""
    torch.manual_seed(0)
    options = KINDS[kind]
    stage = TransformerStage(**SIZES, **options)
    for weight in stage.parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=0.3)
    if stage.pad is None:
        tokens = torch.randint(options["vocabulary"], (batch, LENGTH))
    else:
        codes = [*options.get("given", ()), *options["vocabulary"]]
        tokens = torch.stack([torch.randint(count, (batch, LENGTH)) for count in codes], 1)
        tokens[:, :, 0] = stage.pad
    condition = {"embedding": torch.randn(batch, 6), "codes": torch.randint(9, (batch, 3))}.get(
        options.get("condition")
    )
    return stage, tokens, condition


@pytest.mark.parametrize("kind", KINDS)
def test_generated_as_trained(kind):
    stage, tokens, condition = made(kind)
    expected = stage(tokens, condition).detach()
    levels = KINDS[kind]["vocabulary"]
    assert expected.shape == ((3, LENGTH, 50) if stage.pad is None else (3, len(levels), LENGTH, 50))
    pieces = [[1] * LENGTH, [6, 1, 7, 8, 8], [21, 9], [4, *[1] * 10, 16]]
    stage_runs.check_run(script_stage(stage), expected, tokens, condition, pieces)


@pytest.mark.parametrize("kind", KINDS)
def test_no_token_sees_the_future_or_beyond_the_window(kind):
    stage, tokens, condition = made(kind, batch=1)
    before = stage(tokens, condition)
    tokens[..., 11] = (tokens[..., 11] + 1) % 20
    changed = (stage(tokens, condition) - before).abs().amax(-1).reshape(-1, LENGTH).amax(0) > 1e-6
    reach = LENGTH if stage.window is None else 11 + SIZES["layers"] * (stage.window - 1) + 1
    assert changed.nonzero().flatten().tolist() == list(range(11, min(reach, LENGTH)))


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns(kind):
    stage, tokens, condition = made(kind)
    own = tokens if stage.pad is None else tokens[:, -stage.levels :]
    optimizer = torch.optim.Adam(stage.parameters(), 3e-3)
    losses = []
    for _ in range(15):
        logits = stage(tokens, condition)[..., :-1, :]
        loss = nn.functional.cross_entropy(logits.reshape(-1, 50), own[..., 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in stage.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_the_script_is_in_evaluation_mode_and_the_module_stays_as_it_is():
    stage, _, _ = made("tokens")
    script = script_stage(stage.train())
    assert stage.training
    assert not script.training
    assert "forward" not in script._c._method_names()
    assert script.embeddings[0].weight.data_ptr() == stage.embeddings[0].weight.data_ptr()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_all_weights_cast(kind, dtype):
    stage, tokens, condition = made(kind)
    expected = stage(tokens, condition).detach()
    script = script_stage(stage).to(dtype)
    logits = stage_runs.run(script, tokens, condition, [9, *[1] * 12, 9])
    assert logits.dtype == torch.float32
    assert script.init_state(1, 4, None if condition is None else condition[:1])[0].dtype == dtype
    assert (logits - expected).abs().mean() < 0.05 * expected.abs().mean()


@pytest.mark.parametrize("kind", KINDS)
def test_everything_lies_on_the_device_of_the_network(kind):
    """Fake tensors: an operation that would meet a tensor of another device raises, as does reading a value."""
    with FakeTensorMode(), torch.device("cuda"):
        stage = TransformerStage(**SIZES, **KINDS[kind])
        shape = (2, 9) if stage.pad is None else (2, len(stage.embeddings), 9)
        tokens = torch.zeros(shape, dtype=torch.int64)
        wanted = KINDS[kind].get("condition")
        condition = {"embedding": torch.zeros(2, 6), "codes": torch.zeros(2, 3, dtype=torch.int64)}.get(wanted)
        state = stage.init_state(2, 12, condition)
        assert all(tensor.device.type == "cuda" for tensor in state)
        for new in (8, 1):
            logits = stage.extend(tokens[..., :new], torch.zeros((), dtype=torch.int64), state)
            assert logits.device.type == "cuda"
            assert logits.shape[-2:] == (new, 50)
        assert stage(tokens, condition).device.type == "cuda"


@pytest.mark.cuda
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_captured_once_and_replayed_at_every_position(kind):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    stage, tokens, condition = made(kind)
    expected = stage(tokens, condition).detach()
    script = stage_runs.frozen(script_stage(stage.cuda()))
    tokens, condition = tokens.cuda(), None if condition is None else condition.cuda()
    new, position = tokens[..., :1].clone(), torch.zeros((), dtype=torch.int64, device="cuda")
    fused = torch._C._jit_set_texpr_fuser_enabled(False)
    try:
        with torch.inference_mode():
            state = script.init_state(3, LENGTH, condition)
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    script.extend(new, position, state)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                logits = script.extend(new, position, state)
            steps = []
            for step in range(LENGTH):
                new.copy_(tokens[..., step : step + 1])
                position.fill_(step)
                graph.replay()
                steps.append(logits.cpu())
    finally:
        torch._C._jit_set_texpr_fuser_enabled(fused)
    torch.testing.assert_close(torch.cat(steps, -2), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary": 5, "family": "frames"}, "family must be 'tokens' or 'parallel'; got 'frames'"),
        ({"vocabulary": [5]}, r"family 'tokens' takes one vocabulary .* got \[5\] and given=\(\) for 'tokens'"),
        ({"vocabulary": 5, "family": "parallel"}, "a vocabulary for each level; got 5"),
        ({"vocabulary": 5, "given": [3]}, r"no given levels, .* got 5 and given=\(3,\)"),
        ({"vocabulary": [], "family": "parallel"}, r"must be 1 or more; got 2, 48 and \[\]"),
        ({"vocabulary": [5, 0], "family": "parallel"}, r"must be 1 or more; got 2, 48 and \[5, 0\]"),
        ({"vocabulary": 5, "layers": 0}, "layers, .* must be 1 or more; got 0"),
        (
            {"vocabulary": 5, "condition": "embedding"},
            "'embedding' takes condition_dimension, .*; got 'embedding', None",
        ),
        ({"vocabulary": 5, "condition": "codes", **EMBEDDING, "condition_codes": (1, 2)}, "takes condition_dimension"),
        ({"vocabulary": 5, "condition_dimension": 3}, "None neither; got None, 3 and None"),
        ({"vocabulary": 5, "condition": "text"}, "got 'text', None and None"),
        ({"vocabulary": 5, "heads": 5}, "dimension must be a multiple of heads; got 32 of 5"),
        ({"vocabulary": 5, "heads": 32}, "head_dimension must be even; got 1"),
        ({"vocabulary": 5, "window": 0}, "window must be 1 or more; got 0"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(ValueError, match=message):
        TransformerStage(**SIZES | options)


def test_a_condition_too_many_or_too_few():
    for form in (lambda stage: stage, script_stage):
        kind = pytest.raises((ValueError, torch.jit.Error), match=r"\[exporters.Stage.init_state\] the stage takes no")
        with kind:
            form(made("tokens")[0]).init_state(1, 5, torch.zeros(1, 6))
        network = form(made("tokens, window, embedding")[0])
        with pytest.raises((ValueError, torch.jit.Error), match=r"\[exporters.Stage.init_state\] .* takes a condition"):
            network.init_state(1, 5, None)
        with pytest.raises((ValueError, torch.jit.Error), match=r"the condition must have 2 rows; got 1"):
            network.init_state(2, 5, torch.zeros(1, 6))
        network = form(made("parallel, codes")[0])
        with pytest.raises((ValueError, torch.jit.Error), match=r"condition must be \(B, 3\); got \(B, 4\)"):
            network.init_state(1, 5, torch.zeros(1, 4, dtype=torch.int64))
        state = network.init_state(1, 5, torch.zeros(1, 3, dtype=torch.int64))
        with pytest.raises((ValueError, torch.jit.Error), match=r"codes must be \(B, 3, T\); got \(B, 2, T\)"):
            network.extend(torch.zeros(1, 2, 1, dtype=torch.int64), torch.tensor(0), state)


def layer(**options):
    window = options.pop("window", None)
    return DecoderLayer(8, SelfAttention(8, 2, window=window), nn.Identity(), **options)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"layers": [layer(), layer(window=3)]}, r"all layers must have one window; got \['3', 'None'\]"),
        ({"layers": []}, r"all layers must have one window; got \[\]"),
        ({"layers": [layer(condition=ConditionTerm(8, 3))]}, "a condition must reach all layers"),
        ({"condition": CodesCondition(1, 2, 3)}, "a condition must reach all layers"),
        ({"levels": 3}, "for each of 3 levels, .* got 8 logits and 1 embeddings"),
    ],
)
def test_parts_that_do_not_fit(parts, message):
    given = {"embeddings": [nn.Embedding(8, 8)], "layers": [layer()], "norm": nn.Identity(), "head": nn.Linear(8, 8)}
    with pytest.raises(ValueError, match=rf"\[exporters.Stage\] .*{message}"):
        Stage(**given | parts)


def test_one_vector_is_attended_to_as_a_term():
    """What ConditionTerm says of itself."""
    torch.manual_seed(0)
    cross, term = CrossAttention(8, 5, 2), ConditionTerm(8, 5)
    with torch.no_grad():
        term.out.weight.copy_(cross.out.weight @ cross.values.weight)
    x, condition = torch.randn(2, 4, 8), torch.randn(2, 1, 5)
    attended = cross.extend(x, cross.init_state(condition), 0)
    torch.testing.assert_close(term.extend(x, term.init_state(condition), 0).expand(2, 4, 8), attended)
    with pytest.raises(ValueError, match="must be one vector; got 3"):
        term.init_state(torch.zeros(2, 3, 5))
