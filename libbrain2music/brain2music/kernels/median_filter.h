#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <optional>

#include "brain2music/export.h"

namespace brain2music::kernels {

/// What median_filter returns: the running median itself, or the input minus it.
enum class MedianOutput : std::uint8_t { trend, residual };

/// Running median along the first axis, each run on its own, edges reflected as scipy.ndimage does by default
/// (`d c b a | a b c d | d c b a`; a run shorter than the window is reflected again and again).
///
/// @param x           (scans, voxels) float32 or float64 on CPU or CUDA, any strides.
/// @param size        window in scans, odd.
/// @param run_lengths scans of each run, in order, adding up to `scans`; empty: one run.
/// @param output      the median, or `x` minus it.
/// @param kept        (scans,) bool, on any device: the others are left out of every window, and NaN in the result. The
///                    median of an even number of scans is the mean of the two in the middle, as numpy.nanmedian has
///                    it. Without it all scans count.
/// @return (scans, voxels), contiguous, of the type and on the device of `x`; equal to the last bit to
///         scipy.ndimage.median_filter(run, size=(size, 1), mode="reflect") on finite input, but for the sign of a
///         zero. NaN sorts above every number (below, with its sign bit set); callers who mean something else check
///         first.
/// @throws std::invalid_argument on another shape, type, an even window, run lengths that do not add up, and, on CUDA,
///         a window too long for a block's shared memory (more than about 3,000 scans in float32).
B2M_API at::Tensor median_filter(const at::Tensor& x, int64_t size, at::IntArrayRef run_lengths = {},
                                 MedianOutput output = MedianOutput::trend,
                                 const std::optional<at::Tensor>& kept = std::nullopt);

}  // namespace brain2music::kernels
