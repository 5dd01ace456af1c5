#include "brain2music/ridge/packed_gram.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "brain2music/ridge/packed_matrix.h"

namespace brain2music::ridge {
namespace {

using registers::block;
using registers::Tile;

// Rows that are packed together; few enough for a few hundred columns to stay in a cache of half a megabyte.
constexpr int64_t packed_rows = 192;

// Rows of two block columns that stay in the first-level cache.
constexpr int64_t near_rows = 96;

// Pairs of block columns worth a thread of their own.
constexpr int64_t pairs_at_once = 8;

/// Products of two block columns, (block, block), less the padding; of one with itself, only tiles that reach its upper
/// half.
void multiply(const PackedMatrix<double>& x, int64_t left, int64_t right, double* products) {
  constexpr int64_t columns = registers::columns<double>;
  std::fill_n(products, block * block, 0.0);
  for (int64_t first = 0; first < x.rows(); first += near_rows) {
    const int64_t count = std::min(near_rows, x.rows() - first);
    for (int64_t part = 0; part < x.columns_of(right); part += columns) {
      const int64_t last = std::min(left == right ? part + columns : block, x.columns_of(left));
      for (int64_t row = 0; row < last; row += registers::rows) {
        Tile<double> tile;
        tile.add<1, block, block>(x.at(left, first) + row, x.at(right, first) + part, count);
        tile.add_to(products + row * block + part, block);
      }
    }
  }
}

}  // namespace

void add_packed_gram(const at::Tensor& x, const at::Tensor& sum) {
  const int64_t size = x.size(1);
  const int64_t blocks = registers::blocks_of(size);
  auto* sums = sum.mutable_data_ptr<double>();
  const int64_t stride = sum.stride(0);
  const auto each_pair = [&](const auto& use) {
    at::parallel_for(0, blocks * (blocks + 1) / 2, pairs_at_once, [&](int64_t begin, int64_t end) {
      int64_t pair = 0;
      for (int64_t right = 0; right < blocks; ++right) {
        for (int64_t left = 0; left <= right; ++left, ++pair) {
          if (pair >= begin && pair < end) {
            use(left, right, std::min(block, size - left * block), std::min(block, size - right * block));
          }
        }
      }
    });
  };
  for (int64_t first = 0; first < x.size(0); first += packed_rows) {
    const int64_t rows = std::min(packed_rows, x.size(0) - first);
    const PackedMatrix<double> packed(x.narrow(0, first, rows));
    each_pair([&](int64_t left, int64_t right, int64_t height, int64_t width) {
      std::array<double, block * block> products;
      multiply(packed, left, right, products.data());
      for (int64_t i = 0; i < height; ++i) {
        double* to = sums + (left * block + i) * stride + right * block;
        for (int64_t j = left == right ? i : 0; j < width; ++j) {
          to[j] += products[i * block + j];
        }
      }
    });
  }
  each_pair([&](int64_t left, int64_t right, int64_t height, int64_t width) {
    const double* upper = sums + left * block * stride + right * block;
    double* lower = sums + right * block * stride + left * block;
    for (int64_t j = 0; j < width; ++j) {
      for (int64_t i = 0; i < (left == right ? j : height); ++i) {
        lower[j * stride + i] = upper[i * stride + j];
      }
    }
  });
}

}  // namespace brain2music::ridge
