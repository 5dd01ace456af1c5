#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <string_view>

namespace brain2music::signal {

/// BOLD as the kernels take it. Checks that it is (scans, voxels) with at least one scan, that the run lengths add up
/// and that every value is finite; integers of up to 16 bits and half precision become float32 (exactly), wider
/// integers float64.
/// @throws std::invalid_argument, naming scan and voxel of the first value that is NaN or infinite.
at::Tensor checked_bold(const at::Tensor& bold, at::IntArrayRef run_lengths, std::string_view where);

}  // namespace brain2music::signal
