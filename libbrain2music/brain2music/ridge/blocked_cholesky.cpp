#include "brain2music/ridge/blocked_cholesky.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

namespace brain2music::ridge {
namespace {

// Large enough for products to be fast, small enough for the blocks of the diagonal to cost little.
constexpr int64_t block_size = 64;

/// The inverse of the lower factor of a symmetric block, of which the upper half is read; false where a pivot is not
/// positive. Rows are worked on whole, so that the compiler makes vectors of them.
template <class Real>
bool invert_factor(const Real* block, int64_t stride, int64_t size, Real* inverse, int64_t inverse_stride) {
  std::array<Real, block_size * block_size> upper;
  for (int64_t i = 0; i < size; ++i) {
    std::copy(block + i * stride + i, block + i * stride + size, &upper[i * block_size + i]);
  }
  for (int64_t j = 0; j < size; ++j) {
    Real* row = &upper[j * block_size];
    if (!(row[j] > 0) || !std::isfinite(row[j])) {
      return false;
    }
    const Real scale = 1 / std::sqrt(row[j]);
    for (int64_t k = j; k < size; ++k) {
      row[k] *= scale;
    }
    for (int64_t i = j + 1; i < size; ++i) {
      const Real factor = row[i];
      Real* below = &upper[i * block_size];
      for (int64_t k = i; k < size; ++k) {
        below[k] -= factor * row[k];
      }
    }
  }
  for (int64_t i = 0; i < size; ++i) {
    Real* row = inverse + i * inverse_stride;
    std::fill(row, row + size, Real{0});
    row[i] = 1;
    for (int64_t j = 0; j < i; ++j) {
      const Real factor = upper[j * block_size + i];
      const Real* before = inverse + j * inverse_stride;
      for (int64_t k = 0; k <= j; ++k) {
        row[k] -= factor * before[k];
      }
    }
    const Real scale = 1 / upper[i * block_size + i];
    for (int64_t k = 0; k <= i; ++k) {
      row[k] *= scale;
    }
  }
  return true;
}

bool invert_factor(const at::Tensor& block, const at::Tensor& inverse) {
  const int64_t size = block.size(0);
  if (block.scalar_type() == at::kFloat) {
    return invert_factor(block.const_data_ptr<float>(), block.stride(0), size, inverse.mutable_data_ptr<float>(),
                         inverse.stride(0));
  }
  return invert_factor(block.const_data_ptr<double>(), block.stride(0), size, inverse.mutable_data_ptr<double>(),
                       inverse.stride(0));
}

/// Rows `first` to `first + rows` and columns alike.
at::Tensor part(const at::Tensor& x, int64_t first, int64_t rows, int64_t column, int64_t columns) {
  return x.narrow(0, first, rows).narrow(1, column, columns);
}

/// of - a b; a and b may be empty.
void subtract_product(at::Tensor result, const at::Tensor& of, const at::Tensor& a, const at::Tensor& b) {
  at::addmm_out(result, of, a, b, /*beta=*/1, /*alpha=*/-1);
}

void multiply(at::Tensor result, const at::Tensor& a, const at::Tensor& b) { at::mm_out(result, a, b); }

}  // namespace

BlockedCholesky::BlockedCholesky(at::Tensor lower, at::Tensor inverses)
    : lower_(std::move(lower)), inverses_(std::move(inverses)) {}

std::optional<BlockedCholesky> BlockedCholesky::of(const at::Tensor& gram, double alpha) {
  const int64_t p = gram.size(0);
  const int64_t blocks = (p + block_size - 1) / block_size;
  at::Tensor lower = at::empty({p, p}, gram.options());
  at::Tensor inverses = at::empty({blocks, block_size, block_size}, gram.options());
  const at::Tensor scratch = at::empty({p, block_size}, gram.options());
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t first = block * block_size;
    const int64_t size = std::min(block_size, p - first);
    const int64_t rows = p - first;
    // The block column, less the products of all columns before it.
    const at::Tensor column = part(scratch, 0, rows, 0, size);
    subtract_product(column, part(gram, first, rows, first, size), part(lower, first, rows, 0, first),
                     part(lower, first, size, 0, first).t());
    column.diagonal().add_(alpha);
    const at::Tensor inverse = inverses[block].narrow(0, 0, size).narrow(1, 0, size);
    if (!invert_factor(column.narrow(0, 0, size), inverse)) {
      return std::nullopt;
    }
    multiply(part(lower, first + size, rows - size, first, size), column.narrow(0, size, rows - size), inverse.t());
  }
  return BlockedCholesky(lower, inverses);
}

at::Tensor BlockedCholesky::solve(const at::Tensor& right) const {
  const int64_t p = lower_.size(0);
  const int64_t blocks = inverses_.size(0);
  at::Tensor solution = at::empty({p, right.size(1)}, right.options().memory_format(at::MemoryFormat::Contiguous));
  const at::Tensor scratch = at::empty({block_size, right.size(1)}, solution.options());
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t first = block * block_size;
    const int64_t size = std::min(block_size, p - first);
    const at::Tensor rest = scratch.narrow(0, 0, size);
    subtract_product(rest, right.narrow(0, first, size), part(lower_, first, size, 0, first),
                     solution.narrow(0, 0, first));
    multiply(solution.narrow(0, first, size), inverses_[block].narrow(0, 0, size).narrow(1, 0, size), rest);
  }
  for (int64_t block = blocks - 1; block >= 0; --block) {
    const int64_t first = block * block_size;
    const int64_t size = std::min(block_size, p - first);
    const int64_t after = p - first - size;
    const at::Tensor rest = scratch.narrow(0, 0, size);
    subtract_product(rest, solution.narrow(0, first, size), part(lower_, first + size, after, first, size).t(),
                     solution.narrow(0, first + size, after));
    multiply(solution.narrow(0, first, size), inverses_[block].narrow(0, 0, size).narrow(1, 0, size).t(), rest);
  }
  return solution;
}

}  // namespace brain2music::ridge
