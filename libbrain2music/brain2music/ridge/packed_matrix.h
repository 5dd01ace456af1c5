#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "brain2music/ridge/register_tile.h"

/// Matrices on a CPU, in the order in which register_tile.h reads them, padded with zeros to whole blocks.
namespace brain2music::ridge {

/// Columns of blocks, one after the other, each row by row.
template <class Real>
class PackedMatrix {
 public:
  /// Only the padding is filled in.
  PackedMatrix(int64_t rows, int64_t columns);

  /// Of `matrix` (rows, columns) float32 or float64, whose rows lie in one piece each.
  explicit PackedMatrix(const at::Tensor& matrix);

  int64_t rows() const { return rows_; }  // without what is padded
  int64_t block_columns() const { return registers::blocks_of(columns_); }

  /// Columns of a block that are not padding.
  int64_t columns_of(int64_t block_column) const {
    return std::min(registers::block, columns_ - block_column * registers::block);
  }

  /// A row of a column of blocks.
  Real* at(int64_t block_column, int64_t row) {
    return first_ + (block_column * stored_rows_ + row) * registers::block;
  }
  const Real* at(int64_t block_column, int64_t row) const {
    return first_ + (block_column * stored_rows_ + row) * registers::block;
  }

 private:
  int64_t rows_;
  int64_t columns_;
  int64_t stored_rows_;
  at::Tensor values_;
  Real* first_;
};

/// Columns a register tile wide, one panel of them after the other, each row by row: right-hand sides and solutions.
template <class Real>
class Panels {
 public:
  static constexpr int64_t width = registers::columns<Real>;

  /// Only the padding is filled in.
  Panels(int64_t rows, int64_t columns);

  /// Of `matrix` (rows, columns) float32 or float64.
  explicit Panels(const at::Tensor& matrix);

  /// The first `rows` rows of some columns of `all`.
  Panels(const Panels& all, int64_t rows, const at::Tensor& columns);

  int64_t count() const { return values_.size(0); }
  int64_t step() const { return stored_rows_ * width; }  // from a panel to the next

  Real* at(int64_t panel) { return first_ + panel * stored_rows_ * width; }
  const Real* at(int64_t panel) const { return first_ + panel * stored_rows_ * width; }

  /// (rows, columns) without what was padded.
  at::Tensor unpacked(int64_t rows, int64_t columns) const;

  /// Writes its columns to those numbers of `matrix` (rows, ...).
  void put(const at::Tensor& columns, const at::Tensor& matrix) const;

 private:
  int64_t stored_rows_;
  at::Tensor values_;
  Real* first_;
};

}  // namespace brain2music::ridge
