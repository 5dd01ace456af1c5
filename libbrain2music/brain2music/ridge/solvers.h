#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "brain2music/ridge/folds.h"
#include "brain2music/ridge/options.h"

/// Ways to fit all folds and penalties of one X; what they share is below, what differs is in a file each.
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

  /// What is needed of targets: computed once for a tile, passed to the functions below.
  /// @param y (n, t) about provisional means, of the type of X.
  virtual at::Tensor products(const at::Tensor& y) const = 0;

  virtual HeldOutSums held_out(int64_t fold, const at::Tensor& products) const = 0;

  /// (p, t) float64: coefficients fitted to the rows that fold `slot` trains on, or to all rows where `slot` is the
  /// number of folds, each target with its penalty `best` (t,).
  virtual at::Tensor coefficients(int64_t slot, const at::Tensor& products, const at::Tensor& best) const = 0;

  /// (p,) float64: mean of those rows about the offset of X; 0 without an intercept.
  virtual at::Tensor mean(int64_t slot) const = 0;
};

/// X about provisional means, (n, p + 1) with a column of ones, and what is asked of it.
struct Design {
  at::Tensor rows;
  Folds folds;
  std::vector<double> alphas;
  bool intercept = true;
  bool single = false;  // may be worked on in float32 where conditioning allows
  bool tiled = false;   // coefficients are asked for tile by tile: what the tiles share is kept

  at::Tensor x() const { return rows.narrow(1, 0, rows.size(1) - 1); }
};

std::unique_ptr<Problem> cholesky_problem(const Design& design, const at::Tensor& gram);
std::unique_ptr<Problem> eigenbasis_problem(const Design& design, const at::Tensor& gram);
std::unique_ptr<Problem> kernel_problem(const Design& design);

}  // namespace brain2music::ridge
