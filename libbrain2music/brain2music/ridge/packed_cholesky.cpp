#include "brain2music/ridge/packed_cholesky.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace brain2music::ridge {
namespace {

using registers::block;
using registers::Tile;

// Block columns worth a thread of their own.
constexpr int64_t columns_at_once = 4;

// Of a row of a block, vectors from the one with column `from` on; what they reach on its left is never read.
template <class Real>
constexpr int64_t whole(int64_t from) {
  return from / registers::lanes<Real> * registers::lanes<Real>;
}

/// row -= factor * other, from a column on.
template <class Real>
void subtract(Real* row, Real factor, const Real* other, int64_t from) {
  for (int64_t column = whole<Real>(from); column < block; column += registers::lanes<Real>) {
    registers::store(row + column, registers::load(row + column) - factor * registers::load(other + column));
  }
}

template <class Real>
void scale(Real* row, Real factor, int64_t from) {
  for (int64_t column = whole<Real>(from); column < block; column += registers::lanes<Real>) {
    registers::store(row + column, factor * registers::load(row + column));
  }
}

/// Parts of a row that tiles reach from column `first` on.
template <class Real, class Use>
void each_part(int64_t first, int64_t size, const Use& use) {
  constexpr int64_t columns = registers::columns<Real>;
  for (int64_t part = first / columns * columns; part < size; part += columns) {
    use(part);
  }
}

/// The inverse of the upper factor of a symmetric block, of which the upper half is read and overwritten; false where a
/// pivot is not positive. As many rows at once as a tile has, so that most of the work is its.
/// @param size of the block: whole tiles.
template <class Real>
bool invert_factor(Real* upper, int64_t size, Real* inverse) {
  std::array<Real, block> scales;
  for (int64_t first = 0; first < size; first += registers::rows) {
    each_part<Real>(first, size, [&](int64_t part) {
      Tile<Real> sums;
      sums.template add<1, block, block>(upper + first, upper + part, first);
      sums.to_rest(upper + first * block + part, upper + first * block + part, block);
    });
    for (int64_t j = first; j < first + registers::rows; ++j) {
      Real* row = upper + j * block;
      if (!(row[j] > 0) || !std::isfinite(row[j])) {
        return false;
      }
      scales[j] = 1 / std::sqrt(row[j]);
      scale(row, scales[j], j);
      for (int64_t i = j + 1; i < first + registers::rows; ++i) {
        subtract(upper + i * block, row[i], row, i);
      }
    }
  }
  std::fill_n(inverse, block * block, Real{0});
  for (int64_t first = size - registers::rows; first >= 0; first -= registers::rows) {
    const int64_t after = first + registers::rows;
    for (int64_t i = first; i < after; ++i) {
      inverse[i * (block + 1)] = 1;
    }
    each_part<Real>(first, size, [&](int64_t part) {
      Tile<Real> sums;
      sums.template add<block, 1, block>(upper + first * block + after, inverse + after * block + part, size - after);
      sums.to_rest(inverse + first * block + part, inverse + first * block + part, block);
    });
    for (int64_t i = after - 1; i >= first; --i) {
      Real* row = inverse + i * block;
      for (int64_t j = i + 1; j < after; ++j) {
        subtract(row, upper[i * block + j], inverse + j * block, j);
      }
      scale(row, scales[i], i);
    }
  }
  return true;
}

}  // namespace

template <class Real>
PackedCholesky<Real>::PackedCholesky(int64_t p)
    : size_(p),
      blocks_(registers::blocks_of(p)),
      upper_(p, p),
      above_(at::empty({blocks_ * (blocks_ - 1) / 2 * block * block}, c10::CppTypeToScalarType<Real>::value)),
      inverses_(at::empty({blocks_, block, block}, c10::CppTypeToScalarType<Real>::value)),
      above_first_(above_.mutable_data_ptr<Real>()),
      inverses_first_(inverses_.mutable_data_ptr<Real>()) {}

/// A block, less the products of all blocks above it.
template <class Real>
void PackedCholesky<Real>::update(const PackedMatrix<Real>& gram, int64_t row, int64_t column, Real* rest) const {
  const int64_t first = row * block;
  const int64_t width =
      registers::whole_tiles(size_of(column));  // those of the padding too: an identity is added there
  for (int64_t part = 0; part < width; part += columns) {
    // of a block on the diagonal the upper half will do
    const int64_t last = row == column ? std::min(size_of(row), part + columns) : size_of(row);
    for (int64_t from = 0; from < last; from += registers::rows) {
      Tile<Real> sums;
      sums.template add<1, registers::rows, block>(above(row, from), upper_.at(column, 0) + part, first);
      sums.to_rest(rest + from * block + part, gram.at(column, first + from) + part, block);
    }
  }
}

