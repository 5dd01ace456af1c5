#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <optional>

#include "brain2music/export.h"

namespace brain2music::signal {

/// Scans in a centred window: every scan within half of `window` seconds of the middle one, so always odd; 240 s at
/// TR 1.5 s are 161 scans.
/// @throws std::invalid_argument unless both are positive and the window spans at least three scans.
B2M_API int64_t window_scans(double tr, double window);

/// Takes slow drift out of BOLD: each voxel minus its running median, run by run (Brain2Music, 2023, section 3.1: a
/// median filter of 240 s).
///
/// @param bold        (scans, voxels), any real type and strides, on CPU or CUDA.
/// @param tr          seconds from scan to scan.
/// @param window      seconds; edges are reflected as scipy.ndimage mode="reflect", again and again in a run shorter
///                    than the window.
/// @param run_lengths scans of each run, in order; no window reaches across a run. Empty: one run.
/// @param sample_mask (scans,) bool: scans to keep, as nilearn calls it. The others are left out of the median, and NaN
///                    in the result. Without it all scans are kept.
/// @return (scans, voxels), contiguous, on the device of `bold`; float32, or float64 for float64 and for integers wider
///         than 16 bits. A constant voxel becomes 0.
/// @throws std::invalid_argument on NaN or Inf (naming scan and voxel), another shape, or run lengths that do not add
///         up.
B2M_API at::Tensor median_detrend(const at::Tensor& bold, double tr = 1.5, double window = 240.0,
                                  at::IntArrayRef run_lengths = {},
                                  const std::optional<at::Tensor>& sample_mask = std::nullopt);

}  // namespace brain2music::signal
