#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "brain2music/ridge/problem.h"

namespace brain2music::ridge {

/// Of one fold: what solutions are found with, and what they are summed up with.
struct FoldSystem {
  at::Tensor train;    // (p, p) float64: Gram matrix of the rows trained on
  at::Tensor right;    // (p, t) float64: their products with targets
  at::Tensor sum;      // (p,) float64: of held-out rows
  at::Tensor cross;    // (p, t) float64: products of held-out rows with targets
  at::Tensor squares;  // held-out rows (rows, p) or, where these are not given, their Gram matrix (p, p); float64
  bool by_rows;        // which of the two
};

/// Fills in the sums of all penalties on a CPU, each penalty in float32 where the conditioning allows that; no solution
/// outlives the panel of targets it is for. Throws where even float64 is too coarse. `largest` is no smaller than the
/// largest eigenvalue of `train`, or 0 where float32 must not be used; `between` is called before each factor.
void packed_sums(const FoldSystem& system, const std::vector<double>& alphas, double largest,
                 const std::function<void()>& between, const HeldOutSums& sums);

}  // namespace brain2music::ridge
