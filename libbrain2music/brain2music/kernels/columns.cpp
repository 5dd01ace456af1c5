#include "brain2music/kernels/columns.h"

#include <algorithm>
#include <numeric>

#include "brain2music/check.h"

namespace brain2music::kernels {

void check_columns(const at::Tensor& x, std::string_view where) {
  require(x.dim() == 2, where, "x must have two dimensions (scans, voxels); got shape ", x.sizes());
  require(x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble, where, "x must be float32 or float64; got ",
          x.scalar_type());
}

void check_run_lengths(at::IntArrayRef run_lengths, int64_t scans, std::string_view where) {
  if (run_lengths.empty()) {
    return;
  }
  const int64_t shortest = *std::ranges::min_element(run_lengths);
  require(shortest > 0, where, "every run needs at least one scan; got a run of ", shortest);
  const int64_t total = std::accumulate(run_lengths.begin(), run_lengths.end(), int64_t{0});
  require(total == scans, where, "run lengths must add up to the scans of x; got ", run_lengths.size(), " runs of ",
          total, " scans in all for x with ", scans, " scans");
}

std::vector<Run> runs_of(at::IntArrayRef run_lengths, int64_t scans) {
  if (run_lengths.empty()) {
    return {{0, scans}};
  }
  std::vector<Run> runs;
  runs.reserve(run_lengths.size());
  int64_t first = 0;
  for (const int64_t length : run_lengths) {
    runs.push_back({first, length});
    first += length;
  }
  return runs;
}

void no_cuda_kernels(std::string_view where, c10::Device device) {
  fail(where, "this brain2music was built without CUDA kernels; got a tensor on ", device.str());
}

}  // namespace brain2music::kernels
