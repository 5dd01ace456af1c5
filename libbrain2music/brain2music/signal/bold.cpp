#include "brain2music/signal/bold.h"

#include <ATen/ops/isfinite.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sum.h>

#include <algorithm>
#include <cmath>

#include "brain2music/check.h"
#include "brain2music/kernels/columns.h"
#include "brain2music/kernels/values.h"

namespace brain2music::signal {
namespace {

at::ScalarType working_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
    case at::kHalf:
    case at::kBFloat16:
    case at::kChar:
    case at::kByte:
    case at::kShort:
    case at::kUInt16:
      return at::kFloat;
    default:
      return at::kDouble;
  }
}

void require_finite(const at::Tensor& x, std::string_view where) {
  // NaN and Inf survive a sum, so one pass at the speed of memory clears nearly all input; a sum that overflows by
  // itself is cleared by the search.
  if (!kernels::has_values(x) || std::isfinite(at::sum(x).item<double>())) {
    return;
  }
  constexpr int64_t values_at_once = int64_t{1} << 24;
  const int64_t scans_at_once = std::max<int64_t>(1, values_at_once / std::max<int64_t>(1, x.size(1)));
  for (int64_t scan = 0; scan < x.size(0); scan += scans_at_once) {
    const at::Tensor part = x.narrow(0, scan, std::min(scans_at_once, x.size(0) - scan));
    const at::Tensor bad = at::nonzero(at::isfinite(part).logical_not());
    if (bad.size(0) > 0) {
      const auto row = bad[0][0].item<int64_t>();
      const auto voxel = bad[0][1].item<int64_t>();
      require(false, where, "bold must be finite; got ", part[row][voxel].item<double>(), " at scan ", scan + row,
              ", voxel ", voxel, " (mask out or repair such voxels first)");
    }
  }
}

}  // namespace

at::Tensor checked_bold(const at::Tensor& bold, at::IntArrayRef run_lengths, std::string_view where) {
  require(bold.dim() == 2, where, "bold must have two dimensions (scans, voxels); got shape ", bold.sizes());
  require(bold.size(0) > 0, where, "bold must have at least one scan; got shape ", bold.sizes());
  require(kernels::is_real_number(bold.scalar_type()), where, "bold must be real numbers; got ", bold.scalar_type());
  kernels::check_run_lengths(run_lengths, bold.size(0), where);
  at::Tensor x = bold.to(working_type(bold.scalar_type()));
  require_finite(x, where);
  return x;
}

}  // namespace brain2music::signal
