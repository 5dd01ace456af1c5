"""From a module to the script that a bundle holds, and what keeps such a script out of a CUDA graph."""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

__all__ = ["script_stage", "scripted", "value_reads"]

_INIT_STATE = ("int batch, int length, Tensor? condition", "Tensor[]")
#: Arguments and result of each method: of the families ``tokens`` and ``parallel``, and of the family ``frames``.
_SEQUENCE = {
    "init_state": _INIT_STATE,
    "extend": ("Tensor tokens, Tensor position, Tensor[] state", "Tensor"),
}
_FRAMES = {
    "init_state": _INIT_STATE,
    "source": ("Tensor codes, Tensor position, Tensor[] state", "NoneType"),
    "temporal": ("Tensor previous, Tensor position, Tensor[] state", "Tensor"),
    "depth_first": ("Tensor h, Tensor[] state", "Tensor"),
    "depth_next": ("Tensor code, int level, Tensor[] state", "Tensor"),
}

#: Operations that wait for the device and read a tensor's value, where their first input is a tensor.
_READS = frozenset(
    f"aten::{name}"
    for name in (
        *("Bool", "BoolImplicit", "Complex", "ComplexImplicit", "Float", "FloatImplicit", "Int", "IntImplicit"),
        *("ScalarImplicit", "_local_scalar_dense", "allclose", "cpu", "equal", "is_nonzero", "item", "masked_select"),
        *("nonzero", "tolist", "unique_consecutive", "_unique2"),
    )
)


def scripted(module: nn.Module) -> torch.jit.ScriptModule:
    """Script a module, in evaluation mode, without the warning that TorchScript is deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        script: torch.jit.ScriptModule = torch.jit.script(module).eval()
    return script


def script_stage(module: nn.Module) -> torch.jit.ScriptModule:
    """Script a stage, in evaluation mode, and check that it has the methods of its family.

    Parameters
    ----------
    module : Module
        A network with the methods ``init_state(batch: int, length: int, condition: Optional[Tensor]) -> List[Tensor]``
        and ``extend(tokens: Tensor, position: Tensor, state: List[Tensor]) -> Tensor``, or with ``init_state`` and the
        four methods of the family ``frames``, all marked with ``torch.jit.export``. A ``forward`` for training is left
        out where it is marked with ``torch.jit.ignore``. The module itself is not changed; it shares its weights with
        the script.

    Returns
    -------
    ScriptModule
        The script, as a bundle's stage holds it; ``torch.jit.save`` writes it.

    Raises
    ------
    ValueError
        If a method is missing, or takes or gives something else.
    """
    script = scripted(module)
    for method, (arguments, result) in (_FRAMES if hasattr(script, "temporal") else _SEQUENCE).items():
        if not hasattr(script, method):
            raise ValueError(
                f"[exporters.script_stage] a stage must have a method {method}, marked with torch.jit.export; got "
                f"{type(module).__name__} without one"
            )
        schema = getattr(script, method).schema
        taken = [str(argument.type) for argument in schema.arguments[1:]]
        given = [str(value.type) for value in schema.returns]
        wanted = [argument.rpartition(" ")[0] for argument in arguments.split(", ")]
        if [_short(name) for name in taken] != wanted or [_short(name) for name in given] != [result]:
            raise ValueError(
                f"[exporters.script_stage] {method} must be ({arguments}) -> {result}; got "
                f"({', '.join(map(_short, taken))}) -> {', '.join(map(_short, given))}"
            )
    return script


def value_reads(script: torch.jit.ScriptModule, method: str = "extend") -> list[str]:
    """List the operations of a method that read a tensor's value, which no captured CUDA graph may do.

    Parameters
    ----------
    script : ScriptModule
        A stage's script, frozen or not.
    method : str
        The method to look through, with all that it calls.

    Returns
    -------
    list of str
        One entry for each operation: its name, and the line of the source that asks for it. Empty where the method can
        be captured.
    """
    graph = getattr(script, method).inlined_graph
    return [f"{node.kind()} at {node.sourceRange().strip()}" for node in _nodes(graph) if _reads(node)]


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _reads(node: Any) -> bool:
    inputs = list(node.inputs())
    return node.kind() in _READS and bool(inputs) and inputs[0].type().isSubtypeOf(torch._C.TensorType.get())


def _short(name: str) -> str:
    """Write a type as schemas do: ``Tensor?`` for ``Optional[Tensor]``."""
    return name.replace("Optional[Tensor]", "Tensor?").replace("List[Tensor]", "Tensor[]")
