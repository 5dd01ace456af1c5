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

/// `kernel` (n, n) float64 are inner products of the rows, not weighted; undefined: those of the design. Where the
/// design has no X, coefficients are dual ones.
std::unique_ptr<Problem> kernel_problem(const Design& design, const at::Tensor& kernel = {});

/// (n, n) float64: inner products of the rows about the offset, not weighted, times the scales of their columns.
at::Tensor inner_products(const Design& design);

/// `grams` may be null for Solver::kernel.
std::unique_ptr<Problem> make_problem(Solver solver, const Design& design,
                                      const std::shared_ptr<const FoldGrams>& grams);

}  // namespace brain2music::ridge
