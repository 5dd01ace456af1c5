#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "brain2music/export.h"
#include "brain2music/ridge/folds.h"

namespace brain2music::ridge {

/// All that ridge regression with cross-validation needs to know of X (n, p) and Y (n, t): sums over the rows of each
/// fold, gathered in one pass. With a column of ones beside X, Gram matrix, column sums and row count are one matrix.
///
/// Sums are taken about provisional means: float32 data whose mean is a hundred standard deviations would lose its
/// digits otherwise. Statistics of different rows add up.
struct B2M_API FoldStatistics {
  at::Tensor x_offset;   ///< (p,) float64: provisional means of X
  at::Tensor y_offset;   ///< (t,) float64: provisional means of Y
  at::Tensor gram;       ///< (folds + 1, p + 1, p + 1) float64: [X, 1]'[X, 1] of the rows held out; last: of all rows
  at::Tensor cross;      ///< (folds + 1, p + 1, t) float64: [X, 1]'Y likewise
  at::Tensor y_squares;  ///< (folds + 1, t) float64: sums of squares of Y likewise

  /// Folds that rows were held out in.
  int64_t folds() const { return gram.size(0) - 1; }
  /// Columns of X.
  int64_t features() const { return gram.size(1) - 1; }
  /// Columns of Y.
  int64_t targets() const { return cross.size(2); }

  /// The same statistics about other provisional means.
  /// @param new_x_offset (p,) float64.
  /// @param new_y_offset (t,) float64.
  /// @return statistics of the same rows.
  FoldStatistics about(const at::Tensor& new_x_offset, const at::Tensor& new_y_offset) const;

  /// Statistics of the rows of both, fold by fold, about the provisional means of this one.
  /// @param other statistics of other rows, with as many folds, features and targets.
  /// @return the sum.
  /// @throws std::invalid_argument where shapes differ.
  FoldStatistics operator+(const FoldStatistics& other) const;

  /// The same in place.
  FoldStatistics& operator+=(const FoldStatistics& other);
};

/// Gathers the statistics. Products over rows are taken in the type of X and Y in blocks of at most 256 rows, which are
/// added up in float64; the Gram matrix is float64 throughout.
/// @param x     (n, p) float32 or float64.
/// @param y     (n, t) of the same type, on the same device.
/// @param folds rows held out in each fold; any rows, also none; no fold has a gap.
/// @param sample_weight (n,) weights of the rows, not negative: all sums are weighted then; undefined: all 1.
/// @return the statistics, on the device of `x`.
/// @throws std::invalid_argument on other shapes or types, NaN or Inf (named by row and column).
B2M_API FoldStatistics fold_statistics(const at::Tensor& x, const at::Tensor& y, const Folds& folds,
                                       const at::Tensor& sample_weight = {});

}  // namespace brain2music::ridge
