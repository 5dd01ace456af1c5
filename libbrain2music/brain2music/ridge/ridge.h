#pragma once

#include <ATen/core/Tensor.h>

#include "brain2music/export.h"

namespace brain2music::ridge {

/// Coefficients and intercepts of a ridge regression.
struct RidgeModel {
  at::Tensor coef;       ///< (p, t)
  at::Tensor intercept;  ///< (t,)
};

/// Ridge regression with a given penalty for each target, by Cholesky in float64: of X'X, of X X' where p > n.
/// @param x             (n, p) real numbers.
/// @param y             (n, t) likewise, on the same device.
/// @param alphas        (t,) positive numbers.
/// @param fit_intercept an unpenalised constant.
/// @return the model, in float32, in float64 where x or y is float64 or a wide integer.
/// @throws std::invalid_argument on shapes that do not fit, NaN or Inf, alphas that are not positive.
B2M_API RidgeModel ridge(const at::Tensor& x, const at::Tensor& y, const at::Tensor& alphas, bool fit_intercept = true);

}  // namespace brain2music::ridge
