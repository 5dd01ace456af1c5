#include "brain2music/metrics/lines.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/nonzero.h>

#include <algorithm>

#include "brain2music/check.h"
#include "brain2music/kernels/values.h"

namespace brain2music::metrics {
namespace {

constexpr double largest = 1e300;

std::string_view line_name(const Lines& lines) { return lines.columns ? "column " : "row "; }
std::string_view place_name(const Lines& lines) { return lines.columns ? "row " : "column "; }

void require_finite(const Lines& lines, const at::Tensor& block, int64_t first, std::string_view where) {
  const at::Tensor good = block.abs() < largest;  // false for NaN
  if (!kernels::has_values(good) || good.all().item<bool>()) {
    return;
  }
  const at::Tensor bad = at::nonzero(good.logical_not())[0];
  const auto line = bad[0].item<int64_t>();
  const auto place = bad[1].item<int64_t>();
  require(false, where, lines.name, " must be finite (and below ", largest, "); got ",
          block[line][place].item<double>(), " at ", line_name(lines), first + line, ", ", place_name(lines), place);
}

void require_variance(const Lines& lines, const at::Tensor& block, int64_t first, std::string_view where) {
  // Exactly: what is left of a constant after its mean is taken off is rounding, not always zero.
  const at::Tensor constant = block.amax(1) == block.amin(1);
  if (!kernels::has_values(constant) || !constant.any().item<bool>()) {
    return;
  }
  const auto line = at::nonzero(constant)[0][0].item<int64_t>();
  require(false, where, line_name(lines), first + line, " of ", lines.name,
          " must vary, or nothing correlates with it; got ", block[line][0].item<double>(), " in all of its ",
          lines.length(), " values");
}

}  // namespace

Lines lines_along(const at::Tensor& x, int64_t dim, std::string_view name, std::string_view where) {
  require(x.dim() == 2, where, name, " must have two dimensions; got shape ", x.sizes());
  require(kernels::is_real_number(x.scalar_type()), where, name, " must be real numbers; got ", x.scalar_type());
  require(dim >= -2 && dim < 2, where, "dim must be 0 or 1; got ", dim);
  const bool columns = dim == 0 || dim == -2;
  return {columns ? x.t() : x, name, columns};
}

void check_pair(const Lines& a, const Lines& b, bool paired, std::string_view where) {
  const bool fit = a.length() == b.length() && (!paired || a.count() == b.count());
  const auto shape = [](const Lines& lines) { return lines.columns ? lines.values.t() : lines.values; };
  require(fit, where, a.name, " and ", b.name, paired ? " must have one shape" : " must have rows of one length",
          "; got ", shape(a).sizes(), " and ", shape(b).sizes());
  require(a.values.device() == b.values.device(), where, a.name, " and ", b.name, " must lie on one device; got ",
          a.values.device().str(), " and ", b.values.device().str());
}

int64_t lines_at_once(int64_t width) {
  constexpr int64_t values = int64_t{1} << 21;
  return std::max<int64_t>(1, values / std::max<int64_t>(1, width));
}

at::Tensor finite_block(const Lines& lines, int64_t first, int64_t count, std::string_view where) {
  const at::Tensor block = lines.values.narrow(0, first, count).to(at::kDouble);
  require_finite(lines, block, first, where);
  return block;
}

at::Tensor centred_block(const Lines& lines, int64_t first, int64_t count, std::string_view where) {
  const at::Tensor block = finite_block(lines, first, count, where);
  require_variance(lines, block, first, where);
  return block - block.mean(1, /*keepdim=*/true);
}

at::Tensor unit_block(const Lines& lines, int64_t first, int64_t count, std::string_view where) {
  const at::Tensor centred = centred_block(lines, first, count, where);
  const at::Tensor scaled =
      centred / centred.abs().amax(1, /*keepdim=*/true);  // squares that neither over- nor underflow
  return scaled / scaled.square().sum(1, /*keepdim=*/true).sqrt();
}

}  // namespace brain2music::metrics
