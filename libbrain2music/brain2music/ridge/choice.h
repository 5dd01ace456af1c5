#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "brain2music/ridge/design.h"
#include "brain2music/ridge/options.h"

/// What the options leave open.
namespace brain2music::ridge {

/// The solver asked for, or else the one with the fewest operations for n rows, p features, t targets.
Solver choose_solver(const RidgeOptions& options, int64_t n, int64_t p, int64_t t, int64_t folds,
                     const at::Device& device);

/// The penalties asked for, or else the default ones times the mean eigenvalue of X'X; `gram` may be undefined.
std::vector<double> penalty_grid(const RidgeOptions& options, const Design& design, const at::Tensor& gram);

/// The default penalties times the mean eigenvalue of X'X, or as they are where that is 0.
std::vector<double> relative_alphas(double mean_eigenvalue);

}  // namespace brain2music::ridge