/// A block above the diagonal, from what update left.
template <class Real>
void PackedCholesky<Real>::finish(int64_t row, int64_t column, const Real* rest) {
  Real* here = upper_.at(column, row * block);
  for (int64_t part = 0; part < size_of(column); part += columns) {
    for (int64_t from = 0; from < block; from += registers::rows) {
      Tile<Real> sums;
      sums.template add<1, block, block>(inverse(row) + from, rest + part, from + registers::rows);
      sums.to(here + from * block + part, block);
    }
  }
  for (int64_t from = 0; from < size_of(column); from += registers::rows) {
    Real* to = above(column, from) + row * block * registers::rows;
    for (int64_t k = 0; k < block; ++k) {
      std::copy_n(here + k * block + from, registers::rows, to + k * registers::rows);
    }
  }
}

template <class Real>
bool PackedCholesky<Real>::factor(const PackedMatrix<Real>& gram, double alpha) {
  std::array<Real, block * block> diagonal{};
  for (int64_t row = 0; row < blocks_; ++row) {
    update(gram, row, row, diagonal.data());
    for (int64_t i = 0; i < block; ++i) {
      // padded rows are those of an identity
      diagonal[i * (block + 1)] += row * block + i < size_ ? static_cast<Real>(alpha) : Real{1};
    }
    if (!invert_factor(diagonal.data(), registers::whole_tiles(size_of(row)), inverse(row))) {
      return false;
    }
    at::parallel_for(row + 1, blocks_, columns_at_once, [&](int64_t begin, int64_t end) {
      std::array<Real, block * block> rest;
      for (int64_t column = begin; column < end; ++column) {
        update(gram, row, column, rest.data());
        finish(row, column, rest.data());
      }
    });
  }
  return true;
}

template <class Real>
void PackedCholesky<Real>::solve(const Real* right, Real* solutions, int64_t step, int64_t count) const {
  std::array<Real, block * columns> rest;
  for (int64_t row = 0; row < blocks_; ++row) {
    const int64_t size = registers::whole_tiles(size_of(row));
    for (int64_t panel = 0; panel < count; ++panel) {
      const Real* its_right = right + panel * step + row * block * columns;
      Real* its = solutions + panel * step;
      for (int64_t from = 0; from < size; from += registers::rows) {
        Tile<Real> sums;
        sums.template add<1, registers::rows, columns>(above(row, from), its, row * block);
        sums.to_rest(&rest[from * columns], its_right + from * columns, columns);
      }
      for (int64_t from = 0; from < size; from += registers::rows) {
        Tile<Real> sums;
        sums.template add<1, block, columns>(inverse(row) + from, rest.data(), from + registers::rows);
        sums.to(its + (row * block + from) * columns, columns);
      }
    }
  }
  for (int64_t row = blocks_ - 1; row >= 0; --row) {
    const int64_t size = registers::whole_tiles(size_of(row));
    for (int64_t panel = 0; panel < count; ++panel) {
      Real* its = solutions + panel * step;
      Real* here = its + row * block * columns;
      for (int64_t from = 0; from < size; from += registers::rows) {
        Tile<Real> sums;
        for (int64_t column = row + 1; column < blocks_; ++column) {
          sums.template add<block, 1, columns>(upper_.at(column, row * block + from), its + column * block * columns,
                                               size_of(column));
        }
        sums.to_rest(&rest[from * columns], here + from * columns, columns);
      }
      for (int64_t from = 0; from < size; from += registers::rows) {
        Tile<Real> sums;
        sums.template add<block, 1, columns>(inverse(row) + from * block + from, &rest[from * columns], size - from);
        sums.to(here + from * columns, columns);
      }
    }
  }
}

template <class Real>
double PackedCholesky<Real>::smallest_eigenvalue() const {
  constexpr int iterations = 3;
  constexpr double margin = 2;
  Panels<Real> panels(size_, columns);
  Real* panel = panels.at(0);
  uint32_t state = 1;
  for (int64_t i = 0; i < size_ * columns; ++i) {
    state = state * 1664525 + 1013904223;  // any directions will do, but the same ones each time
    panel[i] = static_cast<Real>(state) - static_cast<Real>(2147483648.0);
  }
  std::array<double, columns> norms;
  const auto take_norms = [&] {
    norms.fill(0);
    for (int64_t i = 0; i < size_ * columns; ++i) {
      norms[i % columns] += static_cast<double>(panel[i]) * static_cast<double>(panel[i]);
    }
    std::ranges::transform(norms, norms.begin(), [](double square) { return std::sqrt(square); });
  };
  for (int iteration = 0; iteration < iterations; ++iteration) {
    take_norms();
    for (int64_t i = 0; i < size_ * columns; ++i) {
      panel[i] = static_cast<Real>(static_cast<double>(panel[i]) / norms[i % columns]);
    }
    solve(panel, panel);
  }
  take_norms();
  return 1 / (margin * std::ranges::max(norms));
}

template class PackedCholesky<float>;
template class PackedCholesky<double>;

}  // namespace brain2music::ridge
