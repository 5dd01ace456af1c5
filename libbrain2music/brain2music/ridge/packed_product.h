#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "brain2music/ridge/packed_matrix.h"

namespace brain2music::ridge {

/// Whether products by register tiles take less time than those of a library: in float32 on a CPU.
bool tiles_pay(const at::Tensor& x);

/// What panels are multiplied by, in float32 on a CPU: packed once for all panels there are, where a library packs it
/// anew for each product. Strips of rows, as many as a register tile has, in pieces of so many columns that what tiles
/// read stays in the caches.
class PackedLeft {
 public:
  PackedLeft() = default;

  /// Of `matrix` (rows, columns).
  explicit PackedLeft(const at::Tensor& matrix);

  int64_t rows() const { return rows_; }
  at::TensorOptions options() const { return values_.options(); }

  /// Products with `count` panels, both `right` and `products` with panels a step apart; where `less` is not null, less
  /// what lies there in the order of `products`. Whole strips are written: rows beyond the matrix become zero.
  void times(const float* right, int64_t right_step, int64_t count, float* products, int64_t step,
             const float* less = nullptr) const;

  /// Products with `count` panels from number `first` of `all`, of which only the rows `numbers` (columns,) int64 are
  /// read; products as above.
  void times_rows(const Panels<float>& all, const at::Tensor& numbers, int64_t first, int64_t count, float* products,
                  int64_t step) const;

 private:
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  int64_t depth_ = 0;  // columns of a piece
  at::Tensor values_;  // pieces, strips, columns, rows of a strip
};

}  // namespace brain2music::ridge
