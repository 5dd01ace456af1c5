#!/usr/bin/env bash
# voxelwise-tutorials 0.2.3: zscore_runs of integers returns integers, of which two thirds are 0.
#
# Expected: `zscore_runs`: "Perform z-scoring of fMRI data within each run"; it returns "fMRI responses z-scored within each
# run". Scanners write 16-bit integers. scipy.stats.zscore, which it calls, returns floating point for them.
# What happens: the result is cast back to the type of the data. Integers lose their fraction, towards zero. Two thirds of
# all scans become 0, and the deviation is about 0.7 in place of 1. There is no error and no warning.
# Why it matters here: this is the library of the tutorials on voxelwise encoding models, and brain2music's encoder is tested
# against its Delayer. Correlations with such responses are too low by about a tenth, and nothing tells of it.
# What a user can do: zscore_runs(data.astype("float32"), run_onsets).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.2.6 scipy==1.15.3 scikit-learn==1.7.2
"$folder/venv/bin/pip" install --quiet --no-deps voxelwise-tutorials==0.2.3  # the rest draws what is not used here
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from voxelwise_tutorials.utils import zscore_runs

rng = np.random.default_rng(0)
signal = rng.standard_normal(400)
bold = (1000 + 20 * (signal + rng.standard_normal(400))).astype(np.int16)[:, None]
found = {kind: zscore_runs(bold.astype(kind), [0, 200])[:, 0] for kind in ("int16", "float32")}
for kind, z in found.items():
    r = np.corrcoef(signal, z)[0, 1]
    first, zeros = z[:6].astype(float).round(2).tolist(), (z == 0).mean()
    print(f"{kind}: {first}, type {z.dtype}, deviation {z.std():.2f}, {zeros:.0%} zeros, r {r:.2f}")
print("all values of the int16 result:", np.unique(found["int16"]).tolist())
assert abs(found["float32"].std() - 1) < 1e-3
assert np.array_equal(found["int16"], found["float32"].astype(np.int16)), "z-scores keep their fraction now"
assert (found["int16"] == 0).mean() > 0.5
PYTHON
