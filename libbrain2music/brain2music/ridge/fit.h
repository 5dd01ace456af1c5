#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string_view>

#include "brain2music/export.h"
#include "brain2music/ridge/design.h"
#include "brain2music/ridge/folds.h"
#include "brain2music/ridge/options.h"
#include "brain2music/ridge/problem.h"
#include "brain2music/ridge/targets.h"

/// What all kinds of ridge regression have in common: checks, and one X against all targets, tile by tile.
namespace brain2music::ridge {

/// One X against all targets: `y` and `folds` have been checked, x is checked here, errors are signed `where`.
RidgeFit fit_problem(const at::Tensor& x, const at::Tensor& y, const Folds& folds, const RidgeOptions& options,
                     std::string_view where);

/// Throws, signed `where`, on penalties that are not positive or not finite.
void check_options(const RidgeOptions& options, std::string_view where);

/// Throws, signed `where`, unless `y` is a finite matrix.
void check_targets(const at::Tensor& y, std::string_view where);

/// Tells options.on_progress (0, 0): that nothing is done yet, and whether it throws.
std::function<void()> between(const RidgeOptions& options);

/// Checks X beside checked targets, and makes a design of both; its penalties are yet to be filled in.
B2M_API Design checked_design(const at::Tensor& x, const at::Tensor& y, const Folds& folds, const RidgeOptions& options,
                              std::string_view where);

/// No column's mean is larger than its spread: about 0, float32 keeps its digits.
bool is_centered(const Design& design, const at::Tensor& gram);

/// Scores all targets, chooses, refits. Nothing of the size of the targets is made but the results: coefficients have
/// `outputs` rows, predictions `rows`; `out` says type and device.
void fit_targets(const Design& design, const Problem& problem, const Targets& targets, const RidgeOptions& options,
                 int64_t outputs, int64_t rows, int64_t width, const at::TensorOptions& out, RidgeFit& fit);

}  // namespace brain2music::ridge
