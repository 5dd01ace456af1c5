#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include "brain2music/export.h"

namespace brain2music::kernels {

/// Each column to mean 0 and standard deviation 1 (ddof 0) within each run: scipy.stats.zscore(run, axis=0, ddof=0),
/// except that a column whose values in a run are all equal becomes 0 there, as in scikit-learn's StandardScaler.
/// Mean and variance are taken in float64, in two passes.
///
/// @param x           (scans, voxels) float32 or float64 on CPU or CUDA, any strides.
/// @param run_lengths scans of each run, in order, adding up to `scans`; empty: one run.
/// @return (scans, voxels), contiguous, of the type and on the device of `x`; NaN or Inf makes its column NaN in that
///         run.
/// @throws std::invalid_argument on another shape or type, or run lengths that do not add up.
B2M_API at::Tensor standardize(const at::Tensor& x, at::IntArrayRef run_lengths = {});

}  // namespace brain2music::kernels
