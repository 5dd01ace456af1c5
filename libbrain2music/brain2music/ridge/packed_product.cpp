#include "brain2music/ridge/packed_product.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "brain2music/ridge/rows.h"

namespace brain2music::ridge {
namespace {

using registers::Tile;

// Columns of a piece: so many rows of a panel are about what a first-level cache holds. Beyond it the second one still
// feeds a tile, and each piece costs a pass over the products.
constexpr int64_t most_columns = 520;

// Strips of a piece that stay in the second-level cache while all panels pass by.
constexpr int64_t strips_at_once = 16;

}  // namespace

bool tiles_pay([[maybe_unused]] const at::Tensor& x) {
#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__)
  static const bool longer_vectors = __builtin_cpu_supports("avx512f");
  return !longer_vectors && x.is_cpu() && x.scalar_type() == at::kFloat && has_values(x);
#else
  return false;
#endif
}

PackedLeft::PackedLeft(const at::Tensor& matrix) : rows_(matrix.size(0)), columns_(matrix.size(1)) {
  const int64_t pieces = (columns_ + most_columns - 1) / most_columns;
  depth_ = (columns_ + pieces - 1) / pieces;
  const int64_t whole = registers::whole_tiles(rows_);
  values_ = at::empty({columns_ * whole}, at::kFloat);
  const at::Tensor single = matrix.to(at::kFloat);
  const int64_t row_step = single.stride(0);
  const int64_t column_step = single.stride(1);
  const auto* from = single.const_data_ptr<float>();
  auto* to = values_.mutable_data_ptr<float>();
  for (int64_t first = 0; first < columns_; first += depth_) {
    const int64_t last = std::min(first + depth_, columns_);
    for (int64_t row = 0; row < rows_; row += registers::rows) {
      const int64_t height = std::min(registers::rows, rows_ - row);
      for (int64_t column = first; column < last; ++column, to += registers::rows) {
        for (int64_t i = 0; i < height; ++i) {
          to[i] = from[(row + i) * row_step + column * column_step];
        }
        std::fill_n(to + height, registers::rows - height, 0.0F);
      }
    }
  }
}

void PackedLeft::times(const float* right, int64_t right_step, int64_t count, float* products, int64_t step,
                       const float* less) const {
  constexpr int64_t width = registers::columns<float>;
  const int64_t whole = registers::whole_tiles(rows_);
  constexpr int64_t rows_at_once = strips_at_once * registers::rows;
  for (int64_t first = 0; first < columns_; first += depth_) {
    const int64_t depth = std::min(depth_, columns_ - first);
    const float* piece = values_.const_data_ptr<float>() + first * whole;
    for (int64_t top = 0; top < whole; top += rows_at_once) {
      const int64_t bottom = std::min(top + rows_at_once, whole);
      for (int64_t panel = 0; panel < count; ++panel) {
        const float* its = right + panel * right_step + first * width;
        for (int64_t row = top; row < bottom; row += registers::rows) {
          Tile<float> sums;
          sums.add<1, registers::rows, width>(piece + row * depth, its, depth);
          const int64_t place = panel * step + row * width;
          if (first > 0) {
            sums.add_to(products + place, width);
          } else if (less != nullptr) {
            sums.to_excess(products + place, less + place, width);
          } else {
            sums.to(products + place, width);
          }
        }
      }
    }
  }
}

}  // namespace brain2music::ridge
