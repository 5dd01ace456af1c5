#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include "brain2music/export.h"

/// Unit vectors in 16 bits a value: what the CPU's search reads of every item, to rule nearly all of them out.
namespace brain2music::kernels {

/// An element of a unit vector times this, rounded to the nearest integer.
constexpr double sketch_one = 32767;

constexpr int64_t sketch_rows = 16;  ///< items in a block

inline int64_t sketch_pairs(int64_t d) { return (d + 1) / 2; }
inline int64_t sketch_blocks(int64_t n) { return (n + sketch_rows - 1) / sketch_rows; }
inline int64_t sketch_block_values(int64_t d) { return sketch_pairs(d) * sketch_rows * 2; }
inline std::array<int64_t, 4> sketch_shape(int64_t n, int64_t d) {
  return {sketch_blocks(n), sketch_pairs(d), sketch_rows, 2};
}

/// At most how far the product of two sketches lies from sketch_one^2 times the score.
///
/// With u, v the unit vectors and S = sketch_one, the sketches are S u + e and S v + f. Rounding leaves each element of
/// e and f at most 0.5 off, float32 arithmetic less than 0.01 more, so |e|, |f| <= r = 0.51 sqrt(d), and by
/// Cauchy-Schwarz |(S u + e)(S v + f) - S^2 uv| <= 2 S r + r^2. Rounding the score to float32 adds S^2 2^-25 = 32.
inline int64_t sketch_error(int64_t d) {
  const double off = 0.51 * std::sqrt(static_cast<double>(d));
  return static_cast<int64_t>(std::ceil(2 * sketch_one * off + off * off)) + 33;
}

/// Where a loop over items reports rows without a direction; the first one counts, whichever thread finds it.
class FirstBadRow {
 public:
  void report(int64_t row);
  bool any() const { return row_ >= 0; }
  /// @throws std::invalid_argument if a row of `rows` was reported.
  void check(const char* rows) const;

 private:
  std::atomic<int64_t> row_ = -1;
};

/// Writes blocks [first, last) of the items' sketch to `out`; rows that fill the last block up are zero.
void write_sketch(const at::Tensor& items, int64_t first, int64_t last, int16_t* out, FirstBadRow& bad);

/// The sketch of all items, contiguous, made by all threads.
at::Tensor sketch_of(const at::Tensor& items);

/// Sketches of queries, in groups of `group`, the last of which may be smaller; in a group, the pairs of dimension
/// 0 and 1 of each query come first, then those of 2 and 3.
class B2M_API QuerySketch {  // exported, as are the products below, for the tests
 public:
  static constexpr int64_t group = 4;

  QuerySketch(const at::Tensor& queries, int64_t first, int64_t last);

  /// The group that begins with query `query`, counted from `first`.
  const int32_t* at(int64_t query) const { return pairs_.data() + query * count_; }

 private:
  int64_t count_;  // pairs of a query
  std::vector<int32_t> pairs_;
};

template <int width>
using BlockProducts = std::array<std::array<int32_t, sketch_rows>, width>;

/// Which items of a block reach the floor of a query: bit 16 q + r for query q and item r.
struct BlockHits {
  int64_t block;
  uint64_t bits;
};

/// Multiplies blocks of 16 items with the `width` queries of a group until products reach the floor of their query.
/// Returns that block and its products, or `blocks` and no bits. Exact: 32 bits hold the products, since by
/// Cauchy-Schwarz no partial sum exceeds (sketch_one + 0.51 sqrt(d))^2. `pairs` is at least 1.
template <int width>
B2M_API BlockHits next_hits(const int16_t* items, int64_t blocks, const int32_t* queries, int64_t pairs,
                            const int32_t* floors, BlockProducts<width>& products);

/// The same without instructions of a certain processor.
template <int width>
B2M_API BlockHits plain_next_hits(const int16_t* items, int64_t blocks, const int32_t* queries, int64_t pairs,
                                  const int32_t* floors, BlockProducts<width>& products);

}  // namespace brain2music::kernels
