#!/usr/bin/env bash
# nilearn 0.14.1: vol_to_surf(interpolation="nearest_most_frequent") takes the smallest of values that are equally frequent.
#
# Expected: "Use the most frequent value in the neighborhood (out of the `n_samples` samples) instead of the mean value. This
# is useful when the image is a deterministic atlas." The documentation does not say which value is taken where several are
# equally frequent. It says that where all samples lie outside of the image, "the projection at this vertex will be numpy.nan".
# What happens: the smallest value is taken. In an atlas, the background 0 wins each tie, and between two areas the one with
# the smaller number, so that another numbering gives another map. In an image of measured values no value is frequent: the
# projection is the smallest sample, and a map of noise has a negative mean. A vertex outside of the image raises ValueError.
# Why it matters here: labels of regions are projected so. "nearest", which took the mean of the nearest voxels, was removed,
# and responses that are now projected with the other "nearest" are biased downwards. More samples give a larger bias.
# What a user can do: give one depth for labels, such as depth=[0.5]; use interpolation="linear" for all that is measured.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nilearn==0.14.1 nibabel==5.4.2 numpy==2.2.6
"$folder/venv/bin/python" - <<'PYTHON'
import nibabel as nib
import numpy as np
from nilearn.surface import InMemoryMesh, vol_to_surf

rng = np.random.default_rng(0)
size, vertices = 40, 3000
outer = rng.uniform(8, 2 * size - 12, (vertices, 3))
direction = rng.standard_normal((vertices, 3))
inner = outer + 4 * direction / np.linalg.norm(direction, axis=1, keepdims=True)
faces = np.arange(vertices).reshape(-1, 3)
pial, white = InMemoryMesh(outer, faces), InMemoryMesh(inner, faces)


def projected(values, interpolation, **options):
    image = nib.Nifti1Image(values, np.diag([2.0, 2, 2, 1]))
    return vol_to_surf(image, pial, inner_mesh=white, interpolation=interpolation, **options)


noise = rng.standard_normal((size, size, size))
means = {}
for depths in ((0.5,), (0.0, 1.0), (0.0, 0.5, 1.0)):
    for interpolation in ("linear", "nearest_most_frequent"):
        mean = means[len(depths), interpolation] = projected(noise, interpolation, depth=list(depths)).mean()
        print(f"noise of mean 0 and deviation 1, samples: {len(depths)}, {interpolation}: mean {mean:.2f}")

areas = rng.integers(0, 2, noise.shape)  # two areas; each voxel is in one or the other
shares = {}
for numbers in ((0, 7), (7, 9), (9, 7)):
    found = projected(np.array(numbers, np.int32)[areas], "nearest_most_frequent", depth=[0.0, 1.0])
    shares[numbers] = (found == numbers[0]).mean()
    print(f"two areas of equal size, numbered {numbers}, 2 samples: {shares[numbers]:.0%} of vertices in the first")

far = InMemoryMesh(outer + 1000, faces)
try:
    vol_to_surf(nib.Nifti1Image(noise, np.eye(4)), far, interpolation="nearest_most_frequent")
    raised = False
except ValueError as error:
    raised = True
    print("vertices outside of the image: ValueError:", error)
few = means[2, "nearest_most_frequent"], means[3, "nearest_most_frequent"]
assert all(abs(means[count, "linear"]) < 0.1 for count in (1, 2, 3))
assert abs(means[1, "nearest_most_frequent"]) < 0.1
assert few[1] < few[0] < -0.4, "the smallest value is no longer taken"
assert shares[0, 7] > 0.6 and shares[7, 9] > 0.6 and shares[9, 7] < 0.4 and raised
PYTHON
