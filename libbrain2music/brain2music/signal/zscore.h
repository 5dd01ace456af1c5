#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include "brain2music/export.h"

namespace brain2music::signal {

/// Each voxel to mean 0 and variance 1 (ddof 0) within each run (Brain2Music, 2023, section 3.1).
///
/// @param bold        (scans, voxels), any real type and strides, on CPU or CUDA.
/// @param run_lengths scans of each run, in order. Empty: one run.
/// @return (scans, voxels), contiguous, on the device of `bold`; float32, or float64 for float64 and for integers wider
///         than 16 bits. A voxel that is constant in a run becomes 0 there.
/// @throws std::invalid_argument on NaN or Inf (naming scan and voxel), another shape, or run lengths that do not add
///         up.
B2M_API at::Tensor zscore(const at::Tensor& bold, at::IntArrayRef run_lengths = {});

}  // namespace brain2music::signal
