#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "brain2music/ridge/packed_matrix.h"

namespace brain2music::ridge {

/// A Cholesky factor U'U for the CPU, where LAPACK's factors and triangular solves of a few hundred columns, or
/// products of their blocks one call each, reach a third of the speed of products of large matrices.
template <class Real>
class PackedCholesky {
 public:
  /// Room for matrices (p, p), used again by each factor.
  explicit PackedCholesky(int64_t p);

  /// @param gram  (p, p) symmetric, of which the upper half is read.
  /// @param alpha is added to the diagonal.
  /// @return false where a pivot is not positive; then there is no factor.
  bool factor(const PackedMatrix<Real>& gram, double alpha);

  /// Panels worth solving for together: they stay in a second-level cache while the blocks of a factor pass by.
  static constexpr int64_t panels_at_once = 4;

  /// Solutions for a panel of right-hand sides, which may lie in the same place; or for `count` panels a step apart,
  /// which read the factor together.
  void solve(const Real* right, Real* solutions, int64_t step = 0, int64_t count = 1) const;

  /// An estimate of the smallest eigenvalue of what was factored, from below: a few inverse iterations find it up to a
  /// third too large, twice is allowed for.
  double smallest_eigenvalue() const;

 private:
  static constexpr int64_t columns = registers::columns<Real>;

  void update(const PackedMatrix<Real>& gram, int64_t row, int64_t column, Real* rest) const;
  void finish(int64_t row, int64_t column, const Real* rest);

  /// Rows of a block that are not padding.
  int64_t size_of(int64_t number) const { return std::min(registers::block, size_ - number * registers::block); }

  /// What blocks above the diagonal in block column `number` are, for the tile of its columns that begins at `from`:
  /// (rows above, tile rows).
  Real* above(int64_t number, int64_t from) { return above_first_ + above_offset(number, from); }
  const Real* above(int64_t number, int64_t from) const { return above_first_ + above_offset(number, from); }
  static int64_t above_offset(int64_t number, int64_t from) {
    constexpr int64_t size = registers::block * registers::block;
    return size * number * (number - 1) / 2 + from * registers::block * number;
  }

  Real* inverse(int64_t number) { return inverses_first_ + number * registers::block * registers::block; }
  const Real* inverse(int64_t number) const { return inverses_first_ + number * registers::block * registers::block; }

  int64_t size_;
  int64_t blocks_;
  PackedMatrix<Real> upper_;  // above the blocks of the diagonal
  at::Tensor above_;          // the same once more, as what products take on their left reads it
  at::Tensor inverses_;       // (blocks, block, block): of the diagonal's blocks, upper too
  Real* above_first_;
  Real* inverses_first_;
};

}  // namespace brain2music::ridge
