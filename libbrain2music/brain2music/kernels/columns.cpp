#include "brain2music/kernels/columns.h"

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
  int64_t left = scans;
  for (const int64_t length : run_lengths) {
    require(length > 0, where, "every run needs at least one scan; got a run of ", length);
    require(length <= left, where, "run lengths must add up to the ", scans, " scans of x; got more: ", run_lengths);
    left -= length;
  }
  require(left == 0, where, "run lengths must add up to the ", scans, " scans of x; got ", scans - left, ": ",
          run_lengths);
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
