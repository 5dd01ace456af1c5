#!/usr/bin/env bash
# nibabel 5.4.2: reading an MGH file that does not say where its voxels lie, the header says that it does.
#
# Expected: FreeSurfer's MGH has goodRASFlag: "if 0, the direction cosines and the centre are not set, assume 1 mm isotropic
# and coronal". A header read from such a file should still hold 0, as a NIfTI header read by nibabel keeps both codes 0.
# Seen: nibabel.load fills in the coronal default and sets goodRASFlag to 1 in the header it hands out. Nothing in the image
# shows that left, right and voxel size were assumed, and a copy saved from it claims them.
# Why it matters: labels such as aparc.a2009s+aseg.mgz are laid on BOLD by their affine; a guess there moves every region.
# b2m.Study reads the flag from the file itself.
# What a user can do: read bytes 28 and 29 of the (decompressed) file, big-endian; where they are 0, set the affine by hand.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nibabel==5.4.2
cd "$folder"
venv/bin/python - <<'PYTHON'
import gzip

import nibabel as nib
import numpy as np

data = np.arange(120, dtype=np.int32).reshape(6, 5, 4)
nib.save(nib.MGHImage(data, np.diag([-2.0, 2, 2, 1])), "labels.mgz")
stored = bytearray(gzip.open("labels.mgz").read())
stored[28:30] = bytes(2)
with gzip.open("unknown.mgz", "wb") as file:
    file.write(stored)
image = nib.load("unknown.mgz")
nib.save(image, "copy.mgz")
flags = int.from_bytes(gzip.open("unknown.mgz").read(30)[28:], "big"), int(image.header["goodRASFlag"])
copied = int.from_bytes(gzip.open("copy.mgz").read(30)[28:], "big")
print(f"goodRASFlag: in the file {flags[0]}, in nibabel's header {flags[1]}, in a copy {copied}")
print("voxels: stored as 2 mm, read as", image.header.get_zooms(), "mm; affine", image.affine.tolist())
assert (*flags, copied) == (0, 1, 1), "nibabel keeps the flag now"
PYTHON
