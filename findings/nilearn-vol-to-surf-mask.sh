#!/usr/bin/env bash
# nilearn 0.14.1: the mask of vol_to_surf lies half a voxel aside, and the side depends on how the image is stored.
#
# Expected: `vol_to_surf(mask_img=...)`: "Samples falling out of this mask or out of the image are ignored." A voxel reaches
# half a voxel to each side of its centre, as the affine says. An image that is mirrored in the file, with its affine, is the
# same image in space, so that its projection is the same.
# What happens: with interpolation="linear", the mask is read at floor(coordinate), not at the nearest voxel. A mask of voxels
# 4 to 7 keeps samples from 4.0 to 8.0 in place of 3.5 to 7.5. A copy stored the other way round keeps 3.0 to 7.0. The border
# of the image is treated so as well. Without a mask, and inside the image, both copies give one projection.
# Why it matters here: a mask of the cortex is one or two voxels thick. Half a voxel on each axis drops samples of grey matter,
# and keeps samples beside it. An image and its copy from nibabel.as_closest_canonical give other responses for one brain.
# What a user can do: leave mask_img out, and set voxels outside the mask to NaN. nilearn drops a sample that touches one, on
# both sides alike.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nilearn==0.14.1 nibabel==5.4.2 numpy==2.2.6
"$folder/venv/bin/python" - <<'PYTHON'
import warnings

import nibabel as nib
import numpy as np
from nilearn.surface import InMemoryMesh, vol_to_surf

warnings.simplefilter("ignore")  # that some vertices have no sample
size = 12
values = np.random.default_rng(0).standard_normal((size, size, size))
inside = np.zeros(values.shape, np.uint8)
inside[4:8, 4:8, 4:8] = 1
affine = np.diag([2.0, 2, 2, 1])
mirrored = np.array([[-2.0, 0, 0, 2 * (size - 1)], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
# Vertices on a line through voxel centres along x, a tenth of a voxel apart; faces are needed, and do nothing at depth 0.
x = np.arange(-95, size * 100 + 90, 10) / 100
mesh = InMemoryMesh(2 * np.stack([x, np.full_like(x, 5), np.full_like(x, 5)], axis=1), np.array([[0, 1, 2]]))


def projected(mask=None, marked=False):
    """Return the projection of the image, and of its mirrored copy."""
    data = np.where(inside, values, np.nan) if marked else values
    images = nib.Nifti1Image(data, affine), nib.Nifti1Image(data[::-1], mirrored)
    masks = (None, None) if mask is None else (nib.Nifti1Image(mask, affine), nib.Nifti1Image(mask[::-1], mirrored))
    return [vol_to_surf(i, mesh, kind="line", depth=[0.0], mask_img=m) for i, m in zip(images, masks, strict=True)]


def kept(found):
    """Return from where to where vertices have a value, in voxels."""
    return tuple(round(float(edge), 2) for edge in (x[~np.isnan(found)].min() - 0.05, x[~np.isnan(found)].max() + 0.05))


seen = {
    "image alone, where voxels reach from -0.5 to 11.5": [kept(found) for found in projected()],
    "mask of voxels 3.5 to 7.5": [kept(found) for found in projected(inside)],
    "NaN outside these voxels": [kept(found) for found in projected(marked=True)],
}
for name, (stored, copy) in seen.items():
    print(f"{name}: kept {stored}, kept in the mirrored copy {copy}")
straight, copy = projected()
both = ~np.isnan(straight) & ~np.isnan(copy) & (x > 0) & (x < size - 1)
print(f"largest difference of the two projections inside the image, without a mask: {np.abs(straight - copy)[both].max():.0e}")
assert np.allclose(straight[both], copy[both])
assert list(seen.values()) == [[(0, 12), (-1, 11)], [(4, 8), (3, 7)], [(4, 7), (4, 7)]], "the mask lies elsewhere now"
PYTHON
