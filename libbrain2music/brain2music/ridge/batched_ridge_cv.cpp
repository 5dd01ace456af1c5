#include "brain2music/ridge/batched_ridge_cv.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "brain2music/ridge/fit.h"
#include "brain2music/ridge/side_by_side.h"

namespace brain2music::ridge {

std::vector<RidgeFit> batched_ridge_cv(int64_t problems, const std::function<at::Tensor(int64_t)>& x,
                                       const at::Tensor& y, const Folds& folds, const RidgeOptions& options) {
  constexpr auto where = "ridge.BatchedRidgeCV";
  const at::NoGradGuard no_grad;
  check_options(options, where);
  check_targets(y, where);
  const Folds checked = checked_folds(folds, y.size(0), where);
  RidgeOptions of_each = options;
  of_each.on_progress = nullptr;
  of_each.memory_limit =
      options.memory_limit > 0 ? std::max<int64_t>(1, options.memory_limit / at::get_num_threads()) : 0;
  std::vector<RidgeFit> fits(static_cast<std::size_t>(problems));
  std::atomic<int64_t> done = 0;
  side_by_side(problems, y, [&](int64_t i) {
    fits[static_cast<std::size_t>(i)] = fit_problem(x(i), y, checked, of_each, where);
    if (options.on_progress) {
      options.on_progress(++done, problems);
    }
  });
  return fits;
}

std::vector<RidgeFit> batched_ridge_cv(const std::vector<at::Tensor>& xs, const at::Tensor& y, const Folds& folds,
                                       const RidgeOptions& options) {
  return batched_ridge_cv(
      static_cast<int64_t>(xs.size()), [&](int64_t i) { return xs[static_cast<std::size_t>(i)]; }, y, folds, options);
}

}  // namespace brain2music::ridge
