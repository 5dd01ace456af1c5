#!/usr/bin/env bash
# safetensors 0.8.0: safetensors.numpy saves an array in Fortran order with its values at other places.
#
# Expected: safetensors.numpy.save says that arrays "need to be contiguous and dense". An array in Fortran order is both, and
# comes back as it was from safetensors 0.7.0.
# What happens: 0.8.0 writes the array's memory as it lies, beside a shape that is read in C order. What is loaded has the
# right shape and the right values at the wrong places, without an error or a warning. The library's issue 825 tells of it.
# Why it matters here: scikit-learn 1.9 keeps Ridge.coef_ of several targets and PCA.components_ in Fortran order, and a
# transposed array is in Fortran order. A decoder whose weights were saved so predicts noise.
# What a user can do: save np.ascontiguousarray(array), or stay with safetensors 0.7.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 0.7.0 0.8.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet safetensors==$version numpy==2.2.6
done
cat >"$folder/order.py" <<'PYTHON'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, save

array = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
back = load(save({"x": array}))["x"]
copied = load(save({"x": np.ascontiguousarray(array)}))["x"]
print(f"safetensors {safetensors.__version__}: saved {array.tolist()}, loaded {back.tolist()}")
print(f"  saved from a copy in C order, loaded {copied.tolist()}")
kept = np.array_equal(back, array)
sys.exit(not (np.array_equal(copied, array) and kept == (safetensors.__version__ == "0.7.0")))
PYTHON
for version in 0.7.0 0.8.0; do
  "$folder/$version/bin/python" "$folder/order.py"
done
