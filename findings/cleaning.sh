#!/usr/bin/env bash
# nibabel 5.4.2, nilearn 0.14.1: an image that does not say where its voxels lie says so after one step.
#
# Expected: the NIfTI-1 standard (nifti1.h, METHOD 1) says of qform_code = sform_code = 0 that no orientation is known: "this
# method is not recommended, and is present mainly for compatibility with ANALYZE 7.5 files". nibabel then makes an affine
# up from the voxels' sizes: centred, and with x flipped (default_x_flip), as its documentation of get_base_affine says.
# A copy of such an image should still have both codes 0.
# Seen: nilearn's image functions (new_img_like, mean_img, smooth_img), and nibabel's own Nifti1Image(data, image.affine)
# without the header, write the made-up affine with sform_code 2, "aligned". Left and right were guessed, and from then on
# nothing shows it. nibabel keeps the codes only where the header is passed on too and the affine is not touched.
# Why it matters: b2m.Study refuses labels and masks beside images without orientation, but a mask that was smoothed or
# averaged by nilearn first passes for one that has it, and matches the BOLD that it came from only by the same guess.
# What a user can do: look at the codes of the first image of a chain (nib-ls, or header["sform_code"]), and set the true
# affine there (image.set_sform(affine, 1)) before anything else is computed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nibabel==5.4.2 nilearn==0.14.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import warnings

import nibabel as nib
import numpy as np

warnings.simplefilter("ignore")
from nilearn.image import mean_img, new_img_like, smooth_img

header = nib.Nifti1Header()
header.set_data_dtype(np.float32)
header.set_data_shape((6, 5, 4, 3))
header.set_zooms((2, 2, 2, 1.5))
header["vox_offset"], header["magic"] = 352, b"n+1"
data = np.arange(360, dtype=np.float32).reshape(6, 5, 4, 3)
with open("unknown.nii", "wb") as file:
    file.write(header.binaryblock + bytes(4) + data.tobytes(order="F"))


def codes(image):
    nib.save(image, "copy.nii")
    saved = nib.load("copy.nii").header
    return int(saved["qform_code"]), int(saved["sform_code"])


image = nib.load("unknown.nii")
first = nib.Nifti1Image(data[..., 0], image.affine, image.header)
seen = {
    "as it is": codes(image),
    "nibabel, header passed on": codes(nib.Nifti1Image(data, image.affine, image.header)),
    "nibabel, affine alone": codes(nib.Nifti1Image(data, image.affine)),
    "new_img_like": codes(new_img_like(image, data)),
    "mean_img": codes(mean_img(image)),
    "smooth_img": codes(smooth_img(image, 4)),
}
print("affine made up:", image.affine[:3].tolist())
for name, pair in seen.items():
    print(f"{name}: qform_code {pair[0]}, sform_code {pair[1]}")
assert image.affine[0, 0] == -2, image.affine
assert seen["as it is"] == seen["nibabel, header passed on"] == (0, 0), seen
changed = [name for name in ("nibabel, affine alone", "new_img_like", "mean_img", "smooth_img") if seen[name][1] == 0]
assert not changed, f"these keep the codes now: {changed}"
PYTHON
