#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "brain2music/ridge/folds.h"
#include "brain2music/ridge/options.h"

/// What ridge_cv and batched_ridge_cv have in common: one X against all targets, tile by tile.
namespace brain2music::ridge {

/// One X against all targets: `y` and `folds` have been checked, x is checked here, errors are signed `where`.
RidgeFit fit_problem(const at::Tensor& x, const at::Tensor& y, const Folds& folds, const RidgeOptions& options,
                     std::string_view where);

/// Throws, signed `where`, on penalties that are not positive or not finite.
void check_options(const RidgeOptions& options, std::string_view where);

/// Throws, signed `where`, unless `y` is a finite matrix.
void check_targets(const at::Tensor& y, std::string_view where);

}  // namespace brain2music::ridge
