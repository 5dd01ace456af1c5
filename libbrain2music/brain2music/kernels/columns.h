#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <string_view>
#include <vector>

/// What the kernels that work on columns of (scans, voxels) have in common: their checks, and the runs that the scans
/// are cut into.
namespace brain2music::kernels {

struct Run {
  int64_t first;
  int64_t scans;
};

/// Throws unless `x` is (scans, voxels), float32 or float64.
void check_columns(const at::Tensor& x, std::string_view where);

/// Throws unless the lengths are positive and add up to `scans`; none at all is one run.
void check_run_lengths(at::IntArrayRef run_lengths, int64_t scans, std::string_view where);

/// The runs that checked lengths stand for.
std::vector<Run> runs_of(at::IntArrayRef run_lengths, int64_t scans);

/// What a CPU build says to a tensor on a GPU.
[[noreturn]] void no_cuda_kernels(std::string_view where, c10::Device device);

}  // namespace brain2music::kernels
