#!/usr/bin/env bash
# nilearn 0.14.1: a surface image of several scans that nilearn saved is read back transposed.
#
# Expected: SurfaceImage holds (vertices, scans). `PolyData.to_filename`, "Save data to gifti", and `load_surf_data`, or
# SurfaceImage of the file's path, should give the array that was saved.
# What happens: to_filename writes one GIFTI array of two dimensions, (vertices, scans). load_surf_data expects one array for
# each scan, and transposes what it finds, so that it returns (scans, vertices). SurfaceImage then refuses nilearn's own
# file: "Data shape does not match number of vertices". Where there are as many scans as vertices, nothing tells of it.
# nibabel's agg_data reads the file as it was saved. A file of one map, and a file with one array for each scan, are read well.
# Why it matters here: fMRIPrep writes one array for each scan, nilearn and others one array of two dimensions. GIFTI allows
# both. brain2music's reader takes both.
# What a user can do: read such a file with nibabel, `nibabel.load(path).darrays[0].data`, or save one array for each scan.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nilearn==0.14.1 nibabel==5.4.2 numpy==2.2.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import nibabel as nib
import numpy as np
from nilearn.surface import InMemoryMesh, PolyData, SurfaceImage, load_surf_data

vertices, scans = 4, 3
mesh = InMemoryMesh(np.eye(4, 3, dtype=np.float32), np.array([[0, 1, 2], [1, 2, 3]]))
data = np.arange(vertices * scans, dtype=np.float32).reshape(vertices, scans)
SurfaceImage({"left": mesh}, {"left": data}).data.to_filename("bold_hemi-L.gii")
loaded = load_surf_data("bold_hemi-L.gii")
by_nibabel = nib.load("bold_hemi-L.gii").darrays[0].data
print(f"saved {data.shape}; load_surf_data gives {loaded.shape}, nibabel {by_nibabel.shape}")
try:
    SurfaceImage({"left": mesh}, {"left": "bold_hemi-L.gii"})
    refused = False
except ValueError as error:
    refused = True
    print("SurfaceImage of the file:", str(error).replace("\n", " "))

PolyData(left=data[:, 0]).to_filename("map_hemi-L.gii")
nib.save(nib.GiftiImage(darrays=[nib.gifti.GiftiDataArray(scan) for scan in data.T.copy()]), "scans_hemi-L.gii")
one_each = load_surf_data("scans_hemi-L.gii")
print(f"one array for each scan: load_surf_data gives {one_each.shape}")

square = np.arange(16, dtype=np.float32).reshape(4, 4)
PolyData(left=square).to_filename("square_hemi-L.gii")
read = SurfaceImage({"left": mesh}, {"left": "square_hemi-L.gii"}).data.parts["left"]
print(f"4 scans of 4 vertices: the first vertex was {square[0].tolist()}, and is read as {read[0].tolist()}")
assert np.array_equal(by_nibabel, data) and np.array_equal(one_each, data)
assert np.array_equal(load_surf_data("map_hemi-L.gii"), data[:, 0])
assert np.array_equal(loaded, data.T) and np.array_equal(read, square.T) and refused, "the file is read as saved now"
PYTHON
