#!/usr/bin/env bash
# torch 2.11.0: SiLU, sigmoid and GELU (tanh) of a number depend on the number's place in the tensor.
#
# Expected: SiLU is applied "element-wise" (documentation of torch.nn.functional.silu), so equal numbers in one tensor get
# equal results.
# What happens: on a CPU the operation works on two vectors at a time. What is left over is computed number by number with
# other functions, which round otherwise. In a tensor of 24 numbers with AVX2 the last 8 are left over; with AVX-512, whose
# vectors are twice as long, it is the last 16 of 48. The differences are at most 5e-7. GELU without approximation, tanh,
# exp and sin give equal results.
# Why it matters here: a network's row in a batch may get another result than the same row alone, if the width of a layer is
# not a multiple of two vectors. Where a model draws random choices from its results, one bit can change the choice. A width
# of 48 is such a multiple with AVX2, and is not with AVX-512, so tests pass on one machine and fail on another.
# What a user can do: take widths that are multiples of 32 numbers, or compare rows alone and in a batch first.
# This script needs a processor with AVX2; ATEN_CPU_CAPABILITY keeps PyTorch to it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.11.0 numpy==2.2.6
cd "$folder"
cat >tail.py <<'PYTHON'
import torch
from torch.nn import functional

torch.set_num_threads(1)
capability = torch.backends.cpu.get_cpu_capability()
numbers = torch.linspace(-4, 4, 2001)
activations = {
    "silu": functional.silu,
    "sigmoid": torch.sigmoid,
    "gelu, tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu": functional.gelu,
    "tanh": torch.tanh,
    "exp": torch.exp,
    "sin": torch.sin,
}
for name, activation in activations.items():
    rows = [activation(torch.full((24,), float(number))) for number in numbers]
    results = torch.stack(rows)
    odd = results != results[:, :1]
    places = odd.any(0).nonzero().flatten().tolist()
    largest = float((results - results[:, :1]).abs().max())
    print(f"{capability}, 24 equal numbers, {name}: places {places} differ from the first, by {largest:.1e} at most")
    expected = list(range(16, 24)) if name in ("silu", "sigmoid", "gelu, tanh") else []
    assert capability == "AVX2" and places == expected, "the behaviour has changed"
PYTHON
ATEN_CPU_CAPABILITY=avx2 venv/bin/python tail.py
echo "As described: the last 8 of 24 equal numbers get other results."
