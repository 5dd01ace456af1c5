#include "brain2music/ridge/packed_product.h"

#include <ATen/Version.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "brain2music/ridge/neighbours.h"
#include "brain2music/ridge/panel_product.h"
#include "brain2music/ridge/rows.h"

namespace brain2music::ridge {
namespace {

// Columns of a piece: so many rows of a panel are about what a first-level cache holds. Beyond it the second one still
// feeds a tile, and each piece costs a pass over the products.
constexpr int64_t most_columns = 520;

// Strips of a piece that stay in the second-level cache while all panels pass by.
constexpr int64_t strips_at_once = 16;

// Panels whose rows are gathered together: so few that they stay in the second-level cache.
constexpr int64_t panels_gathered = 4;

/// Products of the widest vectors that LibTorch finds here, and ATEN_CPU_CAPABILITY allows.
PanelKernel widest() {
#if defined(B2M_WITH_AVX512)
  static const bool wide = std::string_view(at::get_cpu_capability()) == "AVX512";
  return wide ? panel_product_avx512 : panel_product;
#else
  return panel_product;
#endif
}

}  // namespace

bool tiles_pay([[maybe_unused]] const at::Tensor& x) {
#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__)
  return x.is_cpu() && x.scalar_type() == at::kFloat && has_values(x);
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
  const PanelKernel kernel = widest();
  const int64_t whole = registers::whole_tiles(rows_);
  constexpr int64_t rows_at_once = strips_at_once * registers::rows;
  for (int64_t first = 0; first < columns_; first += depth_) {
    const int64_t depth = std::min(depth_, columns_ - first);
    const float* piece = values_.const_data_ptr<float>() + first * whole;
    for (int64_t top = 0; top < whole; top += rows_at_once) {
      const int64_t strips = std::min(rows_at_once, whole - top) / registers::rows;
      kernel({piece + top * depth, right + first * width, right_step, products + top * width, step,
              less == nullptr ? nullptr : less + top * width, first > 0, strips, depth, count});
    }
  }
}

void PackedLeft::times_rows(const Panels<float>& all, const at::Tensor& numbers, int64_t first, int64_t count,
                            float* products, int64_t step) const {
  constexpr int64_t width = registers::columns<float>;
  const auto* number = numbers.const_data_ptr<int64_t>();
  if (are_neighbours(numbers)) {
    times(all.at(first) + number[0] * width, all.step(), count, products, step);
    return;
  }
  std::vector<float> gathered(static_cast<std::size_t>(std::min(count, panels_gathered) * columns_ * width));
  for (int64_t begin = 0; begin < count; begin += panels_gathered) {
    const int64_t panels = std::min(panels_gathered, count - begin);
    float* to = gathered.data();
    for (int64_t panel = first + begin; panel < first + begin + panels; ++panel) {
      for (int64_t row = 0; row < columns_; ++row, to += width) {
        std::copy_n(all.at(panel) + number[row] * width, width, to);
      }
    }
    times(gathered.data(), columns_ * width, panels, products + begin * step, step);
  }
}

}  // namespace brain2music::ridge
