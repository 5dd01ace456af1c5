#!/usr/bin/env bash
# torch 2.11.0: a scripted function that returns torch.zeros(3) returns one and the same tensor at every call.
#
# Expected: "As a subset of Python, any valid TorchScript function is also a valid Python function" (TorchScript Language
# Reference), which "explains [...] how the language diverges from regular Python" and names no such thing. In Python,
# torch.zeros(3) is a new tensor at every call.
# What happens: a tensor that is made from constants alone, and returned as it is, is made once. Each call returns that tensor,
# so that a caller who changes it in place changes what later calls return. torch.jit.script alone does that, also after the
# file was saved and loaded, and where the size is in __constants__. Where the size is a plain attribute, torch.jit.freeze
# begins to do it. Where the size is an argument, every call returns a new tensor.
# Why it matters here: a network's init_state returns empty caches that are then written in place. The second piece of music
# would begin with the caches of the first. brain2music clones what init_state returns.
# What a user can do: give sizes as arguments, or clone what a scripted function returned before changing it in place.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.11.0 numpy==2.2.6
cd "$folder"
cat >fresh.py <<'PYTHON'
import io
import sys
import warnings

import torch

warnings.simplefilter("ignore")  # that TorchScript is deprecated


def fresh():
    return torch.zeros(3)


def sized(n: int):
    return torch.zeros(n)


class Attribute(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.size = 3

    def forward(self):
        return torch.zeros(self.size)


class Constant(Attribute):
    __constants__ = ["size"]


def second(function, *arguments):
    """What a second call returns, where 1 was added in place to what the first returned."""
    first = function(*arguments)
    first += 1
    return function(*arguments).tolist()


file = io.BytesIO()
torch.jit.save(torch.jit.script(fresh), file)
file.seek(0)
old, new = [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]
seen = {
    "Python": (second(fresh), new),
    "script": (second(torch.jit.script(fresh)), old),
    "script, saved and loaded": (second(torch.jit.load(file)), old),
    "script, size in __constants__": (second(torch.jit.script(Constant().eval())), old),
    "script, size an attribute": (second(torch.jit.script(Attribute().eval())), new),
    "script, size an attribute, frozen": (second(torch.jit.freeze(torch.jit.script(Attribute().eval()))), old),
    "script, size an argument": (second(torch.jit.script(sized), 3), new),
}
print("torch", torch.__version__)
for name, (got, _) in seen.items():
    print(f"{name}: the second call returns {got}")
sys.exit(any(got != described for got, described in seen.values()))
PYTHON
venv/bin/python fresh.py
