#include "brain2music/ridge/ridge_cv.h"

#include <ATen/core/grad_mode.h>

#include "brain2music/ridge/fit.h"

namespace brain2music::ridge {

RidgeFit ridge_cv(const at::Tensor& x, const at::Tensor& y, const Folds& folds, const RidgeOptions& options) {
  constexpr auto where = "ridge.RidgeCV";
  const at::NoGradGuard no_grad;
  check_options(options, where);
  check_targets(y, where);
  return fit_problem(x, y, checked_folds(folds, y.size(0), where), options, where);
}

}  // namespace brain2music::ridge
