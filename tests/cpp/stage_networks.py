"""Networks of stages for the C++ tests: a layer of attention with a cache, as it should be and spoilt in many ways."""

import warnings
from pathlib import Path

import numpy as np
import torch

INIT = """
def init_state(self, batch: int, length: int, condition: Optional[Tensor]) -> List[Tensor]:
    bias = torch.zeros(batch, 8, dtype=self.table.dtype)
    if condition is not None:
        bias = torch.nn.functional.linear(condition.to(self.table.dtype), self.conditioned)
    keys = torch.zeros(batch, length, 8, dtype=self.table.dtype)
    return [keys, torch.zeros_like(keys), bias, torch.zeros(1)]
"""
EXTEND = """
def extend(self, tokens: Tensor, position: Tensor, state: List[Tensor]) -> Tensor:
    steps = position + torch.arange(tokens.size(1))
    h = self.table[tokens] + self.place[steps] + state[2].unsqueeze(1)
    keys, values = state[0], state[1]
    keys.index_copy_(1, steps, torch.nn.functional.linear(h, self.key))
    values.index_copy_(1, steps, torch.matmul(h, self.value))
    hidden = torch.arange(keys.size(1)).unsqueeze(0) > steps.unsqueeze(1)
    scores = torch.matmul(torch.nn.functional.linear(h, self.query), keys.transpose(1, 2))
    weights = torch.softmax(scores.masked_fill(hidden, -1e9), -1)
    flat = torch.addmm(self.bias, torch.matmul(weights, values).reshape(-1, 8), self.mix)
    return torch.nn.functional.linear(h + flat.view_as(h), self.table)
"""
PARALLEL = (
    EXTEND.replace("tokens.size(1)", "tokens.size(2)")
    .replace("self.table[tokens]", "self.table[tokens].sum(1)")
    .replace(
        "return torch.nn.functional.linear(h + flat.view_as(h), self.table)",
        "return torch.stack([torch.nn.functional.linear(h + flat.view_as(h), self.table) * (n + 1.0)"
        " for n in range(2)], 1)",
    )
)


def changed(what: str, by: str, source: str = EXTEND) -> str:
    assert what in source
    return source.replace(what, by)


BRANCHES = changed(
    "    scores = torch.matmul(torch.nn.functional.linear(h, self.query), ",
    """    if h.size(0) > 1:
        query = torch.nn.functional.linear(h, self.query)
    else:
        query = torch.nn.functional.linear(h * 1, self.query)
    scores = torch.matmul(query, """,
)
NETWORKS = {
    "attention": (INIT, EXTEND),
    "parallel": (INIT, PARALLEL),
    "branches": (INIT, BRANCHES),
    # Right, but worth knowing.
    "mixes_rows": (INIT, changed("self.table[tokens]", "self.table[tokens] + self.table[tokens].mean(0, True)")),
    "reads_position": (INIT, changed("position + torch", "int(position) + torch")),
    "indexes_by_mask": (INIT, changed("    hidden", "    h = h + h[h > 0].sum() * 0\n    hidden")),
    "replaces_state": (INIT, changed(
        "    keys.index_copy_(", "    keys = keys.index_copy(").replace(
        "    hidden", "    state[0] = keys\n    hidden")),
    "counts": (INIT, changed("    keys, values", "    state[3].add_(1)\n    keys, values").replace(
        "flat.view_as(h)", "flat.view_as(h) * (state[3] > 0)")),
    "rows": (INIT, changed("self.table[tokens]", "self.table[tokens + self.first_row]")),
    # Wrong.
    "forgets": (INIT, changed("    keys.index_copy_(", "    keys = keys.index_copy(")),
    "ignores_position": (INIT, changed("position + torch", "torch")),
    "sees_the_future": (INIT, changed("scores.masked_fill(hidden, -1e9)", "scores")),
    "short_logits": (INIT, changed("self.table)", "self.table[:9])")),
    "whole_logits": (INIT, changed("self.table)", "self.table).long()")),
    "no_numbers": (INIT, changed("self.table)", "self.table).log()")),
    "grows": (INIT, changed("    hidden", "    state[0] = torch.cat([keys, keys], 1)\n    hidden")),
    "appends": (INIT, changed("    hidden", "    state.append(keys)\n    hidden")),
    "moves_position": (INIT, changed("    hidden", "    position.add_(1)\n    hidden")),
    "remembers": (INIT, changed("    hidden", "    self.pieces.add_(1)\n    hidden")),
    "fails": (INIT, changed("    hidden", "    assert keys.size(0) > 9, 'large batches only'\n    hidden")),
    "no_list": (INIT.replace("List[Tensor]", "Tensor").replace("[keys, torch.zeros_like(keys), bias, torch.zeros(1)]",
                                                              "keys"), EXTEND),
    "no_condition": (INIT.replace("Optional[Tensor]", "Tensor").replace("is not None", ".numel() > 0"), EXTEND),
}  # fmt: skip

