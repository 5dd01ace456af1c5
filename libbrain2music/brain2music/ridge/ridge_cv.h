#pragma once

#include <ATen/core/Tensor.h>

#include "brain2music/export.h"
#include "brain2music/ridge/fold_statistics.h"
#include "brain2music/ridge/folds.h"
#include "brain2music/ridge/options.h"

namespace brain2music::ridge {

/// Ridge regression of many targets on one X, a penalty for each target chosen by cross-validation. Targets are worked
/// on in tiles: nothing of the size of Y is made but the results.
///
/// @param x       (n, p) real numbers, of any strides.
/// @param y       (n, t) likewise, on the same device.
/// @param folds   rows held out in each fold.
/// @param options alphas, scoring, solver, what to keep.
/// @return coefficients, penalties and scores in float32, in float64 where x or y is float64 or a wide integer.
/// @throws std::invalid_argument on shapes that do not fit, NaN or Inf (named by row and column), folds without rows,
///         penalties that are not positive.
B2M_API RidgeFit ridge_cv(const at::Tensor& x, const at::Tensor& y, const Folds& folds,
                          const RidgeOptions& options = {});

/// The same from statistics, without the rows: of runs that came one after the other, or of parts that were added up.
/// @param statistics of rows of which every fold holds out two or more, and trains on two or more.
/// @param options    as above, but no held-out predictions, and no Solver::kernel; weights are in the statistics.
/// @return as above, in float64.
/// @throws std::invalid_argument on what statistics cannot give.
B2M_API RidgeFit ridge_cv(const FoldStatistics& statistics, const RidgeOptions& options = {});

}  // namespace brain2music::ridge
