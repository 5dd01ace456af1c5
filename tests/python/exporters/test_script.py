"""What a script must have to be a stage, and what keeps it out of a CUDA graph."""

import re
import warnings
from pathlib import Path

import pytest
import stage_runs
import torch
from torch import Tensor, nn

import brain2music
from brain2music.exporters import TransformerStage, script_stage, value_reads


class Base(nn.Module):
    @torch.jit.export
    def init_state(self, batch: int, length: int, condition: Tensor | None) -> list[Tensor]:
        return [torch.zeros([batch, length])]


class Ints(Base):
    @torch.jit.export
    def extend(self, tokens: Tensor, position: Tensor, state: list[Tensor]) -> Tensor:
        return state[0][:, int(position) :]


class Items(Base):
    @torch.jit.export
    def extend(self, tokens: Tensor, position: Tensor, state: list[Tensor]) -> Tensor:
        for _ in range(tokens.size(0)):
            if tokens.size(1) > 0:
                state[0][:, 0] = state[0][:, 0] * position.item()
        return state[0]


class Branches(Base):
    @torch.jit.export
    def extend(self, tokens: Tensor, position: Tensor, state: list[Tensor]) -> Tensor:
        if position > 3:
            return state[0]
        return state[0] + 1


class Floats(Base):
    @torch.jit.export
    def extend(self, tokens: Tensor, position: Tensor, state: list[Tensor]) -> Tensor:
        return state[0] * float(position + 1) * float(tokens.size(0))


class Within(nn.Module):
    def forward(self, position: Tensor) -> Tensor:
        return torch.zeros([1, int(position + 1)])


class Deep(Base):
    def __init__(self) -> None:
        super().__init__()
        self.within = Within()

    @torch.jit.export
    def extend(self, tokens: Tensor, position: Tensor, state: list[Tensor]) -> Tensor:
        return self.within(position)


class Masks(Base):
    @torch.jit.export
    def extend(self, tokens: Tensor, position: Tensor, state: list[Tensor]) -> Tensor:
        return state[0].masked_select(torch.arange(state[0].size(1)) > position)


@pytest.mark.parametrize(
    ("network", "operation"),
    [
        (Ints, "aten::Int"),
        (Items, "aten::item"),
        (Branches, "aten::Bool"),
        (Floats, "aten::Float"),
        (Deep, "aten::Int"),
        (Masks, "aten::masked_select"),
    ],
)
def test_reading_a_value_is_found(network, operation):
    script = script_stage(network())
    for form, found in ((form, value_reads(script)) for form, script in stage_runs.forms(script)):
        assert len(found) == 1, form
        assert found[0].startswith(f"{operation} at "), form
    assert __file__ in value_reads(script)[0]
    assert value_reads(script, "init_state") == []


@pytest.mark.parametrize("window", [None, 5])
def test_our_own_read_none(window):
    """By the graph; and by the meta device, whose tensors have no values."""
    stage = TransformerStage(dimension=8, layers=2, heads=2, feed_forward=8, vocabulary=9, window=window)
    script = script_stage(stage)
    for _, form in stage_runs.forms(script):
        assert value_reads(form) == []
        assert value_reads(form, "init_state") == []
    script = script.to("meta")
    state = script.init_state(2, 20, None)
    for new in (9, 1):
        tokens = torch.zeros(2, new, dtype=torch.int64, device="meta")
        assert script.extend(tokens, torch.zeros((), dtype=torch.int64, device="meta"), state).shape == (2, new, 9)


def test_attention_is_one_operation_with_a_mask_and_projections_are_linear():
    """What later passes over the graph look for."""
    stage = TransformerStage(dimension=8, layers=3, heads=2, feed_forward=8, vocabulary=9, window=5)
    kinds = {}
    for node in stage_runs.frozen(script_stage(stage)).extend.inlined_graph.nodes():
        kinds.setdefault(node.kind(), []).append(list(node.inputs()))
    assert len(kinds["aten::scaled_dot_product_attention"]) == 3
    assert all(str(inputs[3].type()) == "Tensor" for inputs in kinds["aten::scaled_dot_product_attention"])
    assert len(kinds["aten::linear"]) == 3 * 4 + 1
    assert all(inputs[1].node().kind() == "prim::Constant" for inputs in kinds["aten::linear"])
    assert not {"aten::matmul", "aten::addmm", "aten::bmm", "aten::softmax"} & set(kinds)


class NoExtend(Base):
    pass


class OtherName(Base):
    @torch.jit.export
    def extend(self, tokens: Tensor, position: int, state: list[Tensor]) -> Tensor:
        return state[0]


class OtherResult(Base):
    @torch.jit.export
    def extend(self, tokens: Tensor, position: Tensor, state: list[Tensor]) -> list[Tensor]:
        return state


class OtherState(nn.Module):
    @torch.jit.export
    def init_state(self, batch: int, length: int, condition: Tensor) -> list[Tensor]:
        return [condition]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (NoExtend, "must have a method extend, marked with torch.jit.export; got NoExtend without one"),
        (OtherName, r"extend must be \(Tensor tokens, Tensor position, .* got \(Tensor, int, Tensor\[\]\) -> Tensor"),
        (OtherResult, r"extend must be .* -> Tensor; got .* -> Tensor\[\]"),
        (
            OtherState,
            r"init_state must be \(int batch, int length, Tensor\? condition\) -> .* got \(int, int, Tensor\)",
        ),
    ],
)
def test_what_is_no_stage(network, message):
    with pytest.raises(ValueError, match=r"\[exporters.script_stage\] .*" + message):
        script_stage(network())


def test_a_script_is_taken_as_it_is():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        script = torch.jit.script(Ints())
    assert script_stage(script) is script


PACKAGE = Path(brain2music.__file__).parent


def test_nothing_below_imports_the_exporters_and_transformers_is_never_needed():
    """Exporters are the sixth of the package's rows; recipes, the pipeline and the command line may use them."""
    above = {"exporters", "recipes", "pipeline", "cli"}
    for path in PACKAGE.rglob("*.py"):
        imported = re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE)
        assert "transformers" not in {name.split(".")[0] for name in imported}, path
        if path.relative_to(PACKAGE).parts[0] not in above:
            assert not [name for name in imported if name.startswith("brain2music.exporters")], path