FRAMES_INIT = """
def init_state(self, batch: int, length: int, condition: Optional[Tensor]) -> List[Tensor]:
    heard = torch.zeros(batch, 8, dtype=self.table.dtype)
    return [heard, torch.zeros_like(heard), torch.zeros(batch, 2, 8, dtype=self.table.dtype)]
"""
SOURCE = """
def source(self, codes: Tensor, position: Tensor, state: List[Tensor]) -> None:
    state[0].copy_(self.table[codes + 1].sum(1))
"""
TEMPORAL = """
def temporal(self, previous: Tensor, position: Tensor, state: List[Tensor]) -> Tensor:
    told = self.table[previous + 1].sum(1) + state[0] + self.place[position]
    state[1].mul_(0.5).add_(told)
    return torch.nn.functional.linear(state[1], self.key)
"""
DEPTH_FIRST = """
def depth_first(self, h: Tensor, state: List[Tensor]) -> Tensor:
    state[2].select(1, 0).copy_(h)
    return torch.nn.functional.linear(h, self.table)
"""
DEPTH_NEXT = """
def depth_next(self, code: Tensor, level: int, state: List[Tensor]) -> Tensor:
    state[2].select(1, level).copy_(self.table[code + 1])
    return torch.nn.functional.linear(state[2].narrow(1, 0, level + 1).sum(1), self.table)
"""


def frames(init=FRAMES_INIT, source=SOURCE, temporal=TEMPORAL, first=DEPTH_FIRST, following=DEPTH_NEXT):
    return init, source, temporal, first, following


NETWORKS |= {
    "frames": frames(),
    "frames_mix_rows": frames(temporal=changed("state[0] +", "state[0].mean(0, True) +", TEMPORAL)),
    "frames_read_position": frames(temporal=changed("self.place[position]", "self.place[int(position)]", TEMPORAL)),
    "frames_replace_state": frames(
        temporal=changed("    state[1].mul_(0.5).add_(told)", "    state[1] = state[1] * 0.5 + told", TEMPORAL)),
    "frames_add_sources": frames(source=changed("copy_(", "add_(", SOURCE)),
    "frames_return_a_source": frames(source=changed(
        "    state[0].copy_(", "    return state[0].copy_(", SOURCE).replace("-> None", "-> Tensor")),
    "frames_remember_levels": frames(following=changed(
        "    return", "    state[1].add_(self.table[code + 1])\n    return", DEPTH_NEXT)),
    "frames_need_levels": frames(temporal=changed("state[0] +", "state[0] + state[2].sum(1) +", TEMPORAL)),
    "frames_remember": frames(source=SOURCE + "    self.pieces.add_(1)\n"),
    "frames_of_one_vector": frames(temporal=changed("state[1], self.key)", "state[1], self.key)[0]", TEMPORAL)),
    "frames_without_numbers": frames(temporal=changed("state[1], self.key)", "state[1], self.key).log()", TEMPORAL)),
    "frames_of_short_logits": frames(following=changed("self.table)", "self.table[:9])", DEPTH_NEXT)),
    "frames_of_whole_logits": frames(first=changed("self.table)", "self.table).long()", DEPTH_FIRST)),
    "frames_change_inputs": frames(temporal=changed(
        "    told", "    previous.add_(1).sub_(2)\n    told", TEMPORAL).replace("previous + 1", "previous + 2")),
    "frames_grow": frames(following=changed("    return", "    state.append(code)\n    return", DEPTH_NEXT)),
}  # fmt: skip


def write(folder: Path) -> None:
    """Writes NAME.pt for each network."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sources in NETWORKS.items():

        class Network(torch.jit.ScriptModule):  # a class of its own for each, or torch takes them for one
            def __init__(self) -> None:
                super().__init__()
                torch.manual_seed(0)
                sizes = {"table": 10, "place": 16, "key": 8, "value": 8, "query": 8, "mix": 8, "conditioned": 8}
                for parameter, rows in sizes.items():
                    columns = 5 if parameter == "conditioned" else 8
                    setattr(self, parameter, torch.nn.Parameter(torch.randn(rows, columns)))
                self.bias = torch.nn.Parameter(torch.randn(8))
                self.register_buffer("pieces", torch.zeros(1))
                self.register_buffer("first_row", torch.zeros(1, dtype=torch.int64))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = Network()
            for source in sources:
                module.define(source)
            module.eval().save(folder / f"{name}.pt")
        if name == "attention":
            save_logits(folder, module)


def save_logits(folder: Path, module: torch.jit.ScriptModule) -> None:
    """What torch makes of a network that is not frozen: tokens (2, 5), condition (2, 5), logits (2, 5, 10)."""
    tokens, condition = torch.randint(10, (2, 5)), torch.randn(2, 5)
    with torch.inference_mode():
        logits = module.extend(tokens, torch.tensor(0), module.init_state(2, 5, condition))
    for array, values in {"tokens": tokens, "condition": condition, "logits": logits}.items():
        np.save(folder / f"{array}.npy", values.numpy())
