#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/Device.h>
#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <string_view>
#include <vector>

/// What the kernels that work on columns of (scans, voxels) have in common: their checks, and the loop over the runs
/// that the scans are cut into.
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

/// One run of (scans, voxels), as a kernel reads and writes it.
template <class Real>
struct RunColumns {
  const Real* x;  // at the run's first scan, any strides
  int64_t scan_stride;
  int64_t voxel_stride;
  Real* y;  // at the run's first scan, contiguous
  int64_t scans;
  int64_t voxels;
  int64_t first;  // number of the run's first scan
};

template <class Real>
RunColumns<Real> columns_of(const at::Tensor& x, const at::Tensor& y, Run run) {
  return {x.const_data_ptr<Real>() + run.first * x.stride(0),
          x.stride(0),
          x.stride(1),
          y.mutable_data_ptr<Real>() + run.first * x.size(1),
          run.scans,
          x.size(1),
          run.first};
}

/// Returns (scans, voxels), contiguous, of the type and on the device of a checked `x`, filled by `work`, which is
/// called with the RunColumns of each run; not at all where there is nothing to fill.
template <class Work>
at::Tensor for_each_run(const at::Tensor& x, at::IntArrayRef run_lengths, const Work& work) {
  at::Tensor y = at::empty(x.sizes(), x.options());
  if (x.numel() == 0) {
    return y;
  }
  for (const Run run : runs_of(run_lengths, x.size(0))) {
    if (x.scalar_type() == at::kFloat) {
      work(columns_of<float>(x, y, run));
    } else {
      work(columns_of<double>(x, y, run));
    }
  }
  return y;
}

/// What a CPU build says to a tensor on a GPU.
[[noreturn]] void no_cuda_kernels(std::string_view where, c10::Device device);

}  // namespace brain2music::kernels
