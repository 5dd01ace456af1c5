#!/usr/bin/env bash
# nilearn 0.14.1: labels of type uint16, uint32 and uint64 are saved modulo 256.
#
# Expected: `PolyData.to_filename`: "Save data to gifti." What is loaded from the file should be what was saved, or an error
# should say that it does not fit. GIFTI has 32-bit integers, which hold each uint16.
# What happens: the function that writes the file casts uint16, uint32 and uint64 to uint8. Label 256 becomes 0, which is the
# background, 300 becomes 44, and two areas become one. There is no error and no warning. Signed integers of 16 and 32 bits
# are saved as they are, as 32-bit integers.
# Why it matters here: a parcellation of the cortex has hundreds of areas; Schaefer's has up to 1000, Glasser's 360. Unsigned
# integers of 16 bits are what one takes to store them.
# What a user can do: give SurfaceImage or PolyData dtype="int32".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nilearn==0.14.1 nibabel==5.4.2 numpy==2.2.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import warnings

import numpy as np
from nilearn.surface import PolyData, load_surf_data

labels = [0, 1, 255, 256, 300, 1000]
seen = {}
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for kind in ("uint16", "uint32", "uint64", "int16", "int32"):
        PolyData(left=np.array(labels, kind)).to_filename("labels_hemi-L.gii")
        seen[kind] = load_surf_data("labels_hemi-L.gii").tolist()
        print(f"{kind}: saved {labels}, loaded {seen[kind]}")
    PolyData(left=np.array(labels, "uint16"), dtype="int32").to_filename("labels_hemi-L.gii")
    told = [str(warning.message) for warning in told]
assert load_surf_data("labels_hemi-L.gii").tolist() == labels == seen["int16"] == seen["int32"]
wrapped = [label % 256 for label in labels]
assert seen["uint16"] == seen["uint32"] == seen["uint64"] == wrapped and not told, "labels are saved otherwise now"
PYTHON
