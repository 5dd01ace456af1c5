#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "brain2music/export.h"
#include "brain2music/ridge/folds.h"
#include "brain2music/ridge/options.h"

namespace brain2music::ridge {

/// Many ridge regressions that share their targets: one for each region of the brain. On the CPU problems run beside
/// one another, each on a thread.
///
/// @param problems how many.
/// @param x        gives X of a problem, (n, p_i); called once for each, from several threads, and let go of when the
///                 problem is done.
/// @param y        (n, t) targets of all problems.
/// @param folds    rows held out in each fold, of all problems.
/// @param options  as for ridge_cv; a grid of its own for each problem where `alphas` is empty.
/// @return a fit for each problem.
/// @throws std::invalid_argument as ridge_cv does.
B2M_API std::vector<RidgeFit> batched_ridge_cv(int64_t problems, const std::function<at::Tensor(int64_t)>& x,
                                               const at::Tensor& y, const Folds& folds,
                                               const RidgeOptions& options = {});

/// The same for matrices at hand.
/// @param xs      (n, p_i) each.
/// @param y       (n, t).
/// @param folds   rows held out in each fold.
/// @param options as for ridge_cv.
/// @return a fit for each matrix.
B2M_API std::vector<RidgeFit> batched_ridge_cv(const std::vector<at::Tensor>& xs, const at::Tensor& y,
                                               const Folds& folds, const RidgeOptions& options = {});

}  // namespace brain2music::ridge
