#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

/// What the metrics have in common: matrices checked, and seen line by line in float64, a bounded block at a time.
namespace brain2music::metrics {

/// The rows of a matrix, or its columns: what a correlation is taken over lies in one line.
struct Lines {
  at::Tensor values;      ///< (lines, length): the matrix itself, or its transpose
  std::string_view name;  ///< of the argument, for errors
  bool columns;           ///< whether a line is a column of the argument

  int64_t count() const { return values.size(0); }
  int64_t length() const { return values.size(1); }
};

/// Rows (dim 1) or columns (dim 0) of `x`.
/// @throws std::invalid_argument unless `x` is a matrix of real numbers and `dim` one of its dimensions.
Lines lines_along(const at::Tensor& x, int64_t dim, std::string_view name, std::string_view where);

/// Throws unless both are matrices of real numbers on one device, of equal length, and of equal count where `paired`.
void check_pair(const Lines& a, const Lines& b, bool paired, std::string_view where);

/// How many lines to take at once, so that float64 blocks of so many times `width` stay at about 16 MiB.
int64_t lines_at_once(int64_t width);

/// Lines `first` to `first + count` in float64.
/// @throws std::invalid_argument naming the first value that is NaN, infinite or beyond 1e300 (whose sums overflow).
at::Tensor finite_block(const Lines& lines, int64_t first, int64_t count, std::string_view where);

/// The same, each line minus its mean.
/// @throws std::invalid_argument also for a line whose values are all equal, by its number.
at::Tensor centred_block(const Lines& lines, int64_t first, int64_t count, std::string_view where);

/// The same, scaled to a Euclidean norm of 1: the Pearson correlation of two lines is then their scalar product.
at::Tensor unit_block(const Lines& lines, int64_t first, int64_t count, std::string_view where);

}  // namespace brain2music::metrics
