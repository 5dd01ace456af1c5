#!/usr/bin/env bash
# torch 2.11.0: torch.jit.save of one and the same module gives other bytes in each process.
#
# Expected: a module of equal weights, saved twice by one version of torch, gives equal files, so that a checksum identifies a
# trained network. Neither the documentation of torch.jit.save nor its notes on reproducibility say otherwise.
# What happens: attributes that become constants ("in_channels : Final[int] = 2") are collected in a Python set of str, whose
# order depends on PYTHONHASHSEED, and written in that order. The code in the file has its lines in another order in each
# process; the weights are the same. With one PYTHONHASHSEED the files are equal byte by byte.
# Why it matters here: a bundle names each network by the SHA-256 of its file. A recipe that trains the same weights again would
# seem to have made another network. brain2music writes the constants of a script in the order of the alphabet.
# What a user can do: set PYTHONHASHSEED for the process that saves, or compare weights in place of files.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.11.0 numpy==2.2.6
cd "$folder"
cat >save.py <<'PYTHON'
import hashlib
import io
import re
import sys
import warnings
import zipfile

import torch

warnings.simplefilter("ignore")  # that TorchScript is deprecated
torch.manual_seed(0)
module = torch.nn.Conv1d(2, 2, 3)
file = io.BytesIO()
torch.jit.save(torch.jit.script(module), file)
archive = zipfile.ZipFile(file)
source = next(name for name in archive.namelist() if name.endswith("conv.py"))
constants = re.findall(r"(\w+) : Final", archive.read(source).decode())
weights = b"".join(value.detach().numpy().tobytes() for value in module.state_dict().values())
print(hashlib.sha256(file.getvalue()).hexdigest()[:12], hashlib.sha256(weights).hexdigest()[:12], *constants)
PYTHON
cat >compare.py <<'PYTHON'
import os
import subprocess
import sys


def saved(seed):
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    text = subprocess.run([sys.executable, "save.py"], env=environment, check=True, capture_output=True, text=True).stdout
    print(f"PYTHONHASHSEED={seed}:", text.strip())
    return text.split()


runs = [saved(seed) for seed in (0, 1, 2, 1)]
files, weights = ([run[i] for run in runs] for i in (0, 1))
constants = [run[2:] for run in runs]
same_weights = len(set(weights)) == 1
other_files = len(set(files[:3])) == 3 and files[1] == files[3]
only_order = all(sorted(one) == sorted(constants[0]) for one in constants) and constants[0] != constants[1]
print("weights equal:", same_weights, "| files differ by seed:", other_files, "| by the order of constants:", only_order)
sys.exit(not (same_weights and other_files and only_order))
PYTHON
venv/bin/python compare.py
