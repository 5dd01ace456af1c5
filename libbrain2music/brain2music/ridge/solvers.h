#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "brain2music/ridge/design.h"
#include "brain2music/ridge/gram_problem.h"
#include "brain2music/ridge/options.h"
#include "brain2music/ridge/problem.h"

/// Ways to fit all folds and penalties of one X; what differs is in a file each.
namespace brain2music::ridge {

std::unique_ptr<Problem> cholesky_problem(const Design& design, const std::shared_ptr<const FoldGrams>& grams);
std::unique_ptr<Problem> eigenbasis_problem(const Design& design, const std::shared_ptr<const FoldGrams>& grams);

/// From X, or with `kernel` (n, n) defined from that: then coefficients are dual ones.
std::unique_ptr<Problem> kernel_problem(const Design& design, const at::Tensor& kernel = {});

/// @param grams may be null for Solver::kernel.
std::unique_ptr<Problem> make_problem(Solver solver, const Design& design,
                                      const std::shared_ptr<const FoldGrams>& grams);

}  // namespace brain2music::ridge
