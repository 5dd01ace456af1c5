#pragma once

#include <ATen/core/Tensor.h>

#include "brain2music/export.h"
#include "brain2music/ridge/folds.h"
#include "brain2music/ridge/options.h"

namespace brain2music::ridge {

/// Ridge regression from inner products alone: of features that are never formed, or of more features than rows. The
/// intercept is exact in each training fold: features are centred by its own mean.
///
/// @param kernel  (n, n) inner products of the rows' features, symmetric.
/// @param y       (n, t) real numbers, of any strides.
/// @param folds   rows held out in each fold.
/// @param options as for ridge_cv; always computed by Solver::kernel.
/// @return `coef` are dual coefficients (n, t): predictions are (inner products with the n rows) coef + intercept.
/// @throws std::invalid_argument as ridge_cv does, and unless `kernel` is square and symmetric.
B2M_API RidgeFit kernel_ridge_cv(const at::Tensor& kernel, const at::Tensor& y, const Folds& folds,
                                 const RidgeOptions& options = {});

}  // namespace brain2music::ridge
