#include "brain2music/metrics/r2.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/metrics/lines.h"

namespace brain2music::metrics {

at::Tensor r2_score(const at::Tensor& predicted, const at::Tensor& target) {
  constexpr auto where = "metrics.r2_score";
  const Lines guess = lines_along(predicted, 0, "predicted", where);
  const Lines truth = lines_along(target, 0, "target", where);
  check_pair(guess, truth, /*paired=*/true, where);
  require(guess.length() >= 2, where, "two items or more are needed; got shape ", predicted.sizes());
  std::vector<at::Tensor> parts{at::empty({0}, predicted.options().dtype(at::kDouble))};
  const int64_t step = lines_at_once(guess.length());
  for (int64_t first = 0; first < guess.count(); first += step) {
    const int64_t count = std::min(step, guess.count() - first);
    const at::Tensor centred = centred_block(truth, first, count, where);
    const at::Tensor scale = centred.abs().amax(1, /*keepdim=*/true);
    const at::Tensor errors = finite_block(guess, first, count, where) - finite_block(truth, first, count, where);
    parts.push_back(1 - (errors / scale).square().sum(1) / (centred / scale).square().sum(1));
  }
  return at::cat(parts);
}

}  // namespace brain2music::metrics
