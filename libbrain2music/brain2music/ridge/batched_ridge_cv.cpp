#include "brain2music/ridge/batched_ridge_cv.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>
#include <cstddef>

#include "brain2music/ridge/fit.h"

namespace brain2music::ridge {

std::vector<RidgeFit> batched_ridge_cv(int64_t problems, const std::function<at::Tensor(int64_t)>& x,
                                       const at::Tensor& y, const Folds& folds, const RidgeOptions& options) {
  constexpr auto where = "ridge.BatchedRidgeCV";
  const at::NoGradGuard no_grad;
  check_options(options, where);
  check_targets(y, where);
  const Folds checked = checked_folds(folds, y.size(0), where);
  std::vector<RidgeFit> fits(static_cast<std::size_t>(problems));
  std::atomic<int64_t> next = 0;
  const auto work = [&] {
    const at::NoGradGuard no_grad_on_this_thread;
    for (int64_t i = next++; i < problems; i = next++) {
      fits[static_cast<std::size_t>(i)] = fit_problem(x(i), y, checked, options, where);
    }
  };
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), problems);
  if (!y.is_cpu() || threads < 2 || at::in_parallel_region()) {
    work();  // a GPU is kept busy by one problem's folds and penalties
  } else {
    at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
      for (int64_t thread = first; thread < last; ++thread) {
        work();
      }
    });
  }
  return fits;
}

std::vector<RidgeFit> batched_ridge_cv(const std::vector<at::Tensor>& xs, const at::Tensor& y, const Folds& folds,
                                       const RidgeOptions& options) {
  return batched_ridge_cv(
      static_cast<int64_t>(xs.size()), [&](int64_t i) { return xs[static_cast<std::size_t>(i)]; }, y, folds, options);
}

}  // namespace brain2music::ridge
