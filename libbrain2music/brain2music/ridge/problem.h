#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "brain2music/ridge/targets.h"

namespace brain2music::ridge {

/// Sums over the rows held out in a fold, of predictions less the training mean of the target: what every score is
/// made of. No prediction is stored.
struct HeldOutSums {
  at::Tensor predicted;  // (penalties, t) float64: sum of predictions
  at::Tensor product;    // sum of predictions times targets, these too less their training mean
  at::Tensor squares;    // sum of squared predictions
};

/// One X and its folds, made ready for any number of targets.
class Problem {
 public:
  virtual ~Problem() = default;

  virtual HeldOutSums held_out(int64_t fold, const Tile& tile) const = 0;

  /// (p, t) float32 or float64: coefficients fitted to the rows that fold `slot` trains on, or to all rows where `slot`
  /// is the number of folds, each target with its penalty `best` (t,). Of the kernel's problem (rows, t), where X is
  /// unknown.
  virtual at::Tensor coefficients(int64_t slot, const Tile& tile, const at::Tensor& best) const = 0;

  /// (held-out rows, t) float64: predictions with such coefficients, less the training mean of the target.
  virtual at::Tensor predictions(int64_t fold, const Tile& tile, const at::Tensor& best) const = 0;

  /// (t,) float64: what predictions with coefficients of all rows lack where X is 0, less the mean of the target.
  virtual at::Tensor shift(const at::Tensor& coefficients) const = 0;
};

}  // namespace brain2music::ridge
